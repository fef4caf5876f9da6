"""From start to end of a serving process: transports up, signals, drain."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, Final, TypeVar

from rtbridge.app import Runtime
from rtbridge.transport.base import Transport

log = logging.getLogger("rtbridge")

T = TypeVar("T")

#: Seconds that a signal may go unheard where the loop cannot take it itself.
_TURN: Final = 0.2


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


class Signals:
    """SIGTERM and SIGINT: the first asks for an end, the second forces it."""

    def __init__(self) -> None:
        self.stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            try:
                self._loop.add_signal_handler(number, self._received, number)
            except NotImplementedError:  # Windows
                signal.signal(number, self._handler)
                if number == signal.SIGTERM:
                    self._turn()

    def _turn(self) -> None:
        """Come round now and then: Python runs a handler between two steps of this thread, which may be asleep when the
        system gives the signal to another one."""
        if not self.stop.is_set():
            self._loop.call_later(_TURN, self._turn)

    def _handler(self, number: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self._received, number)

    def _received(self, number: int) -> None:
        name = signal.Signals(number).name
        if self.stop.is_set():
            log.warning("%s again: ending at once", name)
            for handler in logging.getLogger().handlers:
                with suppress(Exception):
                    handler.flush()
            with suppress(Exception):
                sys.stdout.flush()
            os._exit(1)  # hooks that do not return must not keep the process
        log.info("%s: taking no new calls, ending those under way; once more ends at once", name)
        self.stop.set()


async def serve(runtime: Runtime, *, lazy: bool, started: Callable[[Sequence[Transport]], None]) -> None:
    """Serve until a signal comes, then drain.

    Args:
        runtime: What to serve.
        lazy: Boot plugins with the first event instead of now.
        started: Called with what listens, before ``on_ready`` hooks run.

    Raises:
        SetupError: A plugin did not boot, or something cannot listen; what was started is stopped again.

    """
    signals = Signals()
    running: list[Transport] = []
    stopping = asyncio.create_task(signals.stop.wait())
    starting = asyncio.create_task(_start(runtime, running, lazy=lazy))
    try:
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            started(running)
            await runtime.ready()
            await stopping
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.wait((starting, stopping))
        await runtime.stop(running)


async def _start(runtime: Runtime, running: list[Transport], *, lazy: bool) -> None:
    if lazy:
        runtime.bridge.before_first(runtime.boot)
    else:
        await runtime.boot()
    for transport in runtime.transports():
        await transport.start()
        running.append(transport)
