"""Routes, and the headers of every answer."""

from collections.abc import Mapping
from typing import Final

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtbridge.config import Address, Config
from rtbridge.errors import ConfigError
from rtbridge.plugins.http.realtime import Realtime
from rtbridge.plugins.http.static import Files
from rtbridge.transport.uvicorn import Connections, UvicornTransport

#: Stands in a header's value for the sources that a page's connections to the realtime server need.
_REALTIME: Final = "{realtime}"

#: Browsers connect again where a connection is gone; who sends or reads too slowly is let go.
_CONNECTIONS: Final = Connections(keep_alive=75, receive_timeout=20.0, send_timeout=60.0)

#: Sent with every answer unless ``http.static.response`` says otherwise.
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        f"default-src 'self'; connect-src 'self' {_REALTIME}; img-src 'self' data:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


def http_app(config: Config) -> ASGIApp:
    """The application of the ``http`` section.

    ``GET /config.json`` tells a page the application's name and the address of each transport of the realtime server:
    ``{"name": "chat", "websocket": "ws://127.0.0.1:8000/connection/websocket"}``; of the transports it has those that
    are served. Every other path is a file.

    Raises:
        ConfigError: The configuration has no such section.

    """
    if config.http is None:
        raise ConfigError("http: the section is missing")
    realtime = Realtime.of(config)

    async def tell(request: Request) -> Response:
        addresses = {} if realtime is None else realtime.at(request.headers.get("host", ""))
        told = {"name": config.centrifuge.name, **addresses}
        return JSONResponse(told, headers={"cache-control": "no-store"})

    routes = [Route("/config.json", tell)]
    headers = dict(HEADERS)
    if config.http.static is not None:
        headers |= {name.lower(): value for name, value in config.http.static.response.items()}
        routes.append(Route("/{path:path}", Files(config.http.static).answer))
    return _WithHeaders(Starlette(routes=routes), headers, realtime)


def http_transport(config: Config) -> UvicornTransport:
    """What serves :func:`http_app` where the ``http`` section says.

    Raises:
        ConfigError: The configuration has no such section.

    """
    app = http_app(config)
    assert config.http is not None
    size = config.rtbridge.limits.header_size
    address = _target(config.http.address)
    return UvicornTransport(app, address, tls=None, header_size=size, name="web", connections=_CONNECTIONS)


def _target(address: Address) -> str:
    return f"unix:{address.path}" if address.path else str(address).removeprefix("tcp://")


class _WithHeaders:
    """Adds headers to every answer, errors included."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str], realtime: Realtime | None) -> None:
        self._app = app
        self._headers = headers
        self._realtime = realtime

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        page = Headers(scope=scope).get("host", "")
        sources = "" if self._realtime is None else self._realtime.sources(page)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value.replace(_REALTIME, sources)
            await send(message)

        await self._app(scope, receive, send_with_headers)
