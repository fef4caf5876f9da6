"""What answers calls: the handler for events, and the services that come with any gRPC server."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Final

from rtbridge.bridge import Reply, StreamFailed
from rtbridge.deadlines import Deadlines, Timed
from rtbridge.denial import Throttle
from rtbridge.events import METHODS, Call, Method, Outcome
from rtbridge.handler import Handler, Opened, Refused
from rtbridge.transport.builtin.front import Front, Plan
from rtbridge.transport.builtin.heads import Head
from rtbridge.transport.builtin.streams import Stream
from rtbridge.transport.grpc_services import GrpcServices
from rtbridge.transport.settings import GrpcSettings

log = logging.getLogger("rtbridge.grpc")

#: As ``event.via`` shows it.
NAME: Final = "builtin"

# Status codes of gRPC.
_CANCELLED: Final = 1
_INVALID_ARGUMENT: Final = 3
_DEADLINE_EXCEEDED: Final = 4
_NOT_FOUND: Final = 5
_UNIMPLEMENTED: Final = 12
_INTERNAL: Final = 13
_UNAUTHENTICATED: Final = 16

_STATUS: Final = {
    "internal": _INTERNAL,
    "unimplemented": _UNIMPLEMENTED,
    "invalid": _INVALID_ARGUMENT,
    "cancelled": _CANCELLED,
}

#: Seconds that a caller has to send the first message of a stream.
_FIRST_MESSAGE: Final = 10.0


class Calls:
    """Answers the calls of one server.

    Args:
        handler: Answers events.
        settings: Secret and limits.
        services: Health and reflection.

    Attributes:
        routes: The paths that are served → whether their callers may send several messages.
        throttle: Keeps callers from filling the log.

    """

    def __init__(self, handler: Handler, settings: GrpcSettings, services: GrpcServices) -> None:
        self._handler = handler
        self._secret = settings.secret
        self._message_size = settings.message_size
        self._header_size = settings.header_size
        self._services = services.table
        self._deadlines = Deadlines()
        self._methods = {method.path: method for method in METHODS.values()}
        self.throttle = Throttle(handler.clock)
        self.routes = {path: method.stream == "both" for path, method in self._methods.items()}
        self.routes.update((path, streaming) for path, (streaming, _) in services.table.items())

    def plan(self, head: Head) -> Plan:
        """What answers the calls of a head. All that follows from the head is decided here, once."""
        service = self._services.get(head.path)
        if not self._admitted(head) and (service is None or "reflection" in head.path):
            return self._unauthenticated
        if head.fault:
            return _failing(_INTERNAL, head.fault)
        if service is not None:
            streaming, serve = service
            return self._open_stream(serve) if streaming else _open_unary(serve)
        method = self._methods.get(head.path)
        if method is None:
            return self._unknown
        if head.size > self._header_size:
            return self._too_large(method, head)
        if method.stream == "both":
            return self._bidirectional(method)
        return self._unidirectional(method) if method.stream == "out" else self._unary(method)

    def _admitted(self, head: Head) -> bool:
        secret = self._secret
        return secret is None or secret.admits(value for name, value in head.headers.pairs() if name == secret.key)

    def _call(self, stream: Stream, front: Front) -> Call:
        timeout = stream.timeout
        until = None if timeout is None else front.arrived + timeout
        return Call(stream.head.headers, NAME, until, self._handler.clock)

    def _over(self, message: bytes) -> str:
        return f"{len(message)} bytes; rtbridge.limits.message_size is {self._message_size}"

    # Events.

    def _unary(self, method: Method) -> Plan:
        answer, limit, clock = self._handler.unary(method.kind, "proto"), self._message_size, self._handler.clock
        submit = self._handler.submit(method.kind, "proto")

        async def serve(stream: Stream, front: Front) -> None:
            timeout, request = stream.timeout, stream.message
            until = None if timeout is None else front.arrived + timeout
            call = Call(stream.head.headers, NAME, until, clock)
            try:
                if len(request) > limit:
                    reply = await self._refuse(method, request, self._over(request), call)
                else:
                    reply = await answer(request, call)
            except asyncio.CancelledError:
                front.fail(stream, _CANCELLED, "cancelled")
                raise
            except Exception:
                log.exception("a call of %s failed", method.name)
                front.fail(stream, _INTERNAL, "internal error")
                return
            except GeneratorExit:  # nobody runs it any more
                raise
            except BaseException:
                front.fail(stream, _INTERNAL, "internal error")
                raise
            if reply.outcome.failure is None:
                front.respond(stream, reply.payload)
            else:
                _abort(stream, front, reply.outcome)

        if submit is None:
            return serve

        def hand_over(stream: Stream, front: Front) -> Coroutine[Any, Any, None] | None:
            timeout, request = stream.timeout, stream.message
            if len(request) > limit:
                return serve(stream, front)
            until = None if timeout is None else front.arrived + timeout

            def deliver(reply: Reply) -> None:
                if reply.outcome.failure is None:
                    front.respond(stream, reply.payload)
                else:
                    _abort(stream, front, reply.outcome)

            stream.take_back = submit(request, Call(stream.head.headers, NAME, until, clock), deliver)
            return None

        return hand_over

    async def _refuse(self, method: Method, request: bytes, why: str, call: Call) -> Reply:
        return await self._handler.refuse(Refused(method.kind, "proto", method.name, request, why), call)

    def _too_large(self, method: Method, head: Head) -> Plan:
        why = f"metadata of {head.size} bytes; rtbridge.limits.header_size is {self._header_size}"

        async def serve(stream: Stream, front: Front) -> None:
            with self._watched(stream, front):
                request = await _asked(stream)
                reply = await self._refuse(method, request, why, self._call(stream, front))
                if reply.outcome.failure is None:
                    front.respond(stream, reply.payload)
                else:
                    _abort(stream, front, reply.outcome)

        return serve

    def _unidirectional(self, method: Method) -> Plan:
        async def serve(stream: Stream, front: Front) -> None:
            with self._watched(stream, front):
                await self._stream(method, stream.message, None, stream, front)

        return serve

    def _bidirectional(self, method: Method) -> Plan:
        async def serve(stream: Stream, front: Front) -> None:
            with self._watched(stream, front):
                await self._stream(method, await _asked(stream), stream.inbox, stream, front)

        return serve

    async def _stream(
        self, method: Method, request: bytes, incoming: AsyncIterator[bytes] | None, stream: Stream, front: Front
    ) -> None:
        call = self._call(stream, front)
        if len(request) > self._message_size:
            opened = Opened(await self._refuse(method, request, self._over(request), call), None)
        else:
            opened = await self._handler.stream(method.kind)(request, call, incoming)
        reply, later = opened
        if reply.outcome.failure is not None:
            _abort(stream, front, reply.outcome)
        elif later is None:
            front.respond(stream, reply.payload)
        else:
            try:
                await front.send(stream, reply.payload)
            except BaseException:
                later.abandon()
                raise
            try:
                async with aclosing(later.items()) as items:
                    async for item in items:
                        await front.send(stream, item)
            except StreamFailed as exc:
                front.fail(stream, _INTERNAL, str(exc))
            else:
                front.finish(stream)

    @contextlib.contextmanager
    def _watched(self, stream: Stream, front: Front) -> Any:
        """Whatever happens in here, its caller hears of it, and in time."""
        deadline = None
        if stream.timeout is not None:
            deadline = _StreamDeadline(stream, front)
            self._deadlines.add(deadline, stream.timeout)
        try:
            yield
        except asyncio.CancelledError:
            front.cut(stream, _CANCELLED, "cancelled")
            raise
        except Exception:
            log.exception("a call of %s failed", stream.head.path)
            front.cut(stream, _INTERNAL, "internal error")
        except GeneratorExit:  # nobody runs it any more
            raise
        except BaseException:
            front.cut(stream, _INTERNAL, "internal error")
            raise
        finally:
            if deadline is not None:
                deadline.done()

    # Everything else.

    async def _unknown(self, stream: Stream, front: Front) -> None:
        path = stream.head.path
        refused = Refused("", "", path, stream.message, f"unknown gRPC method {path[:200]!r}")
        with self._watched(stream, front):
            reply = await self._handler.refuse(refused, self._call(stream, front))
            _abort(stream, front, reply.outcome)

    async def _unauthenticated(self, stream: Stream, front: Front) -> None:
        assert self._secret is not None
        key = self._secret.key
        await _asked(stream)
        if (held := self.throttle.admit("secret")) is not None:
            text = "refused a call from %s: no valid %s in its metadata (%d more like it)"
            log.warning(text, front.peer, key, held)
        front.fail(stream, _UNAUTHENTICATED, f"metadata {key}: missing or wrong")

    def _open_stream(self, serve: Callable[[AsyncIterator[bytes]], AsyncIterator[bytes]]) -> Plan:
        async def answer(stream: Stream, front: Front) -> None:
            with self._watched(stream, front):
                async with aclosing(serve(stream.inbox)) as replies:  # type: ignore[type-var]
                    async for reply in replies:
                        await front.send(stream, reply)
                front.finish(stream)

        return answer


class _StreamDeadline(Timed, eq=False):
    """The time of a call with several answers. One with a single answer is watched by whoever answers it."""

    stream: Stream
    front: Front

    def expire(self) -> None:
        """Tell the caller, who knows, and end the task."""
        self.front.cut(self.stream, _DEADLINE_EXCEEDED, "deadline exceeded")


async def _asked(stream: Stream) -> bytes:
    """The first message, "" where none comes in time: many callers do not look for an answer before they sent it."""
    if not stream.head.streaming:
        return stream.message
    with contextlib.suppress(TimeoutError, StopAsyncIteration):
        async with asyncio.timeout(_FIRST_MESSAGE):
            return bytes(await stream.inbox.first())
    return b""


def _open_unary(serve: Callable[[bytes], bytes | None]) -> Plan:
    async def answer(stream: Stream, front: Front) -> None:
        reply = serve(stream.message)
        if reply is None:
            front.fail(stream, _NOT_FOUND, "unknown service")
        else:
            front.respond(stream, reply)

    return answer


def _failing(status: int, text: str) -> Plan:
    async def answer(stream: Stream, front: Front) -> None:
        await _asked(stream)
        front.fail(stream, status, text)

    return answer


def _abort(stream: Stream, front: Front, outcome: Outcome) -> None:
    # The reason stays in the log: a message of a hook's making may hold what the caller should not see.
    failure = outcome.failure or "internal"
    why = outcome.why if failure in ("invalid", "unimplemented") else "internal error"
    front.fail(stream, _STATUS[failure], why)
