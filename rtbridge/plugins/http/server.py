"""The ``http`` section on a socket, as one transport among others of a process."""

import socket
from collections.abc import Mapping
from typing import Any, Final

from rtbridge.config import Address, Config
from rtbridge.plugins.http.app import Application, http_app
from rtbridge.transport.uvicorn import Connections, UvicornTransport

#: Browsers connect again where a connection is gone; who sends or reads too slowly is let go.
_CONNECTIONS: Final = Connections(
    keep_alive=75, receive_timeout=20.0, send_timeout=60.0, long_bodies=True, isolated=True
)

#: Seconds that an application has to end once its requests have.
_ENDING: Final = 10.0


class HttpServer:
    """Starts an application, serves it, and ends it.

    Args:
        app: The application.
        transport: Serves it.

    """

    name = "web"

    def __init__(self, app: Application, transport: UvicornTransport) -> None:
        self._app = app
        self._transport = transport

    @property
    def address(self) -> str:
        """Where it listens, once started."""
        return self._transport.address

    async def start(self) -> None:
        """Start the application, then take requests.

        Raises:
            PluginError: The application does not start.
            ListenError: The address cannot be bound.

        """
        await self._app.startup()
        try:
            await self._transport.start()
        except BaseException:
            await self._app.shutdown(_ENDING)
            raise

    async def stop(self, timeout: float) -> None:
        """Take no new requests, wait up to ``timeout`` seconds for those under way, then end the application."""
        self._app.end()
        await self._transport.stop(timeout)
        await self._app.shutdown(_ENDING)


def http_transport(
    config: Config,
    *,
    state: Mapping[str, Any] | None = None,
    listener: socket.socket | None = None,
    connections: Connections = _CONNECTIONS,
) -> HttpServer:
    """What serves :func:`~rtbridge.plugins.http.app.http_app` where the ``http`` section says.

    Args:
        config: The configuration.
        state: What handlers find in ``request.state``.
        listener: A bound socket, rather than one of ``http.address``.
        connections: How connections are taken and kept.

    Raises:
        ConfigError: The configuration has no such section.
        PluginError: The application cannot be imported, or an extra is missing.

    """
    app = http_app(config, state=state)
    assert config.http is not None
    size = config.rtbridge.limits.header_size
    transport = UvicornTransport(
        app,
        _target(config.http.address),
        tls=None,
        header_size=size,
        name="web",
        connections=connections,
        listener=listener,
    )
    return HttpServer(app, transport)


def _target(address: Address) -> str:
    return f"unix:{address.path}" if address.path else str(address).removeprefix("tcp://")
