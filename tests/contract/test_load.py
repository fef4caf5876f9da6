"""More calls than there are places for, and the end of a process that has some under way."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rtbridge import Event, Outcome, RPCResult, hookimpl

TEMPORARY = {"error": {"code": 100, "message": "internal server error", "temporary": True}}
DONE = {"result": {"data": "done"}}


class Gate:
    """Holds RPCs and refreshes until it is opened."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.held = 0
        self.full = asyncio.Event()

    async def hold(self) -> None:
        self.held += 1
        if self.held >= 2:
            self.full.set()
        await self.open.wait()

    @hookimpl
    async def on_rpc(self) -> RPCResult:
        await self.hold()
        return RPCResult(data="done")

    @hookimpl
    async def on_refresh(self) -> None:
        await self.hold()


async def until_waiting(peer: Any, count: int) -> None:
    async with asyncio.timeout(10):
        while peer.runtime.bridge._admission.waiting < count:
            await asyncio.sleep(0.001)


async def test_a_call_waits_for_a_place(peer: Any) -> None:
    """With every place taken a call waits, and is answered when one comes free."""
    gate = Gate()
    await peer.start(gate, limits={"concurrency": 2})
    calls = [asyncio.create_task(peer.call("rpc", deadline=10)) for _ in range(3)]
    await until_waiting(peer, 1)
    assert gate.held == 2
    gate.open.set()
    assert await asyncio.gather(*calls) == [DONE, DONE, DONE]
    assert peer.runtime.bridge.active == 0


async def test_shedding(peer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """A call that finds no place in half of its time is told to try again while its caller still listens; a line that
    is full turns away at once. The calls that have a place are answered."""
    caplog.set_level(logging.INFO, "rtbridge.events")
    gate = Gate()
    await peer.start(gate, limits={"concurrency": 2})
    held = [asyncio.create_task(peer.call("rpc", deadline=10)) for _ in range(2)]
    await asyncio.wait_for(gate.full.wait(), 10)
    waiting = [asyncio.create_task(peer.call("rpc", deadline=1)) for _ in range(2)]
    await until_waiting(peer, 2)
    assert await peer.call("rpc", deadline=10) == TEMPORARY
    assert await peer.call("refresh", deadline=10) == {"failure": "internal"}
    assert await asyncio.gather(*waiting) == [TEMPORARY, TEMPORARY]
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]  # the rest is held back
    assert warning == "rpc turned away: 2 events are being answered and 2 wait; see rtbridge.limits.concurrency"
    lines = [
        r.getMessage().partition(" in ")[0]
        for r in caplog.records
        if r.name == "rtbridge.events" and r.levelno == logging.INFO
    ]
    assert lines == ["rpc → error 100", "refresh → failure internal", "rpc → error 100", "rpc → error 100"]
    gate.open.set()
    assert await asyncio.gather(*held) == [DONE, DONE]
    assert await peer.call("rpc") == DONE
    assert peer.runtime.bridge.active == 0


@pytest.fixture
def block() -> Iterator[threading.Event]:
    """Holds blocking hooks until the test's end at the latest."""
    event = threading.Event()
    yield event
    event.set()


async def test_shedding_with_blocking_hooks(peer: Any, block: threading.Event) -> None:
    """Threads that are taken count as places."""

    class Plugin:
        @hookimpl
        def on_rpc(self) -> RPCResult:
            block.wait(20)
            return RPCResult(data="done")

    await peer.start(Plugin(), limits={"concurrency": 2}, threads=2)
    held = [asyncio.create_task(peer.call("rpc", deadline=10)) for _ in range(2)]
    async with asyncio.timeout(10):
        while peer.runtime.bridge.active < 2:
            await asyncio.sleep(0.001)
    assert await peer.call("rpc", deadline=0.2) == TEMPORARY
    block.set()
    assert await asyncio.gather(*held) == [DONE, DONE]


async def test_a_call_that_waits_goes_away(peer: Any) -> None:
    """A caller that leaves the line gives its place in it to others."""
    gate = Gate()
    await peer.start(gate, limits={"concurrency": 1})
    held = asyncio.create_task(peer.call("rpc", deadline=10))
    async with asyncio.timeout(10):
        while not gate.held:
            await asyncio.sleep(0.001)
    reached = asyncio.Event()
    leaving = asyncio.create_task(peer.abandon("rpc", reached))
    await until_waiting(peer, 1)
    reached.set()
    await leaving
    async with asyncio.timeout(10):
        while peer.runtime.bridge._admission.waiting:
            await asyncio.sleep(0.001)
    gate.open.set()
    assert await held == DONE
    assert gate.held == 1
    assert peer.runtime.bridge.active == 0


async def test_a_graceful_end(socket_peer: Any) -> None:
    """A call under way is answered and its after-event hook has run before the process ends; `on_shutdown` is last."""
    order: list[str] = []

    class Order(Gate):
        @hookimpl
        async def after_event(self, event: Event, outcome: Outcome) -> None:
            order.append(outcome.label)

        @hookimpl
        async def on_shutdown(self) -> None:
            order.append("shutdown")

    gate = Order()
    await socket_peer.start(gate)
    calls = [asyncio.create_task(socket_peer.call("rpc")) for _ in range(2)]
    await asyncio.wait_for(gate.full.wait(), 10)
    stopping = asyncio.create_task(socket_peer.runtime.stop([socket_peer.transport]))
    await asyncio.sleep(0)
    assert not stopping.done()
    gate.open.set()
    assert await asyncio.gather(*calls) == [DONE, DONE]
    await asyncio.wait_for(stopping, 10)
    assert order == ["ok", "ok", "shutdown"]


async def test_a_bounded_end(socket_peer: Any) -> None:
    """A call that does not end is cancelled after `drain_timeout`, and the process ends."""
    gate = Gate()
    shut = asyncio.Event()

    class Shutdown:
        @hookimpl
        async def on_shutdown(self) -> None:
            shut.set()

    await socket_peer.start(gate, Shutdown(), drain_timeout="50ms")
    calls = [asyncio.create_task(socket_peer.raw("rpc", b"{}" if socket_peer.wire == "json" else b"")) for _ in "ab"]
    await asyncio.wait_for(gate.full.wait(), 10)
    await asyncio.wait_for(socket_peer.runtime.stop([socket_peer.transport]), 15)
    assert shut.is_set()
    for call in calls:
        call.cancel()
    await asyncio.wait(calls)


async def test_no_new_calls_while_it_ends(socket_peer: Any) -> None:
    """A stopped listener takes no calls."""
    await socket_peer.start(Gate())
    await socket_peer.runtime.stop([socket_peer.transport])
    if socket_peer.name == "grpcio":
        assert await socket_peer.call("rpc", deadline=0.3) in (
            {"failure": "UNAVAILABLE"},
            {"failure": "DEADLINE_EXCEEDED"},
        )
    else:
        host, _, port = socket_peer.transport.address.rpartition(":")
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(host, int(port))
