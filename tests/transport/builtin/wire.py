"""A client of the core without a socket: writes frames, reads what comes back with another implementation of HPACK."""

from typing import Any, NamedTuple

import hpack

from rtbridge.transport.builtin import frames
from rtbridge.transport.builtin.connection import Connection
from rtbridge.transport.builtin.limits import Limits
from rtbridge.transport.builtin.streams import Stream

ROUTES = {"/s/Unary": False, "/s/Stream": True}

#: What a caller of gRPC sends with each call.
CALL = (
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/s/Unary"),
    (":authority", "localhost"),
    ("content-type", "application/grpc"),
    ("te", "trailers"),
)

GET = ((":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "localhost"))


class Frame(NamedTuple):
    """A frame of the server's; ``fields`` are those of HEADERS."""

    kind: int
    flags: int
    stream: int
    payload: bytes
    fields: dict[str, str]


def message(data: bytes, flag: int = 0) -> bytes:
    """A message of gRPC."""
    return bytes((flag,)) + len(data).to_bytes(4) + data


def data(number: int, payload: bytes, flags: int = frames.END_STREAM) -> bytes:
    return frames.frame(frames.DATA, flags, number, payload)


class Client:
    """The other side of one connection."""

    def __init__(self, limits: Limits | None = None, settings: dict[int, int] | None = None) -> None:
        self.now = 0.0
        self.connection = Connection(limits, ROUTES, lambda: self.now)
        self.encoder = hpack.Encoder()
        self.decoder = hpack.Decoder()
        self.events: list[Any] = []
        self.greeting = self.feed(frames.PREFACE + frames.settings(settings or {}))

    def feed(self, sent: bytes, by: int = 0) -> list[Frame]:
        """Send, in pieces of ``by`` bytes, and read what comes back at once."""
        for start in range(0, len(sent), by or max(len(sent), 1)):
            self.events += self.connection.receive(sent[start : start + by] if by else sent)
        return self.read()

    def read(self) -> list[Frame]:
        """What the server has to say."""
        raw, found = self.connection.data_to_send(), []
        while raw:
            length, kind, flags = int.from_bytes(raw[:3]), raw[3], raw[4]
            payload = raw[9 : 9 + length]
            fields: Any = dict(self.decoder.decode(payload)) if kind == frames.HEADERS else {}
            found.append(Frame(kind, flags, int.from_bytes(raw[5:9]), payload, fields))
            raw = raw[9 + length :]
        return found

    def block(self, *fields: tuple[str, str], **own: str) -> bytes:
        """A header block; ``own`` replaces or adds fields."""
        names = {name.lstrip(":").replace("-", "_") for name, _ in fields}
        changed = [(name, own.get(name.lstrip(":").replace("-", "_"), value)) for name, value in fields]
        added = [(name.replace("_", "-"), value) for name, value in own.items() if name not in names]
        return bytes(self.encoder.encode(changed + added))

    def call(self, number: int, flags: int = 0, /, **own: str) -> bytes:
        """The headers of a call."""
        return frames.frame(frames.HEADERS, frames.END_HEADERS | flags, number, self.block(*CALL, **own))

    def unary(self, number: int, request: bytes = b"ping", /, **own: str) -> bytes:
        """A whole call."""
        return self.call(number, **own) + data(number, message(request))

    def called(self) -> list[Stream]:
        """The calls that have come out by now, once."""
        found = [event for event in self.events if isinstance(event, Stream)]
        self.events = [event for event in self.events if not isinstance(event, Stream)]
        return found

    def open(self, number: int, /, **own: str) -> Stream:
        """A call whose caller sends several messages."""
        assert self.feed(self.call(number, path="/s/Stream", **own)) == []
        (stream,) = self.called()
        return stream


def kinds(found: list[Frame]) -> list[int]:
    return [frame.kind for frame in found]


def reset(found: list[Frame]) -> int:
    """The error code of the one RST_STREAM, and nothing else."""
    assert kinds(found) == [frames.RST_STREAM]
    return int.from_bytes(found[0].payload)


def farewell(client: Client, found: list[Frame]) -> int:
    """The error code of the GOAWAY that ends a connection."""
    assert client.connection.closed
    assert client.connection.why
    assert found[-1].kind == frames.GOAWAY
    assert client.connection.receive(b"\0" * 100) == []
    return int.from_bytes(found[-1].payload[4:8])
