"""Broken rules of RFC 9113 and RFC 7541: each ends the connection, or its stream, with the code of the rule."""

from typing import Any, Final

import pytest

from tests.transport.builtin.h2 import (
    ACK,
    BIDIRECTIONAL,
    COMPRESSION_ERROR,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    GOAWAY,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    MAX_FRAME_SIZE,
    PADDED,
    PING,
    PLAIN_CALL,
    PREFACE,
    PRIORITY,
    PROTOCOL_ERROR,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    STREAM_CLOSED,
    WINDOW_UPDATE,
    frame,
    integer,
    literal,
    message,
    reset,
    rpc,
    settings,
    subscribe,
    window,
)

SHARED = True

#: A call whose body has not come yet, on stream 1.
OPEN: Final = frame(HEADERS, 1, PLAIN_CALL, END_HEADERS)

#: What is wrong → what is sent, the codes that its rule allows, and the section that has it.
CONNECTION: Final[dict[str, tuple[bytes, set[int], str]]] = {
    "a frame above SETTINGS_MAX_FRAME_SIZE": (frame(DATA, 1, bytes(16_385)), {FRAME_SIZE_ERROR}, "4.2"),
    "an unknown frame above SETTINGS_MAX_FRAME_SIZE": (frame(0xFA, 0, bytes(16_385)), {FRAME_SIZE_ERROR}, "4.2"),
    "a frame of 16 MiB that is only announced": (b"\xff\xff\xff\0\0\0\0\0\1", {FRAME_SIZE_ERROR}, "4.2"),
    "HEADERS between HEADERS and CONTINUATION": (frame(HEADERS, 1, PLAIN_CALL) + OPEN, {PROTOCOL_ERROR}, "6.2"),
    "PING between HEADERS and CONTINUATION": (
        frame(HEADERS, 1, PLAIN_CALL) + frame(PING, payload=bytes(8)),
        {PROTOCOL_ERROR},
        "6.2",
    ),
    "CONTINUATION of another stream": (
        frame(HEADERS, 1, PLAIN_CALL) + frame(CONTINUATION, 3, b"", END_HEADERS),
        {PROTOCOL_ERROR},
        "6.10",
    ),
    "CONTINUATION after nothing": (frame(CONTINUATION, 1, b"", END_HEADERS), {PROTOCOL_ERROR}, "6.10"),
    "DATA on stream 0": (frame(DATA, 0, b"a"), {PROTOCOL_ERROR}, "6.1"),
    "HEADERS on stream 0": (frame(HEADERS, 0, PLAIN_CALL, END_HEADERS), {PROTOCOL_ERROR}, "6.2"),
    "HEADERS on an even stream": (frame(HEADERS, 2, PLAIN_CALL, END_HEADERS), {PROTOCOL_ERROR}, "5.1.1"),
    "HEADERS on a smaller stream": (
        frame(HEADERS, 5, PLAIN_CALL, END_HEADERS) + frame(HEADERS, 3, PLAIN_CALL, END_HEADERS),
        {PROTOCOL_ERROR, STREAM_CLOSED},
        "5.1.1",
    ),
    "PRIORITY on stream 0": (frame(PRIORITY, 0, bytes(5)), {PROTOCOL_ERROR}, "6.3"),
    # A stream error may be made one of the connection (5.4.1).
    "PRIORITY of 4 bytes": (OPEN + frame(PRIORITY, 1, bytes(4)), {FRAME_SIZE_ERROR}, "6.3"),
    "RST_STREAM on stream 0": (reset(0), {PROTOCOL_ERROR}, "6.4"),
    "RST_STREAM on an idle stream": (reset(99), {PROTOCOL_ERROR}, "6.4"),
    "RST_STREAM of 3 bytes": (OPEN + frame(RST_STREAM, 1, bytes(3)), {FRAME_SIZE_ERROR}, "6.4"),
    "DATA on an idle stream": (frame(DATA, 99, b"a"), {PROTOCOL_ERROR}, "5.1"),
    "WINDOW_UPDATE on an idle stream": (window(99, 1), {PROTOCOL_ERROR}, "5.1"),
    "SETTINGS on a stream": (frame(SETTINGS, 1), {PROTOCOL_ERROR}, "6.5"),
    "SETTINGS of 5 bytes": (frame(SETTINGS, 0, bytes(5)), {FRAME_SIZE_ERROR}, "6.5"),
    "SETTINGS acknowledged with a payload": (frame(SETTINGS, 0, bytes(6), ACK), {FRAME_SIZE_ERROR}, "6.5"),
    "SETTINGS_ENABLE_PUSH of 2": (settings({2: 2}), {PROTOCOL_ERROR}, "6.5.2"),
    "SETTINGS_INITIAL_WINDOW_SIZE above 2^31-1": (
        settings({INITIAL_WINDOW_SIZE: 2**31}),
        {FLOW_CONTROL_ERROR},
        "6.5.2",
    ),
    "SETTINGS_MAX_FRAME_SIZE below 16,384": (settings({MAX_FRAME_SIZE: 16_383}), {PROTOCOL_ERROR}, "6.5.2"),
    "SETTINGS_MAX_FRAME_SIZE above 2^24-1": (settings({MAX_FRAME_SIZE: 2**24}), {PROTOCOL_ERROR}, "6.5.2"),
    "PUSH_PROMISE by a client": (OPEN + frame(PUSH_PROMISE, 1, bytes(4), END_HEADERS), {PROTOCOL_ERROR}, "8.4"),
    "PING on a stream": (frame(PING, 1, bytes(8)), {PROTOCOL_ERROR}, "6.7"),
    "PING of 7 bytes": (frame(PING, 0, bytes(7)), {FRAME_SIZE_ERROR}, "6.7"),
    "GOAWAY on a stream": (frame(GOAWAY, 1, bytes(8)), {PROTOCOL_ERROR}, "6.8"),
    "GOAWAY of 7 bytes": (frame(GOAWAY, 0, bytes(7)), {FRAME_SIZE_ERROR}, "4.2"),
    "WINDOW_UPDATE of 3 bytes": (frame(WINDOW_UPDATE, 0, bytes(3)), {FRAME_SIZE_ERROR}, "6.9"),
    "WINDOW_UPDATE of 0 for the connection": (window(0, 0), {PROTOCOL_ERROR}, "6.9"),
    "WINDOW_UPDATE beyond 2^31-1 for the connection": (window(0, 2**31 - 1), {FLOW_CONTROL_ERROR}, "6.9.1"),
    "a window beyond 2^31-1 by SETTINGS": (
        settings({INITIAL_WINDOW_SIZE: 1}) + OPEN + window(1, 2**31 - 2) + settings({INITIAL_WINDOW_SIZE: 2}),
        {FLOW_CONTROL_ERROR},
        "6.9.2",
    ),
    "padding longer than DATA": (OPEN + frame(DATA, 1, b"\x05abc", PADDED), {PROTOCOL_ERROR}, "6.1"),
    "padding longer than HEADERS": (
        frame(HEADERS, 1, b"\xff" + PLAIN_CALL, PADDED | END_HEADERS),
        {PROTOCOL_ERROR},
        "6.2",
    ),
    "DATA without the length of its padding": (
        OPEN + frame(DATA, 1, b"", PADDED),
        {FRAME_SIZE_ERROR, PROTOCOL_ERROR},
        "6.1",
    ),
    "HEADERS without its priority": (
        frame(HEADERS, 1, b"\0\0", 0x20 | END_HEADERS),
        {FRAME_SIZE_ERROR, PROTOCOL_ERROR},
        "6.2",
    ),
}


def block(fields: bytes) -> bytes:
    """A call whose header block ends with these bytes."""
    return frame(HEADERS, 1, PLAIN_CALL + fields, END_HEADERS | END_STREAM)


#: The same for RFC 7541; all of them are COMPRESSION_ERROR (RFC 9113, section 4.3).
COMPRESSION: Final[dict[str, tuple[bytes, str]]] = {
    "index 0": (block(b"\x80"), "6.1"),
    "an index beyond both tables": (block(b"\xbe"), "2.3.3"),
    "an index of 2^60": (block(b"\xff" + b"\xff" * 8 + b"\x0f"), "5.1"),
    "an integer without end": (block(b"\xff" + b"\xff" * 500), "5.1"),
    "an integer with zeros without end": (block(b"\xff" + b"\x80" * 500 + b"\0"), "5.1"),
    "an integer that is cut off": (block(b"\xff\xff"), "5.1"),
    "a name that is cut off": (block(b"\0\x05ab"), "5.2"),
    "a value that is cut off": (block(b"\0\x01a\x05b"), "5.2"),
    "no value": (block(b"\0\x01a"), "5.2"),
    "Huffman code with EOS": (block(b"\0\x01a\x84\xff\xff\xff\xff"), "5.2"),
    "Huffman padding of 8 bits": (block(b"\0\x01a\x82\x1f\xff"), "5.2"),
    "Huffman padding of zeros": (block(b"\0\x01a\x81\x18"), "5.2"),
    "a table above SETTINGS_HEADER_TABLE_SIZE": (
        frame(HEADERS, 1, integer(2**20, 5, 0x20) + PLAIN_CALL, END_HEADERS | END_STREAM),
        "6.3",
    ),
    "a change of the table's size at the end of a block": (block(b"\x20"), "4.2"),
}


@pytest.mark.parametrize("name", CONNECTION)
async def test_connection_errors(name: str, dial: Any, bystander: Any) -> None:
    """GOAWAY with the code of the rule, and the end of the connection."""
    sent, codes, section = CONNECTION[name]
    client = await dial()
    await client.send(sent)
    goaways = await client.end()
    assert goaways, section
    assert len(goaways) == 1
    assert goaways[0].code in codes, (goaways, section)


@pytest.mark.parametrize("name", COMPRESSION)
async def test_compression_errors(name: str, dial: Any, bystander: Any) -> None:
    """A header block that cannot be read leaves the tables of both sides apart: the connection ends."""
    sent, section = COMPRESSION[name]
    client = await dial()
    await client.send(sent)
    assert [each.code for each in await client.end()] == [COMPRESSION_ERROR], section


#: What ends one stream only: what is sent on stream 1, and the codes that its rule allows.
STREAM: Final[dict[str, tuple[bytes, set[int], str]]] = {
    "WINDOW_UPDATE of 0": (OPEN + window(1, 0), {PROTOCOL_ERROR}, "6.9"),
    "WINDOW_UPDATE beyond 2^31-1": (OPEN + window(1, 2**31 - 1), {FLOW_CONTROL_ERROR}, "6.9.1"),
    "an uppercase name": (
        frame(HEADERS, 1, PLAIN_CALL + literal(b"X-A", b"1"), END_HEADERS),
        {PROTOCOL_ERROR},
        "8.2.1",
    ),
    "a name with a space": (
        frame(HEADERS, 1, PLAIN_CALL + literal(b"x a", b"1"), END_HEADERS),
        {PROTOCOL_ERROR},
        "8.2.1",
    ),
    "a value with a line break": (
        frame(HEADERS, 1, PLAIN_CALL + literal(b"x-a", b"1\r\nx: y"), END_HEADERS),
        {PROTOCOL_ERROR},
        "8.2.1",
    ),
    "a pseudo-header of a response": (
        frame(HEADERS, 1, literal(b":status", b"200") + PLAIN_CALL, END_HEADERS),
        {PROTOCOL_ERROR},
        "8.3",
    ),
    "a pseudo-header behind others": (
        frame(HEADERS, 1, literal(b"x-a", b"1") + PLAIN_CALL, END_HEADERS),
        {PROTOCOL_ERROR},
        "8.3",
    ),
    "a pseudo-header twice": (
        frame(HEADERS, 1, literal(b":path", b"/a") + PLAIN_CALL, END_HEADERS),
        {PROTOCOL_ERROR},
        "8.3.1",
    ),
    "no path": (
        frame(HEADERS, 1, literal(b":method", b"POST") + literal(b":scheme", b"http"), END_HEADERS),
        {PROTOCOL_ERROR},
        "8.3.1",
    ),
    "a field of the connection": (
        frame(HEADERS, 1, PLAIN_CALL + literal(b"connection", b"close"), END_HEADERS),
        {PROTOCOL_ERROR},
        "8.2.2",
    ),
    "more DATA than content-length": (
        frame(HEADERS, 1, PLAIN_CALL + literal(b"content-length", b"1"), END_HEADERS)
        + frame(DATA, 1, message(rpc()), END_STREAM),
        {PROTOCOL_ERROR},
        "8.1.1",
    ),
    "HEADERS twice without the end of the stream": (OPEN + OPEN, {PROTOCOL_ERROR}, "8.1"),
}


@pytest.mark.parametrize("name", STREAM)
async def test_stream_errors(name: str, dial: Any) -> None:
    """The stream is reset with the code of the rule, and the next one on the same connection is served."""
    sent, codes, section = STREAM[name]
    client = await dial()
    client.next_stream()
    await client.send(sent)
    reply = await client.reply(1)
    assert reply.reset in codes, (reply, section)
    assert (await client.call(rpc())).code == 0
    assert client.goaways == []


async def test_data_after_the_end(dial: Any) -> None:
    """DATA on a stream that its caller has ended is STREAM_CLOSED (section 5.1)."""
    client = await dial()
    stream = await client.begin(rpc(method="wait"))
    await client.send(frame(DATA, stream, b"more"))
    await client.until(lambda: client.goaways or client.seen[RST_STREAM])
    found = [each.code for each in client.goaways] or [(await client.reply(stream)).reset]
    assert found == [STREAM_CLOSED]


async def test_data_beyond_the_window(dial: Any, bystander: Any) -> None:
    """More than the windows allow is a FLOW_CONTROL_ERROR (section 6.9); the hook of this stream reads nothing."""
    client = await dial()
    stream = await client.begin(None, BIDIRECTIONAL)
    await client.send(frame(DATA, stream, message(subscribe())))
    piece = frame(DATA, stream, message(bytes(16_000)))
    for _ in range(4096):
        if client.closed or client.seen[RST_STREAM] or not await client.send(piece):
            break
    await client.until(lambda: client.goaways or client.seen[RST_STREAM])
    found = {each.code for each in client.goaways}
    found |= {int.from_bytes(each.payload, "big") for each in client.frames if each.kind == RST_STREAM}
    assert found == {FLOW_CONTROL_ERROR}


#: What somebody sends first who speaks something else.
STRANGERS: Final = {
    "HTTP/1.1": b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/1.1 that wants to upgrade": b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500),
    "almost a preface": PREFACE[:-1] + b"X" + settings({}),
    "no settings after the preface": PREFACE + frame(PING, payload=bytes(8)),
    "settings of 16 MiB": PREFACE + b"\xff\xff\xff\x04\0\0\0\0\0",
    "noise": bytes(range(256)) * 8,
}


@pytest.mark.parametrize("name", STRANGERS)
async def test_strangers(name: str, dial: Any, bystander: Any) -> None:
    """Whoever does not speak HTTP/2 is let go (section 3.4)."""
    client = await dial(raw=True)
    await client.send(STRANGERS[name])
    client.read()
    await client.until(lambda: client.closed)
    assert client.closed
