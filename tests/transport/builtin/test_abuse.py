"""What is done to HTTP/2 servers to wear them down: it ends with GOAWAY, in bounded memory, and nobody else feels it.

Every test prints what the abuse cost the server; only memory has a bar. Sources: RFC 9113, section 10.5, and the
advisories that a test names.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pytest

from tests.transport.builtin import h2

# Each wait has its own bound; together they take a while on a machine that is busy.
pytestmark = pytest.mark.timeout(120)

#: Frames of one chunk of a flood, and its chunks: a hundred thousand frames end it.
CHUNK: Final = 500
CHUNKS: Final = 200

#: A frame type that no document defines.
UNKNOWN: Final = 0xFA

HALF_OPEN: Final = h2.frame(h2.HEADERS, 1, h2.PLAIN_CALL, h2.END_HEADERS)


async def flood(client: h2.Client, chunks: Iterable[bytes], start: bytes = b"") -> None:
    """Send chunk after chunk; the server has to end the connection, and for the abuse."""
    await client.send(start)
    for chunk in chunks:
        if client.closed or not await client.send(chunk):
            break
    goaways = await client.end()
    assert [each.code for each in goaways] == [h2.ENHANCE_YOUR_CALM], goaways


def many(each: bytes) -> list[bytes]:
    """Chunks of one frame."""
    return [each * CHUNK] * CHUNKS


def calls(*after: bytes) -> Iterator[bytes]:
    """Chunks of new streams with what follows on each; its stream number is written into it."""
    stream = 1
    for _ in range(CHUNKS):
        parts = []
        for _ in range(CHUNK):
            parts.append(h2.frame(h2.HEADERS, stream, h2.PLAIN_CALL, h2.END_HEADERS))
            parts += [each[:5] + stream.to_bytes(4, "big") + each[9:] for each in after]
            stream += 2
        yield b"".join(parts)


#: Frames that ask for work and are part of no call: name → the frame, and what is sent before the first.
FLOODS: Final = {
    "settings": (h2.settings({}), b""),
    "settings that change windows": (
        h2.settings({h2.INITIAL_WINDOW_SIZE: 0}) + h2.settings({h2.INITIAL_WINDOW_SIZE: 65_535}),
        b"".join(h2.frame(h2.HEADERS, stream, h2.PLAIN_CALL, h2.END_HEADERS) for stream in range(1, 201, 2)),
    ),
    "acknowledged settings": (h2.frame(h2.SETTINGS, flags=h2.ACK), b""),
    "pings": (h2.frame(h2.PING, payload=bytes(8)), b""),
    "acknowledged pings": (h2.frame(h2.PING, payload=bytes(8), flags=h2.ACK), b""),
    "priorities": (h2.frame(h2.PRIORITY, 1, bytes(3) + b"\0\x10"), b""),
    "priorities of idle streams": (h2.frame(h2.PRIORITY, 99_999, bytes(5)), b""),
    "unknown frames": (h2.frame(UNKNOWN, payload=bytes(8)), b""),
    "empty data": (h2.frame(h2.DATA, 1), HALF_OPEN),
    "padding alone": (h2.frame(h2.DATA, 1, b"\xff" + bytes(255), h2.PADDED), HALF_OPEN),
    "windows of a connection": (h2.window(0, 1), b""),
    "windows of a stream": (h2.window(1, 1), HALF_OPEN),
    "resets of an ended stream": (h2.reset(1), HALF_OPEN),
    "a block without end": (
        h2.frame(h2.CONTINUATION, 1, h2.literal(b"a", b"b")),
        h2.frame(h2.HEADERS, 1, h2.PLAIN_CALL),
    ),
    "an empty block without end": (h2.frame(h2.CONTINUATION, 1), h2.frame(h2.HEADERS, 1, h2.PLAIN_CALL)),
    "a large block without end": (
        h2.frame(h2.CONTINUATION, 1, h2.literal(b"x-large", bytes(65) * 100) * 2),
        h2.frame(h2.HEADERS, 1, h2.PLAIN_CALL),
    ),
}


@pytest.mark.parametrize("name", FLOODS)
async def test_floods(name: str, dial: Any, costs: Any, bystander: Any) -> None:
    """Frames without end (CVE-2019-9512, 9515, 9518, CVE-2024-27316 and what they have in common)."""
    each, start = FLOODS[name]
    client = await dial()
    with costs(name, within=4):
        await flood(client, many(each), start)


@pytest.mark.parametrize("name", ["settings", "pings"])
async def test_answers_that_nobody_reads(name: str, dial: Any, costs: Any, bystander: Any) -> None:
    """The same by somebody who does not take the answers (CVE-2019-9512): they do not pile up.

    The connection ends; whether GOAWAY still finds room on the way to such a peer is left to the system.
    """
    each, _ = FLOODS[name]
    client = await dial(raw=True, receive_buffer=4096)
    with costs(f"{name} whose answers nobody reads", within=4):
        await client.send(h2.PREFACE, h2.settings({}))
        for chunk in many(each):
            if not await client.send(chunk):
                break
        client.read()
        await client.end()


async def test_rapid_reset(dial: Any, costs: Any, bystander: Any) -> None:
    """Calls that are given up as soon as they are made (CVE-2023-44487)."""
    client = await dial()
    with costs("rapid reset", within=8):
        await flood(client, calls(h2.reset(0)))


async def test_resets_on_our_side(dial: Any, costs: Any, bystander: Any) -> None:
    """Calls made so that the server has to reset them (CVE-2025-8671): a window update of nothing."""
    client = await dial()
    with costs("made you reset", within=8):
        await flood(client, calls(h2.window(0, 0)))


async def test_a_caller_who_changes_its_mind_is_no_abuser(dial: Any) -> None:
    """Cancelled calls among answered ones, as many as a busy Centrifugo has in a moment, end no connection."""
    client = await dial()
    for _ in range(20):
        streams = [await client.begin(h2.rpc()) for _ in range(40)]
        await client.send(*(h2.reset(stream) for stream in streams[::2]))
        for stream in streams[1::2]:
            assert (await client.reply(stream)).code == 0
    assert await client.ping()
    assert client.goaways == []


def table_bomb(value: int, repeats: int) -> bytes:
    """A header block that puts one large field into the table and names it again and again (CVE-2016-1544, 6581)."""
    large = b"\x40" + h2.integer(3, 7) + b"x-a" + h2.integer(value, 7) + b"a" * value
    return h2.PLAIN_CALL + large + b"\xbe" * repeats


@pytest.mark.parametrize(
    ("value", "repeats"),
    [(4000, 10_000), (16, 14_000), (400, 100_000), (0, 200_000)],
    ids=["large", "small", "long", "empty"],
)
async def test_header_bombs(value: int, repeats: int, dial: Any, costs: Any, bystander: Any) -> None:
    """Small blocks that say a great deal."""
    block = table_bomb(value, repeats)
    pieces = [block[at : at + 16_384] for at in range(0, len(block), 16_384)]
    frames = [h2.frame(h2.CONTINUATION, 1, piece) for piece in pieces]
    frames[0] = h2.frame(h2.HEADERS, 1, pieces[0], 0 if len(pieces) > 1 else h2.END_HEADERS)
    if len(pieces) > 1:
        frames[-1] = h2.frame(h2.CONTINUATION, 1, pieces[-1], h2.END_HEADERS)
    client = await dial()
    with costs(f"a header bomb of {len(block):,} bytes", within=4):
        await client.send(*frames)
        assert [each.code for each in await client.end()] == [h2.ENHANCE_YOUR_CALM]


async def test_a_table_that_is_emptied_and_filled(dial: Any, costs: Any, bystander: Any) -> None:
    """A peer may change the size of the table in every block; it costs what it costs and holds no memory."""
    client = await dial()
    filled = b"".join(
        b"\x40" + h2.integer(2, 7) + b"x" + bytes([97 + i]) + h2.integer(40, 7) + b"v" * 40 for i in range(26)
    )
    block = b"\x20" + h2.integer(4096, 5, 0x20) + h2.PLAIN_CALL + filled
    with costs("tables emptied and filled", within=4):
        for _ in range(200):
            stream = client.next_stream()
            head = h2.frame(h2.HEADERS, stream, block, h2.END_HEADERS)
            await client.send(head, h2.frame(h2.DATA, stream, h2.message(h2.rpc()), h2.END_STREAM))
        assert (await client.reply(stream)).code == 0
    assert client.goaways == []


async def test_more_streams_than_are_allowed(dial: Any, costs: Any, bystander: Any) -> None:
    """Streams beyond SETTINGS_MAX_CONCURRENT_STREAMS are refused (section 5.1.2); those below stay, and are served."""
    client = await dial()
    announced = dict(struct.iter_unpack(">HI", client.frames[0].payload))
    allowed = announced[3]
    with costs(f"{allowed:,} open streams", within=32):
        streams = [client.next_stream() for _ in range(allowed + 10)]
        for at in range(0, len(streams), CHUNK):
            await client.send(
                *(h2.frame(h2.HEADERS, each, h2.PLAIN_CALL, h2.END_HEADERS) for each in streams[at : at + CHUNK])
            )
        for late in streams[allowed:]:
            assert (await client.reply(late)).reset == 7
        await client.send(h2.frame(h2.DATA, streams[0], h2.message(h2.rpc()), h2.END_STREAM))
        assert (await client.reply(streams[0])).code == 0
    assert client.goaways == []


async def test_windows_that_stay_shut(dial: Any, costs: Any, bystander: Any) -> None:
    """Replies without a window wait in bounded memory (CVE-2019-9517), and calls beyond that are refused."""
    client = await dial(values={h2.INITIAL_WINDOW_SIZE: 0})
    megabyte = h2.rpc(b"x" * 1024, "1024")
    with costs("200 replies of a megabyte with windows that stay shut", within=96):
        streams = await client.begin_all([megabyte] * 200)
        assert await client.ping()
    # It gives in: all that was not refused comes.
    await client.send(h2.settings({h2.INITIAL_WINDOW_SIZE: 2**20 * 2}), h2.window(0, 2**30))
    replies = [await client.reply(stream) for stream in streams]
    served = [each for each in replies if each.code == 0]
    assert served
    assert all(each.body is not None and len(each.body) > 2**20 for each in served)
    assert all(each.code in (0, 8, 14) or each.reset in (7, 11) for each in replies), {each.code for each in replies}


async def test_a_socket_that_nobody_reads(dial: Any, costs: Any, bystander: Any) -> None:
    """Windows wide open and nobody reads: replies wait in bounded memory, and come when somebody does."""
    client = await dial(raw=True, receive_buffer=4096)
    megabyte = h2.rpc(b"x" * 1024, "1024")
    with costs("200 replies of a megabyte that nobody reads", within=96):
        await client.send(h2.PREFACE, h2.settings({h2.INITIAL_WINDOW_SIZE: 2**31 - 1}), h2.window(0, 2**30))
        streams = await client.begin_all([megabyte] * 200)
        for _ in range(20):  # somebody else's calls come after these have been taken in
            await bystander.until(bystander.served + 1)
    client.read()
    replies = [await client.reply(stream) for stream in streams]
    assert any(each.code == 0 for each in replies)
    assert all(each.code in (0, 8, 14) or each.reset in (7, 11) for each in replies), {each.code for each in replies}


async def test_empty_messages_that_no_hook_reads(dial: Any, costs: Any, bystander: Any) -> None:
    """Messages of five bytes to streams whose hooks read none: what is kept of them is bounded all the same."""
    client = await dial()
    streams = [await client.begin(None, h2.BIDIRECTIONAL) for _ in range(8)]
    await client.send(*(h2.frame(h2.DATA, stream, h2.message(h2.subscribe())) for stream in streams))
    piece = h2.message(b"") * 3000
    with costs("empty messages that no hook reads", within=64):
        for stream in streams:
            for _ in range(2**20 // len(piece)):  # no more than the first window of a stream
                if client.closed or not await client.send(h2.frame(h2.DATA, stream, piece)):
                    break
        await client.until(lambda: client.closed or all(stream in seen(client) for stream in streams))
        for _ in range(5):
            await bystander.until(bystander.served + 1)


def seen(client: h2.Client) -> set[int]:
    """The streams on which something has come."""
    return {each.stream for each in client.frames}


async def test_a_message_of_four_gigabytes(dial: Any, costs: Any, bystander: Any) -> None:
    """An envelope that promises more than any limit is refused when it comes, and not kept in memory for."""
    client = await dial()
    with costs("a message that promises 4 GiB", within=4):
        stream = client.next_stream()
        await client.send(h2.frame(h2.HEADERS, stream, h2.PLAIN_CALL, h2.END_HEADERS))
        await client.send(h2.frame(h2.DATA, stream, b"\0\xff\xff\xff\xff" + bytes(1000)))
        reply = await client.reply(stream)
    assert reply.code == 8 or reply.reset is not None
    assert (await client.call(h2.rpc())).code == 0


async def test_a_gzip_bomb(dial: Any, costs: Any, bystander: Any) -> None:
    """A compressed message is not inflated beyond the limit."""
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(packer.compress(bytes(2**20)) for _ in range(512)), packer.flush()])
    client = await dial()
    with costs(f"{len(bomb):,} bytes that inflate to 512 MiB", within=40):
        for _ in range(3):
            stream = client.next_stream()
            block = client.encode(h2.call_headers(more=[("grpc-encoding", "gzip")]))
            body = b"\x01" + len(bomb).to_bytes(4, "big") + bomb
            pieces = [body[at : at + 16_384] for at in range(0, len(body), 16_384)]
            await client.send(h2.frame(h2.HEADERS, stream, block, h2.END_HEADERS))
            await client.send(*(h2.frame(h2.DATA, stream, each) for each in pieces[:-1]))
            await client.send(h2.frame(h2.DATA, stream, pieces[-1], h2.END_STREAM))
            reply = await client.reply(stream)
            assert reply.code in (3, 8), reply
    assert client.goaways == []
