"""What holds for every test."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping

import pytest

from rtbridge import logs
from rtbridge.isolation import RESETTABLE
from tests.loops import every_loop

_LOGGERS = [logging.getLogger(name) for name in ("", "rtbridge", *logs.QUIET)]


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """Whatever a test sets up for the process is taken back."""
    before = [(log.level, list(log.handlers)) for log in _LOGGERS]
    yield
    for log, (level, handlers) in zip(_LOGGERS, before, strict=True):
        if log.level != level:  # setting it empties every logger's cache
            log.setLevel(level)
        log.handlers[:] = handlers


@pytest.fixture(autouse=True)
def nothing_left_to_reset() -> Iterator[None]:
    """What a test, or an application that it imports, has reset after each event is not reset in the next test."""
    before = list(RESETTABLE)
    yield
    RESETTABLE[:] = before


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Modules that say so run on asyncio's event loop and on uvloop, where it is there."""
    return every_loop(item)
