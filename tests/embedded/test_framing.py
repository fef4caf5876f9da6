"""What is framed is read back by readers that others wrote, and nothing is misread."""

import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.uri import parse_uri

from rtbridge.codec.base import varint
from rtbridge.embedded.framing import binary_frame, close_frame, split_varint, sse_event, text_frame
from rtbridge.errors import InvalidMessage

fuzz = settings(deadline=None, max_examples=60, derandomize=bool(os.environ.get("CI")))

#: Around the sizes at which the form of a header changes.
SIZES = [0, 1, 125, 126, 127, 128, 65535, 65536, 70000]


def frames(data: bytes) -> list[Frame]:
    """What the websockets library, as a client, makes of a server's bytes."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=None)
    client.receive_data(data)
    assert client.parser_exc is None
    return [event for event in client.events_received() if isinstance(event, Frame)]


@pytest.mark.parametrize("size", SIZES)
def test_a_frame_is_what_another_library_writes(size: int) -> None:
    """Short, medium and long payloads have headers of different lengths."""
    payload = b"x" * size
    assert text_frame(payload) == Frame(Opcode.TEXT, payload).serialize(mask=False)
    assert binary_frame(payload) == Frame(Opcode.BINARY, payload).serialize(mask=False)


@fuzz
@given(st.lists(st.tuples(st.booleans(), st.text(max_size=300)), max_size=5))
def test_frames_in_a_row_are_read_one_by_one(messages: list[tuple[bool, str]]) -> None:
    """Frames may be joined to one write."""
    data = b"".join((text_frame if text else binary_frame)(payload.encode()) for text, payload in messages)
    expected = [Frame(Opcode.TEXT if text else Opcode.BINARY, payload.encode()) for text, payload in messages]
    assert frames(data) == expected


@pytest.mark.parametrize(
    ("reason", "read"),
    [
        ("", ""),
        ("permission denied", "permission denied"),
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("日" * 41, "日" * 41),
        ("x" + "日" * 41, "x" + "日" * 40),
        ("xx" + "🎉" * 31, "xx" + "🎉" * 30),
    ],
    ids=["empty", "short", "just fits", "one too long", "fits in three bytes", "cut before three", "cut before four"],
)
@pytest.mark.parametrize("code", [1000, 3501, 4999])
def test_a_close_frame_carries_code_and_reason(code: int, reason: str, read: str) -> None:
    """A client reads both; a long reason is cut at a character."""
    client = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN)
    client.receive_data(close_frame(code, reason))
    assert client.close_rcvd == Close(code, read)


def test_a_close_frame_survives_a_reason_that_is_no_text() -> None:
    """Half a surrogate pair has no UTF-8."""
    assert close_frame(CloseCode.NORMAL_CLOSURE, "a\ud800b") == Frame(
        Opcode.CLOSE, struct.pack("!H", 1000) + b"a?b"
    ).serialize(mask=False)


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (0, b"\x00"),
        (1, b"\x01"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (300, b"\xac\x02"),
        (16383, b"\xff\x7f"),
        (16384, b"\x80\x80\x01"),
        (2**64 - 1, b"\xff" * 9 + b"\x01"),
    ],
)
def test_varints(number: int, data: bytes) -> None:
    """Seven bits a byte, the lowest first; the top bit says that more follows."""
    assert varint(number) == data


@fuzz
@given(st.lists(st.one_of(st.binary(max_size=300), st.integers(0, 70_000).map(bytes)), max_size=6))
def test_messages_with_lengths_are_split_again(messages: list[bytes]) -> None:
    """Also empty ones, and those with a length of several bytes."""
    data = b"".join(varint(len(message)) + message for message in messages)
    assert list(split_varint(data)) == messages


def test_a_length_may_be_longer_than_it_needs_to_be() -> None:
    """Readers of protobuf accept zeros on top."""
    assert list(split_varint(b"\x81\x80\x00a\x80\x00")) == [b"a", b""]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\x05abc", "the message ends before its length says"),
        (b"\x81\x01" + b"a" * 128, "the message ends before its length says"),
        (b"\xff" * 9 + b"\x01" + b"a", "the message ends before its length says"),
        (b"\x80", "a message without a proper length"),
        (b"\xff\xff\xff\xff", "a message without a proper length"),
        (b"\x80" * 10 + b"\x00", "a message without a proper length"),
    ],
)
def test_a_broken_length_is_refused(data: bytes, text: str) -> None:
    """A message that came whole is handed over before."""
    with pytest.raises(InvalidMessage, match=text):
        list(split_varint(data))
    parts = split_varint(b"\x02ok" + data)
    assert next(parts) == b"ok"
    with pytest.raises(InvalidMessage, match=text):
        next(parts)


@fuzz
@given(st.binary(max_size=40))
def test_any_bytes_are_split_or_refused(data: bytes) -> None:
    """Nothing is lost, nothing is read twice, no other error."""
    try:
        parts = list(split_varint(data))
    except InvalidMessage:
        return
    assert sum(len(part) for part in parts) <= len(data)
    assert data.endswith(parts[-1] if parts else b"")


def test_an_event_is_a_line_of_data_and_an_empty_line() -> None:
    """The form that browsers read."""
    assert sse_event(b'{"push":{}}') == b'data: {"push":{}}\n\n'
