from __future__ import annotations

import os
import sys

import pytest

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles import compression
from bamboo_logmetrics.system import FS


def put(folder, *names, content=b"line\n"):
    for each in names:
        (folder / each).write_bytes(content)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda data: data[:-5], "too early"),
        (lambda data: b"x" + data, "damaged"),
        (lambda data: data + b"x", "follows|damaged"),
    ],
)
def test_damaged_files_are_reported(tmp_path, kind, spoil, message):
    """A compressed file that is cut off or damaged raises an OSError with the reason."""
    fs = FS()
    put(tmp_path, "plain", content=os.urandom(1000))
    source = fs.open(str(tmp_path / "plain"), os.O_RDONLY)
    compression.compress(fs, source, str(tmp_path / "packed"), kind, 0o600)
    fs.close(source)
    put(tmp_path, "packed", content=spoil((tmp_path / "packed").read_bytes()))
    fd = fs.open(str(tmp_path / "packed"), os.O_RDONLY)
    with pytest.raises(OSError, match=message):
        list(compression.decompress(fs, fd, kind))
    fs.close(fd)


def test_zstd_without_its_library_names_the_extra(tmp_path, monkeypatch):
    """Reading a .zst file without zstandard names the extra to install."""
    monkeypatch.setitem(sys.modules, "zstandard", None)
    fs = FS()
    put(tmp_path, "packed")
    fd = fs.open(str(tmp_path / "packed"), os.O_RDONLY)
    with pytest.raises(ConfigError, match=r"bamboo_logmetrics\[zstd\]"):
        list(compression.decompress(fs, fd, "zstd"))
    fs.close(fd)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_chunks_of_any_size_read_back(tmp_path, monkeypatch, kind):
    """Compressed data is read back whole, however small the pieces are."""
    monkeypatch.setattr(compression, "_CHUNK", 3)
    fs = FS()
    put(tmp_path, "plain", content=b"line\n" * 50)
    source = fs.open(str(tmp_path / "plain"), os.O_RDONLY)
    compression.compress(fs, source, str(tmp_path / "packed"), kind, 0o600)
    fs.close(source)
