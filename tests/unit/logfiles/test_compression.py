from __future__ import annotations

import os
import random

import pytest
from support.packing import PACK, UNPACK, hide_zstd

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
        (lambda data: data + b"x", "follows"),
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


def test_zstd_without_its_library_names_the_remedy(tmp_path, monkeypatch):
    """Reading a .zst file names the extra to install; from Python 3.14 on, a Python that has zstd."""
    put(tmp_path, "packed")
    with pytest.raises(ConfigError, match=f"zstd files need .*{hide_zstd(monkeypatch)}"):
        content(tmp_path / "packed", "zstd")


def content(path, kind):
    fs = FS()
    fd = fs.open(str(path), os.O_RDONLY)
    try:
        return b"".join(compression.decompress(fs, fd, kind))
    finally:
        fs.close(fd)


def packed(folder, data, kind):
    """Return ``data`` as the package compresses it."""
    fs = FS()
    put(folder, "plain", content=data)
    source = fs.open(str(folder / "plain"), os.O_RDONLY)
    try:
        compression.compress(fs, source, str(folder / "packed"), kind, 0o600)
    finally:
        fs.close(source)
    return (folder / "packed").read_bytes()


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 600_000])
def test_other_programs_read_it(tmp_path, kind, size):
    """Files of the package are read by the libraries themselves, and theirs by the package."""
    data = random.Random(size).randbytes(size)
    assert UNPACK[kind](packed(tmp_path, data, kind)) == data
    put(tmp_path, "theirs", content=PACK[kind](data))
    assert content(tmp_path / "theirs", kind) == data


def test_zstd_frames_carry_a_checksum(tmp_path):
    """On every Python a .zst file has the checksum that finds a flipped bit."""
    damaged = bytearray(packed(tmp_path, random.Random(1).randbytes(100), "zstd"))
    assert damaged[4] & 0b100  # RFC 8878: Content_Checksum_flag of the frame header's descriptor
    damaged[50] ^= 1
    put(tmp_path, "damaged", content=bytes(damaged))
    with pytest.raises(compression.DamagedFileError, match="damaged zstd data"):
        content(tmp_path / "damaged", "zstd")


@pytest.mark.parametrize("chunk", [1, 7, 256 * 1024])
@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_file_of_several_pieces(tmp_path, monkeypatch, kind, chunk):
    """Pieces one after the other, as ``cat`` and parallel compressors make them, are read as one text."""
    monkeypatch.setattr(compression, "_CHUNK", chunk)
    put(tmp_path, "many", content=b"".join(map(PACK[kind], [b"a\n", b"", b"b\n" * 900, b"c\n"])))
    assert content(tmp_path / "many", kind) == b"a\n" + b"b\n" * 900 + b"c\n"


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("chunk", [1, 256 * 1024])
@pytest.mark.parametrize("cut", [False, True])
def test_what_follows_is_read_or_reported(tmp_path, monkeypatch, kind, chunk, cut):
    """After whole data, other bytes or a piece that is cut off make the file damaged; what was whole is given first."""
    monkeypatch.setattr(compression, "_CHUNK", chunk)
    put(tmp_path, "packed", content=PACK[kind](b"first\n") + (PACK[kind](b"second\n")[:-3] if cut else b"no such data"))
    message = "something follows the .* too early" if cut else "something follows"
    fs = FS()
    fd = fs.open(str(tmp_path / "packed"), os.O_RDONLY)
    pieces = compression.decompress(fs, fd, kind)
    assert next(pieces)[:1] == b"f"
    with pytest.raises(compression.DamagedFileError, match=message):
        list(pieces)
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
