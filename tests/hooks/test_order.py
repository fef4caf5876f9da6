"""The order of hooks, wrappers around them, and the middleware around everything."""

import contextlib
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from rtbridge import (
    CallNext,
    ClientError,
    Disconnect,
    Event,
    Outcome,
    PublishEvent,
    PublishResult,
    Router,
    RPCEvent,
    RPCResult,
    hookimpl,
)
from rtbridge.testing import App


def noting(seen: list[str], name: str, *, blocking: bool | None = None, **options: Any) -> object:
    """A plugin that notes that its hook ran, async or on a thread."""

    async def async_hook() -> None:
        seen.append(name)

    def sync_hook() -> None:
        seen.append(name)

    hook: Any = hookimpl(blocking=blocking, **options)(async_hook if blocking is None else sync_hook)
    return type("Plugin", (), {"on_rpc": staticmethod(hook)})()


async def test_order() -> None:
    """tryfirst, then the rest, then trylast; among equals the one registered last runs first, and last among
    those with trylast; routed ones come after."""
    seen: list[str] = []

    class Routed:
        router = Router()

        @staticmethod
        @router.on_rpc("m")
        async def listen() -> None:
            seen.append("routed")

    plugins = [
        Routed(),
        noting(seen, "last 1", trylast=True),
        noting(seen, "first 1", tryfirst=True, blocking=True),
        noting(seen, "plain 1", blocking=False),
        noting(seen, "last 2", trylast=True, blocking=True),
        noting(seen, "plain 2", blocking=True),
        noting(seen, "first 2", tryfirst=True),
        noting(seen, "plain 3"),
    ]
    async with App(plugins) as app:
        await app.rpc("m")
    assert seen == ["first 2", "first 1", "plain 3", "plain 2", "plain 1", "last 1", "last 2", "routed"]


async def test_a_hook_that_gives_back_an_awaitable() -> None:
    """A `def` hook may return a coroutine, from the loop or from a thread; one that yields None is no answer."""
    seen: list[str] = []

    async def later(value: Any) -> Any:
        seen.append("awaited")
        return value

    class Inline:
        @hookimpl(blocking=False)
        def on_rpc(self, event: RPCEvent) -> Any:
            return later(None if event.method == "none" else RPCResult(data="inline"))

    class Blocking:
        @hookimpl(trylast=True)
        def on_rpc(self, event: RPCEvent) -> Any:
            return later(None if event.user else RPCResult(data="blocking"))

    async with App([Inline(), Blocking()]) as app:
        assert (await app.rpc("m")).result.data == "inline"
        assert (await app.rpc("none")).result.data == "blocking"
        assert (await app.rpc("none", user="7")).denied_by_default
    assert len(seen) == 5


async def test_an_awaitable_with_a_wrong_answer(caplog: pytest.LogCaptureFixture) -> None:
    """What a coroutine from a `def` hook gives back is checked as well."""

    async def later() -> int:
        return 7

    class Plugin:
        @hookimpl(blocking=False)
        def on_rpc(self) -> Any:
            return later()

    async with App([Plugin()]) as app:
        assert (await app.rpc("m")).error == ClientError("INTERNAL")
    assert "Plugin.on_rpc answered RPCEvent with int, not RPCResult" in caplog.text


async def test_a_result_of_one_s_own_type() -> None:
    """A subclass of the event's result answers it."""

    class Own(RPCResult, frozen=True, kw_only=True):
        note: str = ""

    class Plugin:
        @hookimpl
        async def on_rpc(self) -> RPCResult:
            return Own(data=1, note="for the reset point")

        @hookimpl(blocking=False)
        def after_event(self, outcome: Outcome) -> None:
            notes.append(outcome.result.note)

    notes: list[str] = []
    async with App([Plugin()]) as app:
        reply = await app.memory.request("rpc", b"{}", wire="json")
    assert reply.payload == b'{"result":{"data":1}}'
    assert notes == ["for the reset point"]


async def test_an_async_generator_is_no_answer_to_a_plain_event(caplog: pytest.LogCaptureFixture) -> None:
    """Only streams are answered by generators; elsewhere one is a wrong answer, and the reset point still comes."""
    after: list[str] = []

    async def items() -> Any:
        yield RPCResult()

    class Plugin:
        @hookimpl
        async def on_rpc(self) -> Any:
            return items()

        @hookimpl
        async def after_event(self, event: Event) -> None:
            after.append(event.kind)

    async with App([Plugin()]) as app:
        outcome = await app.rpc("m")
    assert outcome.error == ClientError("INTERNAL")
    assert "answered RPCEvent with async_generator, not RPCResult" in caplog.text
    assert after == ["rpc"]


class Inner:
    """Answers an RPC by what its method says, in the way that the test asks for."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def decide(self, event: RPCEvent) -> RPCResult | None:
        if event.method == "disconnect":
            raise Disconnect(4501)
        if event.method == "error":
            raise ClientError(400)
        if event.method == "bug":
            raise ZeroDivisionError
        return None if event.method == "none" else RPCResult(data=event.method)


class AsyncInner(Inner):
    @hookimpl
    async def on_rpc(self, event: RPCEvent) -> RPCResult | None:
        return self.decide(event)


class SyncInner(Inner):
    @hookimpl
    def on_rpc(self, event: RPCEvent) -> RPCResult | None:
        return self.decide(event)


@pytest.fixture(params=[AsyncInner, SyncInner], ids=["async", "blocking"])
def inner(request: pytest.FixtureRequest) -> object:
    """The chain that a wrapper is around."""
    found: object = request.param("x")
    return found


def wrapper(body: Any, **options: Any) -> object:
    """A plugin with that generator around the hooks of an RPC."""
    return type("Around", (), {"on_rpc": staticmethod(hookimpl(wrapper=True, **options)(body))})()


async def test_a_wrapper_sees_and_changes(inner: object) -> None:
    """What the yield gives back is the answer so far, None when nobody answered; what it returns is the answer."""

    def around(event: RPCEvent) -> Iterator[None]:
        answer: Any = yield
        return RPCResult(data=["nobody" if answer is None else answer.data])  # type: ignore[return-value]

    async with App([wrapper(around), inner]) as app:
        assert (await app.rpc("m")).result == RPCResult(data=["m"])
        assert (await app.rpc("none")).result == RPCResult(data=["nobody"])


@pytest.mark.parametrize(
    ("method", "raised"), [("disconnect", Disconnect), ("error", ClientError), ("bug", ZeroDivisionError)]
)
async def test_a_wrapper_sees_exceptions(inner: object, method: str, raised: type[Exception]) -> None:
    """Whatever is raised inside comes out of the yield, and may be answered for, replaced or left alone."""
    seen: list[type[BaseException]] = []

    def around(event: RPCEvent) -> Iterator[None]:
        try:
            return (yield)
        except Exception as exc:
            seen.append(type(exc))
            if event.user == "answer":
                return RPCResult(data="saved")  # type: ignore[return-value]
            if event.user == "replace":
                raise Disconnect(4999) from exc
            raise

    async with App([wrapper(around), inner]) as app:
        assert (await app.rpc(method, user="answer")).result == RPCResult(data="saved")
        assert (await app.rpc(method, user="replace")).disconnect == Disconnect(4999)
        outcome = await app.rpc(method)
    assert seen == [raised] * 3
    assert outcome.label == {"disconnect": "disconnect 4501", "error": "error 400", "bug": "error 100"}[method]


@pytest.mark.parametrize("times", [0, 2])
async def test_a_wrapper_that_does_not_yield_once(inner: object, times: int, caplog: pytest.LogCaptureFixture) -> None:
    """It is a bug, and the log names it."""

    def around(event: RPCEvent) -> Iterator[None]:
        for _ in range(times):
            with contextlib.suppress(ZeroDivisionError):
                yield

    async with App([wrapper(around), inner]) as app:
        assert (await app.rpc("m")).error == ClientError("INTERNAL")
        assert (await app.rpc("bug")).error == ClientError("INTERNAL")
    assert f"around {'did not yield' if times == 0 else 'yielded twice'}" in caplog.text


async def test_a_wrapper_that_forgets_to_return(inner: object, caplog: pytest.LogCaptureFixture) -> None:
    """Returning nothing in place of an answer denies, and the warning says whose fault it is."""

    def around(event: RPCEvent) -> Iterator[None]:
        yield

    async with App([wrapper(around), inner]) as app:
        outcome = await app.rpc("m")
    assert outcome.denied_by_default
    assert outcome.why.endswith("around returned None in place of an answer; return it from there")
    assert outcome.why in caplog.text


async def test_a_wrapper_that_answers_wrongly(inner: object, caplog: pytest.LogCaptureFixture) -> None:
    """Its answer is checked like a hook's."""

    def around(event: RPCEvent) -> Iterator[None]:
        yield
        return PublishResult()  # type: ignore[return-value]

    async with App([wrapper(around), inner]) as app:
        assert (await app.rpc("m")).error == ClientError("INTERNAL")
    assert "around answered RPCEvent with PublishResult, not RPCResult" in caplog.text


async def test_wrappers_nest(inner: object) -> None:
    """The order of wrappers is that of hooks, outermost first."""
    seen: list[str] = []

    def named(name: str) -> Any:
        def around(event: RPCEvent) -> Iterator[None]:
            seen.append(f"{name} in")
            answer = yield
            seen.append(f"{name} out")
            return answer

        return around

    plugins = [wrapper(named("b")), inner, wrapper(named("a"), tryfirst=True), wrapper(named("c"), trylast=True)]
    async with App(plugins) as app:
        assert (await app.rpc("m")).result == RPCResult(data="m")
    assert seen == ["a in", "b in", "c in", "c out", "b out", "a out"]


async def test_a_wrapper_that_stops(inner: object) -> None:
    """`stop_propagation` before the yield keeps the hooks inside from running; the warning names the wrapper."""

    def around(event: RPCEvent) -> Iterator[None]:
        event.stop_propagation()
        return (yield)

    async with App([wrapper(around), inner]) as app:
        outcome = await app.rpc("m")
    assert outcome.denied_by_default
    assert "around stopped propagation without an answer" in outcome.why


class Middle:
    """A middleware that notes when it is entered and left."""

    def __init__(self, seen: list[str], name: str) -> None:
        self.seen, self.name = seen, name

    @hookimpl
    async def on_event(self, event: Event, call_next: CallNext) -> Any:
        self.seen.append(f"{self.name} in {event.kind}")
        try:
            return await call_next(event)
        except Disconnect:
            self.seen.append(f"{self.name} disconnect")
            raise
        finally:
            self.seen.append(f"{self.name} out")


async def test_middleware_nests_around_every_event() -> None:
    """The one registered last is outermost, wrappers and hooks are inside, answers and raised ones pass through."""
    seen: list[str] = []

    def around(event: RPCEvent) -> Iterator[None]:
        seen.append("wrapper in")
        try:
            return (yield)
        finally:
            seen.append("wrapper out")

    async with App([Middle(seen, "inner"), Middle(seen, "outer"), wrapper(around), AsyncInner("x")]) as app:
        assert (await app.rpc("m")).result == RPCResult(data="m")
        assert seen == [
            "outer in rpc",
            "inner in rpc",
            "wrapper in",
            "wrapper out",
            "inner out",
            "outer out",
        ]
        seen.clear()
        assert (await app.rpc("disconnect")).disconnect == Disconnect(4501)
        assert seen[-4:] == ["inner disconnect", "inner out", "outer disconnect", "outer out"]
        seen.clear()
        assert (await app.subscribe("c")).denied_by_default
        assert seen == ["outer in subscribe", "inner in subscribe", "inner out", "outer out"]


async def test_middleware_sees_invalid_calls() -> None:
    """A call that cannot be decoded passes through the middleware as well."""
    seen: list[str] = []
    async with App([Middle(seen, "m")]) as app:
        await app.memory.request("rpc", b"\xff")
    assert seen == ["m in invalid", "m out"]


async def test_middleware_replaces_the_event() -> None:
    """What is inside sees the event that was passed on, with the same call."""

    class Rename:
        @hookimpl
        async def on_event(self, event: Event, call_next: CallNext) -> Any:
            if isinstance(event, RPCEvent):
                event.state["by"] = "middleware"
                event = msgspec.structs.replace(event, method="renamed", raw_data=b"[2]")
            return await call_next(event)

    class Plugin:
        router = Router()

        @hookimpl
        async def on_rpc(self, event: RPCEvent) -> None:
            assert event.data == [2]

        @staticmethod
        @router.on_rpc("renamed")
        async def listen(event: RPCEvent, data: list[int]) -> RPCResult:
            return RPCResult(data=[data, event.state["by"]])

    class Reads:
        @hookimpl(tryfirst=True)
        async def on_event(self, event: Event, call_next: CallNext) -> Any:
            if isinstance(event, RPCEvent):
                assert event.data == 1
            return await call_next(event)

    async with App([Rename(), Plugin(), Reads()]) as app:
        assert (await app.rpc("m", 1)).result == RPCResult(data=[[2], "middleware"])


async def test_middleware_may_not_turn_one_event_into_another(caplog: pytest.LogCaptureFixture) -> None:
    """Another type of event would be answered with another type of result."""

    class Turns:
        @hookimpl
        async def on_event(self, event: Event, call_next: CallNext) -> Any:
            return await call_next(PublishEvent(call=event.call))

    async with App([Turns(), AsyncInner("x")]) as app:
        assert (await app.rpc("m")).error == ClientError("INTERNAL")
    assert "Turns.on_event passed on PublishEvent, not RPCEvent" in caplog.text


async def test_middleware_that_forgets_the_answer(caplog: pytest.LogCaptureFixture) -> None:
    """One that does not return what `call_next` gave denies, and the warning names it."""

    class Forgets:
        @hookimpl
        async def on_event(self, event: Event, call_next: CallNext) -> None:
            await call_next(event)

    async with App([Forgets(), AsyncInner("x")]) as app:
        outcome = await app.rpc("m")
    assert outcome.denied_by_default
    assert "Forgets.on_event returned None in place of an answer; return it from there" in outcome.why


async def test_middleware_that_does_not_go_on(caplog: pytest.LogCaptureFixture) -> None:
    """One that returns None without `call_next` denies, and the warning blames no hook that never ran."""

    class Silent:
        @hookimpl
        async def on_event(self, event: Event, call_next: CallNext) -> None: ...

    async with App([Silent(), AsyncInner("x")]) as app:
        outcome = await app.rpc("m")
    assert outcome.denied_by_default
    assert "Silent.on_event returned None without call_next" in outcome.why
    assert "AsyncInner" not in outcome.why


@pytest.mark.parametrize("what", ["answer", "raise", "wrong"])
async def test_middleware_answers_itself(what: str) -> None:
    """It may answer without going on: a result, a raised answer, or wrongly."""
    seen: list[str] = []

    class Answers:
        @hookimpl
        async def on_event(self, event: Event, call_next: CallNext) -> Any:
            if what == "raise":
                raise Disconnect(4001)
            return RPCResult(data="own") if what == "answer" else "own"

    async with App([Answers(), noting(seen, "hook")]) as app:
        label = (await app.rpc("m")).label
    assert label == {"answer": "ok", "raise": "disconnect 4001", "wrong": "error 100"}[what]
    assert seen == []


async def test_middleware_that_stops() -> None:
    """`stop_propagation` before `call_next` keeps every hook from running; an answer that is pending stands."""
    seen: list[str] = []

    class Stops:
        @hookimpl
        async def on_event(self, event: RPCEvent, call_next: CallNext) -> Any:
            event.stop_propagation()
            if event.user:
                event.respond(RPCResult(data="pending"))
            return await call_next(event)

    async with App([Stops(), noting(seen, "hook")]) as app:
        outcome = await app.rpc("m")
        assert outcome.denied_by_default
        assert "Stops.on_event stopped propagation without an answer" in outcome.why
        assert (await app.rpc("m", user="7")).result == RPCResult(data="pending")
    assert seen == []


async def test_a_middleware_may_ask_twice() -> None:
    """`call_next` may be called again; the last answer is what it gets."""

    class Retries:
        @hookimpl
        async def on_event(self, event: Event, call_next: CallNext) -> Any:
            try:
                return await call_next(event)
            except ZeroDivisionError:
                return await call_next(msgspec.structs.replace(event, method="again"))

    async with App([Retries(), AsyncInner("x")]) as app:
        assert (await app.rpc("bug")).result == RPCResult(data="again")


def test_around_lists_what_surrounds() -> None:
    """Middleware and wrappers are listed outermost first, for the listing of hooks."""

    def around(event: RPCEvent) -> Iterator[None]:
        yield

    app = App([Middle([], "m"), wrapper(around)])
    assert [each.name.rpartition(".")[2] for each in app.runtime.chains["rpc"].around] == ["on_event", "around"]
