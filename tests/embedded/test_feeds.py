"""Subscriptions that a hook feeds, for as long as they last."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtbridge import (
    ClientError,
    Disconnect,
    Publication,
    SubscribeBidirectionalEvent,
    SubscribeResult,
    SubscribeUnidirectionalEvent,
    hookimpl,
)
from tests.embedded.conftest import Start

ONE_WAY: dict[str, Any] = {"subscribe_stream_proxy_enabled": True}
BOTH: dict[str, Any] = {**ONE_WAY, "subscribe_stream_proxy_bidirectional": True}


class Feed:
    """A stream of two publications that goes on until it is told how to end."""

    def __init__(self, first: Any = None) -> None:
        self.first = SubscribeResult(data="hello") if first is None else first
        self.go = asyncio.Event()
        self.end: Exception | None = None
        self.seen: list[Any] = []
        self.closed = False

    async def _stream(self, event: Any) -> AsyncIterator[Any]:
        try:
            if isinstance(self.first, Exception):
                raise self.first
            yield self.first
            yield Publication(data={"n": 1}, tags={"k": "v"})
            await self.go.wait()
            if self.end is not None:
                raise self.end
            yield Publication(data={"n": 2})
        finally:
            self.closed = True

    @hookimpl
    async def on_subscribe_unidirectional(self, event: SubscribeUnidirectionalEvent) -> AsyncIterator[Any]:
        self.seen.append(event)
        async for item in self._stream(event):
            yield item

    @hookimpl
    async def on_subscribe_bidirectional(self, event: SubscribeBidirectionalEvent) -> AsyncIterator[Any]:
        yield SubscribeResult()
        async for received in event.incoming:
            yield Publication(data={"echo": received.data})


async def started(desk: Start, feed: Feed, options: dict[str, Any]) -> tuple[Any, Any]:
    """A node with the stream, and a client that has subscribed."""
    node = await desk(feed, client={"insecure": True}, channel={"without_namespace": options})
    client = node.user()
    client.send({"id": 2, "subscribe": {"channel": "c", "data": {"from": 1}}})
    await node.settle()
    await node.settle()
    return node, client


async def test_a_stream_from_its_first_message_to_its_end(desk: Start) -> None:
    """The first message answers, the others are publications for this client alone, the end unsubscribes with 2000."""
    feed = Feed()
    node, client = await started(desk, feed, ONE_WAY)
    push = {"push": {"channel": "c", "pub": {"data": {"n": 1}, "tags": {"k": "v"}}}}
    assert client.take() == [{"id": 2, "subscribe": {"data": "hello"}}, push]
    assert (feed.seen[0].data, feed.seen[0].channel, feed.seen[0].via) == ({"from": 1}, "c", "embedded")
    feed.go.set()
    await node.settle()
    unsubscribe = {"push": {"channel": "c", "unsubscribe": {"code": 2000, "reason": "server unsubscribe"}}}
    assert client.take() == [{"push": {"channel": "c", "pub": {"data": {"n": 2}}}}, unsubscribe]
    assert client.session.channels == {}


@pytest.mark.parametrize(
    ("error", "code"), [(RuntimeError("bug"), 2500), (Disconnect(4000, "x"), 2000), (ClientError(1000, "x"), 2000)]
)
async def test_a_stream_that_fails(error: Exception, code: int, desk: Start) -> None:
    """A bug makes the client subscribe again; an answer after the start is an end."""
    feed = Feed()
    feed.end = error
    node, client = await started(desk, feed, ONE_WAY)
    client.take()
    feed.go.set()
    await node.settle()
    assert [each["push"]["unsubscribe"]["code"] for each in client.take()] == [code]


@pytest.mark.parametrize(
    ("first", "seen"),
    [
        (ClientError(1000, "no"), {"code": 1000, "message": "no"}),
        (RuntimeError("bug"), {"code": 100, "message": "internal server error", "temporary": True}),
        (Disconnect(4501, "go"), (4501, "go")),
    ],
)
async def test_a_stream_that_does_not_start(first: Exception, seen: Any, desk: Start) -> None:
    """What the hook raises before its first message answers the subscribe."""
    _, client = await started(desk, Feed(first), ONE_WAY)
    if isinstance(seen, tuple):
        assert client.closed == seen
    else:
        assert client.take() == [{"id": 2, "error": seen}]
    assert client.session.channels == {}


@pytest.mark.parametrize("way", ["unsubscribe", "disconnect"])
async def test_the_hook_hears_that_the_client_left(way: str, desk: Start) -> None:
    """An unsubscribe and a lost connection end the stream at once."""
    feed = Feed()
    node, client = await started(desk, feed, ONE_WAY)
    assert not feed.closed
    if way == "unsubscribe":
        client.send({"id": 3, "unsubscribe": {"channel": "c"}})
    else:
        client.session.disconnected()
    await node.settle()
    assert feed.closed


async def test_publishing_into_a_stream(desk: Start) -> None:
    """A bidirectional stream gets what its client publishes; other streams, and no stream at all, take nothing."""
    node, client = await started(desk, Feed(), BOTH)
    client.take()
    client.send({"id": 3, "publish": {"channel": "c", "data": {"a": 1}}})
    await node.settle()
    assert client.take() == [
        {"id": 3, "publish": {}},
        {"push": {"channel": "c", "pub": {"data": {"echo": {"a": 1}}}}},
    ]
    not_available = {"code": 108, "message": "not available"}
    assert client.do("publish", channel="other", data=1) == not_available
    _, listener = await started(desk, Feed(), ONE_WAY)
    assert listener.do("publish", channel="c", data=1) == not_available


async def test_a_stream_that_does_not_keep_up(desk: Start) -> None:
    """What waits for the hook is bounded; more is an error that says to try again."""
    _, client = await started(desk, Feed(), BOTH)
    client.take()
    answers = [client.do("publish", channel="c", data=1) for _ in range(300)]
    assert answers.count({}) == 256
    assert {"code": 111, "message": "too many requests", "temporary": True} in answers
