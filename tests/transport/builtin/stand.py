"""A handler that answers as a test wants it, and a client on a socket."""

import asyncio
import contextvars
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

from rtbridge.bridge import Reply
from rtbridge.clock import SYSTEM_CLOCK
from rtbridge.events import Call, Outcome
from rtbridge.handler import Opened, Refused
from rtbridge.transport.builtin import frames
from tests.transport.builtin.wire import Client, Frame

VARIABLE: contextvars.ContextVar[str] = contextvars.ContextVar("VARIABLE", default="fresh")


class Handler:
    """Answers as a test wants it."""

    clock = SYSTEM_CLOCK

    def __init__(self) -> None:
        self.answer: Callable[[bytes], Any] = self.echo
        self.items: Callable[[Any], AsyncIterator[bytes]] = self.nothing
        self.abandoned = 0
        self.cancelled = asyncio.Event()
        self.reached = asyncio.Event()
        self.seen: list[str] = []
        self.replies: list[bytes] = []

    async def echo(self, body: bytes) -> bytes:
        self.seen.append(VARIABLE.get())
        VARIABLE.set("used")
        return body

    async def forever(self, body: bytes) -> bytes:
        self.reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return b""

    async def nothing(self, incoming: Any) -> AsyncIterator[bytes]:
        for each in self.replies:
            yield each

    def submit(self, kind: str, wire: str) -> None:
        return None

    def unary(self, kind: str, wire: str) -> Any:
        async def answer(body: bytes, call: Call) -> Reply:
            return Reply(Outcome(), await self.answer(body))

        return answer

    def stream(self, kind: str) -> Any:
        async def start(body: bytes, call: Call, incoming: Any) -> Opened:
            handler = self

            class Stream:
                def items(self) -> Any:
                    return handler.items(incoming)

                def abandon(self) -> None:
                    handler.abandoned += 1

            return Opened(Reply(Outcome(), b"first"), Stream())

        return start

    async def refuse(self, refused: Refused, call: Call) -> Reply:
        return Reply(Outcome(failure="invalid", why=refused.why), b"")

    async def event(self, event: Any) -> Reply:
        raise AssertionError

    async def event_stream(self, event: Any) -> Opened:
        raise AssertionError


class Caller(Client):
    """A client on a socket."""

    def __init__(self, settings: dict[int, int] | None = None) -> None:
        super().__init__()
        self.sent_settings = settings or {}

    async def dial(self, address: str, tls: ssl.SSLContext | None = None) -> "Caller":
        host, _, port = address.rpartition(":")
        self.reader, self.writer = await asyncio.open_connection(host, int(port), ssl=tls)
        self.write(frames.PREFACE + frames.settings(self.sent_settings))
        return self

    def write(self, sent: bytes) -> None:
        self.writer.write(sent)

    async def frame(self) -> Frame:
        """The next one."""
        head = await asyncio.wait_for(self.reader.readexactly(9), 15)
        payload = await asyncio.wait_for(self.reader.readexactly(int.from_bytes(head[:3])), 15)
        fields: Any = dict(self.decoder.decode(payload)) if head[3] == frames.HEADERS else {}
        return Frame(head[3], head[4], int.from_bytes(head[5:9]), payload, fields)

    async def until(self, kind: int) -> Frame:
        """The next one of a kind."""
        while (found := await self.frame()).kind != kind:
            pass
        return found

    async def reply(self) -> bytes:
        """The message of a call that is answered."""
        await self.until(frames.HEADERS)
        body = b""
        while (found := await self.frame()).kind != frames.HEADERS:
            body += found.payload if found.kind == frames.DATA else b""
        assert found.fields == {"grpc-status": "0"}
        return body[5:]

    async def rest(self) -> None:
        """Read until the server closes."""
        try:
            while await asyncio.wait_for(self.reader.read(65536), 15):
                pass
        except ConnectionError:
            pass

    async def hang_up(self) -> None:
        self.writer.close()
