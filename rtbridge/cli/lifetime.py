"""From start to end of a serving process: transports up, signals, drain."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Final, Protocol

from rtbridge.app import Listing
from rtbridge.config import Config
from rtbridge.loops import run
from rtbridge.readiness import Readiness
from rtbridge.transport.base import Transport

__all__ = ["Host", "Signals", "run", "serve"]

log = logging.getLogger("rtbridge")

#: Seconds that a signal may go unheard where the loop cannot take it itself.
_TURN: Final = 0.2


class Host(Protocol):
    """What is served: by this process alone, or by workers."""

    @property
    def config(self) -> Config:
        """The configuration."""
        ...

    @property
    def readiness(self) -> Readiness:
        """What health checks say."""
        ...

    def start(self, *, lazy: bool) -> None:
        """Begin; where ``lazy``, plugins boot with the first event."""
        ...

    async def boot(self) -> object:
        """Wait until plugins have booted."""
        ...

    def transports(self) -> list[Transport]:
        """Everything that the configuration asks to listen, not yet started."""
        ...

    def listing(self) -> Listing | None:
        """What is served, for people, once that is known."""
        ...

    def warnings(self) -> Sequence[str]:
        """What an operator should know, once that is known."""
        ...

    async def ready(self) -> None:
        """Run ``on_ready`` hooks."""
        ...

    async def stop(self, transports: Sequence[Transport]) -> None:
        """Close listeners, let what is under way end, and shut plugins down."""
        ...


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

    def on_hangup(self, heard: Callable[[], None]) -> None:
        """Have SIGHUP call ``heard`` rather than end the process."""
        with suppress(NotImplementedError, AttributeError):  # Windows has none
            self._loop.add_signal_handler(signal.SIGHUP, heard)

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
            self.force(f"{name} again")
        log.info("%s: taking no new calls, ending those under way; once more ends at once", name)
        self.stop.set()

    def force(self, why: str) -> None:
        """End the process now, with exit code 1; its workers go with it."""
        log.warning("%s: ending at once", why)
        for handler in logging.getLogger().handlers:
            with suppress(Exception):
                handler.flush()
        with suppress(Exception):
            sys.stdout.flush()
        os._exit(1)  # hooks that do not return must not keep the process


async def serve(
    host: Host,
    signals: Signals,
    *,
    lazy: bool,
    started: Callable[[Sequence[Transport]], None],
    early: Sequence[Transport] = (),
) -> None:
    """Serve until a signal comes, then drain.

    Args:
        host: What to serve.
        signals: Says when to stop.
        lazy: Boot plugins with the first event instead of now.
        started: Called with what listens, before ``on_ready`` hooks run.
        early: What listens from before the boot until after the drain: health, control.

    Raises:
        SetupError: A plugin did not boot, or something cannot listen; what was started is stopped again.

    """
    running: list[Transport] = []
    about: list[Transport] = []
    stopping = asyncio.create_task(signals.stop.wait())
    starting = asyncio.create_task(_start(host, running, early, about, lazy=lazy))
    try:
        await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            started(running)
            await host.ready()
            await stopping
    finally:
        for task in (starting, stopping):
            task.cancel()
        await asyncio.wait((starting, stopping))
        await host.stop(running)
        for transport in about:
            await transport.stop(0.0)


async def _start(
    host: Host, running: list[Transport], early: Sequence[Transport], about: list[Transport], *, lazy: bool
) -> None:
    host.start(lazy=lazy)
    for transport in early:
        await transport.start()
        about.append(transport)
    transports = host.transports()
    if not lazy:
        await host.boot()
    for transport in transports:
        await transport.start()
        running.append(transport)
