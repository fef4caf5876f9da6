"""An HTTP/2 client that does what it is told, right or wrong: frames by hand over a socket (RFC 9113).

It sends bytes of any kind and in any order and remembers every frame that comes, so that a test can break each rule on
its own. Headers go through the ``hpack`` package, which is not the implementation under test.
"""

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final, NamedTuple, Self

import hpack

from rtbridge.codec.descriptors import message_class

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

# Types of frames (section 6).
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)

# Flags.
ACK = END_STREAM = 0x1
END_HEADERS = 0x4
PADDED = 0x8

# Codes of errors (section 7).
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED = range(6)
FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR = range(6, 10)
ENHANCE_YOUR_CALM = 11

# Settings (section 6.5.2).
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, MAX_HEADER_LIST_SIZE = (
    range(1, 7)
)

#: Seconds after which a wait has failed; nothing here depends on how long anything takes.
BOUND: Final = 20.0

RPC: Final = "/centrifugal.centrifugo.proxy.CentrifugoProxy/RPC"
BIDIRECTIONAL: Final = "/centrifugal.centrifugo.proxy.CentrifugoProxy/SubscribeBidirectional"

Pairs = Iterable[tuple[str, str]]


class Frame(NamedTuple):
    """One frame as it came."""

    kind: int
    flags: int
    stream: int
    payload: bytes


class Goaway(NamedTuple):
    """What a GOAWAY frame says."""

    code: int
    last: int
    debug: str


def frame(kind: int, stream: int = 0, payload: bytes = b"", flags: int = 0) -> bytes:
    """A frame's bytes; nothing is checked."""
    return len(payload).to_bytes(3, "big") + struct.pack(">BBI", kind, flags, stream) + payload


def settings(values: Mapping[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, payload=b"".join(struct.pack(">HI", *each) for each in values.items()))


def window(stream: int, by: int) -> bytes:
    """A WINDOW_UPDATE frame."""
    return frame(WINDOW_UPDATE, stream, by.to_bytes(4, "big"))


def reset(stream: int, code: int = CANCEL) -> bytes:
    """A RST_STREAM frame."""
    return frame(RST_STREAM, stream, code.to_bytes(4, "big"))


def message(body: bytes) -> bytes:
    """A gRPC message in its envelope (PROTOCOL-HTTP2.md, Length-Prefixed-Message)."""
    return b"\0" + len(body).to_bytes(4, "big") + body


def call_headers(path: str = RPC, more: Pairs = ()) -> list[tuple[str, str]]:
    """The request headers of a gRPC call."""
    fixed = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "localhost")]
    return [*fixed, ("te", "trailers"), ("content-type", "application/grpc"), *more]


def literal(name: bytes, value: bytes) -> bytes:
    """A header field that touches no table (RFC 7541, section 6.2.2)."""
    return b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value


def integer(number: int, prefix: int, first: int = 0) -> bytes:
    """An integer of HPACK (RFC 7541, section 5.1)."""
    limit = (1 << prefix) - 1
    if number < limit:
        return bytes([first | number])
    written, number = [first | limit], number - limit
    while number >= 128:
        written.append(number % 128 + 128)
        number //= 128
    return bytes([*written, number])


#: The request headers of a gRPC call without a table, for frames that are made in great numbers.
PLAIN_CALL: Final = b"".join(literal(name.encode(), value.encode()) for name, value in call_headers())


def rpc(data: bytes = b"true", method: str = "") -> bytes:
    """The bytes of an RPC request; the server of these tests repeats the data as often as ``method`` says."""
    request = message_class("centrifugal.centrifugo.proxy.RPCRequest")(data=data, method=method)
    return bytes(request.SerializeToString())


def subscribe() -> bytes:
    """The bytes of the first message of a bidirectional stream."""
    package = "centrifugal.centrifugo.proxy"
    request = message_class(f"{package}.SubscribeRequest")(channel="a")
    return bytes(message_class(f"{package}.StreamSubscribeRequest")(subscribe_request=request).SerializeToString())


class Reply(NamedTuple):
    """The reply to a call.

    Attributes:
        status: The HTTP status.
        code: The gRPC status; -1 where there is none.
        text: The gRPC status message, as it was sent.
        body: The first message without its envelope; None where none came.
        reset: The code with which the stream was reset; None where it was not.

    """

    status: str
    code: int
    text: str
    body: bytes | None
    reset: int | None


def read(decoder: hpack.Decoder, block: bytes) -> dict[str, str]:
    """The fields of a header block without names that repeat."""
    return {str(name): str(value) for name, value in decoder.decode(block)}


def split(data: bytes | bytearray) -> list[Frame]:
    """The whole frames at the start of some bytes."""
    found, at = [], 0
    while len(data) - at >= 9:
        end = at + 9 + int.from_bytes(data[at : at + 3], "big")
        if len(data) < end:
            break
        kind, flags, stream = struct.unpack_from(">BBI", data, at + 3)
        found.append(Frame(kind, flags, stream & 0x7FFFFFFF, bytes(data[at + 9 : end])))
        at = end
    return found


class Client:
    """A connection; every frame that comes is kept in ``frames``, in order.

    Attributes:
        frames: What has come so far.
        seen: How many frames of each kind.
        closed: Whether the server has ended the connection.

    """

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._decoder = hpack.Decoder(max_header_list_size=1 << 20)
        self._encoder = hpack.Encoder()
        self._headers: dict[int, list[dict[str, str]]] = {}
        self._ended = set[int]()
        self._of: dict[int, list[Frame]] = {}
        self._grown = asyncio.Condition()
        self._reader: asyncio.Task[None] | None = None
        self._next = 1
        self.frames: list[Frame] = []
        self.seen = Counter[int]()
        self.closed = False

    @classmethod
    async def connect(cls, address: str, *, receive_buffer: int = 0) -> Self:
        """A connection on which nothing was sent yet.

        Args:
            address: ``host:port``.
            receive_buffer: Bytes that the system may keep of what was not read; 0 for its own choice.

        """
        host, _, port = address.rpartition(":")
        sock = socket.socket()
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        async with asyncio.timeout(BOUND):
            await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
        return cls(sock)

    @classmethod
    async def open(cls, address: str, values: Mapping[int, int] | None = None) -> Self:
        """A connection with both prefaces exchanged and both settings acknowledged."""
        client = await cls.connect(address)
        client.read()
        await client.send(PREFACE, settings(values or {}))
        await client.until(lambda: client.seen[SETTINGS] >= 2)
        await client.send(frame(SETTINGS, flags=ACK))
        return client

    def read(self) -> None:
        """Read from now on."""
        self._reader = self._loop.create_task(self._read())

    async def _read(self) -> None:
        held = bytearray()
        with contextlib.suppress(OSError):
            while data := await self._loop.sock_recv(self._socket, 1 << 18):
                held += data
                async with self._grown:
                    del held[: self._take(held)]
                    self._grown.notify_all()
        async with self._grown:
            self.closed = True
            self._grown.notify_all()

    def _take(self, held: bytearray) -> int:
        """Take the whole frames out of what has come; how many bytes they are."""
        taken = 0
        for found in split(held):
            taken += 9 + len(found.payload)
            self.frames.append(found)
            self.seen[found.kind] += 1
            self._of.setdefault(found.stream, []).append(found)
            if found.kind == RST_STREAM or (found.kind in (DATA, HEADERS) and found.flags & END_STREAM):
                self._ended.add(found.stream)
            if found.kind == HEADERS:
                assert found.flags & END_HEADERS, "the server has no need of CONTINUATION"
                self._headers.setdefault(found.stream, []).append(read(self._decoder, found.payload))
        return taken

    async def send(self, *parts: bytes) -> bool:
        """Send bytes; False where the server has ended the connection."""
        try:
            async with asyncio.timeout(BOUND):
                await self._loop.sock_sendall(self._socket, b"".join(parts))
        except (ConnectionError, BrokenPipeError):
            return False
        return True

    async def delivered(self) -> None:
        """Wait until all that was sent is with the server's system, so that the server reads it next."""
        async with asyncio.timeout(BOUND):
            while struct.unpack("i", fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(4)))[0]:
                await asyncio.sleep(0.001)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is the case, or the connection has ended."""
        async with asyncio.timeout(BOUND), self._grown:
            await self._grown.wait_for(lambda: self.closed or condition())

    async def more(self, kind: int, than: int) -> None:
        """Wait for more frames of a kind than so many."""
        await self.until(lambda: self.seen[kind] > than)

    def next_stream(self) -> int:
        """The number of a stream that was not used yet."""
        self._next += 2
        return self._next - 2

    def encode(self, headers: Pairs) -> bytes:
        """A header block of the connection's own table."""
        return self._encoder.encode(list(headers))

    def _begun(self, body: bytes | None, path: str, more: Pairs) -> tuple[int, bytes]:
        stream = self.next_stream()
        written = frame(HEADERS, stream, self.encode(call_headers(path, more)), END_HEADERS)
        return stream, written if body is None else written + frame(DATA, stream, message(body), END_STREAM)

    async def begin(self, body: bytes | None = b"", path: str = RPC, more: Pairs = ()) -> int:
        """Send a call, whole; its stream. Without a body no message is sent, and the stream stays open."""
        stream, written = self._begun(body, path, more)
        await self.send(written)
        return stream

    async def begin_all(self, bodies: Iterable[bytes]) -> list[int]:
        """Send many calls at once; their streams."""
        begun = [self._begun(body, RPC, ()) for body in bodies]
        await self.send(*(written for _, written in begun))
        return [stream for stream, _ in begun]

    async def reply(self, stream: int) -> Reply:
        """The reply to a call, once its stream has ended.

        Raises:
            ConnectionError: The connection ended before.

        """
        await self.until(lambda: stream in self._ended)
        if stream not in self._ended:
            raise ConnectionError(f"the connection ended before stream {stream}; {self.goaways}")
        blocks = self._headers.get(stream, [])
        head, tail = (blocks[0], blocks[-1]) if blocks else ({}, {})
        mine = self._of[stream]
        content = b"".join(each.payload for each in mine if each.kind == DATA)
        resets = [int.from_bytes(each.payload, "big") for each in mine if each.kind == RST_STREAM]
        return Reply(
            head.get(":status", ""),
            int(tail.get("grpc-status", -1)),
            tail.get("grpc-message", ""),
            content[5 : 5 + int.from_bytes(content[1:5], "big")] if len(content) >= 5 else None,
            resets[0] if resets else None,
        )

    async def call(self, body: bytes = b"", path: str = RPC, more: Pairs = ()) -> Reply:
        """The reply to a call."""
        return await self.reply(await self.begin(body, path, more))

    async def ping(self) -> bool:
        """Whether the server still answers: it has then read all that was sent before."""
        before = self.seen[PING]
        await self.send(frame(PING, payload=b"are-you?"))
        await self.more(PING, before)
        return self.seen[PING] > before

    @property
    def goaways(self) -> list[Goaway]:
        """Every GOAWAY so far."""
        return [
            Goaway(
                int.from_bytes(each.payload[4:8], "big"),
                int.from_bytes(each.payload[:4], "big") & 0x7FFFFFFF,
                each.payload[8:].decode(),
            )
            for each in self.frames
            if each.kind == GOAWAY
        ]

    async def end(self) -> list[Goaway]:
        """Every GOAWAY, once the server has ended the connection."""
        await self.until(lambda: False)
        return self.goaways

    async def close(self) -> None:
        """Go away."""
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait((self._reader,))
        self._socket.close()
