"""Routed listeners: which run, in what order, and with what."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtbridge import (
    ConnectEvent,
    ConnectResult,
    Event,
    PluginError,
    PublishEvent,
    Router,
    RPCEvent,
    RPCResult,
    SubscribeEvent,
    hookimpl,
)
from rtbridge.events import METHODS
from rtbridge.hooks.listeners import make_listener
from rtbridge.hooks.patterns import compile_pattern
from rtbridge.hooks.router import RouteTable
from rtbridge.testing import App


def table(kind: str, *patterns: str, priorities: tuple[int, ...] = ()) -> RouteTable:
    """A table whose listeners are called by their number."""
    method = METHODS[kind]
    listeners = []
    for number, text in enumerate(patterns):

        def listen(event: Event) -> None: ...

        listen.__qualname__ = str(number)
        priority = priorities[number] if priorities else 0
        listeners.append(make_listener(method, compile_pattern(text), priority, None, listen, {}))
    return RouteTable(method, listeners)


def numbers(steps: Any) -> list[int]:
    return [int(step.name.rpartition(".")[2]) for step in steps]


async def test_order() -> None:
    """Exact, then captures, then stars; within these by priority, then by registration; across routers and buckets."""
    seen: list[str] = []

    def note(router: Router, pattern: str, name: str, priority: int = 0, *, blocking: bool | None = None) -> None:
        if blocking is None:

            async def listen() -> None:
                seen.append(name)

            router.on_publish(pattern, priority=priority)(listen)
        else:

            def listen_sync() -> None:
                seen.append(name)

            router.on_publish(pattern, priority=priority, blocking=blocking)(listen_sync)

    first, second = Router(), Router()
    note(first, "*", "star")
    note(first, "chat:*", "chat star", blocking=True)
    note(first, "chat:{room}", "capture", blocking=False)
    note(first, "{ns}:{room}", "two captures", priority=1)
    note(first, "chat:7", "exact")
    note(second, "chat:7", "exact high", priority=5, blocking=True)
    note(second, "*", "star high", priority=9)
    note(second, "chat:{room}", "capture again", blocking=True)
    note(second, "CHAT:7", "another case")

    class Plugin:
        one = first
        two = second

    async with App([Plugin()]) as app:
        await app.publish("chat:7")
    assert seen == [
        "exact high",
        "exact",
        "two captures",
        "capture",
        "capture again",
        "star high",
        "star",
        "chat star",
    ]


_PATTERNS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(["a", "b", ":", "{x}", "*", "a:", "ab:"]), min_size=1, max_size=4).map("".join),
        st.integers(-1, 1),
    ),
    max_size=8,
)


@settings(max_examples=500, deadline=None)
@given(patterns=_PATTERNS, name=st.text("ab:", max_size=6))
def test_buckets_against_trying_them_all(patterns: list[tuple[str, int]], name: str) -> None:
    """What the table finds by namespace is what a look at every pattern finds, in the same order."""
    usable = []
    for text, priority in patterns:
        try:
            usable.append((compile_pattern(text), priority))
        except ValueError:
            continue
    found = table("publish", *(p.text for p, _ in usable), priorities=tuple(n for _, n in usable))
    wanted = [
        number
        for number, (pattern, priority) in sorted(
            enumerate(usable), key=lambda each: (each[1][0].rank, -each[1][1], each[0])
        )
        if pattern.match(name) is not None
    ]
    assert numbers(found.match(PublishEvent(channel=name))) == wanted


@settings(max_examples=200, deadline=None)
@given(patterns=_PATTERNS, names=st.lists(st.text("ab:", max_size=4), max_size=4))
def test_connect_runs_each_listener_once(patterns: list[tuple[str, int]], names: list[str]) -> None:
    """A connect is routed by the channels it asks for; each listener that matches one runs once, in the order of
    patterns."""
    usable = []
    for text, priority in patterns:
        try:
            usable.append((compile_pattern(text), priority))
        except ValueError:
            continue
    found = table("connect", *(p.text for p, _ in usable), priorities=tuple(n for _, n in usable))
    wanted = [
        number
        for number, (pattern, priority) in sorted(
            enumerate(usable), key=lambda each: (each[1][0].rank, -each[1][1], each[0])
        )
        if any(pattern.match(name) is not None for name in names)
    ]
    assert numbers(found.match(ConnectEvent(channels=tuple(names)))) == wanted


async def test_connect_by_channels() -> None:
    """A listener gets the captures of the first channel that it matches."""

    class Plugin:
        router = Router()

        @staticmethod
        @router.on_connect("room:{id}")
        async def rooms(event: ConnectEvent, id: str) -> ConnectResult:
            return ConnectResult(user="", data=id)

    async with App([Plugin()]) as app:
        assert (await app.connect(channels=["x", "room:2", "room:1"])).result.data == "2"
        assert (await app.connect(channels=["x"])).denied_by_default
        assert (await app.connect()).denied_by_default


async def test_every_routed_event() -> None:
    """Each event that has a name can be routed by it; those without have no decorator."""
    routed = {kind for kind, method in METHODS.items() if method.route}
    router = Router()
    assert {name.removeprefix("on_") for name in dir(router) if name.startswith("on_")} == routed
    for kind in routed:

        async def listen(event: Event) -> None: ...

        getattr(router, f"on_{kind}")("x")(listen)
    assert [route.method.kind for route in router.routes] == [k for k in METHODS if k in routed] or len(
        router.routes
    ) == len(routed)


async def test_stop_propagation_among_listeners() -> None:
    """A listener that stops keeps later ones from running, also inside one hop on a thread."""
    seen: list[str] = []

    class Plugin:
        router = Router()

        @staticmethod
        @router.on_rpc("m")
        def first(event: RPCEvent) -> None:
            seen.append("first")
            event.respond(RPCResult(data=1))
            event.stop_propagation()

        @staticmethod
        @router.on_rpc("*")
        def second() -> None:
            seen.append("second")

    async with App([Plugin()]) as app:
        assert (await app.rpc("m")).result == RPCResult(data=1)
        assert (await app.rpc("n")).denied_by_default
    assert seen == ["first", "second"]


async def test_plain_and_routed_blocking_hooks_in_one_chain() -> None:
    """Plain hooks run first; blocking ones and the listeners behind them share a hop, async ones come between."""
    seen: list[str] = []

    class Plugin:
        router = Router()

        @hookimpl
        def on_rpc(self, event: RPCEvent) -> None:
            seen.append("plain")

        @staticmethod
        @router.on_rpc("m", priority=2)
        def one() -> None:
            seen.append("one")

        @staticmethod
        @router.on_rpc("m", priority=1)
        async def two() -> None:
            seen.append("two")

        @staticmethod
        @router.on_rpc("m")
        def three() -> RPCResult:
            seen.append("three")
            return RPCResult(data=3)

    async with App([Plugin()]) as app:
        assert (await app.rpc("m")).result == RPCResult(data=3)
        assert (await app.rpc("other")).denied_by_default
    assert seen == ["plain", "one", "two", "three", "plain"]


def test_a_pattern_that_is_none() -> None:
    """The decorator refuses it where it stands."""
    with pytest.raises(PluginError, match=r"^on_rpc: pattern '\{x' has a brace without its partner$"):
        Router().on_rpc("{x")


def test_decorating_no_function() -> None:
    """What cannot be called is refused where it stands."""
    with pytest.raises(PluginError, match=r"^on_rpc\('x'\) decorates a function, not int$"):
        Router().on_rpc("x")(3)  # type: ignore[type-var]


def test_repr() -> None:
    """A router shows what it routes."""
    router = Router()
    router.on_rpc("x.{y}")(hidden)
    assert repr(router) == f"Router(x.{{y}} → {hidden.__module__}.hidden)"


async def hidden(event: Event, y: str) -> None: ...


@pytest.mark.parametrize(
    ("name", "nearest"), [("chat.sned", "chat.send"), ("user.gt", "user.get"), ("", "chat.send"), ("~~~", "chat.send")]
)
def test_nearest(name: str, nearest: str) -> None:
    """A name that nothing matches gets the pattern that looks most like it, or the first."""
    assert table("rpc", "chat.send", "user.get").nearest(RPCEvent(method=name)) == nearest


def test_nearest_of_several_channels() -> None:
    """A connect's channels are tried one after the other; a long name is cut first."""
    found = table("connect", "chat:{room}", "news")
    assert found.nearest(ConnectEvent(channels=("~", "nws"))) == "news"
    assert found.nearest(ConnectEvent(channels=())) == "chat:{room}"
    assert table("subscribe", "x").nearest(SubscribeEvent(channel="x" * 100_000)) == "x"
    assert table("subscribe").nearest(SubscribeEvent(channel="x")) is None
