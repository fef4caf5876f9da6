"""Connections that break the rules of RFC 9113: each ends with GOAWAY and the code that the section names."""

from typing import Any

import pytest

from rtbridge.transport.builtin import frames
from rtbridge.transport.builtin.streams import Cancelled
from tests.transport.builtin.wire import Client, data, farewell, reset

BROKEN: list[Any] = [
    ("a frame before settings", None, frames.PROTOCOL_ERROR),
    ("no HTTP/2", None, frames.PROTOCOL_ERROR),
    ("a frame too large", b"\x00\x40\x01\0\0\0\0\0\x01", frames.FRAME_SIZE_ERROR),
    ("headers of no stream", frames.frame(frames.HEADERS, 4, 0), frames.PROTOCOL_ERROR),
    ("an even stream", frames.frame(frames.HEADERS, 4, 2, b"\x83"), frames.PROTOCOL_ERROR),
    ("a priority cut off", frames.frame(frames.HEADERS, 0x24, 1, b"\x83"), frames.FRAME_SIZE_ERROR),
    ("a stream on itself", frames.frame(frames.HEADERS, 0x24, 1, b"\0\0\0\1\0"), frames.PROTOCOL_ERROR),
    ("more padding than frame", frames.frame(frames.HEADERS, 0xC, 1, b"\x05abc"), frames.PROTOCOL_ERROR),
    ("no HPACK", frames.frame(frames.HEADERS, 4, 1, b"\xff\xff\xff\xff\xff\xff\xff"), frames.COMPRESSION_ERROR),
    ("a frame amid headers", frames.frame(frames.HEADERS, 0, 1) + frames.SETTINGS_ACK, frames.PROTOCOL_ERROR),
    ("a continuation of nothing", frames.frame(frames.CONTINUATION, 4, 1), frames.PROTOCOL_ERROR),
    (
        "a continuation of another",
        frames.frame(frames.HEADERS, 0, 1) + frames.frame(frames.CONTINUATION, 4, 3),
        frames.PROTOCOL_ERROR,
    ),
    ("data of no stream", frames.frame(frames.DATA, 0, 0), frames.PROTOCOL_ERROR),
    ("data of an idle stream", frames.frame(frames.DATA, 0, 1), frames.PROTOCOL_ERROR),
    ("settings of a stream", frames.frame(frames.SETTINGS, 0, 1), frames.PROTOCOL_ERROR),
    ("settings cut off", frames.frame(frames.SETTINGS, 0, 0, b"\0"), frames.FRAME_SIZE_ERROR),
    ("an ack with settings", frames.frame(frames.SETTINGS, 1, 0, bytes(6)), frames.FRAME_SIZE_ERROR),
    ("push neither on nor off", frames.settings({frames.ENABLE_PUSH: 2}), frames.PROTOCOL_ERROR),
    ("a window too large", frames.settings({frames.INITIAL_WINDOW_SIZE: 2**31}), frames.FLOW_CONTROL_ERROR),
    ("frames too small", frames.settings({frames.MAX_FRAME_SIZE: 16383}), frames.PROTOCOL_ERROR),
    ("a ping of a stream", frames.frame(frames.PING, 0, 1, bytes(8)), frames.PROTOCOL_ERROR),
    ("a ping cut off", frames.frame(frames.PING, 0, 0, bytes(7)), frames.FRAME_SIZE_ERROR),
    ("a reset of no stream", frames.rst_stream(0, 8), frames.PROTOCOL_ERROR),
    ("a reset of an idle stream", frames.rst_stream(1, 8), frames.PROTOCOL_ERROR),
    ("a window of an idle stream", frames.window_update(1, 8), frames.PROTOCOL_ERROR),
    ("a window update cut off", frames.frame(frames.WINDOW_UPDATE, 0, 0, b"\0"), frames.FRAME_SIZE_ERROR),
    ("a window update of nothing", frames.window_update(0, 0), frames.PROTOCOL_ERROR),
    ("a window that overflows", frames.window_update(0, 2**31 - 1), frames.FLOW_CONTROL_ERROR),
    ("a priority of no stream", frames.frame(frames.PRIORITY, 0, 0, bytes(5)), frames.PROTOCOL_ERROR),
    ("a short priority", frames.frame(frames.PRIORITY, 0, 1, bytes(4)), frames.FRAME_SIZE_ERROR),
    ("a priority on itself", frames.frame(frames.PRIORITY, 0, 1, b"\0\0\0\1\0"), frames.PROTOCOL_ERROR),
    ("a farewell of a stream", frames.frame(frames.GOAWAY, 0, 1, bytes(8)), frames.PROTOCOL_ERROR),
    ("a farewell cut off", frames.frame(frames.GOAWAY, 0, 0, bytes(7)), frames.FRAME_SIZE_ERROR),
    ("a promise", frames.frame(frames.PUSH_PROMISE, 4, 1, bytes(4)), frames.PROTOCOL_ERROR),
]


@pytest.mark.parametrize(("sent", "code"), [each[1:] for each in BROKEN], ids=[each[0] for each in BROKEN])
def test_a_broken_connection(sent: bytes | None, code: int, request: pytest.FixtureRequest) -> None:
    """It ends with GOAWAY and the code of RFC 9113, section 7."""
    client = Client()
    if sent is None:
        client.connection = type(client.connection)()
        client.read()
        preface = frames.PREFACE if "settings" in request.node.name else b"GET / HTTP/1.1\r\n"
        sent = preface + frames.frame(frames.PING, 0, 0, bytes(8))
    assert farewell(client, client.feed(sent)) == code


def test_headers_before_settings() -> None:
    client = Client()
    client.connection = type(client.connection)()
    client.read()
    assert farewell(client, client.feed(frames.PREFACE + client.call(1))) == frames.PROTOCOL_ERROR


@pytest.mark.parametrize("what", ["headers", "headers that end", "data"])
def test_frames_of_a_stream_that_is_over(what: str) -> None:
    """After its end a caller sends no more of it (section 5.1)."""
    client = Client()
    client.feed(client.unary(1))
    if what == "headers":
        assert farewell(client, client.feed(client.call(1, frames.END_STREAM))) == frames.STREAM_CLOSED
        return
    (call,) = client.called()
    if what == "data":
        assert reset(client.feed(data(1, b"x"))) == frames.STREAM_CLOSED
        assert client.events == [Cancelled(call, "")]
        return
    client.connection.respond(call, b"x")
    client.read()
    assert farewell(client, client.feed(client.call(1, frames.END_STREAM))) == frames.STREAM_CLOSED
