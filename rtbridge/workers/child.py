"""The life of a worker process: started by its parent, ended by it or after it."""

import asyncio
import contextlib
import logging
import os
import pickle
import select
import signal
import socket
import sys
import threading
import time
from typing import Final

from rtbridge import logs
from rtbridge.app import Runtime, runtime_of
from rtbridge.config import Config
from rtbridge.errors import SetupError
from rtbridge.hooks import Threads
from rtbridge.loops import run as run_loop
from rtbridge.loops import settle
from rtbridge.plugins.kv import in_memory
from rtbridge.stores.remote import RemoteStore
from rtbridge.workers.answerer import Answerer
from rtbridge.workers.duty import Duty
from rtbridge.workers.framed_api import FramedApi
from rtbridge.workers.framed_stores import FramedStores
from rtbridge.workers.frames import (
    TO_WORKER,
    ApiReply,
    Drain,
    Failed,
    Ready,
    Start,
    StoreReply,
    ToWorker,
    Unpacker,
    clean,
)
from rtbridge.workers.link import Link

log = logging.getLogger("rtbridge.workers")

#: Seconds that a worker has to end in order when its parent is gone.
_ORPHANED: Final = 5.0

#: Seconds of these in which requests may end.
_FAREWELL: Final = 3.0

#: Seconds between two looks at threads, and for which a hook has to go on after its event to count as one that does
#: not return.
_LOOK: Final = 1.0
_STUCK: Final = 10.0


def run(end: socket.socket) -> int:
    """Be a worker until the parent says otherwise or goes away; the result is the process's exit code."""
    _watch(end)
    return run_loop(_live(end))


def _watch(end: socket.socket) -> None:
    """End this process some time after its parent, even where a hook blocks the loop."""
    try:
        lifeline = os.dup(end.fileno())
        poll = select.poll()
    except (OSError, AttributeError):
        return

    def wait() -> None:
        poll.register(lifeline, 0)  # hanging up is told unasked
        poll.poll()
        threading.Event().wait(_ORPHANED)
        os._exit(1)

    threading.Thread(target=wait, name="rtbridge-lifeline", daemon=True).start()


async def _live(end: socket.socket) -> int:
    child = _Child()
    link = await Link.over(end, Unpacker(TO_WORKER), child.received, child.parted)
    code = await child.live(link)
    link.close()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ORPHANED):
            await link.gone.wait()  # until what was written has left
    return code


class _Child:
    """One worker."""

    def __init__(self) -> None:
        self._start: asyncio.Future[Start] = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._api: FramedApi | None = None
        self._stores: FramedStores | None = None
        self._duty: Duty | None = None
        self._orphaned = False

    async def live(self, link: Link) -> int:
        """From the parent's first word to the end; the result is the process's exit code."""
        try:
            start = await self._start
        except asyncio.CancelledError:
            return 1  # the parent left before it said a word
        sys.path[:] = start.path
        config: Config = pickle.loads(start.config)  # noqa: S301  # from our own parent, over a socket nobody else has
        logs.setup(
            config.logs.level, config.logs.encoding, worker=start.number, mode="http" if start.mode == "http" else ""
        )
        try:
            runtime = await self._boot(link, config, lazy=start.lazy)
            duty = self._duty = await self._begin(link, runtime, start)
        except SetupError as exc:
            link.send(Failed(clean(str(exc))))
            return exc.exit_code
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, duty.retire, "it got SIGTERM")
        settle()
        link.send(Ready(runtime.listing(), [clean(line) for line in runtime.warnings()]))
        await self._over.wait()
        await duty.end(_FAREWELL if self._orphaned else config.rtbridge.drain_timeout)
        await runtime.shutdown()
        return 0

    async def _begin(self, link: Link, runtime: Runtime, start: Start) -> Duty:
        """What is done from now on.

        Raises:
            PluginError: The application that it is for does not start.

        """
        if start.mode == "http":
            from rtbridge.workers.acceptor import Acceptor  # and with it all that others do without

            listeners: dict[str, socket.socket] = {}
            for name, number in start.listeners.items():
                os.set_inheritable(number, False)
                listeners[name] = socket.socket(fileno=number)
            acceptor = Acceptor(runtime, link, listeners, self._api, self._stores)
            self._duty = acceptor  # what its start asks the parent is answered
            await acceptor.start()
            return acceptor
        answerer = Answerer(runtime, link, self._api, self._stores)
        runtime.bridge.on_reset_failed = lambda: answerer.retire("a reset() failed")
        supervisor = runtime.config.centrifuge.pool.supervisor
        exec_ttl = 0.0 if supervisor is None else supervisor.exec_ttl
        answerer.keep(_watch_threads(runtime.bridge.threads, answerer, exec_ttl))
        return answerer

    async def _boot(self, link: Link, config: Config, *, lazy: bool) -> Runtime:
        stores = self._stores = FramedStores(link)
        elsewhere = {name: RemoteStore(name, stores.ask) for name in in_memory(config)}
        runtime = runtime_of(config, elsewhere=elsewhere)
        if config.rtbridge.embedded is not None:
            self._api = FramedApi(link, config.rtbridge.centrifugo_api.timeout)
            runtime.api.relay(self._api.call)
        if lazy:
            runtime.bridge.before_first(runtime.boot)
        else:
            await runtime.boot()
        return runtime

    def parted(self) -> None:
        """The parent is gone."""
        self._start.cancel()
        self._orphaned = True
        if self._duty is not None:
            self._duty.abandon()
        self._over.set()

    def received(self, frames: list[ToWorker]) -> None:
        """Frames came."""
        for frame in frames:
            if self._duty is not None and not isinstance(frame, Drain):
                self._duty.received(frame)
            elif isinstance(frame, Drain):
                self._over.set()
            elif isinstance(frame, ApiReply) and self._api is not None:
                self._api.reply(frame)  # to a call of on_boot, as the next one
            elif isinstance(frame, StoreReply) and self._stores is not None:
                self._stores.reply(frame)
            elif isinstance(frame, Start):
                self._start.set_result(frame)
            # What is said to workers at large means nothing to one that is not ready.


async def _watch_threads(threads: Threads, answerer: Duty, exec_ttl: float) -> None:
    """Ask for a successor when hooks that do not return have taken a thread for too long, or most of them."""
    while True:
        await asyncio.sleep(_LOOK)
        overdue = threads.overdue.values()
        longest = max((time.monotonic() - since for since in overdue), default=0.0)
        if exec_ttl and longest > exec_ttl:
            answerer.retire(f"a hook goes on {longest:.1f} s after its event was over; exec_ttl is {exec_ttl:g} s")
            return
        if longest > _STUCK and 2 * len(overdue) > threads.size:
            answerer.retire(f"{len(overdue)} of {threads.size} hook threads do not return")
            return
