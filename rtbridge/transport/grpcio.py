"""The proxy service on grpc.aio: complete and portable."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final, NoReturn

import grpc
import grpc.aio

from rtbridge.bridge import StreamFailed
from rtbridge.denial import Throttle
from rtbridge.errors import InvalidMessage, ListenError
from rtbridge.events import METHODS, Call, Headers, Method, Outcome
from rtbridge.handler import Handler, Open, Opened, Refused
from rtbridge.readiness import Readiness
from rtbridge.transport.base import Secret
from rtbridge.transport.grpc_services import GrpcServices
from rtbridge.transport.settings import GrpcSettings, Tls, bind, clear_socket

log = logging.getLogger("rtbridge.grpc")

_SERVICE: Final = "centrifugal.centrifugo.proxy.CentrifugoProxy"

_STATUS: Final = {
    "internal": grpc.StatusCode.INTERNAL,
    "unimplemented": grpc.StatusCode.UNIMPLEMENTED,
    "invalid": grpc.StatusCode.INVALID_ARGUMENT,
    "cancelled": grpc.StatusCode.CANCELLED,
}

#: Seconds that a caller has to send the first message of a stream.
_FIRST_MESSAGE: Final = 10.0


class GrpcioTransport:
    """Serves Centrifugo's gRPC proxy calls.

    Args:
        handler: Answers the calls.
        settings: Address, TLS, secret and limits.
        readiness: What the health service says.

    """

    name = "grpcio"

    def __init__(self, handler: Handler, settings: GrpcSettings, readiness: Readiness | None = None) -> None:
        self._handler = handler
        self._settings = settings
        self._server: grpc.aio.Server | None = None
        self._services = GrpcServices([_SERVICE], reflection=settings.reflection, readiness=readiness or Readiness())
        self.address = settings.address

    async def start(self) -> None:
        """Bind and begin to take calls."""
        settings = self._settings
        clear_socket(settings.address, "gRPC")
        if not settings.address.startswith("unix:"):
            # gRPC's core tells stderr of a taken port in its own words, and us nothing but that; this tells why.
            bind(settings.address, "gRPC").close()
        server = grpc.aio.server(options=_options(settings))
        server.add_generic_rpc_handlers((_Handlers(self._handler, settings, self._services),))
        # grpc says the same of each fault, and its server must be gone before the loop is: hence no chained exception.
        fault = "it is in use or not an address here" + (", or the TLS files do not fit" if settings.tls else "")
        try:
            if settings.tls is None:
                port = server.add_insecure_port(settings.address)
            else:
                port = server.add_secure_port(settings.address, _credentials(settings.tls))
        except (RuntimeError, OSError):
            port = None
        if port is None:
            await server.stop(None)
            del server
            raise ListenError(f"gRPC cannot listen on {settings.address}: {fault}")
        if not settings.address.startswith("unix:"):
            self.address = f"{settings.address.rpartition(':')[0]}:{port}"
        await server.start()
        self._server = server

    async def stop(self, timeout: float) -> None:
        """Tell callers to go elsewhere (GOAWAY), wait for calls under way, then end."""
        self._services.stopping()
        if self._server is not None:
            await self._server.stop(timeout)


def _options(settings: GrpcSettings) -> list[tuple[str, Any]]:
    # A little over the limit a call is still read, so that it can be refused with a reason and a log line; far over it
    # gRPC's core refuses on its own.
    options: list[tuple[str, Any]] = [
        ("grpc.max_receive_message_length", 4 * settings.message_size),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 4 * settings.header_size),
        ("grpc.absolute_max_metadata_size", 4 * settings.header_size),
        ("grpc.max_allowed_incoming_connections", settings.connections),  # more are closed, and nothing says so
        ("grpc.so_reuseport", 0),  # two servers on one port are a mistake, not a feature
    ]
    if settings.keepalive > 0:
        options += [
            ("grpc.keepalive_time_ms", int(settings.keepalive * 1000)),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.keepalive_permit_without_calls", 1),
        ]
    if settings.max_connection_age > 0:
        options += [
            ("grpc.max_connection_age_ms", int(settings.max_connection_age * 1000)),
            ("grpc.max_connection_age_grace_ms", int(settings.drain_timeout * 1000)),
        ]
    return options


def _credentials(tls: Tls) -> grpc.ServerCredentials:
    cert, key, client_ca = tls.read()
    return grpc.ssl_server_credentials([(key, cert)], client_ca, client_ca is not None)


class _Handlers(grpc.GenericRpcHandler):
    """Finds the handler of a path; rows of the method table become handlers once, at start."""

    def __init__(self, handler: Handler, settings: GrpcSettings, services: GrpcServices) -> None:
        self._answers = handler
        self._secret = settings.secret
        self._message_size = settings.message_size
        self._header_size = settings.header_size
        self._clock = handler.clock
        self._throttle = Throttle(handler.clock)
        self._table: dict[str, Any] = {}
        for method in METHODS.values():
            self._table[method.path] = self._handler(method)
        for path, (streaming, serve) in services.table.items():
            if streaming:
                self._table[path] = grpc.stream_stream_rpc_method_handler(self._open_stream(serve, path))
            else:
                self._table[path] = grpc.unary_unary_rpc_method_handler(_open_unary(serve))

    def service(self, handler_call_details: Any) -> Any:
        path: str = handler_call_details.method
        handler = self._table.get(path)
        return handler if handler is not None else grpc.unary_unary_rpc_method_handler(self._unknown(path))

    def _handler(self, method: Method) -> Any:
        if method.stream == "both":
            return grpc.stream_stream_rpc_method_handler(self._bidirectional(method))
        if method.stream == "out":
            return grpc.unary_stream_rpc_method_handler(self._unidirectional(method))
        return grpc.unary_unary_rpc_method_handler(self._unary(method))

    async def _authenticate(self, context: Any, secret: Secret, metadata: Any) -> None:
        if not secret.admits(value for name, value in metadata if name == secret.key):
            if (held := self._throttle.admit("secret")) is not None:
                text = "refused a call from %s: no valid %s in its metadata (%d more like it)"
                log.warning(text, context.peer(), secret.key, held)
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, f"metadata {secret.key}: missing or wrong")

    async def _call(self, context: Any) -> Call:
        metadata = context.invocation_metadata() or ()
        if self._secret is not None:
            await self._authenticate(context, self._secret, metadata)
        remaining = context.time_remaining()
        deadline = None if remaining is None else self._clock.monotonic() + remaining
        return Call(Headers(metadata), GrpcioTransport.name, deadline, self._clock)

    def _too_much(self, request: bytes, call: Call) -> str:
        """What of a call is over a limit, in words; "" where nothing is."""
        if len(request) > self._message_size:
            return f"{len(request)} bytes; rtbridge.limits.message_size is {self._message_size}"
        size = sum(len(name) + len(value) for name, value in call.headers.pairs())
        if size > self._header_size:
            return f"metadata of {size} bytes; rtbridge.limits.header_size is {self._header_size}"
        return ""

    def _unary(self, method: Method) -> Callable[[bytes, Any], Awaitable[bytes]]:
        answer, refuse, kind, name = (
            self._answers.unary(method.kind, "proto"),
            self._answers.refuse,
            method.kind,
            method.name,
        )

        async def serve(request: bytes, context: Any) -> bytes:
            call = await self._call(context)
            if why := self._too_much(request, call):
                reply = await refuse(Refused(kind, "proto", name, request, why), call)
            else:
                reply = await answer(request, call)
            if reply.outcome.failure is not None:
                await _abort(context, reply.outcome)
            return reply.payload

        return serve

    def _unidirectional(self, method: Method) -> Callable[[bytes, Any], AsyncIterator[bytes]]:
        start = self._answers.stream(method.kind)

        async def serve(request: bytes, context: Any) -> AsyncIterator[bytes]:
            call = await self._call(context)
            async with aclosing(self._stream(method, start, request, call, None, context)) as answers:
                async for answer in answers:
                    yield answer

        return serve

    def _bidirectional(self, method: Method) -> Callable[[Any, Any], AsyncIterator[bytes]]:
        start = self._answers.stream(method.kind)

        async def serve(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            call = await self._call(context)
            first = b""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FIRST_MESSAGE):
                    first = await anext(requests, b"")
            incoming = self._incoming(requests)
            async with aclosing(self._stream(method, start, first, call, incoming, context)) as answers:
                async for answer in answers:
                    yield answer

        return serve

    async def _incoming(self, requests: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for request in requests:
            if len(request) > self._message_size:
                raise InvalidMessage(f"{len(request)} bytes; rtbridge.limits.message_size is {self._message_size}")
            yield request

    async def _stream(
        self,
        method: Method,
        start: Open,
        request: bytes,
        call: Call,
        incoming: AsyncIterator[bytes] | None,
        context: Any,
    ) -> AsyncGenerator[bytes, None]:
        if why := self._too_much(request, call):
            refused = Refused(method.kind, "proto", method.name, request, why)
            opened = Opened(await self._answers.refuse(refused, call), None)
        else:
            opened = await start(request, call, incoming)
        reply, stream = opened
        if reply.outcome.failure is not None:
            await _abort(context, reply.outcome)
        if stream is None:
            yield reply.payload
            return
        try:
            yield reply.payload
        except BaseException:
            stream.abandon()
            raise
        try:
            async with aclosing(stream.items()) as items:
                async for item in items:
                    yield item
        except StreamFailed as exc:
            await context.abort(grpc.StatusCode.INTERNAL, str(exc))

    def _unknown(self, path: str) -> Callable[[bytes, Any], Awaitable[bytes]]:
        async def serve(request: bytes, context: Any) -> bytes:
            call = await self._call(context)
            refused = Refused("", "", path, request, f"unknown gRPC method {path[:200]!r}")
            reply = await self._answers.refuse(refused, call)
            await _abort(context, reply.outcome)

        return serve

    def _open_stream(self, serve: Any, path: str) -> Callable[[Any, Any], AsyncIterator[bytes]]:
        guarded = self._secret is not None and "reflection" in path

        async def answer(requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            if guarded:
                assert self._secret is not None
                await self._authenticate(context, self._secret, context.invocation_metadata() or ())
            async for reply in serve(requests):
                yield reply

        return answer


def _open_unary(serve: Callable[[bytes], bytes | None]) -> Callable[[bytes, Any], Awaitable[bytes]]:
    async def answer(request: bytes, context: Any) -> bytes:
        reply = serve(request)
        if reply is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, "unknown service")
            raise AssertionError
        return reply

    return answer


async def _abort(context: Any, outcome: Outcome) -> NoReturn:
    # The reason stays in the log: a message of a hook's making may hold what the caller should not see.
    failure = outcome.failure or "internal"
    await context.abort(_STATUS[failure], outcome.why if failure in ("invalid", "unimplemented") else "internal error")
    raise asyncio.CancelledError
