"""The proxy calls as JSON over HTTP: an ASGI application first, which a server of ours or a framework runs."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, Protocol

from rtbridge.bridge import Reply
from rtbridge.clock import SYSTEM_CLOCK
from rtbridge.codec import JSON
from rtbridge.denial import Throttle
from rtbridge.errors import InvalidMessage, SetupError
from rtbridge.events import METHODS, Call, Headers
from rtbridge.events.values import JSON_ENCODER
from rtbridge.handler import Handler, Refused, Unary
from rtbridge.transport.base import Secret

log = logging.getLogger("rtbridge.http")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_STATUS: Final = {"internal": 500, "unimplemented": 404, "invalid": 400, "cancelled": 499}

_JSON_HEADER: Final = (b"content-type", b"application/json")


class Host(Protocol):
    """What the application needs of whoever composes it: a handler whose plugins are booted when events come."""

    @property
    def handler(self) -> Handler:
        """Answers calls."""
        ...

    async def boot(self) -> object:
        """Wait until plugins have booted; later calls return at once."""
        ...

    async def shutdown(self) -> None:
        """Wait for events under way and let plugins shut down."""
        ...


class HttpApp:
    """One path per event: ``POST /connect``, ``/rpc``, … with Centrifugo's JSON. Mount it under any prefix.

    Plugins boot at the lifespan's start, or with the first call where the host server or framework sends none.

    Args:
        host: Boots plugins and answers calls.
        secret: What every call has to carry; None to ask for nothing.
        message_size: Largest body, in bytes.
        header_size: Largest headers of a call, names and values, in bytes.

    """

    def __init__(self, host: Host, *, secret: Secret | None, message_size: int, header_size: int) -> None:
        self._host = host
        self._secret = secret
        self._message_size = message_size
        self._header_size = header_size
        self._booted = False
        self._answers: dict[str, Unary] = {}
        self._throttle = Throttle(SYSTEM_CLOCK)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or the lifespan."""
        if scope["type"] == "http":
            await self._serve(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def startup(self) -> None:
        """Boot the plugins now; for hosts that send no lifespan."""
        await self._host.boot()
        self._booted = True

    async def shutdown(self) -> None:
        """Wait for events under way and let plugins shut down; for hosts that send no lifespan."""
        await self._host.shutdown()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.startup()
                except Exception as exc:
                    await send({"type": "lifespan.startup.failed", "message": str(exc)})
                    raise
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.shutdown()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["path"].rstrip("/").rpartition("/")[2]
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        if scope["method"] != "POST":
            await _refuse(send, 405, "POST it", (b"allow", b"POST"))
            return
        if self._secret is not None:
            key = self._secret.key.encode("latin-1")
            if not self._secret.admits(value for name, value in headers if name == key):
                if (held := self._throttle.admit("secret")) is not None:
                    client = scope.get("client") or ("?",)
                    text = "refused a call from %s: no valid %s header (%d more like it)"
                    log.warning(text, client[0], self._secret.key, held)
                await _refuse(send, 401, f"header {self._secret.key}: missing or wrong")
                return
        if not self._booted:
            try:
                await self.startup()
            except SetupError as exc:
                log.error("refused a call, because the plugins did not boot: %s", exc)
                await _refuse(send, 500, "internal error")
                return
        handler = self._host.handler
        call = Call(Headers(headers), "http", None, handler.clock)
        fault, status, body = await self._read(headers, receive)
        if body is None and fault is None:
            return  # the caller went away
        served = kind in JSON
        if not served:
            hint = "streams travel over gRPC only" if kind in METHODS else f"there are {', '.join(JSON)}"
            fault, status = InvalidMessage(f"no event at {scope['path'][:200]!r}: {hint}"), 404
        if fault is None:
            answer = self._answers.get(kind)
            if answer is None:
                answer = self._answers[kind] = handler.unary(kind, "json")
            work = answer(body or b"", call)
        else:
            refused = Refused(kind if served else "", "json" if served else "", scope["path"], body or b"", str(fault))
            work = handler.refuse(refused, call)
        reply = await _unless_gone(work, receive)
        if reply is None:
            return
        outcome = reply.outcome
        if outcome.failure is None:
            await _send(send, 200, reply.payload)
        else:
            known = outcome.failure in ("invalid", "unimplemented")
            await _refuse(
                send, status or _STATUS[outcome.failure], str(fault or outcome.why) if known else "internal error"
            )

    async def _read(
        self, headers: list[tuple[bytes, bytes]], receive: Receive
    ) -> tuple[InvalidMessage | None, int, bytes | None]:
        """The body, or what is wrong with the request and the status that says so."""
        size = 0
        for name, value in headers:
            size += len(name) + len(value)
            if name == b"content-type" and value.partition(b";")[0].strip().lower() != b"application/json":
                return InvalidMessage("the content type is application/json"), 415, None
            if name == b"content-encoding" and value != b"identity":
                return InvalidMessage("the body is sent as it is, without content-encoding"), 415, None
            if name == b"content-length" and value.isdigit() and int(value) > self._message_size:
                return self._too_large(int(value))
        if size > self._header_size:
            text = f"headers of {size} bytes; rtbridge.limits.header_size is {self._header_size}"
            return InvalidMessage(text), 431, None
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None, 0, None
            body += message.get("body", b"")
            if len(body) > self._message_size:
                return self._too_large(len(body))
            if not message.get("more_body", False):
                return None, 0, body

    def _too_large(self, size: int) -> tuple[InvalidMessage, int, None]:
        return (
            InvalidMessage(f"a body of {size} bytes or more; rtbridge.limits.message_size is {self._message_size}"),
            413,
            None,
        )


async def _unless_gone(work: Awaitable[Reply], receive: Receive) -> Reply | None:
    """The reply, or None when the caller goes away first; then the hooks are cancelled."""
    answering = asyncio.ensure_future(work)
    # Most replies are there after one turn of the loop; only what takes longer is worth a watcher.
    await asyncio.sleep(0)
    if answering.done():
        return answering.result()
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
        return None
    finally:
        for future in (answering, leaving):
            if not future.done():
                future.cancel()
                await asyncio.wait((future,))


async def _send(send: Send, status: int, body: bytes, *more: tuple[bytes, bytes]) -> None:
    headers = [_JSON_HEADER, (b"content-length", str(len(body)).encode("ascii")), *more]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse(send: Send, status: int, text: str, *more: tuple[bytes, bytes]) -> None:
    # Centrifugo counts any other status than 200 as an outage; the text is for whoever looks at it with curl.
    await _send(send, status, JSON_ENCODER.encode({"message": text}), *more)
