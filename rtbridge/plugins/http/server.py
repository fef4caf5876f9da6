"""The ``http`` section on a socket, as one transport among others of a process."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from rtbridge.config import Config
from rtbridge.plugins.http.app import Application, http_app
from rtbridge.plugins.http.doors import Redirect, doors
from rtbridge.plugins.http.intime import Requests
from rtbridge.plugins.http.reports import Reports
from rtbridge.transport.uvicorn import UvicornTransport
from rtbridge.transport.uvicorn_protocol import Connections

#: Browsers connect again where a connection is gone; who sends or reads too slowly is let go.
_CONNECTIONS: Final = Connections(
    keep_alive=75, receive_timeout=20.0, send_timeout=60.0, long_bodies=True, isolated=True
)

#: Seconds that a connection may be idle before it is closed where others take the connections that come.
_IDLE: Final = 1.0

#: Seconds that an application has to end once its requests have.
_ENDING: Final = 10.0


class HttpServer:
    """Starts an application, serves it, and ends it.

    Args:
        app: The application.
        transports: Serve it, one at least.

    """

    name = "web"

    def __init__(self, app: Application, transports: Sequence[UvicornTransport]) -> None:
        self._app = app
        self._transports = transports

    @property
    def address(self) -> str:
        """Where it listens first, once started."""
        return self._transports[0].address

    @property
    def places(self) -> Mapping[str, str]:
        """Where it listens, once started: ``web`` in plain text, ``https`` over TLS."""
        return {each.name: each.address for each in self._transports}

    async def start(self) -> None:
        """Start the application, then take requests.

        Raises:
            PluginError: The application does not start.
            ListenError: An address cannot be bound, or a certificate cannot be used.

        """
        await self._app.startup()
        try:
            for each in self._transports:
                await each.start()
        except BaseException:
            await self.stop(0.0)
            raise

    async def leave(self, timeout: float) -> None:
        """Take no new connections while others do; end each with its next answer, within ``timeout`` seconds."""
        self._app.end()
        await asyncio.gather(*(each.leave(min(_IDLE, timeout)) for each in self._transports))
        await self._end(timeout)

    async def stop(self, timeout: float) -> None:
        """Take no new requests, wait up to ``timeout`` seconds for those under way, then end the application."""
        self._app.end()
        await self._end(timeout)
        await self._app.shutdown(_ENDING)

    async def _end(self, timeout: float) -> None:
        await asyncio.gather(*(each.stop(timeout) for each in self._transports))


def http_transport(
    config: Config,
    *,
    state: Mapping[str, Any] | None = None,
    routes: Sequence[Any] = (),
    boot: Callable[[], Awaitable[object]] | None = None,
    requests: Requests | None = None,
    reports: Reports | None = None,
    listeners: Mapping[str, socket.socket] | None = None,
    connections: Connections = _CONNECTIONS,
) -> HttpServer:
    """What serves :func:`~rtbridge.plugins.http.app.http_app` where the ``http`` section says.

    Args:
        config: The configuration.
        state: What handlers find in ``request.state``.
        routes: Those of hooks, on Starlette.
        boot: Boots the plugins, before the first request is answered by a route or the application.
        requests: Counts requests, and bounds their time.
        reports: Knows where unexpected exceptions, and a start that fails, are reported; None for nowhere.
        listeners: Bound sockets, rather than ones of the addresses: ``web`` in plain text, ``https`` over TLS.
        connections: How connections are taken and kept.

    Raises:
        ConfigError: The configuration has no such section.
        PluginError: The application cannot be imported, an extra is missing, or a route is none.

    """
    app = http_app(config, state=state, routes=routes, boot=boot, requests=requests, reports=reports)
    assert config.http is not None
    size = config.rtbridge.limits.header_size
    given, ssl = listeners or {}, config.http.ssl
    transports = [
        UvicornTransport(
            Redirect(ssl.address.port) if ssl is not None and ssl.redirect and door.tls is None else app.serve,
            door.address.target,
            tls=door.tls,
            header_size=size,
            name=door.name,
            connections=connections._replace(most=config.rtbridge.limits.connections),
            state=app.state,
            listener=given.get(door.name),
        )
        for door in doors(config)
        if not given or door.name in given
    ]
    return HttpServer(app, transports)
