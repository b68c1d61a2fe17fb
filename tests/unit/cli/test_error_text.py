"""Errors of the system as text."""

from __future__ import annotations

import errno
import os

import pytest

from bamboo_logmetrics.cli.error_text import error_text
from bamboo_logmetrics.errors import ConfigError


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOSPC, errno.EROFS, errno.EMFILE])
@pytest.mark.parametrize("name", ["logs/a.jsonl", b"logs/a.jsonl", None])
def test_errors_of_the_system_have_a_remedy(number, name):
    """An error in the system's own words names the file and what can be done, in one line."""
    text = error_text(OSError(number, os.strerror(number), name))
    subject, _, remedy = text.partition("; ")
    assert subject == ("logs/a.jsonl: " if name else "") + os.strerror(number)
    assert remedy
    assert "\n" not in text


def test_other_errors_stay_as_they_are():
    """An error that has words of its own keeps them, and so does one without a known remedy."""
    assert error_text(OSError(errno.ENOSPC, "cannot write x: make room")) == "[Errno 28] cannot write x: make room"
    assert error_text(ConfigError("wrong; use y")) == "wrong; use y"
    assert error_text(FileNotFoundError("no such log: x")) == "no such log: x"
