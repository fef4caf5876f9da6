"""The bridge itself: its lines in the log, its limits, and what it does when things go wrong."""

import asyncio
import logging
from typing import Any

import pytest

from rtbridge import (
    CallNext,
    ClientError,
    Event,
    InvalidEvent,
    Outcome,
    PluginError,
    Publication,
    RefreshResult,
    RPCEvent,
    RPCResult,
    SubscribeResult,
    SubscribeUnidirectionalEvent,
    hookimpl,
)
from rtbridge.admission import Admission
from rtbridge.bridge import Bridge, StreamFailed, describe
from rtbridge.codec import PROTO
from rtbridge.errors import Overloaded
from rtbridge.events import METHODS, Call
from rtbridge.hooks import HookManager
from rtbridge.testing import App, VirtualClock


class Plugin:
    @hookimpl
    async def on_rpc(self, event: RPCEvent) -> RPCResult | None:
        if event.method == "bug":
            raise ZeroDivisionError
        return None if event.method == "none" else RPCResult(data=1)

    @hookimpl
    async def on_refresh(self) -> RefreshResult:
        return RefreshResult(expired=True)


def lines(caplog: pytest.LogCaptureFixture) -> list[Any]:
    return [r for r in caplog.records if " → " in r.getMessage()]


@pytest.mark.parametrize(("method", "label"), [("m", "ok"), ("none", "disconnect 4500"), ("bug", "error 100")], ids=str)
async def test_a_line_for_each_event(method: str, label: str, caplog: pytest.LogCaptureFixture) -> None:
    """One line tells the event, its outcome, its duration and the client, in words and as fields."""
    caplog.set_level(logging.INFO, "rtbridge.events")
    async with App([Plugin()], clock=VirtualClock()) as app:
        await app.rpc(method, user="42", client="c-1")
    (record,) = lines(caplog)
    assert record.getMessage() == f"rpc {method!r} user='42' client='c-1' → {label} in 0.0 ms"
    assert record.event == {
        "kind": "rpc",
        "method": method,
        "user": "42",
        "client": "c-1",
        "outcome": label,
        "ms": 0.0,
        "via": "memory",
    }


async def test_the_duration_is_the_clock_s(caplog: pytest.LogCaptureFixture) -> None:
    """It is measured on the clock that everything asks."""
    caplog.set_level(logging.INFO, "rtbridge.events")
    clock = VirtualClock()

    class Slow:
        @hookimpl
        async def on_rpc(self) -> RPCResult:
            clock.advance(0.25)
            return RPCResult()

    async with App([Slow()], clock=clock) as app:
        await app.rpc("m")
    assert lines(caplog)[0].event["ms"] == 250.0


async def test_an_expired_session_is_told_as_such(caplog: pytest.LogCaptureFixture) -> None:
    """`expired: true` is not called ok."""
    caplog.set_level(logging.INFO, "rtbridge.events")
    async with App([Plugin()]) as app:
        await app.refresh()
    assert lines(caplog)[0].event["outcome"] == "expired"


async def test_no_line_where_none_is_wanted(caplog: pytest.LogCaptureFixture) -> None:
    """At level warning an answered event leaves no line, and one that is cancelled neither."""
    caplog.set_level(logging.WARNING, "rtbridge.events")
    async with App([Plugin()]) as app:
        await app.rpc("m")
    assert caplog.records == []


async def test_a_timeout_keeps_a_margin_of_the_caller_s_time() -> None:
    """Hooks get what remains less a tenth, at most 50 ms, and never more than `hook_timeout`."""

    class Times:
        @hookimpl
        async def on_rpc(self) -> None:
            await asyncio.Event().wait()

    async with App([Times()], clock=VirtualClock(), config={"rtbridge": {"limits": {"hook_timeout": "30ms"}}}) as app:
        waits = [(await app.rpc("m", deadline=deadline)).why.split()[-2] for deadline in (0.1, 10, None, 0.02)]
    assert waits == ["0.03", "0.03", "0.03", "0.02"]
    async with App([Times()], clock=VirtualClock()) as app:
        assert (await app.rpc("m", deadline=0.1)).why == "its hooks took longer than 0.09 s"
        assert (await app.rpc("m", deadline=0)).why == "its hooks took longer than 0.00 s"


async def test_a_hook_that_answers_instead_of_ending() -> None:
    """A hook that catches its cancellation and returns is taken at its word."""

    class Stubborn:
        @hookimpl
        async def on_rpc(self) -> RPCResult:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return RPCResult(data="late")
            raise AssertionError

    async with App([Stubborn()]) as app:
        assert (await app.rpc("m", deadline=0.05)).result == RPCResult(data="late")


async def test_a_caller_that_leaves_is_no_timeout() -> None:
    """A cancellation from outside passes through, also while the deadline is watched."""
    reached = asyncio.Event()

    class Waits:
        @hookimpl
        async def on_rpc(self) -> None:
            reached.set()
            await asyncio.Event().wait()

    async with App([Waits()]) as app:
        task = asyncio.create_task(app.rpc("m", deadline=20))
        await asyncio.wait_for(reached.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert app.runtime.bridge.active == 0


async def test_many_deadlines_at_once() -> None:
    """Events whose time is up together all get their answer; those that ended before are left alone."""

    class Waits:
        @hookimpl
        async def on_rpc(self, event: RPCEvent) -> RPCResult:
            if event.method == "slow":
                await asyncio.Event().wait()
            return RPCResult()

    async with App([Waits()]) as app:
        slow = [asyncio.create_task(app.rpc("slow", deadline=0.5)) for _ in range(5)]
        quick = [await app.rpc("m", deadline=0.5) for _ in range(5)]
        assert {outcome.label for outcome in quick} == {"ok"}
        assert {outcome.label for outcome in await asyncio.gather(*slow)} == {"error 100"}


async def test_a_shed_event_keeps_its_line(caplog: pytest.LogCaptureFixture) -> None:
    """An event that found no place is answered, told of, and runs no hook."""
    caplog.set_level(logging.INFO, "rtbridge.events")
    reached, proceed = asyncio.Event(), asyncio.Event()
    seen: list[str] = []

    class Holds:
        @hookimpl
        async def on_rpc(self, event: RPCEvent) -> RPCResult:
            seen.append(event.method)
            reached.set()
            await proceed.wait()
            return RPCResult()

    async with App([Holds()], config={"rtbridge": {"limits": {"concurrency": 1}}}) as app:
        held = asyncio.create_task(app.rpc("held"))
        await asyncio.wait_for(reached.wait(), 10)
        outcome = await app.rpc("late", deadline=0.01)
        proceed.set()
        await held
    assert outcome.error == ClientError("INTERNAL")
    assert outcome.why == "1 events are being answered and none ended in time"
    assert seen == ["held"]
    assert [record.event["method"] for record in lines(caplog)] == ["late", "held"]


async def test_admission_hands_places_on() -> None:
    """A place that comes free goes to the first in line who still waits."""
    admission = Admission(1)
    admission.active = 1
    first_task = asyncio.create_task(admission.wait(20))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="1 events are being answered and 1 wait"):
        await admission.wait(20)
    first_task.cancel()
    admission.leave()  # between the cancellation and the moment that the task learns of it
    await asyncio.wait((first_task,))
    assert first_task.cancelled()
    assert (admission.active, admission.waiting) == (0, 0)


async def test_admission_of_one_who_leaves_as_the_place_comes() -> None:
    """A place on its way to somebody who leaves goes to the next."""
    admission = Admission(2)
    admission.active = 2
    first, second = (asyncio.create_task(admission.wait(20)) for _ in range(2))
    await asyncio.sleep(0)
    admission.leave()  # to the first
    first.cancel()
    await asyncio.wait((first, second))
    assert first.cancelled()
    assert second.exception() is None
    assert (admission.active, admission.waiting) == (2, 0)
    admission.leave()
    admission.leave()
    assert admission.active == 0


async def test_admission_gives_up_in_time() -> None:
    """Half of what remains is the longest wait; without a deadline it is half a second."""
    admission = Admission(1)
    admission.active = 1
    with pytest.raises(Overloaded, match="none ended in time"):
        await admission.wait(0)
    with pytest.raises(Overloaded, match="none ended in time"):
        await admission.wait(None)
    assert admission.waiting == 0


def bare(*plugins: object) -> Bridge:
    """A bridge with nothing around it."""
    manager = HookManager({})
    for plugin in plugins:
        manager.register(plugin)
    return Bridge(manager.chains(), manager.lifecycle())


async def test_a_bridge_of_its_own() -> None:
    """It needs chains and life-cycle hooks, and has defaults for the rest."""
    bridge = bare(Plugin())
    reply = await bridge.handle(RPCEvent(method="m"), PROTO["rpc"].encode)
    assert reply.outcome.result == RPCResult(data=1)
    assert reply.payload
    bridge.close()


async def test_boot_before_the_first_event() -> None:
    """`before_first` is awaited when an event comes, by all that come meanwhile, and never again."""
    booted: list[int] = []
    proceed = asyncio.Event()

    async def boot() -> None:
        booted.append(1)
        await proceed.wait()

    bridge = bare(Plugin())
    bridge.before_first(boot)
    assert booted == []
    calls = [asyncio.create_task(bridge.handle(RPCEvent(), PROTO["rpc"].encode)) for _ in range(2)]
    await asyncio.sleep(0)
    assert not any(call.done() for call in calls)
    proceed.set()
    await asyncio.gather(*calls)
    assert booted == [1, 1]
    await bridge.handle(RPCEvent(), PROTO["rpc"].encode)
    assert booted == [1, 1]
    bridge.close()


@pytest.mark.parametrize("kind", ["rpc", "refresh"])
async def test_a_boot_that_fails_with_the_first_event(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """Every event is refused as after a bug, one line says why, and the next event boots again."""
    caplog.set_level(logging.INFO, "rtbridge.events")
    broken = [True]

    async def boot() -> None:
        if broken:
            raise PluginError("chat.on_boot failed: no database")

    bridge = bare(Plugin())
    bridge.before_first(boot)
    event = METHODS[kind].event()
    for _ in range(2):
        reply = await bridge.handle(event, PROTO[kind].encode)
        assert reply.outcome.label == {"rpc": "error 100", "refresh": "failure internal"}[kind]
        assert (reply.payload == b"") == (kind == "refresh")
        assert b"database" not in reply.payload
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warning == f"{kind} refused, for the boot failed: PluginError: chat.on_boot failed: no database"
    assert len(lines(caplog)) == 2
    broken.clear()
    assert (await bridge.handle(event, PROTO[kind].encode)).outcome.result is not None
    bridge.close()


async def test_an_event_that_nobody_runs_any_more() -> None:
    """Its hook is closed where it waits, and its place is free again."""
    closed: list[str] = []

    class Waits:
        @hookimpl
        async def on_rpc(self) -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                closed.append("hook")

    bridge = bare(Waits())
    work = bridge.handle(RPCEvent(), PROTO["rpc"].encode)
    work.send(None)
    assert bridge.active == 1
    work.close()
    assert closed == ["hook"]
    assert bridge.active == 0
    bridge.close()


@pytest.mark.parametrize("wrapped", [True, False])
async def test_a_boot_that_fails_shows_where(wrapped: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The traceback is that of the hook, whether or not the start has put words around it."""
    cause = KeyError("DATABASE_URL")

    async def boot() -> None:
        if wrapped:
            raise PluginError("chat.on_boot failed: KeyError") from cause
        raise cause

    bridge = bare(Plugin())
    bridge.before_first(boot)
    await bridge.handle(RPCEvent(), PROTO["rpc"].encode)
    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert warning.exc_info is not None
    assert warning.exc_info[1] is cause
    bridge.close()


async def test_the_reset_point_of_a_cancelled_event_waits_for_its_thread() -> None:
    """Blocking after-event hooks of an event that had no thread get one, and give it back."""
    seen: list[Outcome] = []

    class After:
        @hookimpl
        def after_event(self, event: Event, outcome: Outcome) -> None:
            seen.append(outcome)

    async with App([Plugin(), After()]) as app:
        await app.rpc("m")
        await app.runtime.bridge.drain()
        assert app.runtime.bridge._threads.in_use == 0
    assert [outcome.label for outcome in seen] == ["ok"]


async def test_a_stream_whose_answer_is_replaced_is_closed() -> None:
    """A middleware that denies after a stream has begun leaves no generator open."""
    closed = asyncio.Event()

    class Streams:
        @hookimpl
        async def on_subscribe_unidirectional(self) -> Any:
            try:
                yield SubscribeResult()
            finally:
                closed.set()

        @hookimpl
        async def on_event(self, event: Event, call_next: CallNext) -> None:
            await call_next(event)

    async with App([Streams()]) as app:
        stream = await app.stream(SubscribeUnidirectionalEvent())
        assert stream.outcome.denied_by_default
        assert [item async for item in stream] == []
        await asyncio.wait_for(closed.wait(), 10)


async def test_a_stream_that_is_sending_when_the_process_stops() -> None:
    """It fails with its next item, and its generator is closed."""
    closed = asyncio.Event()

    class Streams:
        @hookimpl
        async def on_subscribe_unidirectional(self) -> Any:
            try:
                yield SubscribeResult()
                yield Publication(data=1)
                yield Publication(data=2)
            finally:
                closed.set()

    async with App([Streams()]) as app:
        items = aiter(await app.stream(SubscribeUnidirectionalEvent()))
        assert (await anext(items)).data == 1
        app.runtime.bridge.end_streams()
        with pytest.raises(StreamFailed, match="rtbridge stops"):
            await anext(items)
        assert closed.is_set()


def test_describe() -> None:
    """Kind, names and ids, quoted and cut; nothing else of the event."""
    assert describe(RPCEvent(method="m\n", user="u", client="c", raw_data=b"secret")) == (
        "rpc 'm\\n' user='u' client='c'"
    )
    assert describe(InvalidEvent(method="x" * 300, raw=b"secret")) == f"invalid '{'x' * 200}…'"
    assert describe(RPCEvent(call=Call())) == "rpc"


async def test_a_result_of_a_subclass_answers() -> None:
    """A user's own kind of a result is one."""

    class Own(RPCResult, frozen=True, kw_only=True):
        pass

    class Answers:
        @hookimpl
        async def on_rpc(self) -> RPCResult:
            return Own(data=7)

    async with App([Answers()]) as app:
        assert (await app.rpc("m")).result == Own(data=7)


async def test_after_event_on_the_event_loop() -> None:
    """A `def` that says it does not block runs on the loop, like an `async def`."""
    seen: list[str] = []
    done = asyncio.Event()

    class Resets:
        @hookimpl(blocking=False)
        def after_event(self, outcome: Outcome) -> None:
            seen.append(outcome.label)

        @hookimpl(trylast=True)
        async def on_error(self) -> None:
            seen.append("error")

    class Last:
        @hookimpl(trylast=True, blocking=False)
        def after_event(self) -> None:
            done.set()

    async with App([Plugin(), Resets(), Last()]) as app:
        await app.rpc("bug")
        await asyncio.wait_for(done.wait(), 10)
    assert seen == ["error", "error 100"]


async def test_an_awaitable_that_gives_a_wrong_answer() -> None:
    """What an awaited answer turns out to be is checked like any other."""

    class Answers:
        @hookimpl(blocking=False)
        def on_rpc(self) -> Any:
            async def later() -> RefreshResult:
                return RefreshResult(expired=True)

            return later()

    async with App([Answers()]) as app:
        outcome = await app.rpc("m")
    assert outcome.error == ClientError("INTERNAL")
    assert "RefreshResult" in outcome.why
