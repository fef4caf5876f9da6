"""The core fed by chance: valid connections cut anywhere, and broken ones."""

import gc
import os
import sys
import types
from typing import Any, Final

import hpack
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtbridge.transport.builtin.connection import Connection
from rtbridge.transport.builtin.limits import Limits
from rtbridge.transport.builtin.streams import Cancelled, Ended, Message, Stream, Writable
from tests.transport.builtin import h2
from tests.transport.builtin.h2 import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    call_headers,
    frame,
    message,
    reset,
    window,
)

# Many examples, under coverage in CI.
pytestmark = pytest.mark.timeout(120)

BIDIRECTIONAL: Final = "/a.Service/Both"
ROUTES: Final = {h2.RPC: False, BIDIRECTIONAL: True}


def fuzz(examples: int) -> settings:
    """So many examples; a connection takes a while to make up."""
    slow = [HealthCheck.too_slow]
    return settings(
        deadline=None, derandomize=bool(os.environ.get("CI")), max_examples=examples, suppress_health_check=slow
    )


#: Small enough that chance gets beyond each of them.
LIMITS: Final = Limits(
    message_size=2000,
    header_size=500,
    streams=8,
    stream_window=2**15,
    connection_window=2**17,
    unread=2**16,
    unsent=2**16,
    resets=20,
    idle_frames=100,
)

#: Bytes that one connection may hold with these limits: several times what they add up to.
HELD: Final = 1_000_000

PRIORITISED: Final = 0x20


class Writer:
    """Writes a valid connection.

    Attributes:
        calls: What has to come out: stream, path, metadata, timeout and message of each call, in order.

    """

    def __init__(self, draw: st.DrawFn) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self._draw = draw
        self._encoder = hpack.Encoder()
        self._next = 1
        self._open: list[int] = []

    def _padded(self, kind: int, stream: int, payload: bytes, flags: int, before: bytes = b"") -> bytes:
        pad = self._draw(st.one_of(st.none(), st.integers(0, 30)))
        if pad is None:
            return frame(kind, stream, before + payload, flags)
        return frame(kind, stream, bytes([pad]) + before + payload + bytes(pad), flags | PADDED)

    def _head(self, stream: int, headers: list[tuple[str, str]], flags: int) -> bytes:
        block = self._encoder.encode(headers, huffman=self._draw(st.booleans()))
        cuts = sorted(self._draw(st.lists(st.integers(0, len(block)), max_size=3)))
        parts = [block[a:b] for a, b in zip([0, *cuts], [*cuts, len(block)], strict=True)]
        first = END_HEADERS if len(parts) == 1 else 0
        before = b""
        if self._draw(st.booleans()):
            before, first = bytes(4) + b"\x10", first | PRIORITISED
        found = self._padded(HEADERS, stream, parts[0], first | flags, before)
        for number, part in enumerate(parts[1:], 2):
            found += frame(CONTINUATION, stream, part, END_HEADERS if number == len(parts) else 0)
        return found

    def call(self) -> bytes:
        """A whole call, its message in one piece or several."""
        stream, self._next = self._next, self._next + 2
        timeout = self._draw(st.integers(1, 999))
        own = self._draw(st.lists(st.sampled_from([("x-a", "1"), ("x-b", "two"), ("x-bin", "AAA")]), max_size=3))
        found = self._head(stream, call_headers(more=[("grpc-timeout", f"{timeout}m"), *own]), 0)
        sent = self._draw(st.binary(max_size=300))
        metadata = [(name, b"\0\0" if name == "x-bin" else value) for name, value in own]
        self.calls.append((stream, h2.RPC, metadata, timeout * 1e-3, sent))
        return found + self._data(stream, message(sent), END_STREAM)

    def _data(self, stream: int, body: bytes, last: int) -> bytes:
        cuts = sorted(self._draw(st.lists(st.integers(0, len(body)), max_size=3)))
        parts = [body[a:b] for a, b in zip([0, *cuts], [*cuts, len(body)], strict=True)]
        *earlier, final = parts
        return b"".join([self._padded(DATA, stream, part, 0) for part in earlier]) + self._padded(
            DATA, stream, final, last
        )

    def stream(self) -> bytes:
        """The start of a call that sends several messages."""
        stream, self._next = self._next, self._next + 2
        self._open.append(stream)
        self.calls.append((stream, BIDIRECTIONAL, [], None, b""))
        return self._head(stream, call_headers(BIDIRECTIONAL), 0)

    def more(self) -> bytes:
        """A message of such a call, or its end, or its giving up."""
        if not self._open:
            return b""
        stream = self._draw(st.sampled_from(self._open))
        what = self._draw(st.integers(0, 5))
        if what == 0:
            self._open.remove(stream)
            return reset(stream)
        if what == 1:
            self._open.remove(stream)
            return frame(DATA, stream, b"", END_STREAM)
        return self._data(stream, message(self._draw(st.binary(max_size=100))), 0)

    def other(self) -> bytes:
        """A frame that is no part of a call."""
        return self._draw(
            st.sampled_from(
                [
                    frame(PING, payload=b"12345678"),
                    frame(PRIORITY, self._next, bytes(5)),
                    h2.settings({h2.INITIAL_WINDOW_SIZE: 70_000}),
                    h2.settings({h2.HEADER_TABLE_SIZE: 100, 0xFF: 1}),
                    window(0, 100),
                    frame(0xFA, 0, b"unknown"),
                ]
            )
        )


@st.composite
def written(draw: st.DrawFn) -> tuple[bytes, list[tuple[Any, ...]]]:
    """All that a caller sends on a valid connection, and the calls in it."""
    writer = Writer(draw)
    makes = (writer.call, writer.stream, writer.more, writer.more, writer.other)
    parts = [draw(st.sampled_from(makes))() for _ in range(draw(st.integers(0, 7)))]
    return PREFACE + h2.settings({}) + b"".join(parts), writer.calls


connections = written().map(lambda each: each[0])


def cut(data: bytes, cuts: list[int]) -> list[bytes]:
    """Bytes in pieces, cut at these places, counted modulo their length."""
    places = sorted({each % (len(data) + 1) for each in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


def told(event: Any) -> tuple[Any, ...]:
    """An event as a value."""
    stream = event if isinstance(event, Stream) else event.stream
    rest = (event.data, event.size) if isinstance(event, Message) else ()
    return (type(event).__name__, stream.id, *rest)


def fed(pieces: list[bytes]) -> tuple[list[tuple[Any, ...]], list[Any], bytes, str]:
    """What a connection makes of these pieces: events, calls, what it sends, why it has ended."""
    connection = Connection(LIMITS, ROUTES, now=lambda: 0.0)
    events = [event for piece in pieces for event in connection.receive(piece)]
    calls = [
        (each.id, each.head.path, each.head.headers.pairs(), each.timeout, bytes(each.message))
        for each in events
        if isinstance(each, Stream)
    ]
    return [told(each) for each in events], calls, connection.data_to_send(), connection.why


@fuzz(100)
@given(written(), st.lists(st.integers(0, 2**20), max_size=40))
def test_cut_anywhere(given_connection: tuple[bytes, list[tuple[Any, ...]]], cuts: list[int]) -> None:
    """Every call as it was written, and the same replies, however a connection comes in."""
    data, calls = given_connection
    whole = fed([data])
    assert whole[1] == calls
    assert whole[3] == ""
    assert fed(cut(data, cuts)) == whole


@fuzz(25)
@given(connections)
def test_byte_by_byte(data: bytes) -> None:
    """The same, a byte at a time."""
    assert fed([bytes([each]) for each in data]) == fed([data])


def held(root: object) -> int:
    """Bytes of all that can be reached from an object, without code."""
    apart = (type, types.ModuleType, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.CodeType)
    seen, waiting, size = {id(ROUTES), id(LIMITS)}, [root], 0
    while waiting:
        each = waiting.pop()
        if id(each) in seen or isinstance(each, apart):
            continue
        seen.add(id(each))
        size += sys.getsizeof(each)
        waiting += [each.obj] if isinstance(each, memoryview) else gc.get_referents(each)
    return size


#: What is done to the bytes of a connection: at a place, something is put in, taken away, repeated or changed.
mutations = st.lists(
    st.tuples(
        st.integers(0, 2**20),
        st.one_of(
            st.binary(min_size=1, max_size=20).map(lambda raw: ("insert", raw)),
            st.integers(1, 40).map(lambda size: ("remove", size)),
            st.tuples(st.integers(1, 400), st.integers(2, 200)).map(lambda each: ("repeat", each)),
            st.integers(1, 255).map(lambda bits: ("flip", bits)),
        ),
    ),
    min_size=1,
    max_size=6,
)


def mutated(data: bytes, given_mutations: list[tuple[int, tuple[str, Any]]]) -> bytes:
    """The bytes after these mutations."""
    for at, (what, value) in given_mutations:
        place = at % (len(data) + 1)
        before, after = data[:place], data[place:]
        if what == "insert":
            data = before + value + after
        elif what == "remove":
            data = before + after[value:]
        elif what == "repeat":
            size, times = value
            data = before + after[:size] * times + after[size:]
        elif after:
            data = before + bytes([after[0] ^ value]) + after[1:]
    return data


def answer(connection: Connection, event: Any, number: int) -> None:
    """What a server does with an event."""
    if isinstance(event, Message):
        connection.consumed(event)
        connection.send(event.stream, event.data)
    elif isinstance(event, Ended):
        connection.finish(event.stream)
    elif isinstance(event, Stream):
        if event.head.streaming:
            connection.send(event, b"first")
        elif number % 3 == 0:
            connection.fail(event, 3, "no ✓")
        elif number % 3 == 1:
            connection.respond(event, bytes(event.message) * 50)
    else:
        assert isinstance(event, Cancelled | Writable) or hasattr(event, "why")


@fuzz(300)
@given(connections, mutations, st.lists(st.integers(0, 2**20), max_size=10), st.booleans(), st.booleans())
def test_mutated(data: bytes, changes: Any, cuts: list[int], answers: bool, greeted: bool) -> None:
    """Whatever comes, nothing is raised, what is held stays bounded, and what is sent are frames."""
    connection = Connection(LIMITS, ROUTES, now=lambda: 0.0)
    start = len(PREFACE) if greeted else 0  # mutations of the preface end at once
    sent = b""
    for piece in [data[:start], *cut(mutated(data[start:], changes), cuts)]:
        for number, event in enumerate(connection.receive(piece)):
            if answers:
                answer(connection, event, number)
        sent += connection.data_to_send()
        assert held(connection) < HELD
    frames = h2.split(sent)
    assert sum(9 + len(each.payload) for each in frames) == len(sent)
    if connection.closed:
        assert [each.kind for each in frames].count(h2.GOAWAY) == 1
        assert connection.receive(data) == []
    connection.drain()
    connection.close_door()
    assert len(h2.split(connection.data_to_send())) <= 4
