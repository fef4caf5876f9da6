"""Peers that take their time, on a loop whose time passes when a test says so."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest

from tests.transport.builtin.h2 import (
    ACK,
    DATA,
    END_HEADERS,
    ENHANCE_YOUR_CALM,
    HEADERS,
    INITIAL_WINDOW_SIZE,
    NO_ERROR,
    PING,
    PLAIN_CALL,
    PREFACE,
    Client,
    frame,
    message,
    rpc,
    settings,
    window,
)
from tests.transport.builtin.server import runtime

# Each wait has its own bound; together they take a while on a machine that is busy.
pytestmark = pytest.mark.timeout(120)

#: More seconds than any peer has for anything.
LONG: Final = 40

#: A reply that no first window holds.
MEGABYTE: Final = rpc(b"x" * 1024, "1024")


class Loop(asyncio.SelectorEventLoop):
    """An event loop whose time can be let pass."""

    passed = 0.0

    def time(self) -> float:
        return super().time() + self.passed


class Clock:
    """The clock of such a loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.monotonic = loop.time

    def time(self) -> float:
        return time.time()


class Stand:
    """A server, in the test's own loop, and its clients.

    Attributes:
        stopped: Ends when the server has stopped, once it was asked to.

    """

    def __init__(self, loop: Loop, stack: AsyncExitStack, **section: Any) -> None:
        self._loop = loop
        self._stack = stack
        self._runtime = runtime(Clock(loop), **section)
        self._transports = self._runtime.transports()
        self.stopped: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take calls."""
        await self._runtime.boot()
        await self._transports[0].start()

    def stop(self) -> asyncio.Task[None]:
        """Begin to stop."""
        if self.stopped is None:
            self.stopped = self._loop.create_task(self._runtime.stop(self._transports))
        return self.stopped

    async def dial(self, *, raw: bool = False, **options: Any) -> Client:
        """A client, before its first byte or after both prefaces."""
        client = await (Client.connect if raw else Client.open)(self._transports[0].address, **options)
        self._stack.push_async_callback(client.close)
        return client

    async def passes(self, seconds: int) -> None:
        """So much time, second by second, with turns of the loop between them."""
        for _ in range(seconds):
            self._loop.passed += 1
            for _ in range(5):
                await asyncio.sleep(0)


Run = Callable[..., None]


@pytest.fixture
def run() -> Run:
    """Runs a test's body with a stand: ``run(body, **settings of rtbridge)``."""

    def begin(body: Callable[[Stand], Awaitable[None]], **section: Any) -> None:
        with asyncio.Runner(loop_factory=Loop) as runner:
            loop = runner.get_loop()
            assert isinstance(loop, Loop)

            async def whole() -> None:
                async with AsyncExitStack() as stack:
                    stand = Stand(loop, stack, **section)
                    await stand.start()
                    try:
                        await body(stand)
                    finally:
                        stopping = stand.stop()
                        await stand.passes(LONG)
                        await stopping

            runner.run(whole())

    return begin


@pytest.mark.parametrize(
    "said",
    [b"", PREFACE[:10], PREFACE, PREFACE + b"\0\0"],
    ids=["none", "half", "all", "more"],
)
def test_a_slow_preface(said: bytes, run: Run) -> None:
    """Who does not say in time that it speaks HTTP/2, settings included, is let go; who did is served."""

    async def body(stand: Stand) -> None:
        client, other = await stand.dial(raw=True), await stand.dial()
        client.read()
        await client.send(said)
        await client.delivered()
        await stand.passes(LONG)
        await client.until(lambda: client.closed)
        assert client.closed
        assert (await other.call(rpc())).code == 0

    run(body)


def test_places_of_the_silent(run: Run) -> None:
    """Peers that say nothing keep others out for as long as a greeting may take; who is served is served all along."""

    async def body(stand: Stand) -> None:
        other = await stand.dial()
        silent = [await stand.dial(raw=True) for _ in range(2)]
        refused = await stand.dial(raw=True)
        refused.read()
        await refused.until(lambda: refused.closed)
        assert (refused.closed, refused.frames) == (True, [])
        assert (await other.call(rpc())).code == 0
        await stand.passes(LONG)
        for client in silent:
            client.read()
            await client.until(lambda: False)  # the end of its connection
        late = await stand.dial()
        assert (await late.call(rpc())).code == 0
        assert (await other.call(rpc())).code == 0

    run(body, limits={"connections": 3})


def test_a_header_block_that_stops(run: Run) -> None:
    """A header block that does not end holds its connection for a while, and not for good."""

    async def body(stand: Stand) -> None:
        client = await stand.dial()
        await client.send(frame(HEADERS, 1, PLAIN_CALL))
        await client.delivered()
        await stand.passes(LONG)
        await client.until(lambda: client.closed)
        assert client.closed

    run(body)


def test_a_frame_that_stops(run: Run) -> None:
    """The same for a frame of which only a part comes."""

    async def body(stand: Stand) -> None:
        client = await stand.dial()
        await client.send(frame(HEADERS, 1, PLAIN_CALL, END_HEADERS)[:-5])
        await client.delivered()
        await stand.passes(LONG)
        await client.until(lambda: client.closed)
        assert client.closed

    run(body)


def test_a_request_that_stops(run: Run) -> None:
    """A request of which no more comes is given up; the calls beside it are not."""

    async def body(stand: Stand) -> None:
        client = await stand.dial()
        stream = client.next_stream()
        await client.send(frame(HEADERS, stream, PLAIN_CALL, END_HEADERS), frame(DATA, stream, message(rpc())[:7]))
        assert (await client.call(rpc())).code == 0
        await stand.passes(LONG)
        reply = await client.reply(stream)
        assert reply.reset == ENHANCE_YOUR_CALM
        assert (await client.call(rpc())).code == 0

    run(body)


def test_a_stream_without_a_window(run: Run) -> None:
    """A reply that its caller gives no window for is given up; the calls beside it are not."""

    async def body(stand: Stand) -> None:
        client = await stand.dial()
        stream = await client.begin(MEGABYTE)
        await client.send(window(0, 2**20))
        await client.more(DATA, 3)
        await stand.passes(LONG)
        assert (await client.reply(stream)).reset == ENHANCE_YOUR_CALM
        assert (await client.call(rpc())).code == 0
        assert client.goaways == []

    run(body)


def test_a_connection_without_a_window(run: Run) -> None:
    """Where it is the connection's window that stays shut, the connection ends."""

    async def body(stand: Stand) -> None:
        client, other = await stand.dial(values={INITIAL_WINDOW_SIZE: 2**30}), await stand.dial()
        await client.begin(MEGABYTE)
        await client.more(DATA, 3)
        await stand.passes(LONG)
        assert [each.code for each in await client.end()] == [ENHANCE_YOUR_CALM]
        assert (await other.call(rpc())).code == 0

    run(body)


def test_a_socket_that_is_not_read(run: Run) -> None:
    """Who takes nothing from its socket loses the connection."""

    async def body(stand: Stand) -> None:
        client, other = await stand.dial(raw=True, receive_buffer=4096), await stand.dial()
        await client.send(PREFACE, settings({INITIAL_WINDOW_SIZE: 2**30}), window(0, 2**30))
        for _ in range(32):
            await client.begin(MEGABYTE)
        for _ in range(20):
            assert (await other.call(rpc())).code == 0
        await stand.passes(LONG)
        client.read()
        await client.until(lambda: client.closed)
        assert client.closed
        assert (await other.call(rpc())).code == 0

    run(body)


def test_slow_readers_are_no_abusers(run: Run) -> None:
    """A reply that is taken piece by piece, however slowly, comes whole."""

    async def body(stand: Stand) -> None:
        client = await stand.dial()
        stream = await client.begin(MEGABYTE)
        await client.more(DATA, 3)
        for _ in range(16):
            await stand.passes(LONG // 2)
            seen = client.seen[DATA]
            await client.send(window(0, 2**16), window(stream, 2**16))
            await client.more(DATA, seen)
        assert (await client.reply(stream)).code == 0

    run(body)


@pytest.mark.parametrize("answers", [True, False], ids=["answers", "silent"])
def test_keepalive(answers: bool, run: Run) -> None:
    """A silent peer is asked whether it is there; its connection ends where it does not answer (section 6.7)."""

    async def body(stand: Stand) -> None:
        client = await stand.dial()
        for turn in range(3):
            await stand.passes(10)
            await client.more(PING, turn)
            if not answers:
                break
            ping = next(each for each in reversed(client.frames) if each.kind == PING)
            await client.send(frame(PING, payload=ping.payload, flags=ACK))
        if answers:
            assert (await client.call(rpc())).code == 0
        else:
            await stand.passes(LONG)
            await client.until(lambda: client.closed)
        assert client.closed is not answers

    run(body, keepalive_time="10s")


def test_age(run: Run) -> None:
    """A connection of a certain age is told to leave in two steps (section 6.8); a call in between is taken."""

    async def body(stand: Stand) -> None:
        client = await stand.dial()
        held = await client.begin(rpc(method="wait"))
        for _ in range(20):
            await stand.passes(1)
            assert await client.ping()
            if client.goaways:
                break
        assert [(each.code, each.last) for each in client.goaways] == [(NO_ERROR, 2**31 - 1)]
        late = await client.begin(rpc())
        ping = next(each for each in client.frames if each.kind == PING and not each.flags)
        await client.send(frame(PING, payload=ping.payload, flags=ACK))
        assert (await client.reply(late)).code == 0
        await client.until(lambda: len(client.goaways) > 1)
        assert [(each.code, each.last) for each in client.goaways[1:]] == [(NO_ERROR, late)]
        assert not client.closed
        assert held not in [each.stream for each in client.frames]
        await stand.passes(5)
        await client.until(lambda: client.closed)
        assert client.closed

    run(body, max_connection_age="10s", drain_timeout="3s")


@pytest.mark.parametrize("values", [{INITIAL_WINDOW_SIZE: 0}, {INITIAL_WINDOW_SIZE: 2**30}], ids=["stream", "all"])
def test_the_end_does_not_wait_for_windows(values: dict[int, int], run: Run) -> None:
    """A server that stops gives replies that nobody takes as long as other calls, and ends."""

    async def body(stand: Stand) -> None:
        client = await stand.dial(values=values)
        stream = await client.begin(MEGABYTE)
        await client.until(lambda: stream in [each.stream for each in client.frames])
        stopping = stand.stop()
        await client.until(lambda: client.goaways)
        assert not stopping.done()
        await stand.passes(10)
        await client.until(lambda: client.closed)
        await asyncio.wait_for(stopping, LONG)
        assert {each.code for each in client.goaways} == {NO_ERROR}

    run(body, drain_timeout="3s")
