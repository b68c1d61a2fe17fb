"""A logger of the standard library, for the handler and the formatter."""

from __future__ import annotations

import logging

import pytest


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
