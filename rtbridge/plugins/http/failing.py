"""What answers while no worker does: a start that failed is told to whoever asks, rather than to nobody."""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping

from starlette.types import Receive, Scope, Send

from rtbridge.config import Config
from rtbridge.errors import ListenError
from rtbridge.plugins.http.doors import doors
from rtbridge.plugins.http.own import Own, refusal
from rtbridge.transport.uvicorn import UvicornTransport
from rtbridge.transport.uvicorn_protocol import Connections

log = logging.getLogger("rtbridge.http")

#: Nobody is to stay on a connection to a process that has no application.
_CONNECTIONS = Connections(keep_alive=1, receive_timeout=20.0, send_timeout=20.0, long_bodies=True, isolated=True)


class Failing:
    """Answers every request with ``http.internal_error_code``, on sockets that others take connections from later.

    Args:
        config: The configuration, with the section ``http``.
        listeners: The sockets by name; copies of them are used.
        why: Says what is wrong; told where ``http.debug`` is on.

    """

    def __init__(self, config: Config, listeners: Mapping[str, socket.socket], why: Callable[[], str]) -> None:
        self._config = config
        self._listeners = listeners
        self._why = why
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._over.set()

    def configure(self, config: Config) -> None:
        """Answer as this configuration says, from the next time on."""
        self._config = config

    def want(self, wanted: bool) -> None:
        """Whether to answer from now on."""
        if not wanted:
            self._over.set()
            return
        self._over.clear()
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Answer no more."""
        self.want(False)
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while not self._over.is_set():
            running: list[UvicornTransport] = []
            try:
                for transport in self._transports():
                    running.append(transport)
                    await transport.start()
            except ListenError as exc:
                log.error("%s", exc)
            await self._over.wait()
            await asyncio.gather(*(transport.stop(1.0) for transport in running))
        self._task = None

    def _transports(self) -> list[UvicornTransport]:
        http = self._config.http
        assert http is not None
        own = Own(self._config)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await send({"type": "websocket.close", "code": 1000})
                return
            page = refusal(http.internal_error_code, self._why() if http.debug else None)
            page.headers["connection"] = "close"
            await own.send(page, scope, receive, send)

        return [
            UvicornTransport(
                app,
                door.address.target,
                tls=door.tls,
                header_size=self._config.rtbridge.limits.header_size,
                name=door.name,
                connections=_CONNECTIONS,
                listener=self._listeners[door.name].dup(),
            )
            for door in doors(self._config)
            if door.name in self._listeners
        ]
