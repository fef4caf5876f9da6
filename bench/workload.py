"""The application that is measured: five small plugins, one of them a router with fifty patterns for each event."""

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping
from typing import Any

import msgspec

from rtbridge import Event, PublishEvent, PublishResult, Router, RPCEvent, RPCResult, hookimpl
from rtbridge.app import Runtime
from rtbridge.config import Config, parse_config

PATTERNS = 50

#: The five plugins as modules of ``bench.plugins``, in the order of :func:`application`.
PLUGINS = ("accounts", "quota", "protocols", "trace", "chat")

#: Anybody may listen and publish, and no hook is asked.
_OPEN = {f"allow_{what}_for_{whom}": True for what in ("subscribe", "publish") for whom in ("client", "anonymous")}

#: What a server of clients is configured with, Centrifugo and the embedded one alike; only its hooks are elsewhere.
REALTIME: dict[str, Any] = {
    "client": {"allow_anonymous_connect_without_token": True, "concurrency": 32},
    "channel": {
        "without_namespace": _OPEN,
        "namespaces": [
            {"name": "kept", **_OPEN, "history_size": 300, "history_ttl": "60s", "force_recovery": True},
        ],
    },
    "rpc": {"without_namespace": {"proxy_enabled": True}},
}


class Numbers(msgspec.Struct):
    """The payload of the recorded RPC."""

    a: int
    b: int


class Message(msgspec.Struct):
    """The payload of the recorded publication."""

    text: str


class Accounts:
    """Looks at who calls, as a plugin does that knows its users."""

    banned: frozenset[str] = frozenset({"7", "13"})

    @hookimpl
    async def on_rpc(self, event: RPCEvent) -> RPCResult | None:
        return RPCResult() if event.user in self.banned else None

    @hookimpl
    async def on_publish(self, event: PublishEvent) -> PublishResult | None:
        return PublishResult() if event.user in self.banned else None


class Quota:
    """Counts, as a plugin does that limits rates."""

    def __init__(self) -> None:
        self.seen = 0

    @hookimpl
    async def on_rpc(self, event: RPCEvent) -> None:
        self.seen += 1

    @hookimpl
    async def on_publish(self, event: PublishEvent) -> None:
        self.seen += 1


class Protocols:
    """Refuses clients of a kind, without leaving the event loop."""

    @hookimpl(blocking=False)
    def on_rpc(self, event: RPCEvent) -> RPCResult | None:
        return RPCResult() if event.transport == "sockjs" else None

    @hookimpl(blocking=False)
    def on_publish(self, event: PublishEvent) -> PublishResult | None:
        return PublishResult() if event.transport == "sockjs" else None


class Trace:
    """Leaves a note for later hooks."""

    @hookimpl(blocking=False)
    def on_rpc(self, event: RPCEvent) -> None:
        event.state["method"] = event.method

    @hookimpl(blocking=False)
    def on_publish(self, event: PublishEvent) -> None:
        event.state["channel"] = event.channel


class Chat:
    """Answers, by name: half of the patterns are exact, the rest have captures or a ``*``."""

    def __init__(self) -> None:
        self.router = router = Router()
        router.on_rpc("sum")(_sum)
        router.on_rpc("echo")(_echo)
        router.on_publish("{room}")(_clean)
        for number in range(PATTERNS - 2):
            router.on_rpc(_pattern(number, "."))(_elsewhere)
        for number in range(PATTERNS - 1):
            router.on_publish(_pattern(number, ":"))(_elsewhere)


def _pattern(number: int, separator: str) -> str:
    tail = ("all", "new", "{name}", "*")[number % 4]
    return f"area{number}{separator}{tail}"


async def _sum(event: RPCEvent, data: Numbers) -> RPCResult:
    return RPCResult(data={"sum": data.a + data.b})


async def _echo(event: RPCEvent) -> RPCResult:
    return RPCResult(data=event.raw_data)


async def _clean(event: PublishEvent, room: str, data: Message) -> PublishResult:
    return PublishResult(data=Message(text=data.text.strip()))


async def _elsewhere(event: Event) -> None:
    return None


class Blocking:
    """One hook that may block, so that every event visits a thread."""

    @hookimpl
    def on_rpc(self, event: RPCEvent) -> None:
        return None

    @hookimpl
    def on_publish(self, event: PublishEvent) -> None:
        return None


class Around:
    """A middleware of all events and a wrapper of each."""

    @hookimpl
    async def on_event(self, event: Event, call_next: Callable[[Event], Awaitable[Any]]) -> Any:
        return await call_next(event)

    @hookimpl(wrapper=True)
    def on_rpc(self, event: RPCEvent) -> Generator[None, Any, Any]:
        return (yield)

    @hookimpl(wrapper=True)
    def on_publish(self, event: PublishEvent) -> Generator[None, Any, Any]:
        return (yield)


def application(*more: object, plugins: Iterable[object] | None = None, config: Config | None = None) -> Runtime:
    """The five plugins, or ``plugins``, and ``more``, behind a bridge that is not booted yet."""
    chosen = (Accounts(), Quota(), Protocols(), Trace(), Chat()) if plugins is None else plugins
    return Runtime(config or parse_config(own({})).config, (*chosen, *more))


def own(config: Mapping[str, Any]) -> dict[str, Any]:
    """A configuration without the plugins that happen to be installed."""
    return {"version": "3", **config, "rtbridge": {"entry_points": False, **config.get("rtbridge", {})}}
