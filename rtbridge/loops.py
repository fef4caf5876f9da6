"""The event loop of a process."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

#: Python's own thresholds of its garbage collector before 3.12, and ours: objects of the youngest generation, and how
#: many collections of one generation to one of the next.
_DEFAULTS: Final = ((700, 10, 10), (2000, 10, 0))
_THRESHOLDS: Final = (10_000, 20, 50)


def settle() -> None:
    """Tell the garbage collector that the start is over.

    What is there now stays, so that it need not be looked at again, and calls that come and go by the thousand are not
    looked for cycles after every few of them. Whoever has chosen other thresholds keeps them.
    """
    gc.freeze()
    if gc.get_threshold() in _DEFAULTS:
        gc.set_threshold(*_THRESHOLDS)


def run(main: Coroutine[Any, Any, T]) -> T:
    """The coroutine's result, on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)
