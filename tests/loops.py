"""The event loops that tests run on."""

import asyncio
from collections.abc import Callable, Mapping

import pytest


def every_loop(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """asyncio's loop; for modules with ``EVERY_LOOP = True`` uvloop, too, where it is there."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if getattr(getattr(item, "module", None), "EVERY_LOOP", False):
        try:
            import uvloop
        except ImportError:
            pass
        else:
            loops["uvloop"] = uvloop.new_event_loop
    return loops
