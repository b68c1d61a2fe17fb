"""A fresh process for loggers, and a logger of the standard library."""

from __future__ import annotations

import logging

import pytest

from bamboo_logmetrics.logger import bound_log


@pytest.fixture(autouse=True)
def no_context_variables():
    """Begin as a process that has bound no context variable of structlog: then most calls take the short way."""
    bound_log.CONTEXT_VARS.clear()


@pytest.fixture
def logger():
    """Return a stdlib logger, and close its handlers after the test."""
    logger = logging.getLogger("tests.handler")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    yield logger
    for handler in logger.handlers[:]:
        logger.removeHandler(handler)
        handler.close()
