"""HPACK against the ``hpack`` package: what one writes the other reads, and what one refuses so does the other."""

import os
from typing import Any, Final

import hpack
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rtbridge.transport.builtin.connection import Connection
from rtbridge.transport.builtin.hpack import Decoder, HpackError, indexed_literal, literal
from rtbridge.transport.builtin.streams import Stream
from tests.transport.builtin import h2
from tests.transport.builtin.h2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADER_TABLE_SIZE,
    HEADERS,
    PREFACE,
    call_headers,
    frame,
    integer,
    message,
    read,
    split,
)

# Many examples, under coverage in CI.
pytestmark = pytest.mark.timeout(120)

fuzz = settings(deadline=None, derandomize=bool(os.environ.get("CI")))

TIMEOUT: Final = b"grpc-timeout"

#: What was offered to callers, and what nobody can exceed.
TABLE: Final = 4096

#: The bound of a header list in the peer; a list of these tests stays below it.
LIST: Final = 1 << 20

names = st.one_of(
    st.sampled_from([b":path", b":method", b"content-type", b"user-agent", b"cookie", b"x-a", b"x-b", TIMEOUT]),
    st.binary(min_size=1, max_size=12),
)
values = st.one_of(st.sampled_from([b"", b"POST", b"application/grpc", b"1S", b"99m"]), st.binary(max_size=200))
fields = st.tuples(names, values, st.booleans())

#: Header blocks of one connection: its fields, whether they are Huffman coded, and a new size of the table before it.
blocks = st.lists(
    st.tuples(st.lists(fields, max_size=12), st.booleans(), st.one_of(st.none(), st.integers(0, TABLE))),
    max_size=8,
)


@fuzz
@given(blocks)
def test_what_the_peer_writes(given_blocks: list[tuple[list[tuple[bytes, bytes, bool]], bool, int | None]]) -> None:
    """Header lists in any order, with any changes of the table: all of them arrive as they were written."""
    encoder, whole, parted = hpack.Encoder(), Decoder(), Decoder(TIMEOUT)
    for listed, huffman, size in given_blocks:
        if size is not None:
            encoder.header_table_size = size
        block = encoder.encode([hpack.HeaderTuple(n, v) if i else _never(n, v) for n, v, i in listed], huffman)
        wanted = [(name, value) for name, value, _ in listed]
        found, apart = whole.decode(block)
        assert [(each.name, each.value) for each in found] == wanted
        assert apart is None
        found, apart = parted.decode(block)
        assert [(each.name, each.value) for each in found] == [each for each in wanted if each[0] != TIMEOUT]
        timeouts = [value for name, value in wanted if name == TIMEOUT]
        assert (None if apart is None else apart.value) == (timeouts[-1] if timeouts else None)


def _never(name: bytes, value: bytes) -> hpack.HeaderTuple:
    return hpack.NeverIndexedHeaderTuple(name, value)


#: A call of a caller that repeats itself: its path, now and then another field, and a new size of the table.
repeated = st.tuples(
    st.sampled_from(["/a/A", "/a/B"]),
    st.one_of(
        *[st.none()] * 6, st.tuples(st.sampled_from([b"x-a", b"x-b"]), st.sampled_from([b"", b"\xbe", b"v" * 900]))
    ),
    st.one_of(*[st.none()] * 30, st.sampled_from([0, 200, 400, TABLE])),
)


@fuzz
@given(st.lists(st.tuples(repeated, st.integers(1, 60)), min_size=1, max_size=16), st.booleans())
def test_calls_that_repeat(runs: list[tuple[Any, int]], huffman: bool) -> None:
    """Calls that differ in their timeout, until entries leave the table: each arrives as it was written.

    There are more timeouts than the table holds, so that most are written out, and few enough to come again.
    """
    encoder, decoder, number = hpack.Encoder(), Decoder(TIMEOUT), 0
    for (path, extra, size), times in runs:
        if size is not None:
            encoder.header_table_size = size
        for _ in range(times):
            number = (number + 1) % 100
            timeout = b"%dm" % (1000 + number)
            own = [(name.encode(), value.encode()) for name, value in call_headers(path)]
            listed = [*own[:4], (TIMEOUT, timeout), *own[4:], *([] if extra is None else [extra])]
            found, apart = decoder.decode(encoder.encode([hpack.HeaderTuple(*each) for each in listed], huffman))
            assert [(each.name, each.value) for each in found] == [each for each in listed if each[0] != TIMEOUT]
            assert apart is not None
            assert apart.value == timeout


def test_index_0_before_a_timeout() -> None:
    """Index 0 is an error (section 6.1) also where a timeout follows that was seen before."""
    Decoder(TIMEOUT).decode(literal(TIMEOUT, b"1S"))
    with pytest.raises(HpackError):
        Decoder(TIMEOUT).decode(b"\x80" + integer(2, 7) + b"1S")


#: Pieces of header blocks, in order and not.
pieces = st.one_of(
    st.integers(0, 200).map(lambda index: integer(index, 7, 0x80)),
    st.integers(0, TABLE + 10).map(lambda size: integer(size, 5, 0x20)),
    st.tuples(st.sampled_from([(6, 0x40), (4, 0), (4, 0x10)]), st.integers(0, 80), st.binary(max_size=40)).map(
        lambda each: integer(each[1], each[0][0], each[0][1]) + integer(len(each[2]), 7) + each[2]
    ),
    st.tuples(st.binary(max_size=10), st.binary(max_size=600)).map(
        lambda each: b"\x40" + integer(len(each[0]), 7) + each[0] + integer(len(each[1]), 7) + each[1]
    ),
    st.binary(max_size=20).map(lambda coded: b"\x00\x01a" + integer(len(coded), 7, 0x80) + coded),
    st.binary(max_size=8),
)


@fuzz
@given(st.lists(st.lists(pieces, max_size=10).map(b"".join), max_size=5))
@example([b"\x20\x20\x82"])
@example([b"\x3f\xe1\x1f", b"\x3f\xe2\x1f"])
def test_any_bytes(given_blocks: list[bytes]) -> None:
    """Bytes of all kinds: both read the same from them, or neither reads anything."""
    peer, ours = hpack.Decoder(max_header_list_size=LIST), Decoder()
    for block in given_blocks:
        try:
            wanted = [tuple(each) for each in peer.decode(block, raw=True)]
        except (hpack.HPACKError, UnicodeDecodeError):
            wanted = None
        try:
            found: list[tuple[bytes, bytes]] | None = [(each.name, each.value) for each in ours.decode(block)[0]]
        except HpackError:
            found = None
        assert found == wanted
        if found is None:
            break  # the connection is over


@fuzz
@given(st.lists(st.tuples(names, st.binary(max_size=400)), max_size=20), st.integers(1, 61), st.binary(max_size=400))
def test_what_we_write(pairs: list[tuple[bytes, bytes]], index: int, value: bytes) -> None:
    """Our literals say to the peer what they are to say."""
    peer = hpack.Decoder(max_header_list_size=LIST)
    written = b"".join(literal(*each) for each in pairs) + indexed_literal(index, value)
    *found, last = [tuple(each) for each in peer.decode(written, raw=True)]
    assert found == pairs
    assert last[1] == value
    assert [each[1] for each in peer.decode(b"\xbe", raw=True)] == [value]


#: What becomes of a call: its reply, or its failure's text.
outcomes = st.one_of(st.binary(max_size=50), st.text(max_size=50))


@fuzz
@given(
    st.lists(st.tuples(outcomes, st.one_of(st.none(), st.sampled_from([0, 31, 64, 100, 4096, 65_536]))), max_size=12)
)
def test_replies(calls: list[tuple[bytes | str, int | None]]) -> None:
    """Replies and failures on one connection, whatever table the peer keeps: it reads every head and every status."""
    connection, peer = Connection(), hpack.Decoder()
    connection.receive(PREFACE + h2.settings({}))
    encoder, number = hpack.Encoder(), 1
    for outcome, size in calls:
        if size is not None:
            connection.receive(h2.settings({HEADER_TABLE_SIZE: size}))
            peer.max_allowed_table_size = size
        head = frame(HEADERS, number, encoder.encode(call_headers()), END_HEADERS)
        (call,) = connection.receive(head + frame(DATA, number, message(b""), END_STREAM))
        assert isinstance(call, Stream)
        if isinstance(outcome, bytes):
            connection.respond(call, outcome)
        else:
            connection.fail(call, 13, outcome)
        lists = [
            read(peer, each.payload)
            for each in split(connection.data_to_send())
            if each.kind == HEADERS and each.stream == number
        ]
        if isinstance(outcome, bytes):
            assert lists == [{":status": "200", "content-type": "application/grpc"}, {"grpc-status": "0"}]
        else:
            (only,) = lists
            assert (only[":status"], only["grpc-status"]) == ("200", "13")
        number += 2
