from __future__ import annotations

import gzip
import os

import pytest
from support.faults import FaultyFS
from support.packing import pack_zstd

from bamboo_logmetrics.errors import ConfigError
from bamboo_logmetrics.logfiles import compression, plain_size

TEXT = b'{"a":1}\n' * 10_000


@pytest.mark.parametrize(
    ("name", "data"), [("a", TEXT), ("a.gz", gzip.compress(TEXT, mtime=0)), ("a.zst", pack_zstd(TEXT))]
)
def test_the_size_of_what_was_compressed(tmp_path, name, data):
    """A file's plain size is that of its contents, whatever its form; a file that is gone has none."""
    (tmp_path / name).write_bytes(data)
    assert plain_size.plain_size(FaultyFS(), str(tmp_path / name)) == len(TEXT)
    assert plain_size.plain_size(FaultyFS(), str(tmp_path / "gone")) == 0


@pytest.mark.parametrize(("name", "data"), [("a.gz", b"\1"), ("a.zst", b"junk"), ("a.zst", pack_zstd(TEXT)[:30])])
def test_the_size_of_a_damaged_file(tmp_path, name, data):
    """A damaged file has at least the size that it takes."""
    (tmp_path / name).write_bytes(data)
    assert plain_size.plain_size(FaultyFS(), str(tmp_path / name)) >= len(data)


def test_without_zstd(tmp_path, monkeypatch):
    """Where nothing reads zstd, the compressed size counts."""

    def missing():
        raise ConfigError("no zstd")

    monkeypatch.setattr(compression, "need_zstd", missing)
    (tmp_path / "a.zst").write_bytes(pack_zstd(TEXT))
    assert plain_size.plain_size(FaultyFS(), str(tmp_path / "a.zst")) == len(pack_zstd(TEXT))


def test_counting_ends(tmp_path, monkeypatch):
    """A zstd file that goes on for hours is counted up to a limit."""
    monkeypatch.setattr(plain_size, "_LARGEST", 1_000)
    (tmp_path / "a.zst").write_bytes(pack_zstd(b"x" * 600) * 10)
    assert plain_size.plain_size(FaultyFS(), str(tmp_path / "a.zst")) == 1_200


def test_nothing_else_than_a_file(tmp_path):
    """A link or a FIFO at the path of a file is an error, and not waited for."""
    os.mkfifo(tmp_path / "a.gz")
    (tmp_path / "b").symlink_to(tmp_path / "a.gz")
    for name in ("a.gz", "b"):
        with pytest.raises(OSError, match="not a regular file"):
            plain_size.plain_size(FaultyFS(), str(tmp_path / name))
