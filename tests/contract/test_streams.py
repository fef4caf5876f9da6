"""Subscription streams: how they start, carry publications, and end."""

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtbridge import (
    ClientError,
    Disconnect,
    Event,
    Outcome,
    Publication,
    Router,
    SubscribeBidirectionalEvent,
    SubscribeResult,
    SubscribeUnidirectionalEvent,
    hookimpl,
)
from rtbridge.events import METHODS

KINDS = ["subscribe_unidirectional", "subscribe_bidirectional"]
# Not error 100 in the answer: Centrifugo drops its `temporary`, and adds both of its own to a call that fails.
FAILED = {"failure": "internal"}
DENIED = {"disconnect": {"code": 4500, "reason": "not handled"}}


class Recorder:
    """Remembers how events ended."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []
        self.ended = asyncio.Event()

    @hookimpl
    async def after_event(self, event: Event, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.ended.set()

    async def once(self) -> Outcome:
        await asyncio.wait_for(self.ended.wait(), 10)
        (outcome,) = self.outcomes
        return outcome


def plugin(kind: str, generator: Any) -> object:
    """A plugin that streams."""
    return type("Plugin", (), {f"on_{kind}": staticmethod(hookimpl(generator))})()


def starting(error: Exception | None) -> Any:
    def items() -> list[Any]:
        if error is not None:
            raise error
        return []

    async def stream(event: Event) -> AsyncIterator[Any]:
        for item in items():
            yield item

    return stream


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("error", "first"),
    [
        pytest.param(Disconnect(4501, "no"), {"disconnect": {"code": 4501, "reason": "no"}}, id="disconnect"),
        pytest.param(ClientError(1000, "custom"), {"error": {"code": 1000, "message": "custom"}}, id="error"),
        pytest.param(RuntimeError("bug"), FAILED, id="exception"),
        pytest.param(None, DENIED, id="nothing yielded"),
    ],
)
async def test_start_denied(stream_peer: Any, kind: str, error: Exception | None, first: dict[str, Any]) -> None:
    """What a stream raises before its first item is answered like a subscribe, and the stream ends; a bug fails the
    call, because an error reply of a stream loses `temporary` on its way through Centrifugo."""
    recorder = Recorder()
    await stream_peer.start(plugin(kind, starting(error)), recorder)
    stream = await stream_peer.subscribe(kind, channel="st:1")
    assert stream.first == first
    assert await stream.next() == ({"end": True} if first != FAILED else FAILED)
    await recorder.once()


@pytest.mark.parametrize("kind", KINDS)
async def test_silence(stream_peer: Any, kind: str) -> None:
    """A stream that nobody implements is denied."""
    await stream_peer.start()
    stream = await stream_peer.subscribe(kind, channel="st:1")
    assert stream.first == DENIED
    assert await stream.next() == {"end": True}


@pytest.mark.parametrize("kind", KINDS)
async def test_start_times_out(stream_peer: Any, kind: str) -> None:
    """A stream whose first item does not come in time fails, and its generator is closed."""
    closed = asyncio.Event()

    async def stream(event: Event) -> AsyncIterator[Any]:
        try:
            await asyncio.Event().wait()
            yield SubscribeResult()
        finally:
            closed.set()

    await stream_peer.start(plugin(kind, stream), limits={"hook_timeout": "20ms"})
    assert (await stream_peer.subscribe(kind)).first == FAILED
    await asyncio.wait_for(closed.wait(), 10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "after a wait"])
async def test_publications_and_a_clean_end(stream_peer: Any, kind: str, late: bool) -> None:
    """The result comes first, then each publication, then a clean end; the after-event hook runs once, at the end."""
    recorder = Recorder()

    async def stream(event: Any) -> AsyncIterator[Any]:
        if late:
            await asyncio.sleep(0)
        yield SubscribeResult(data={"hello": event.channel}, info=[1])
        assert recorder.outcomes == []
        yield Publication(data={"n": 1}, tags={"a": "b"})
        yield Publication(data=b"\xff\x00")

    await stream_peer.start(plugin(kind, stream), recorder)
    found = await stream_peer.subscribe(kind, channel="st:1", user="7")
    assert found.first == {"result": {"data": {"hello": "st:1"}, "info": [1]}}
    assert await found.next() == {"data": {"n": 1}, "tags": {"a": "b"}}
    assert await found.next() == {"data": b"\xff\x00"}
    assert await found.next() == {"end": True}
    assert (await recorder.once()).label == "ok"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("error", "label"), [(Disconnect(4501, "no"), "disconnect 4501"), (ClientError(1000, "custom"), "error 1000")]
)
async def test_a_raised_answer_ends_it_cleanly(
    stream_peer: Any, kind: str, error: Exception, label: str, caplog: pytest.LogCaptureFixture
) -> None:
    """After its start a Disconnect or ClientError is the end of the stream, which no client resumes."""
    caplog.set_level(logging.INFO, "rtbridge.events")

    async def stream(event: Event) -> AsyncIterator[Any]:
        yield SubscribeResult()
        yield Publication(data=1)
        raise error

    recorder = Recorder()
    await stream_peer.start(plugin(kind, stream), recorder)
    found = await stream_peer.subscribe(kind)
    assert await found.next() == {"data": 1}
    assert await found.next() == {"end": True}
    await recorder.once()
    assert re.search(rf"stream ended after \d+\.\d s: {label}$", caplog.text, re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bad", ["raises", "wrong item", "unwritable item"])
async def test_a_bug_is_a_stream_error(stream_peer: Any, kind: str, bad: str, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception or item after the start fails the stream, so that clients subscribe again."""
    errors: list[BaseException] = []

    async def stream(event: Event) -> AsyncIterator[Any]:
        yield SubscribeResult()
        yield Publication(data=1)
        if bad == "raises":
            raise RuntimeError("secret detail")
        yield SubscribeResult() if bad == "wrong item" else Publication(data=object())

    class Errors:
        @hookimpl
        async def on_error(self, event: Event, error: BaseException) -> None:
            errors.append(error)

    recorder = Recorder()
    await stream_peer.start(plugin(kind, stream), recorder, Errors())
    found = await stream_peer.subscribe(kind, channel="st:1")
    assert await found.next() == {"data": 1}
    assert await found.next() == {"failure": "internal"}
    await recorder.once()
    assert len(errors) == 1
    said = {
        "raises": "a hook raised RuntimeError",
        "wrong item": f"the stream of {kind} 'st:1' yielded SubscribeResult, not Publication",
        "unwritable item": "a hook raised TypeError",
    }[bad]
    assert said in caplog.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("answer", ["wrong type", "unwritable"])
async def test_a_first_item_that_is_no_answer(stream_peer: Any, kind: str, answer: str) -> None:
    """A stream that starts with something else than a result that can be written fails and is closed."""
    closed = asyncio.Event()

    async def stream(event: Event) -> AsyncIterator[Any]:
        try:
            yield Publication(data=1) if answer == "wrong type" else SubscribeResult(data=object())
        finally:
            closed.set()

    recorder = Recorder()
    await stream_peer.start(plugin(kind, stream), recorder)
    found = await stream_peer.subscribe(kind)
    assert found.first == FAILED
    await recorder.once()
    await asyncio.wait_for(closed.wait(), 10)


@pytest.mark.parametrize("kind", KINDS)
async def test_the_client_goes_away(stream_peer: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A cancelled stream closes its generator at once, and the after-event hook runs."""
    caplog.set_level(logging.INFO, "rtbridge.events")
    waiting, closed = asyncio.Event(), asyncio.Event()

    async def stream(event: Event) -> AsyncIterator[Any]:
        try:
            yield SubscribeResult()
            waiting.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    recorder = Recorder()
    await stream_peer.start(plugin(kind, stream), recorder)
    found = await stream_peer.subscribe(kind)
    assert found.first == {"result": {}}
    await asyncio.wait_for(waiting.wait(), 10)
    await found.cancel()
    await asyncio.wait_for(closed.wait(), 10)
    await recorder.once()
    assert re.search(r"stream ended after \d+\.\d s: cancelled$", caplog.text, re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS)
async def test_drain_ends_streams(stream_peer: Any, kind: str) -> None:
    """When rtbridge stops, streams fail, so that clients subscribe again somewhere else."""
    waiting, closed = asyncio.Event(), asyncio.Event()

    async def stream(event: Event) -> AsyncIterator[Any]:
        try:
            yield SubscribeResult()
            waiting.set()
            await asyncio.Event().wait()
        finally:
            closed.set()

    recorder = Recorder()
    await stream_peer.start(plugin(kind, stream), recorder)
    found = await stream_peer.subscribe(kind)
    await asyncio.wait_for(waiting.wait(), 10)
    draining = asyncio.create_task(stream_peer.runtime.bridge.drain())
    assert await found.next() == {"failure": "internal"}
    await asyncio.wait_for(draining, 10)
    assert closed.is_set()
    await recorder.once()


async def test_incoming_publications(stream_peer: Any) -> None:
    """A bidirectional stream reads what the client publishes, until the client has no more."""
    seen: list[Any] = []

    class Plugin:
        router = Router()

        @staticmethod
        @router.on_subscribe_bidirectional("st:{room}")
        async def echo(event: SubscribeBidirectionalEvent, room: str) -> AsyncIterator[Any]:
            yield SubscribeResult(data=room)
            async for publication in event.incoming:
                seen.append((publication.data, dict(publication.tags)))
                yield Publication(data={"echo": publication.data})

    await stream_peer.start(Plugin())
    found = await stream_peer.subscribe("subscribe_bidirectional", channel="st:7")
    assert found.first == {"result": {"data": "7"}}
    await found.send(data={"n": 1}, tags={"a": "b"})
    assert await found.next() == {"data": {"echo": {"n": 1}}}
    await found.send(data=[2])
    assert await found.next() == {"data": {"echo": [2]}}
    await found.done_sending()
    assert await found.next() == {"end": True}
    assert seen == [({"n": 1}, {"a": "b"}), ([2], {})]


async def test_a_coroutine_that_gives_back_a_generator(stream_peer: Any) -> None:
    """A hook may decide first and return the stream."""

    async def items(channel: str) -> AsyncIterator[Any]:
        yield SubscribeResult()
        yield Publication(data=channel)

    async def hook(event: SubscribeUnidirectionalEvent) -> Any:
        return items(event.channel) if event.user else None

    await stream_peer.start(plugin("subscribe_unidirectional", hook))
    found = await stream_peer.subscribe("subscribe_unidirectional", channel="c", user="7")
    assert await found.next() == {"data": "c"}
    assert (await stream_peer.subscribe("subscribe_unidirectional")).first == DENIED


@pytest.mark.parametrize("kind", KINDS)
async def test_a_plain_answer_is_a_stream_without_publications(stream_peer: Any, kind: str) -> None:
    """A hook that returns a result instead of streaming lets the client in, and the stream ends."""

    async def hook(event: Event) -> SubscribeResult:
        return SubscribeResult()

    await stream_peer.start(plugin(kind, hook))
    found = await stream_peer.subscribe(kind)
    assert found.first == {"result": {}}
    assert await found.next() == {"end": True}


@pytest.mark.parametrize("at", ["hook", "first message"])
async def test_the_caller_goes_away_during_the_start(grpc_peer: Any, at: str) -> None:
    """Nothing of a stream is left when its caller leaves while the hook decides, or before it read the answer."""
    reached, closed = asyncio.Event(), asyncio.Event()

    async def stream(event: Event) -> AsyncIterator[Any]:
        try:
            reached.set()
            if at == "hook":
                await asyncio.Event().wait()
            yield SubscribeResult(data="x" * 20_000_000)  # more than a connection buffers: sending waits for a reader
        finally:
            closed.set()

    recorder = Recorder()
    await grpc_peer.start(plugin("subscribe_unidirectional", stream), recorder)
    call: Any = grpc_peer.channel.unary_stream(METHODS["subscribe_unidirectional"].path)(b"")
    await asyncio.wait_for(reached.wait(), 10)
    call.cancel()
    await asyncio.wait_for(closed.wait(), 10)
    assert (await recorder.once()).failure == "cancelled"
    assert grpc_peer.runtime.bridge.active == 0
