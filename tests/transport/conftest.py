"""Transports on every event loop that they are made for."""

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.loops import every_loop


@pytest.hookimpl(optionalhook=True)
def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Modules that say so run on asyncio's event loop and on uvloop."""
    return every_loop(item)
