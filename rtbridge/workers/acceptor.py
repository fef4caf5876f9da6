"""A worker that takes connections from the parent's sockets and answers their requests."""

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from rtbridge.app import Runtime
from rtbridge.plugins.http.intime import Requests
from rtbridge.workers.duty import Duty
from rtbridge.workers.framed_api import FramedApi
from rtbridge.workers.framed_stores import FramedStores
from rtbridge.workers.frames import EndStreams, Load, ToWorker
from rtbridge.workers.link import Link

if TYPE_CHECKING:
    from rtbridge.plugins.http.server import HttpServer

#: Seconds between two looks at how many requests there are.
_LOOK: Final = 1.0


class Acceptor(Duty):
    """Requests of some sockets.

    Args:
        runtime: Has the hooks, and the configuration with the section ``http``.
        link: To the parent.
        listeners: The sockets, bound; other processes take connections from them, too.
        api: Calls of the server API that travel over the link; None where there are none.
        stores: Operations on stores that do; None where there are none.

    Raises:
        PluginError: The application cannot be imported.

    """

    def __init__(
        self,
        runtime: Runtime,
        link: Link,
        listeners: Mapping[str, socket.socket],
        api: FramedApi | None = None,
        stores: FramedStores | None = None,
    ) -> None:
        super().__init__(runtime, link, api, stores)
        assert runtime.config.http is not None
        pool = runtime.config.http.pool
        exec_ttl = 0.0 if pool.supervisor is None else pool.supervisor.exec_ttl
        self._requests = Requests(max_jobs=pool.max_jobs, exec_ttl=exec_ttl, retire=self.retire)
        self._server: HttpServer = runtime.web(listeners=listeners, requests=self._requests)
        self._leaving: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start the application, then take connections.

        Raises:
            PluginError: The application does not start.

        """
        await self._server.start()
        self.keep(self._telling())

    def received(self, frame: ToWorker) -> None:
        """Do what a frame asks for."""
        if isinstance(frame, EndStreams):
            if self._leaving is None:
                self._leaving = self._loop.create_task(self._leave())
        else:
            super().received(frame)

    async def end(self, timeout: float) -> None:
        """Take no new requests, end those under way, then the application."""
        if self._leaving is not None:  # its time was as long, and is over
            self._leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._leaving
        await self._server.stop(timeout)
        for task in self._background:
            task.cancel()
        self._tell(over=True)

    async def _leave(self) -> None:
        await self._server.leave(self._runtime.config.rtbridge.drain_timeout)
        self._tell(over=True)

    def _tell(self, *, over: bool = False) -> None:
        requests = self._requests
        self._link.send(Load(requests.jobs, requests.held, over, requests.counts.take()))

    async def _telling(self) -> None:
        """Say how many requests there are, as long as that changes."""
        told = (0, 0)
        while True:
            now = (self._requests.jobs, self._requests.held)
            if now != told:
                self._tell()
                told = now
            await asyncio.sleep(_LOOK)
