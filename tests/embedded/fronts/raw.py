"""Both ends of a WebSocket front under test: a session that records, and a client that may misbehave."""

import asyncio
import base64
import hashlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from websockets.frames import Frame, Opcode

from rtbridge.embedded.connection import Peer
from rtbridge.embedded.fronts.websocket import WebSocket
from rtbridge.embedded.wire import Wire

T = TypeVar("T")

#: Seconds after which a wait has failed; nothing here depends on how long anything takes.
BOUND = 15

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
PATH = "/connection/websocket"


async def soon(work: Awaitable[T]) -> T:
    """The result of something that must not take long."""
    return await asyncio.wait_for(work, BOUND)


class Recorder:
    """A session that remembers what its front tells it.

    Attributes:
        messages: What the client sent.
        closed: The code and the reason that it was closed with.
        gone: How often the front said that the connection is gone.
        on_message: Called with each message.

    """

    def __init__(self, outlet: WebSocket, wire: Wire, peer: Peer, native_pings: bool) -> None:
        self.outlet = outlet
        self.wire = wire
        self.peer = peer
        self.native_pings = native_pings
        self.messages: list[bytes] = []
        self.closed: tuple[int, str] | None = None
        self.gone = 0
        self.on_message: Callable[[bytes], Any] = lambda _: None
        self._news = asyncio.Event()

    def receive(self, data: bytes) -> None:
        self.messages.append(data)
        self.on_message(data)
        self._news.set()

    def close(self, code: int, reason: str) -> None:
        self.closed = (code, reason)
        self.outlet.close(code, reason)
        self._news.set()

    def disconnected(self) -> None:
        self.gone += 1
        self._news.set()

    def narrow(self) -> None:
        """Let the server's system hold little for this client."""
        transport: Any = self.outlet._transport
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

    async def until(self, condition: Callable[["Recorder"], Any]) -> None:
        """Wait until something holds of this session."""

        async def wait() -> None:
            while not condition(self):
                self._news.clear()
                await self._news.wait()

        await soon(wait())


def head(path: str = PATH, *lines: str, key: str = KEY, drop: str = "", method: str = "GET") -> bytes:
    """A request for a WebSocket with more lines, and without its own that starts with ``drop``."""
    own = [
        f"{method} {path} HTTP/1.1",
        "Host: 127.0.0.1",
        "Upgrade: websocket",
        "Connection: keep-alive, Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
    ]
    kept = [line for line in own if not drop or not line.startswith(drop)]
    return "".join(f"{line}\r\n" for line in (*kept, *lines)).encode() + b"\r\n"


def frame(data: bytes | str, opcode: Opcode | None = None, *, fin: bool = True, rsv1: bool = False) -> bytes:
    """A frame as a client sends it."""
    kind = opcode if opcode is not None else Opcode.TEXT if isinstance(data, str) else Opcode.BINARY
    raw = bytearray(Frame(kind, data.encode() if isinstance(data, str) else data, fin).serialize(mask=True))
    raw[0] |= 0x40 * rsv1
    return bytes(raw)


def close(code: int = 1000) -> bytes:
    """A client's close frame."""
    return frame(struct.pack("!H", code), Opcode.CLOSE)


class Client:
    """A client on a socket, which may do what no library does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    async def dial(cls, port: int, *, tls: ssl.SSLContext | None = None, room: int = 0) -> "Client":
        """A client with a connection to a port of the loopback; ``room`` bounds what its system takes unread."""
        own = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        if room:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
        own.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(own, ("127.0.0.1", port))
        except OSError:
            own.close()
            raise
        name = "127.0.0.1" if tls else None
        return cls(*await soon(asyncio.open_connection(sock=own, ssl=tls, server_hostname=name)))

    def send(self, *data: bytes) -> None:
        """Send bytes, in one piece."""
        self.writer.write(b"".join(data))

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Status, headers (names in lower case) and body of an HTTP response."""
        first, *lines = (await soon(self.reader.readuntil(b"\r\n\r\n"))).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines) if name}
        size = int(headers.get("content-length", "0"))
        return int(first.split()[1]), headers, await soon(self.reader.readexactly(size))

    async def upgrade(self, path: str = PATH, *lines: str) -> dict[str, str]:
        """Become a WebSocket; the headers of the answer."""
        self.send(head(path, *lines))
        status, headers, _ = await self.answer()
        assert status == 101
        return headers

    async def receive(self) -> tuple[Opcode, bytes]:
        """The next frame: what it is, and its payload."""
        first, second = await soon(self.reader.readexactly(2))
        assert first & 0x80, "servers send whole messages"
        assert not second & 0x80, "servers do not mask"
        size = second
        if size > 125:
            raw = await soon(self.reader.readexactly(2 if size == 126 else 8))
            size = int.from_bytes(raw, "big")
        return Opcode(first & 0x0F), await soon(self.reader.readexactly(size))

    async def closing(self) -> tuple[int, str]:
        """Code and reason of the close frame that comes next, after nothing but data and pings."""
        while True:
            opcode, data = await self.receive()
            if opcode is Opcode.CLOSE:
                return int.from_bytes(data[:2], "big"), data[2:].decode()

    async def end(self) -> bytes:
        """What comes until the server ends the connection."""
        try:
            return await soon(self.reader.read())
        except ConnectionError:
            return b""

    def leave(self) -> None:
        """Drop the connection."""
        self.writer.transport.abort()


def accept_of(key: str) -> str:
    """The proof that a server understood the key (RFC 6455, section 4.2.2)."""
    return base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
