"""Subscribe streams: the backend feeds a subscription for as long as it lasts. They travel over gRPC only."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from rtbridge import ClientError, ConnectResult, Disconnect, Publication, RPCResult, SubscribeResult

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

#: Event → a channel whose namespace has such streams.
CHANNELS: Final = {"subscribe_unidirectional": "out:1", "subscribe_bidirectional": "both:1"}

TEMPORARY: Final = {"error": {"code": 100, "message": "internal server error", "temporary": True}}


class Ended:
    """Says when a stream has been closed."""

    def __init__(self) -> None:
        self._event = asyncio.Event()

    def __enter__(self) -> None:
        return None

    def __exit__(self, *error: object) -> None:
        self._event.set()

    async def wait(self) -> None:
        """Wait for it."""
        async with asyncio.timeout(10):
            await self._event.wait()


async def test_unidirectional(stand: Any, hooks: Any) -> None:
    """The first message answers the subscribe, the later ones are publications; a clean end unsubscribes for good."""
    more = asyncio.Event()

    async def feed(event: Any) -> AsyncIterator[SubscribeResult | Publication]:
        yield SubscribeResult(info={"seat": 1}, data={"topic": "t"})
        yield Publication(data={"n": 1}, tags={"a": "1"})
        await more.wait()
        yield Publication(data={"n": 2})

    plugin = hooks(connect=ConnectResult(user="42", meta={"role": "admin"}), subscribe_unidirectional=feed)
    client = await (await stand("grpc", plugin)).client()
    reply = await client.send(subscribe={"channel": "out:1", "data": {"since": 5}})
    assert reply == {"subscribe": {"data": {"topic": "t"}}}
    event = await plugin.heard("subscribe_unidirectional")
    assert (event.channel, event.user, event.data, event.meta) == ("out:1", "42", {"since": 5}, {"role": "admin"})
    assert event.time_remaining() is None
    assert await client.push() == {"channel": "out:1", "pub": {"data": {"n": 1}, "tags": {"a": "1"}}}
    refused = await client.send(publish={"channel": "out:1", "data": {}})
    assert refused == {"error": {"code": 108, "message": "not available"}}
    more.set()
    assert await client.push() == {"channel": "out:1", "pub": {"data": {"n": 2}}}
    ended = {"code": 2000, "reason": "server unsubscribe"}
    assert await client.push() == {"channel": "out:1", "unsubscribe": ended}


async def test_bidirectional(stand: Any, hooks: Any) -> None:
    """What the client publishes goes to the hook alone, which may answer with publications."""

    async def echo(event: Any) -> AsyncIterator[SubscribeResult | Publication]:
        yield SubscribeResult()
        async for publication in event.incoming:
            yield Publication(data={"echo": publication.data}, tags={"raw": publication.raw_data.decode()})

    running = await stand("grpc", hooks(subscribe_bidirectional=echo))
    client, other = await running.client(), await running.client()
    for each in (client, other):
        assert await each.send(subscribe={"channel": "both:1"}) == {"subscribe": {}}
    for number in range(3):
        assert await client.send(publish={"channel": "both:1", "data": {"n": number}}) == {"publish": {}}
        pub = (await client.push())["pub"]
        assert pub == {"data": {"echo": {"n": number}}, "tags": {"raw": f'{{"n": {number}}}'}}
    assert await other.alive()
    assert other.pushes.empty()


@pytest.mark.parametrize("kind", CHANNELS)
async def test_the_stream_is_closed_when_the_client_is_gone(kind: str, stand: Any, hooks: Any) -> None:
    """An unsubscribe and a closed connection end the hook's generator: the one sign that a backend gets of either."""
    ended = [Ended(), Ended()]

    async def feed(event: Any) -> AsyncIterator[SubscribeResult | Publication]:
        with ended[event.data]:
            yield SubscribeResult()
            await asyncio.Event().wait()

    running = await stand("grpc", hooks(**{kind: feed}))
    clients = [await running.client(), await running.client()]
    for number, client in enumerate(clients):
        reply = await client.send(subscribe={"channel": CHANNELS[kind], "data": number})
        assert reply == {"subscribe": {}}
    await clients[0].leave()
    await ended[0].wait()
    assert await clients[1].send(unsubscribe={"channel": CHANNELS[kind]}) == {"unsubscribe": {}}
    await ended[1].wait()


def starting(cells: dict[str, Any]) -> dict[str, Any]:
    """Hooks of both kinds that do what the cell of the client's user says, before a generator or in one."""

    async def decide(event: Any) -> Any:
        cell = cells[event.user][0]
        if isinstance(cell, Exception):
            raise cell
        if cell is asyncio.Event:
            await asyncio.Event().wait()
        return cell

    async def late(event: Any) -> AsyncIterator[Any]:
        if (first := await decide(event)) is not None:
            yield first

    async def feed(event: Any) -> Any:
        return late(event) if event.data == "late" else await decide(event)

    return {"connect": lambda event: ConnectResult(user=event.data), **dict.fromkeys(CHANNELS, feed)}


async def start_each(running: Any, cells: dict[str, Any]) -> None:
    """Each cell's stream of either kind, refused in the hook and in its generator, is seen as the cell says."""

    async def play(cell: str, channel: str, when: str) -> None:
        client = await running.client(data=cell)
        seen = await client.send(subscribe={"channel": channel, "data": when})
        assert seen == cells[cell][1], (cell, channel, when)

    each = itertools.product(cells, CHANNELS.values(), ("at once", "late"))
    await asyncio.gather(*(play(*one) for one in each))


async def test_denied_streams(stand: Any, hooks: Any) -> None:
    """Before its first message a stream is denied like a subscribe."""
    cells = {
        "silence": (None, (4500, "not handled")),
        "disconnect": (Disconnect(4501, "go away"), (4501, "go away")),
        "error": (ClientError(1000, "custom"), {"error": {"code": 1000, "message": "custom"}}),
    }
    await start_each(await stand("grpc", hooks(**starting(cells))), cells)


async def test_streams_that_fail_to_start(stand: Any, hooks: Any) -> None:
    """Before its first message a stream that fails is a temporary error, so that SDKs subscribe again."""
    cells = {
        "bug": (ZeroDivisionError("a bug"), TEMPORARY),
        "wrong": (RPCResult(), TEMPORARY),
        "slow": (asyncio.Event, TEMPORARY),
    }
    await start_each(await stand("grpc", hooks(**starting(cells)), limits={"hook_timeout": "1s"}), cells)


async def test_a_temporary_error_is_final_for_a_stream(stand: Any, hooks: Any) -> None:
    """Centrifugo 6.9.1 drops ``temporary`` of an error that answers the start of a stream."""
    cells = {"temporary": (ClientError(1001, "later", temporary=True), {"error": {"code": 1001, "message": "later"}})}
    await start_each(await stand("grpc", hooks(**starting(cells))), cells)


async def test_streams_that_end(stand: Any, hooks: Any) -> None:
    """After its start a stream ends for good, or with 2500 where a bug ended it, so that SDKs subscribe again."""
    for_good, again = (2000, "server unsubscribe"), (2500, "insufficient state")
    cells: dict[str, tuple[Any, tuple[int, str]]] = {
        "return": (None, for_good),
        "disconnect": (Disconnect(4501, "go away"), for_good),
        "error": (ClientError(1000, "custom"), for_good),
        "bug": (ZeroDivisionError("a bug"), again),
        "wrong": (RPCResult(), again),
    }

    async def feed(event: Any) -> AsyncIterator[Any]:
        yield SubscribeResult()
        end = cells[event.user][0]
        if isinstance(end, Exception):
            raise end
        if end is not None:
            yield end

    plugin = hooks(connect=lambda event: ConnectResult(user=event.data), **dict.fromkeys(CHANNELS, feed))
    running = await stand("grpc", plugin)
    for cell, channel in itertools.product(cells, CHANNELS.values()):
        client = await running.client(data=cell)
        assert await client.send(subscribe={"channel": channel}) == {"subscribe": {}}
        code, reason = cells[cell][1]
        assert await client.push() == {"channel": channel, "unsubscribe": {"code": code, "reason": reason}}, cell
        assert await client.alive()


async def test_streams_end_when_rtbridge_stops(stand: Any, hooks: Any) -> None:
    """A stop of rtbridge ends streams with 2500, and does not wait for hooks that would go on."""
    ended = Ended()

    async def feed(event: Any) -> AsyncIterator[SubscribeResult | Publication]:
        with ended:
            yield SubscribeResult()
            await asyncio.Event().wait()

    running = await stand("grpc", hooks(subscribe_unidirectional=feed))
    client = await running.client()
    assert await client.send(subscribe={"channel": "out:1"}) == {"subscribe": {}}
    stopping = asyncio.create_task(running.served.stop())
    push = {"channel": "out:1", "unsubscribe": {"code": 2500, "reason": "insufficient state"}}
    assert await client.push() == push
    await ended.wait()
    async with asyncio.timeout(10):
        await stopping
