from __future__ import annotations

import sys

import pytest

from bamboo_logmetrics.logger.exceptions import format_exception, take_exception


def test_every_form_of_exc_info():
    """exc_info may be True, an exception or a tuple; each gives the traceback without local variables."""
    try:
        secret = "do not show"
        raise ValueError(len(secret))
    except ValueError as error:
        texts = {format_exception(exc_info) for exc_info in (True, error, sys.exc_info())}
    (text,) = texts
    assert text.startswith("Traceback (most recent call last):")
    assert text.endswith("ValueError: 11")


@pytest.mark.parametrize("exc_info", [True, (), (None, None, None), (None,)])
def test_no_exception(exc_info):
    """Without an exception there is no text."""
    assert format_exception(exc_info) is None


def test_an_exception_that_cannot_be_shown():
    """An exception whose own text raises still gives a text."""

    class Nasty(Exception):
        def __str__(self):
            raise RuntimeError

    assert "Nasty" in format_exception(Nasty())

    class Worse(Exception):
        @property
        def __cause__(self):
            raise RuntimeError

    assert format_exception(Worse()) == "<unprintable Worse>"


def test_the_keywords_are_taken():
    """exc_info and stack_info do not stay among the values of a call; the stack is one of them."""
    kw = {"exc_info": ValueError("x"), "stack_info": True, "a": 1}

    def method():  # stands for BoundLog._log: the stack begins with its caller
        return record()

    def record():
        return take_exception(kw)

    exception = method()
    assert exception.endswith("ValueError: x")
    assert kw.keys() == {"a", "stack"}
    assert "test_the_keywords_are_taken" in kw["stack"]
    assert take_exception({"exc_info": False}) is None
