"""What parent and worker say to one another, written and read."""

import asyncio
import contextlib
import random
import socket
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtbridge.app import Listing
from rtbridge.workers import frames
from rtbridge.workers.frames import (
    MAX_BATCH,
    TO_PARENT,
    TO_WORKER,
    Answer,
    ApiCall,
    ApiReply,
    Ask,
    AskOut,
    Cancel,
    Credit,
    Drain,
    Ended,
    EndStreams,
    Failed,
    FrameError,
    Incoming,
    Item,
    Load,
    PackedHeaders,
    Ping,
    Pong,
    Ready,
    Refuse,
    Retire,
    Serving,
    Start,
    StoreCall,
    StoreReply,
    StreamEnd,
    Unpacker,
    pack,
    pack_headers,
)
from rtbridge.workers.link import Link

_ids = st.integers(0, 2**63 - 1)
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
_bytes = st.binary(max_size=200)
_times = st.none() | st.floats(0, 1e9)
_headers = st.lists(st.tuples(_text | _bytes, _text | _bytes), max_size=5)
_packed = _headers.map(pack_headers)

TO_WORKERS = st.one_of(
    st.builds(Start, number=_ids, config=_bytes, path=st.lists(_text, max_size=4), lazy=st.booleans()),
    st.builds(Serving),
    st.builds(
        Ask,
        id=_ids,
        route=st.integers(0, 50),
        via=_text,
        deadline=_times,
        headers=_packed,
        body=_bytes,
        incoming=st.booleans(),
    ),
    st.builds(
        Refuse,
        id=_ids,
        kind=_text,
        wire=st.sampled_from(["proto", "json", ""]),
        via=_text,
        deadline=_times,
        headers=_packed,
        name=_text,
        raw=_bytes,
        why=_text,
    ),
    st.builds(Cancel, _ids),
    st.builds(Incoming, _ids, st.none() | _bytes),
    st.builds(Credit, _ids, _ids),
    st.builds(Ping),
    st.builds(ApiReply, _ids, _bytes, _ids, _text),
    st.builds(StoreReply, _ids, _bytes, _text, _text),
    st.builds(EndStreams),
    st.builds(Drain),
)

TO_PARENTS = st.one_of(
    st.builds(
        Ready,
        st.builds(Listing, st.lists(_text, max_size=3), st.lists(_text, max_size=3), _ids, _ids),
        st.lists(_text, max_size=3),
    ),
    st.builds(Failed, _text),
    st.builds(Answer, _ids, _bytes, _text, _text, st.booleans()),
    st.builds(Ended, _ids),
    st.builds(Item, _ids, _bytes),
    st.builds(StreamEnd, _ids, _text),
    st.builds(Credit, _ids, _ids),
    st.builds(Pong),
    st.builds(ApiCall, _ids, _text, _bytes),
    st.builds(StoreCall, _ids, _text, _text, _bytes),
    st.builds(Load, _ids, _ids, st.booleans()),
    st.builds(Retire, _text),
)


def plain(frame: Any) -> tuple[Any, ...]:
    """A frame as values that compare; packed headers as they are read."""
    values = msgspec.structs.astuple(frame)
    return type(frame).__name__, *(
        [tuple(pair) for pair in PackedHeaders(v).pairs()] if isinstance(v, msgspec.Raw) else v for v in values
    )


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes in pieces."""
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@pytest.mark.parametrize(("frame", "decoder"), [(TO_WORKERS, TO_WORKER), (TO_PARENTS, TO_PARENT)], ids=["down", "up"])
@given(data=st.data())
def test_what_is_written_is_read_however_it_arrives(frame: Any, decoder: Any, data: st.DataObject) -> None:
    batches = data.draw(st.lists(st.lists(frame, min_size=1, max_size=6), max_size=5))
    stream = b"".join(pack(batch) for batch in batches)
    unpacker = Unpacker[Any](decoder)
    found: list[Any] = []
    for piece in pieces(stream, data.draw(st.lists(st.integers(0, 10_000), max_size=8))):
        found += unpacker.feed(piece)
    assert [plain(each) for each in found] == [plain(each) for batch in batches for each in batch]


@pytest.mark.parametrize("decoder", [TO_WORKER, TO_PARENT], ids=["down", "up"])
@given(pieces=st.lists(st.binary(max_size=60), max_size=10))
def test_any_bytes_are_frames_or_a_frame_error(decoder: Any, pieces: list[bytes]) -> None:
    unpacker = Unpacker[Any](decoder, limit=1000)
    try:
        for piece in pieces:
            assert isinstance(unpacker.feed(piece), list)
    except FrameError:
        return
    assert len(unpacker._buffer) < 1004 + 60


@given(batch=st.lists(TO_PARENTS, min_size=1, max_size=3), seed=st.integers(0, 2**32))
def test_damaged_batches_are_frames_or_a_frame_error(batch: list[Any], seed: int) -> None:
    chance = random.Random(seed)
    damaged = bytearray(pack(batch))
    for _ in range(chance.randint(1, 4)):
        damaged[chance.randrange(len(damaged))] = chance.randrange(256)
    with contextlib.suppress(FrameError):
        Unpacker[Any](TO_PARENT).feed(bytes(damaged))


@given(pairs=_headers)
def test_a_call_is_read_as_it_is_sent(pairs: list[tuple[str | bytes, str | bytes]]) -> None:
    (ask,) = Unpacker[Any](TO_WORKER).feed(pack([AskOut(7, 3, "grpcio", 1.5, tuple(pairs), b"body", True)]))
    assert (ask.id, ask.route, ask.via, ask.deadline, ask.body, ask.incoming) == (7, 3, "grpcio", 1.5, b"body", True)
    assert [tuple(pair) for pair in PackedHeaders(ask.headers).pairs()] == pairs


def test_a_batch_that_is_too_long_is_refused_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_BATCH > 4 * frames.MAX_PAYLOAD - 1
    monkeypatch.setattr(frames, "MAX_BATCH", 100)
    with pytest.raises(FrameError, match=r"a batch of \d+ bytes; at most 100"):
        pack([Item(1, b"x" * 100)])
    with pytest.raises(FrameError, match="says that it has"):
        Unpacker[Any](TO_PARENT, limit=100).feed(b"\x00\x00\x00\x65")


def test_frames_of_the_other_direction_are_refused() -> None:
    with pytest.raises(FrameError, match="not a list of frames"):
        Unpacker[Any](TO_PARENT).feed(pack([Drain()]))


def test_text_that_is_no_text_is_made_one() -> None:
    assert frames.clean("a\udcffb") == "a\\udcffb"
    assert Unpacker[Any](TO_PARENT).feed(pack([Failed(frames.clean("\ud800"))])) == [Failed("\\ud800")]


async def test_a_link_that_closes_says_what_it_could_not(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(frames, "MAX_BATCH", 100)
    end, other = socket.socketpair()
    lost: list[bool] = []
    link = await Link.over(end, Unpacker(TO_WORKER), lambda batch: None, lambda: lost.append(True))
    link.send(Item(1, b"x" * 100))
    link.close()
    await asyncio.wait_for(link.gone.wait(), 10)
    other.close()
    assert lost == [True]
    assert "what was left to say over a link is lost: a batch of " in caplog.text
