"""The event loops that tests run on."""

import asyncio
from collections.abc import Callable, Mapping

import pytest


def every_loop(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """asyncio's loop; for modules with ``EVERY_LOOP = True`` uvloop, too, where it is there."""
    return new_loops(uvloop=getattr(getattr(item, "module", None), "EVERY_LOOP", False))


def new_loops(*, uvloop: bool) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What makes event loops, by their names; with uvloop's, where it is there."""
    loops: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {"asyncio": asyncio.new_event_loop}
    if uvloop:
        try:
            import uvloop as fast
        except ImportError:
            pass
        else:
            loops["uvloop"] = fast.new_event_loop
    return loops
