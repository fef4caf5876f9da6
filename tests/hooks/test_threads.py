"""Blocking hooks: one thread for an event, a copy of its context, a pool with a bound."""

import asyncio
import contextvars
import logging
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from rtbridge import CallNext, ClientError, Event, Router, RPCEvent, RPCResult, hookimpl
from rtbridge.hooks import Threads
from rtbridge.testing import App


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds blocking hooks until the test's end at the latest."""
    event = threading.Event()
    yield event
    event.set()


async def until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")


async def test_one_thread_for_an_event() -> None:
    """All blocking hooks of an event, the reset point included, run on one thread, also with async ones between."""
    seen: list[tuple[str, int]] = []
    done = asyncio.Event()
    loop = asyncio.get_running_loop()

    class Plugin:
        router = Router()

        @hookimpl(tryfirst=True)
        def on_rpc(self) -> None:
            seen.append(("hook", threading.get_ident()))

        @hookimpl(specname="on_rpc")
        async def between(self) -> None:
            seen.append(("async", threading.get_ident()))

        @staticmethod
        @router.on_rpc("*")
        def listen() -> RPCResult:
            seen.append(("listener", threading.get_ident()))
            return RPCResult()

        @hookimpl
        def after_event(self) -> None:
            seen.append(("after", threading.get_ident()))
            loop.call_soon_threadsafe(done.set)

    async with App([Plugin()]) as app:
        first, second = await asyncio.gather(app.rpc("m"), app.rpc("m"))
        assert first.error is second.error is None
        await app.runtime.bridge.drain()
        seen.clear()
        done.clear()
        await app.rpc("m")
        await asyncio.wait_for(done.wait(), 10)
    threads = dict(seen)
    assert threads["hook"] == threads["listener"] == threads["after"]
    assert threads["async"] == threading.get_ident() != threads["hook"]


async def test_consecutive_hooks_make_one_hop() -> None:
    """Blocking hooks that follow each other go to the thread together."""

    class Plugin:
        router = Router()

        @hookimpl
        def on_rpc(self) -> None: ...

        @hookimpl(specname="on_rpc")
        def second(self) -> None: ...

        @staticmethod
        @router.on_rpc("*")
        def listen() -> RPCResult:
            return RPCResult()

    async with App([Plugin()]) as app:
        hops: list[int] = []
        threads = app.runtime.bridge._threads
        lease = await threads.lease()
        run = type(lease).run

        async def counted(self: Any, function: Any) -> Any:
            hops.append(1)
            return await run(self, function)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(lease), "run", counted)
            await app.rpc("m")
        lease.release()
    assert hops == [1]


async def test_the_context_is_copied_once() -> None:
    """Blocking hooks see what the middleware set; what one sets, the next hop of the event sees, and nobody else."""
    seen: list[str] = []

    class Plugin:
        @hookimpl
        async def on_event(self, event: Event, call_next: CallNext) -> Any:
            variable.set("middleware")
            return await call_next(event)

        @hookimpl(tryfirst=True)
        def on_rpc(self) -> None:
            seen.append(variable.get())
            variable.set("hook")

        @hookimpl(specname="on_rpc")
        async def between(self) -> None:
            seen.append(variable.get())

        @hookimpl(specname="on_rpc", trylast=True)
        def last(self) -> RPCResult:
            seen.append(variable.get())
            return RPCResult()

        @hookimpl
        def after_event(self) -> None:
            seen.append(variable.get())

    async with App([Plugin()]) as app:
        await asyncio.create_task(app.rpc("m"))
        await app.runtime.bridge.drain()
    assert seen == ["middleware", "middleware", "hook", "hook"]
    assert variable.get() == "unset"


async def test_the_pool_has_a_bound(gate: threading.Event) -> None:
    """No more threads than configured run at once, and they are used again; the rest waits in line."""
    running: list[int] = []
    most: list[int] = []
    lock = threading.Lock()
    names: set[str] = set()

    class Plugin:
        @hookimpl
        def on_rpc(self) -> RPCResult:
            with lock:
                running.append(1)
                most.append(len(running))
                names.add(threading.current_thread().name)
            gate.wait(20)
            with lock:
                running.pop()
            return RPCResult()

    async with App([Plugin()], config={"rtbridge": {"threads": 2}}) as app:
        calls = [asyncio.create_task(app.rpc("m")) for _ in range(6)]
        await until(lambda: len(running) == 2)
        gate.set()
        assert [outcome.label for outcome in await asyncio.gather(*calls)] == ["ok"] * 6
    assert max(most) == 2
    assert names == {"rtbridge-hook-1", "rtbridge-hook-2"}


async def test_a_stuck_thread(gate: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    """It stays busy past its call, its stack is logged, and others wait until the hook returns."""

    class Plugin:
        @hookimpl
        def on_rpc(self, event: RPCEvent) -> RPCResult:
            if event.method == "stuck":
                gate.wait(20)
            return RPCResult()

    async with App([Plugin()], config={"rtbridge": {"threads": 1}}) as app:
        assert (await app.rpc("stuck", deadline=0.1)).error == ClientError("INTERNAL")
        threads = app.runtime.bridge._threads
        (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
        assert "gate.wait(20)" in record.getMessage()
        await until(lambda: not app.runtime.bridge._tasks)
        assert threads.in_use == 1
        assert (await app.rpc("waits", deadline=0.1)).error == ClientError("INTERNAL")
        gate.set()
        assert (await app.rpc("after")).error is None
        await until(lambda: threads.in_use == 0)


async def test_cancelled_while_it_waits_for_a_thread(gate: threading.Event) -> None:
    """A call that leaves the line takes no thread with it, before and at the moment one comes free."""
    threads = Threads(1)
    held = await threads.lease()
    first, second, third = (asyncio.create_task(threads.lease()) for _ in range(3))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait((first,))
    assert first.cancelled()
    second.cancel()
    held.release()  # between the cancellation and the moment that the task learns of it
    await asyncio.wait((second, third), return_when=asyncio.ALL_COMPLETED)
    assert second.cancelled()
    lease = third.result()
    fourth = asyncio.create_task(threads.lease())
    await asyncio.sleep(0)
    lease.release()  # the thread is on its way to the fourth
    fourth.cancel()
    await asyncio.wait((fourth,))
    assert fourth.cancelled()
    assert threads.in_use == 0
    assert await (await threads.lease()).run(threading.get_ident)
    threads.close()


async def test_a_lease_runs_to_its_end(gate: threading.Event) -> None:
    """Cancelling who waits for a job does not stop the job; the thread comes back behind it."""
    threads = Threads(1)
    lease = await threads.lease()
    ran: list[int] = []
    started = threading.Event()

    def job() -> None:
        started.set()
        gate.wait(20)
        ran.append(1)

    task = asyncio.create_task(lease.run(job))
    await until(started.is_set)
    task.cancel()
    await asyncio.wait((task,))
    assert lease.busy
    assert ", in job" in lease.stack()
    lease.release()
    assert threads.in_use == 1
    gate.set()
    again = await asyncio.wait_for(threads.lease(), 10)
    assert ran == [1]
    again.release()
    threads.close()


async def test_what_a_job_raises() -> None:
    """Exceptions come out as they are; StopIteration, which a future refuses, as a RuntimeError."""
    threads = Threads(1)
    lease = await threads.lease()

    def stop() -> None:
        raise StopIteration

    with pytest.raises(ZeroDivisionError):
        await lease.run(lambda: 1 // 0)
    with pytest.raises(RuntimeError, match="a blocking hook raised StopIteration"):
        await lease.run(stop)
    lease.release()
    threads.close()


def test_a_loop_that_is_gone(gate: threading.Event) -> None:
    """A hook that returns after its loop has closed ends its thread quietly."""
    threads = Threads(1)
    started = threading.Event()

    def job() -> None:
        started.set()
        gate.wait(20)

    async def main() -> threading.Thread:
        lease = await threads.lease()
        task = asyncio.create_task(lease.run(job))
        while not started.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        thread: threading.Thread = lease._thread.thread
        return thread

    thread = asyncio.run(main())
    gate.set()
    thread.join(10)
    assert not thread.is_alive()


async def test_the_stack_of_a_thread_that_has_ended() -> None:
    """There is none."""
    threads = Threads(1)
    lease = await threads.lease()
    thread = lease._thread.thread
    threads.close()
    thread.join(10)
    assert lease.stack() == ""


async def test_blocking_life_cycle_hooks_run_on_a_thread() -> None:
    """`on_boot` and the others may block as well, and give their thread back."""
    seen: dict[str, int] = {}

    class Plugin:
        @hookimpl
        def on_boot(self) -> None:
            seen["boot"] = threading.get_ident()

        @hookimpl
        def on_shutdown(self) -> None:
            seen["shutdown"] = threading.get_ident()

        @hookimpl(blocking=False)
        def on_ready(self) -> None:
            seen["ready"] = threading.get_ident()

    async with App([Plugin()], config={"rtbridge": {"threads": 1}}) as app:
        assert app.runtime.bridge._threads.in_use == 0
    assert seen["ready"] == threading.get_ident() != seen["boot"] == seen["shutdown"]


class Harsh(BaseException):
    """What ``except Exception`` does not catch."""


async def test_a_hook_that_fails_as_none_should_keeps_no_thread() -> None:
    class Plugin:
        @hookimpl
        def on_rpc(self, event: RPCEvent) -> RPCResult:
            if event.method == "bad":
                raise Harsh
            return RPCResult(data=1)

    async with App([Plugin()], config={"rtbridge": {"threads": 2}}) as app:
        for _ in range(3):
            async with asyncio.timeout(10):
                with pytest.raises(Harsh):
                    await app.rpc("bad")
                await app.runtime.bridge.drain()
        assert app.runtime.bridge.threads.in_use == 0
        assert (await app.rpc("good")).result == RPCResult(data=1)
