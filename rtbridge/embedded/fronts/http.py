"""Everything that is plain HTTP: the server API, health, streams and their emulation, as one ASGI application."""

import hmac
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from msgspec import Raw
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from rtbridge.api import METHODS
from rtbridge.api._generated import BatchRequest
from rtbridge.codec.messages import json_decoder
from rtbridge.denial import Throttle
from rtbridge.embedded.api import ServerApi
from rtbridge.embedded.fronts.bodies import TooLarge, read_body
from rtbridge.embedded.fronts.origins import Origins
from rtbridge.embedded.fronts.streams import Streams
from rtbridge.embedded.node import Node
from rtbridge.errors import ApiError
from rtbridge.transport.forwarded import Forwarded

log = logging.getLogger("rtbridge.embedded")

#: Largest request of the server API, in bytes: what Centrifugo's gRPC API takes.
API_BODY: Final = 4 * 1024 * 1024

_ENCODE: Final = msgspec.json.Encoder().encode

#: HTTP status of an API error in transport error mode.
_STATUS: Final = {100: 500, 102: 404, 104: 404, 107: 400, 108: 400, 112: 416, 113: 409}

_FAULTS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

Endpoint = Callable[[Request], Awaitable[Response]]


class _Legacy(msgspec.Struct):
    """A call in the form that the API had before it got one path for each method."""

    method: str = ""
    params: Raw = Raw(b"{}")


class HttpFront:
    """The HTTP side of a node.

    Args:
        node: The server.
        api: Its server API.
        origins: The pages that may read answers.
        forwarded: Finds client addresses.

    Attributes:
        app: The ASGI application.

    """

    def __init__(self, node: Node, api: ServerApi, origins: Origins, forwarded: Forwarded) -> None:
        self._node = node
        self._api = api
        self._throttle = Throttle(node.clock)
        config = node.config
        self._keys = [config.http_api.key.encode()] if config.http_api.key else []
        routes: list[BaseRoute] = Streams(node, origins, forwarded).routes()
        if config.health.enabled:
            routes.append(Route(config.health.handler_prefix or "/health", _health, methods=["GET"]))
        sockets = (config.websocket.handler_prefix, config.uni_websocket.handler_prefix)
        routes += [Route(path, _no_upgrade) for path in sockets]
        if not config.http_api.disabled:
            prefix = config.http_api.handler_prefix.rstrip("/")
            routes.append(_post(prefix or "/", self._legacy))
            routes += [_post(f"{prefix}/{method}", self._method(method)) for method in METHODS]
        handlers: Any = {404: _not_found, 405: _not_allowed}
        self.app = Starlette(routes=routes, exception_handlers=handlers)

    def _admits(self, request: Request) -> bool:
        if self._node.config.http_api.insecure:
            return True
        given = request.headers.get("x-api-key", "")
        if not given:
            scheme, _, rest = request.headers.get("authorization", "").partition(" ")
            given = rest if scheme.lower() == "apikey" else request.query_params.get("api_key", "")
        admitted = False
        for key in self._keys:
            admitted |= hmac.compare_digest(given.encode(), key)
        if not admitted and (held := self._throttle.admit("api key")) is not None:
            host = request.client.host if request.client else "?"
            log.warning("refused a server API call from %s: wrong or missing key (%d more like it)", host, held)
        return admitted

    def _transport_errors(self, request: Request) -> bool:
        asked = request.headers.get("x-centrifugo-error-mode", "")
        return (asked or self._node.config.http_api.error_mode) == "transport"

    async def _read(self, request: Request) -> bytes | Response:
        if not self._admits(request):
            return Response(status_code=401)
        try:
            return await read_body(request, API_BODY)
        except TooLarge:
            return Response(status_code=413)

    def _method(self, method: str) -> Endpoint:
        decode = json_decoder(METHODS[method][0])

        async def serve(request: Request) -> Response:
            body = await self._read(request)
            if isinstance(body, Response):
                return body
            try:
                call = decode(b"{}" if body.strip() == b"null" else body)
            except _FAULTS:
                return _bad_request()
            if isinstance(call, BatchRequest):
                return _json(self._api.batch(call))
            try:
                result = self._api.call(method, call)
            except ApiError as exc:
                error = {"code": exc.code, "message": exc.message}
                if self._transport_errors(request):
                    return _json(error, _STATUS.get(exc.code, 500))
                return _json({"error": error})
            return _json({"result": result})

        return serve

    async def _legacy(self, request: Request) -> Response:
        body = await self._read(request)
        if isinstance(body, Response):
            return body
        replies: list[bytes] = []
        for line in body.strip().splitlines():
            try:
                call = msgspec.json.decode(line, type=_Legacy)
                if call.method not in METHODS or call.method == "batch":
                    return _bad_request()
                params = msgspec.json.decode(call.params, type=METHODS[call.method][0])
            except _FAULTS:
                return _bad_request()
            try:
                replies.append(_ENCODE({"result": self._api.call(call.method, params)}))
            except ApiError as exc:
                replies.append(_ENCODE({"error": {"code": exc.code, "message": exc.message}}))
        if not replies:
            return _bad_request()
        return Response(b"\n".join(replies), media_type="application/json")


def _post(path: str, endpoint: Endpoint) -> Route:
    return Route(path, endpoint, methods=["POST"])


def _json(value: Any, status: int = 200) -> Response:
    return Response(_ENCODE(value), status, media_type="application/json")


def _bad_request() -> Response:
    return PlainTextResponse("Bad Request\n", 400)


async def _health(request: Request) -> Response:
    return _json({})


async def _no_upgrade(request: Request) -> Response:
    return _bad_request()


async def _not_found(request: Request, exc: Exception) -> Response:
    return PlainTextResponse("404 page not found\n", 404)


async def _not_allowed(request: Request, exc: Exception) -> Response:
    return Response(status_code=405)
