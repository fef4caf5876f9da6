"""Frames of clients without a socket: whole ones, fragments, compressed ones, and everything that is none."""

import random
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from rtbridge.embedded.fronts.deflate import negotiate
from rtbridge.embedded.fronts.incoming import Broken, Incoming
from tests.embedded.fronts.raw import close, frame

LIMIT = 1000
CONT, TEXT, BINARY = Opcode.CONT, Opcode.TEXT, Opcode.BINARY


class Log:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.all: list[tuple[str, bytes]] = []
        self.reader: Incoming
        self.pause_after = -1

    def message(self, data: bytes) -> None:
        assert type(data) is bytes
        self.all.append(("message", data))
        self.reader.paused = len(self.all) == self.pause_after

    def pinged(self, data: bytes) -> None:
        self.all.append(("ping", data))

    def ponged(self) -> None:
        self.all.append(("pong", b""))

    def closed(self, data: bytes) -> None:
        self.all.append(("close", data))


def reader(**options: Any) -> tuple[Log, Incoming]:
    log = Log()
    log.reader = Incoming(log, LIMIT, **options)
    return log, log.reader


def messages(*data: bytes) -> list[tuple[str, bytes]]:
    return [("message", each) for each in data]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 999, 1000])
@pytest.mark.parametrize("pieces", [1, 2, 7, 100_000])
def test_whole_messages(size: int, pieces: int) -> None:
    """Three messages in a row come out as they were, however their bytes arrive."""
    log, feed = reader()
    payload = bytes(n % 251 for n in range(size))
    data = frame(payload) + frame("é" * (size // 2)) + frame(b"")
    step = -(-len(data) // pieces)
    for at in range(0, len(data), step):
        feed.feed(data[at : at + step])
    assert log.all == messages(payload, ("é" * (size // 2)).encode(), b"")


def test_fragments() -> None:
    """A message in pieces is one message; control frames between the pieces are answered at once."""
    log, feed = reader()
    feed.feed(frame("one", fin=False) + frame(b" two", CONT, fin=False) + frame(b"p", Opcode.PING))
    feed.feed(frame(b"", CONT, fin=False) + frame(b" three", CONT) + frame(b"next") + frame(b"", Opcode.PONG))
    assert log.all == [("ping", b"p"), *messages(b"one two three", b"next"), ("pong", b"")]


def test_nothing_is_kept_between_messages() -> None:
    """What odd frames need goes when they are through."""
    feed: Any = reader()[1]
    feed.feed(frame("a", fin=False))
    assert feed._parser is not None
    feed.feed(frame(b"b", CONT) + frame(b"", Opcode.PING))
    assert (feed._parser, feed._message, feed._tail) == (None, None, None)


def test_a_character_that_is_split() -> None:
    """Fragments may be cut inside of a character; the message counts."""
    log, feed = reader()
    feed.feed(frame(b"\xc3", TEXT, fin=False) + frame(b"\xa9", CONT))
    assert log.all == messages(b"\xc3\xa9")


@pytest.mark.parametrize("data", [b"", b"\x03\xe8", b"\x03\xe8bye"])
def test_a_close_frame(data: bytes) -> None:
    """Its payload is handed on, and nothing after it counts."""
    log, feed = reader()
    feed.feed(frame("last") + frame(data, Opcode.CLOSE) + frame("late") + b"\xff\xff")
    assert log.all == [*messages(b"last"), ("close", data)]


def bad(data: bytes) -> bytes:
    """A frame with its payload's bytes in reverse and without its mask bit."""
    return bytes((data[0], data[1] & 0x7F)) + data[6:]


def named(value: object) -> str:
    """Frames are masked at random, and a parameter's name has to be the same in every process."""
    return "frame" if isinstance(value, bytes) else str(value)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (bad(frame("unmasked")), 1002),
        (b"\x81\x00", 1002),
        (b"\x81\x7e\xff\xff\0\0\0\0", 1002),
        (frame("rsv1", rsv1=True), 1002),
        (bytes((0xA1,)) + frame("rsv2")[1:], 1002),
        (bytes((0x91,)) + frame("rsv3")[1:], 1002),
        (bytes((0x83,)) + frame("opcode 3")[1:], 1002),
        (bytes((0x8B,)) + frame("opcode 11")[1:], 1002),
        (frame(b"alone", CONT), 1002),
        (frame("a", fin=False) + frame("b"), 1002),
        (frame("a", fin=False) + close(), 1002),
        (bytes((0x09,)) + frame(b"fragment", Opcode.PING)[1:], 1002),
        (b"\x89\xfe\x00\x7e" + b"\0" * 130, 1002),
        (frame(b"\x03", Opcode.CLOSE), 1002),
        (close(1005), 1002),
        (close(999), 1002),
        (frame(b"\x03\xe8\xff", Opcode.CLOSE), 1007),
        (frame(b"\xff", TEXT), 1007),
        (frame(b"\xc3", TEXT, fin=False) + frame(b"(", CONT), 1007),
        (frame(b"\xed\xa0\x80", TEXT), 1007),
        (frame(b"x" * 1001), 1009),
        (frame("x" * 1001), 1009),
        (b"\x82\xff" + struct.pack("!Q", 2**63) + b"\0" * 4, 1009),
        (b"\x82\xff" + struct.pack("!Q", 1001) + b"\0" * 4, 1009),
        (frame(b"x" * 600, fin=False) + frame(b"x" * 401, CONT), 1009),
        (frame(b"x" * 1000, fin=False) + frame(b"x", CONT, fin=False), 1009),
    ],
    ids=named,
)
def test_what_breaks_a_connection(data: bytes, code: int) -> None:
    """Each gets the code of RFC 6455; a message that is too big gets no reason, as Centrifugo does."""
    log, feed = reader()
    feed.feed(frame("before"))
    with pytest.raises(Broken) as broken:
        feed.feed(data)
    assert broken.value.code == code
    assert (broken.value.reason == "") is (code == 1009)
    assert log.all == messages(b"before")


def test_too_big_is_known_from_the_header() -> None:
    """Nothing of a message that is too big is waited for."""
    _, feed = reader()
    with pytest.raises(Broken) as broken:
        feed.feed(frame(b"x" * 1001)[:8])
    assert broken.value.code == 1009


def test_empty_fragments_take_no_memory() -> None:
    """A message in ever more empty pieces holds nothing but its bytes."""
    feed: Any = reader()[1]
    feed.feed(frame("a", fin=False))
    for _ in range(1000):
        feed.feed(frame(b"", CONT, fin=False))
    assert feed._message == b"a"


def test_pauses() -> None:
    """A pause holds back what already came, whole and half frames, and loses nothing."""
    log, feed = reader()
    log.pause_after = 2
    data = b"".join(frame(str(n)) for n in range(5))
    feed.feed(data[:-3])
    assert log.all == messages(b"0", b"1")
    feed.feed(data[-3:])
    assert log.all == messages(b"0", b"1")
    feed.paused = False
    feed.feed(b"")
    assert log.all == messages(b"0", b"1", b"2", b"3", b"4")


def test_a_pause_before_anything() -> None:
    """What comes during a pause waits for its end."""
    log, feed = reader()
    feed.paused = True
    feed.feed(frame("a"))
    feed.feed(frame("b"))
    assert log.all == []
    feed.paused = False
    feed.feed(b"")
    assert log.all == messages(b"a", b"b")


def test_an_unexpected_error(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A bug below is logged, and told to the client without its text."""

    def fails(*_: Any) -> None:
        raise RuntimeError("inner workings")

    monkeypatch.setattr(ServerProtocol, "recv_frame", fails)
    _, feed = reader()
    with pytest.raises(Broken) as broken:
        feed.feed(frame(b"", Opcode.PING))
    assert (broken.value.code, broken.value.reason) == (1011, "")
    assert "inner workings" in caplog.text


def deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def test_compressed_messages() -> None:
    """They are larger than they were sent, up to a bound of their own; uncompressed ones may come between them."""
    log, feed = reader(inflated=5000, extension=negotiate("permessage-deflate")[1])
    packed = deflated(b"x" * 5000)
    feed.feed(frame(packed, TEXT, rsv1=True) + frame("plain"))
    feed.feed(frame(packed[:5], TEXT, fin=False, rsv1=True) + frame(packed[5:], CONT))
    assert log.all == messages(b"x" * 5000, b"plain", b"x" * 5000)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(deflated(b"x" * 5001), rsv1=True), 1009),
        (frame(deflated(b"x" * 500_000), rsv1=True), 1009),
        (frame(random.Random(1).randbytes(1001), rsv1=True), 1009),
        (frame(b"no deflate", rsv1=True), 1002),
        (frame(deflated(b"\xff"), TEXT, rsv1=True), 1007),
        (frame(deflated(b"x" * 4000), BINARY, fin=False, rsv1=True) + frame(b"\0" * 999, CONT, rsv1=True), 1009),
        (frame(b"p", Opcode.PING, rsv1=True), 1002),
    ],
    ids=named,
)
def test_compressed_messages_that_break_a_connection(data: bytes, code: int) -> None:
    """A small message that would grow without end is stopped at the bound; so is a large one that would not."""
    log, feed = reader(inflated=5000, extension=negotiate("permessage-deflate")[1])
    with pytest.raises(Broken) as broken:
        feed.feed(data)
    assert broken.value.code == code
    assert log.all == []


pieces = st.lists(st.tuples(st.booleans(), st.binary(max_size=300), st.integers(1, 4)), max_size=8)


@given(pieces, st.integers(1, 64))
def test_websockets_own_client_is_understood(sent: list[tuple[bool, bytes, int]], step: int) -> None:
    """Messages of another implementation, in fragments and with pings, come out whole whatever the chunks."""
    client = ClientProtocol(None, state=OPEN)  # type: ignore[arg-type]  # the address is of the handshake
    expected: list[tuple[str, bytes]] = []
    for text, data, parts in sent:
        payload = data.hex().encode() if text else data
        size = max(1, -(-len(payload) // parts))
        cut = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
        (client.send_text if text else client.send_binary)(cut[0], fin=len(cut) == 1)
        for n, part in enumerate(cut[1:], 2):
            client.send_ping(b"between")
            expected.append(("ping", b"between"))
            client.send_continuation(part, fin=n == len(cut))
        expected.append(("message", payload))
    data = b"".join(client.data_to_send())
    log, feed = reader()
    for at in range(0, len(data), step):
        feed.feed(data[at : at + step])
    assert log.all == expected


@given(st.binary(max_size=300), st.integers(1, 50))
def test_any_bytes(junk: bytes, step: int) -> None:
    """Random bytes break the connection with a code or are waited for, and do no more."""
    _, feed = reader()
    code = 1002
    try:
        for at in range(0, len(junk), step):
            feed.feed(junk[at : at + step])
    except Broken as broken:
        code = broken.code
    assert code in (1002, 1007, 1009)
