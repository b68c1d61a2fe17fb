"""Files of prices that cannot be read, and their versions."""

from __future__ import annotations

import os
import sys

import pytest

import bamboo_logmetrics as blm
from bamboo_logmetrics.reading.summary.price_files import read_price_file

TOML = '[[price]]\nmodel = "a"\ninput = 1\noutput = 2\n'


def test_the_version_is_that_of_the_contents(tmp_path):
    """The name of the prices has a part that changes with the contents; a byte order mark does not matter."""
    names = set()
    for number, text in enumerate([TOML, TOML + "# b\n", "\ufeff" + TOML, "\ufeff{}", "{}"]):
        (tmp_path / "p").write_text(text, encoding="utf-8")
        names.add(read_price_file(tmp_path / "p").name)
        assert len(names) == number + 1
    assert all(name.startswith("p (sha256 ") for name in names)


def test_what_cannot_be_read(tmp_path):
    """A file that is missing, a directory, too large or not text is a ConfigError in one line."""
    with pytest.raises(blm.ConfigError, match=r"cannot read the prices in '.*missing': No such file"):
        read_price_file(str(tmp_path / "missing"))
    with pytest.raises(blm.ConfigError, match="not a regular file; give a TOML file, or LiteLLM's JSON"):
        read_price_file(tmp_path)
    os.mkfifo(tmp_path / "pipe")  # nobody writes to it: reading would never end
    with pytest.raises(blm.ConfigError, match=r"pipe': not a regular file"):
        read_price_file(tmp_path / "pipe")
    with pytest.raises(blm.ConfigError, match="cannot read the prices in"):
        read_price_file("\0")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(33 * 1024 * 1024)
    with pytest.raises(blm.ConfigError, match="large is no file of prices: it has more than 33,554,432 bytes"):
        read_price_file(tmp_path / "large")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(blm.ConfigError, match="binary is no file of prices: it is not UTF-8"):
        read_price_file(tmp_path / "binary")


def test_tomli_is_named_where_it_is_missing(tmp_path, monkeypatch):
    """Python 3.10 has no TOML of its own: the message says what to install."""
    for name in ("tomllib", "tomli"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / "p").write_text(TOML)
    with pytest.raises(blm.ConfigError, match="need the package tomli"):
        read_price_file(tmp_path / "p")
