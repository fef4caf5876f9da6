"""What keeps one event from another: the event at hand, what is reset after it, and context managers on threads."""

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest

from rtbridge import (
    CallNext,
    ClientError,
    Disconnect,
    Event,
    PluginError,
    Publication,
    PublishEvent,
    RPCEvent,
    RPCResult,
    SubscribeResult,
    SubscribeUnidirectionalEvent,
    current_event,
    hookimpl,
    isolation,
    resettable,
)
from rtbridge.hooks import HookManager, Threads
from rtbridge.testing import App


@pytest.fixture(autouse=True)
def registered() -> Iterator[list[Any]]:
    """What is registered, for the time of the test only."""
    before = list(isolation.RESETTABLE)
    isolation.RESETTABLE.clear()
    yield isolation.RESETTABLE
    isolation.RESETTABLE[:] = before


def seen() -> str:
    """The event at hand, by its method or channel."""
    event = current_event()
    return "none" if event is None else str(getattr(event, "method", "") or getattr(event, "channel", "") or event.kind)


class Cache:
    """A cache at module level, as a long-lived process tempts people to write it."""

    def __init__(self) -> None:
        self.user: str | None = None
        self.resets = 0

    def reset(self) -> None:
        self.user = None
        self.resets += 1


class Leaky:
    """Answers with the user that it first saw, which is right for one event only."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    @hookimpl
    async def on_rpc(self, event: RPCEvent) -> RPCResult:
        if self._cache.user is None:
            self._cache.user = event.user
        return RPCResult(data=self._cache.user)


async def two_users(cache: Cache) -> list[Any]:
    """What two users are answered, one after the other."""
    answers: list[Any] = []
    async with App([Leaky(cache)]) as app:
        for user in ("ann", "bob"):
            outcome = await app.rpc("whoami", user=user)
            assert isinstance(outcome.result, RPCResult)
            answers.append(outcome.result.data)
            await app.runtime.bridge.drain()
    return answers


async def test_one_user_s_data_reaches_the_next_unless_it_is_reset() -> None:
    """A cache keeps ann's name for bob; registered, it is empty when bob comes."""
    assert await two_users(Cache()) == ["ann", "ann"]
    assert await two_users(resettable(Cache())) == ["ann", "bob"]


async def test_the_event_at_hand_in_every_kind_of_hook() -> None:
    """Middleware, wrapper, async, inline and blocking hooks, reset points and error hooks all see the same."""
    told: dict[str, str] = {}

    class Plugin:
        @hookimpl
        async def on_event(self, event: Event, call_next: CallNext) -> Any:
            told["middleware before"] = seen()
            try:
                return await call_next(event)
            finally:
                told["middleware after"] = seen()

        @hookimpl(wrapper=True, specname="on_rpc")
        def around(self) -> Generator[None, Any, Any]:
            told["wrapper"] = seen()
            return (yield)

        @hookimpl(tryfirst=True)
        async def on_rpc(self) -> None:
            await asyncio.sleep(0)
            told["async"] = seen()

        @hookimpl(specname="on_rpc", blocking=False)
        def inline(self) -> None:
            told["inline"] = seen()

        @hookimpl(specname="on_rpc", trylast=True)
        def blocks(self) -> Any:
            told["blocking"] = seen()
            return 1

        @hookimpl
        async def after_event(self) -> None:
            told["after"] = seen()

        @hookimpl(specname="after_event")
        def after_on_a_thread(self) -> None:
            told["after, blocking"] = seen()

        @hookimpl
        async def on_error(self) -> None:
            told["error"] = seen()

        @hookimpl
        def on_boot(self) -> None:
            told["boot"] = seen()

        @hookimpl
        async def on_shutdown(self) -> None:
            told["shutdown"] = seen()

    async with App([Plugin()]) as app:
        app.runtime.bridge.before_first(app.runtime.boot)
        await app.rpc("here")
        assert current_event() is None
    assert (told.pop("boot"), told.pop("shutdown")) == ("none", "none")
    assert len(told) == 9
    assert set(told.values()) == {"here"}


async def test_the_event_of_a_reset_point_alone() -> None:
    """Where only the reset point blocks, its thread is taken late and sees the event, too."""
    told: list[str] = []

    class Plugin:
        @hookimpl
        def after_event(self) -> None:
            told.append(seen())

    async with App([Plugin()]) as app:
        await app.rpc("here")
    assert told == ["here"]


async def test_a_cancelled_event() -> None:
    """Its reset point sees it as well."""
    reached, told = asyncio.Event(), list[str]()

    class Plugin:
        @hookimpl
        async def on_rpc(self) -> None:
            reached.set()
            await asyncio.Event().wait()

        @hookimpl
        async def after_event(self) -> None:
            told.append(seen())

    cache = resettable(Cache())
    async with App([Plugin()]) as app:
        task = asyncio.create_task(app.rpc("here"))
        await asyncio.wait_for(reached.wait(), 10)
        task.cancel()
        await asyncio.wait((task,))
    assert (told, cache.resets) == (["here"], 1)


async def test_events_at_the_same_time() -> None:
    """Each sees its own, on the loop and on threads, also in the middle of the others."""
    inside, told = asyncio.Barrier(3), list[tuple[str, str]]()
    threads = threading.Barrier(3, timeout=10)

    class Plugin:
        @hookimpl(tryfirst=True)
        async def on_rpc(self, event: RPCEvent) -> None:
            async with asyncio.timeout(10):
                await inside.wait()
            told.append((event.method, seen()))

        @hookimpl(specname="on_rpc")
        def blocks(self, event: RPCEvent) -> RPCResult:
            threads.wait()
            told.append((event.method, seen()))
            return RPCResult()

    async with App([Plugin()]) as app:
        await asyncio.gather(*(app.rpc(name) for name in ("one", "two", "three")))
    assert len(told) == 6
    assert all(own == found for own, found in told)


async def test_an_event_inside_another() -> None:
    """A hook that sends an event of its own gets its own back afterwards."""
    told: list[str] = []

    class Plugin:
        app: App

        @hookimpl
        async def on_rpc(self, event: RPCEvent) -> RPCResult:
            if event.method == "outer":
                await self.app.rpc("inner")
            told.append(seen())
            return RPCResult()

    plugin = Plugin()
    async with App([plugin]) as app:
        plugin.app = app
        await app.rpc("outer")
    assert told == ["inner", "outer"]


class Feed:
    """A stream that notes what it sees at each of its steps."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @hookimpl
    async def on_subscribe_unidirectional(self) -> AsyncIterator[SubscribeResult | Publication]:
        try:
            self.told.append(seen())
            yield SubscribeResult()
            for number in range(2):
                self.told.append(seen())
                yield Publication(data=number)
        finally:
            self.told.append(seen())

    @hookimpl
    async def after_event(self) -> None:
        self.told.append(seen())

    @hookimpl
    async def on_rpc(self) -> RPCResult:
        return RPCResult(data=seen())


@pytest.mark.parametrize("taken", [1, 2], ids=["left early", "to its end"])
async def test_the_event_at_hand_in_a_stream(taken: int) -> None:
    """Each item, and the end, sees the stream's event; whoever reads the items sees its own in between."""
    feed, cache = Feed(), resettable(Cache())
    async with App([feed]) as app:
        stream = await app.stream(SubscribeUnidirectionalEvent(channel="feed", user="ann"))
        items = aiter(stream)
        async with contextlib.aclosing(items):
            for number in range(taken):
                assert (await anext(items)).data == number
                assert current_event() is None
                assert (await app.rpc("between")).result == RPCResult(data="between")
                await app.memory.send(PublishEvent(channel="x"))
            if taken == 2:
                assert await anext(items, None) is None
        while app.runtime.bridge._tasks:
            await asyncio.wait(app.runtime.bridge._tasks)
        assert cache.resets == 2 * taken + 1  # once for the stream, after its end
    told = [each for each in feed.told if each not in ("between", "x")]
    assert told == ["feed"] * (taken + 3)


async def test_what_is_reset_and_when() -> None:
    """Sync and async ones, once for an event however often they are registered, after the reset points."""
    order: list[str] = []

    class Plugin:
        @hookimpl
        async def on_rpc(self) -> RPCResult:
            order.append("hook")
            return RPCResult()

        @hookimpl
        async def after_event(self) -> None:
            await asyncio.sleep(0)
            order.append("after_event")

    class Sync:
        def reset(self) -> None:
            order.append(f"sync {seen()} {threading.current_thread() is threading.main_thread()}")

    class Async:
        async def reset(self) -> None:
            await asyncio.sleep(0)
            order.append("async")

    first = resettable(Sync())
    assert resettable(first) is first
    resettable(Async())
    async with App([Plugin()]) as app:
        await app.rpc("m")
        assert order == ["hook"]  # the reply does not wait
    assert order == ["hook", "after_event", "sync m True", "async"]


async def test_objects_that_are_equal_are_all_reset() -> None:
    """What counts is which object it is."""

    class Equal(Cache):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]  # caches often cannot be hashed

    one, other = resettable(Equal()), resettable(Equal())
    async with App([]) as app:
        await app.rpc("m")
    assert (one.resets, other.resets) == (1, 1)


async def test_a_reset_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, the others run, and who wants to know is told once for the event."""

    class Broken:
        def reset(self) -> None:
            raise RuntimeError("no reset")

    resettable(Broken())
    resettable(Broken())
    cache, told = resettable(Cache()), list[int]()
    async with App([]) as app:
        await app.rpc("m")
        await app.runtime.bridge.drain()
        app.runtime.bridge.on_reset_failed = lambda: told.append(1)
        await app.rpc("m")
    assert (cache.resets, told) == (2, [1])
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [record.getMessage() for record in errors] == ["Broken.reset() failed"] * 4
    assert errors[0].exc_info is not None


async def test_a_reset_after_a_stream_that_could_not_end() -> None:
    """What is registered is reset although closing the stream failed."""
    cache = resettable(Cache())

    class Stuck:
        @hookimpl
        async def on_subscribe_unidirectional(self) -> AsyncIterator[SubscribeResult]:
            try:
                yield SubscribeResult(data=object())
            finally:
                raise RuntimeError("not closed")

    async with App([Stuck()]) as app:
        outcome = await app.send(SubscribeUnidirectionalEvent(channel="c"))
        assert outcome.failure == "internal"
        tasks = [*app.runtime.bridge._tasks]
        await asyncio.wait(tasks)
        assert str(tasks[0].exception()) == "not closed"
    assert cache.resets == 1


class NoReset: ...


class Wants:
    def reset(self, token: object) -> None: ...


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (NoReset(), "resettable() takes an object with a reset() method; NoReset has none"),
        (7, "resettable() takes an object with a reset() method; int has none"),
        (Wants(), "resettable() calls reset() without arguments; Wants.reset wants more"),
        (
            Cache,
            "resettable() calls reset() without arguments; Cache.reset wants more; register an instance, not the class",
        ),
        (
            contextvars.ContextVar("v"),
            "resettable() calls reset() without arguments; ContextVar.reset wants more",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_reset(given: object, text: str, registered: list[Any]) -> None:
    """It is refused where it is registered."""
    with pytest.raises(TypeError) as error:
        resettable(given)
    assert str(error.value) == text
    assert registered == []


def test_what_does_not_tell_its_arguments(registered: list[Any]) -> None:
    """Some functions written in C have no signature; they are taken as they are."""
    silent = type("Silent", (), {"reset": dict[str, int]().update})()
    assert resettable(silent) is silent
    assert registered == [silent]


# --- around_blocking -------------------------------------------------------------------------------------------------


class Around:
    """Notes when its context manager is entered and left, and on which thread."""

    def __init__(self, name: str, told: list[str], threads: set[int]) -> None:
        self._name, self._told, self._threads = name, told, threads

    @hookimpl
    @contextmanager
    def around_blocking(self) -> Generator[None]:
        self._threads.add(threading.get_ident())
        self._told.append(f"{self._name} in")
        try:
            yield
        except Exception as exc:
            self._told.append(f"{self._name} {type(exc).__name__}")
            raise
        finally:
            self._told.append(f"{self._name} out")


async def test_context_managers_around_blocking_hooks() -> None:
    """One run for consecutive hooks, on their thread, nested in the order of hooks; async hooks are not inside."""
    told: list[str] = []
    threads: set[int] = set()

    class Plugin:
        @hookimpl(tryfirst=True)
        def on_rpc(self) -> None:
            told.append("hook")
            threads.add(threading.get_ident())

        @hookimpl(specname="on_rpc")
        def second(self) -> None:
            told.append("hook")

        @hookimpl(specname="on_rpc", trylast=True)
        async def last(self) -> RPCResult:
            told.append("async")
            return RPCResult()

        @hookimpl
        def after_event(self) -> None:
            told.append("after")

    async with App([Around("inner", told, threads), Around("outer", told, threads), Plugin()]) as app:
        assert (await app.rpc("m")).error is None
    around = ["outer in", "inner in"], ["inner out", "outer out"]
    assert told == [*around[0], "hook", "hook", *around[1], "async", *around[0], "after", *around[1]]
    assert len(threads) == 1
    assert threads != {threading.get_ident()}


async def test_context_managers_around_life_cycle_hooks() -> None:
    """Blocking ones are inside as well, `on_boot` included; what is injected is there."""
    told: list[str] = []

    class Plugin:
        @hookimpl
        def around_blocking(self, config: Any) -> AbstractContextManager[object]:
            told.append(f"around {type(config).__name__}")
            return contextlib.nullcontext()

        @hookimpl
        def on_boot(self) -> None:
            told.append("boot")

        @hookimpl(blocking=False)
        def on_ready(self) -> None:
            told.append("ready")

        @hookimpl
        def on_shutdown(self) -> None:
            told.append("shutdown")

    async with App([Plugin()]):
        pass
    assert told == ["around Config", "boot", "ready", "around Config", "shutdown"]


async def test_what_hooks_raise_passes_through() -> None:
    """A context manager sees it and cannot swallow it: it may be a denial."""
    told: list[str] = []

    class Swallows:
        @hookimpl
        def around_blocking(self) -> AbstractContextManager[object]:
            return contextlib.suppress(Exception)

    class Denies:
        @hookimpl
        def on_rpc(self) -> None:
            raise Disconnect(4501, "no")

    async with App([Around("a", told, set()), Swallows(), Denies()]) as app:
        assert (await app.rpc("m")).disconnect == Disconnect(4501, "no")
    assert told == ["a in", "a Disconnect", "a out"]


@pytest.mark.parametrize("when", ["call", "enter", "exit"])
async def test_a_context_manager_that_fails(when: str, caplog: pytest.LogCaptureFixture) -> None:
    """It counts as raised by the hooks inside; the outer ones are left in order."""
    told: list[str] = []

    class Broken:
        @hookimpl
        def around_blocking(self) -> AbstractContextManager[object]:
            if when == "call":
                raise RuntimeError("no session")
            return self._session()

        @contextmanager
        def _session(self) -> Generator[None]:
            if when == "enter":
                raise RuntimeError("no session")
            yield
            raise RuntimeError("no session")

    class Plugin:
        @hookimpl
        def on_rpc(self) -> RPCResult:
            told.append("hook")
            return RPCResult()

    async with App([Broken(), Around("a", told, set()), Plugin()]) as app:
        assert (await app.rpc("m")).error == ClientError("INTERNAL")
    inside = ["hook"] if when == "exit" else []
    assert told == ["a in", *inside, "a RuntimeError", "a out"]
    assert "no session" in caplog.text


async def test_without_context_managers_nothing_is_wrapped() -> None:
    """What a lease runs is what the thread calls."""
    threads = Threads(1)
    lease = await threads.lease()
    calls: list[Any] = []
    put = lease._thread.put

    def noted(context: Any, function: Any) -> Any:
        calls.append(function)
        return put(context, function)

    lease._thread = type("Thread", (), {"put": staticmethod(noted), "busy": 0})()
    await lease.run(threading.get_ident)
    assert calls == [threading.get_ident]
    threads.close()


async def coroutine() -> None: ...


async def async_generator() -> AsyncIterator[None]:
    yield


def generator() -> Iterator[None]:
    yield


@contextlib.asynccontextmanager
async def async_manager() -> AsyncIterator[None]:
    yield


@contextmanager
def manager() -> Generator[None]:
    yield


@pytest.mark.parametrize(
    ("function", "options", "why"),
    [
        (coroutine, {}, "is called on the thread of blocking hooks, so it is a plain def"),
        (async_generator, {}, "is called on the thread of blocking hooks, so it is a plain def"),
        (async_manager, {}, "is called on the thread of blocking hooks, so it is a plain def"),
        (generator, {}, "is a generator; put @contextlib.contextmanager between it and @hookimpl"),
        (manager, {"blocking": False}, "always runs on the thread of blocking hooks; leave blocking=False out"),
        (generator, {"wrapper": True}, "this hook has no answer to wrap"),
    ],
    ids=["async", "async generator", "asynccontextmanager", "generator", "inline", "wrapper"],
)
def test_what_cannot_be_around(function: Any, options: dict[str, Any], why: str) -> None:
    """It is refused at the start, by name."""
    plugin = type("Plugin", (), {"around_blocking": staticmethod(hookimpl(**options)(function))})()
    with pytest.raises(PluginError) as error:
        HookManager({}).register(plugin, "chat.hooks")
    assert str(error.value).startswith("plugin chat.hooks, hook around_blocking (")
    assert str(error.value).endswith(f"): {why}")
    vars(function).pop("rtbridge_impl")


def test_what_can_be_around() -> None:
    """A context manager's function, decorated on either side, and with `blocking=True`."""
    inside = contextmanager(hookimpl(lambda: iter((None,))))
    registry = HookManager({})
    registry.register(type("One", (), {"around_blocking": staticmethod(hookimpl(blocking=True)(manager))})())
    registry.register(type("Two", (), {"around_blocking": staticmethod(inside)})())
    steps = registry.lifecycle()["around_blocking"].steps
    assert [step.mode.name for step in steps] == ["BLOCKING"] * 2
    vars(manager).pop("rtbridge_impl")
