"""Clients that listen to an HTTP response: SSE and HTTP streams, and the requests that carry their commands.

Sources: centrifugal.dev, "Bidirectional emulation", "Unidirectional SSE", "Unidirectional HTTP streaming".
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from rtbridge.embedded._client_generated import EmulationRequest, read_emulation_request
from rtbridge.embedded.connection import Peer
from rtbridge.embedded.fronts.bodies import TooLarge, read_body
from rtbridge.embedded.fronts.origins import Origins
from rtbridge.embedded.node import Node
from rtbridge.embedded.session import Session
from rtbridge.embedded.wire import (
    SSE_JSON,
    STREAM_JSON,
    STREAM_PROTOBUF,
    UNI_SSE_JSON,
    UNI_STREAM_JSON,
    Wire,
)
from rtbridge.errors import InvalidMessage
from rtbridge.events.call import Headers
from rtbridge.transport.forwarded import Forwarded

log = logging.getLogger("rtbridge.embedded")

_NO_CACHE: Final = {
    "Cache-Control": "private, no-cache, no-store, must-revalidate, max-age=0",
    "Pragma": "no-cache",
    "Expire": "0",
    "X-Accel-Buffering": "no",
}

_PROTOBUF: Final = "application/octet-stream"
_PREFLIGHT_SECONDS: Final = "300"

_EMULATION: Final = msgspec.json.Decoder(EmulationRequest).decode
_FAULTS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, InvalidMessage)

Endpoint = Callable[[Request], Awaitable[Response]]


class StreamOutlet:
    """What a session writes, on its way into an HTTP response.

    Args:
        limit: Bytes that may wait for a client that reads too slowly.

    """

    __slots__ = ("_closed", "_limit", "_parts", "_size", "_slow", "_wake", "session")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._size = 0
        self._wake = asyncio.Event()
        self._closed = False
        self._slow = False
        self.session: Session | None = None

    def write(self, frame: bytes) -> None:
        """Queue a frame; a client with too much of it waiting is closed with 3008."""
        if self._closed:
            return
        self._parts.append(frame)
        self._size += len(frame)
        self._wake.set()
        if self._limit and self._size > self._limit and not self._slow and self.session is not None:
            self._slow = True
            self.session.close(3008, "slow")

    def close(self, code: int, reason: str) -> None:
        """End the response after what is queued."""
        self._closed = True
        self._wake.set()

    def abort(self) -> None:
        """End the response now."""
        self._parts.clear()
        self.close(0, "")

    def pause(self) -> None:
        """Commands come in requests of their own; the session bounds them."""

    def resume(self) -> None:
        """See :meth:`pause`."""

    async def frames(self, first: bytes) -> AsyncIterator[bytes]:
        """What to send, as it comes, until the end; everything that waits leaves together."""
        if first:
            yield first
        while True:
            if self._parts:
                parts, self._parts, self._size = self._parts, [], 0
                yield b"".join(parts)
            elif self._closed:
                return
            else:
                self._wake.clear()
                await self._wake.wait()


class Streams:
    """The streaming transports of a node.

    Args:
        node: The server.
        origins: The pages that may read answers.
        forwarded: Finds client addresses.

    """

    def __init__(self, node: Node, origins: Origins, forwarded: Forwarded) -> None:
        self._node = node
        self._origins = origins
        self._forwarded = forwarded

    def routes(self) -> list[BaseRoute]:
        """The routes of the transports that are switched on."""
        config, found = self._node.config, list[BaseRoute]()
        if config.sse.enabled:
            found.append(Route(config.sse.handler_prefix, self._sse, methods=["GET", "POST"]))
            found.append(Route(config.sse.handler_prefix, self._preflight_refused, methods=["OPTIONS"]))
        if config.http_stream.enabled:
            found.append(Route(config.http_stream.handler_prefix, self._http_stream, methods=["POST"]))
            found.append(Route(config.http_stream.handler_prefix, self._preflight, methods=["OPTIONS"]))
        if config.sse.enabled or config.http_stream.enabled:
            found.append(Route(config.emulation.handler_prefix, self._emulation, methods=["POST"]))
            found.append(Route(config.emulation.handler_prefix, self._preflight, methods=["OPTIONS"]))
        if config.uni_sse.enabled:
            found.append(Route(config.uni_sse.handler_prefix, self._uni_sse, methods=["GET", "POST"]))
        if config.uni_http_stream.enabled:
            found.append(Route(config.uni_http_stream.handler_prefix, self._uni_http_stream, methods=["POST"]))
            found.append(Route(config.uni_http_stream.handler_prefix, self._preflight, methods=["OPTIONS"]))
        return found

    def _cors(self, request: Request) -> dict[str, str]:
        origin = request.headers.get("origin", "")
        if origin and not self._origins.admits(origin):
            return {}
        found = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}
        if asked := request.headers.get("access-control-request-headers"):
            found["Access-Control-Allow-Headers"] = asked
        return found

    async def _preflight(self, request: Request) -> Response:
        headers = self._cors(request)
        if headers:
            headers |= {
                "Access-Control-Allow-Methods": "POST, OPTIONS",
                "Access-Control-Max-Age": _PREFLIGHT_SECONDS,
            }
        return Response(status_code=204, headers=headers)

    async def _preflight_refused(self, request: Request) -> Response:
        return Response(status_code=405, headers=self._cors(request))

    async def _start(self, request: Request, limit: int) -> bytes | Response:
        """What a client starts with, from the query or the body."""
        if request.method == "GET":
            return request.query_params.get("cf_connect", "").encode()
        try:
            return await read_body(request, limit)
        except TooLarge:
            return Response(status_code=413, headers=self._cors(request))

    async def _sse(self, request: Request) -> Response:
        start = await self._start(request, self._node.config.sse.max_request_body_size)
        if isinstance(start, Response):
            return start
        if request.method == "GET" and not start:
            return Response(status_code=400, headers=self._cors(request))
        return self._stream(request, "sse", SSE_JSON, start, "text/event-stream", b"\r\n")

    async def _http_stream(self, request: Request) -> Response:
        start = await self._start(request, self._node.config.http_stream.max_request_body_size)
        if isinstance(start, Response):
            return start
        if request.headers.get("content-type", "").partition(";")[0].strip() == _PROTOBUF:
            return self._stream(request, "http_stream", STREAM_PROTOBUF, start, _PROTOBUF)
        return self._stream(request, "http_stream", STREAM_JSON, start, "text/plain")

    async def _uni_sse(self, request: Request) -> Response:
        start = await self._start(request, self._node.config.uni_sse.max_request_body_size)
        if isinstance(start, Response):
            return start
        return self._one_way(request, "uni_sse", UNI_SSE_JSON, start, "text/event-stream", b"\r\n")

    async def _uni_http_stream(self, request: Request) -> Response:
        start = await self._start(request, self._node.config.uni_http_stream.max_request_body_size)
        if isinstance(start, Response):
            return start
        return self._one_way(request, "uni_http_stream", UNI_STREAM_JSON, start, "text/plain")

    def _one_way(
        self, request: Request, transport: str, wire: Wire, start: bytes, media: str, first: bytes = b""
    ) -> Response:
        start = start or (b"{}" if request.method == "GET" else b"")
        try:
            wire.connect_request(start)
        except InvalidMessage:
            return Response(status_code=400, headers=self._cors(request))
        return self._stream(request, transport, wire, start, media, first)

    def _stream(
        self, request: Request, transport: str, wire: Wire, start: bytes, media: str, first: bytes = b""
    ) -> Response:
        node = self._node
        if not node.admits_connection():
            return Response(status_code=503, headers=self._cors(request))
        headers = Headers(request.headers.raw)
        host = request.client.host if request.client else ""
        address = self._forwarded.address(host, request.headers.raw)
        outlet = StreamOutlet(node.config.client.queue_max_size)
        session = outlet.session = Session(node, outlet, wire, Peer(transport, headers, address))
        body = _body(session, outlet, start, first)
        content_type = media if media == _PROTOBUF else f"{media}; charset=utf-8"
        response = StreamingResponse(body, headers={**_NO_CACHE, **self._cors(request)})
        response.headers["content-type"] = content_type
        return response

    async def _emulation(self, request: Request) -> Response:
        headers = self._cors(request)
        try:
            body = await read_body(request, self._node.config.emulation.max_request_body_size)
        except TooLarge:
            return Response(status_code=413, headers=headers)
        except ClientDisconnect:
            return Response(status_code=400)
        protobuf = request.headers.get("content-type", "").partition(";")[0].strip() == _PROTOBUF
        try:
            call = read_emulation_request(body) if protobuf else _EMULATION(body)
            data = b"" if call.data is msgspec.UNSET else bytes(call.data)
            if not protobuf and data.startswith(b'"'):
                data = msgspec.json.decode(data, type=str).encode()
        except _FAULTS:
            return Response(status_code=400, headers=headers)
        if call.node != self._node.uid:
            return Response(status_code=404, headers=headers)
        session = self._node.sessions.get(call.session)
        if session is not None:
            session.receive(data)
        return Response(status_code=204, headers=headers)


async def _body(session: Session, outlet: StreamOutlet, start: bytes, first: bytes) -> AsyncIterator[bytes]:
    try:
        session.receive(start)
        async for part in outlet.frames(first):
            yield part
    finally:
        session.disconnected()
