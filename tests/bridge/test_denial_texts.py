"""The texts that explain a denial, at start and when it happens."""

import logging
from typing import Any

import pytest

from rtbridge import ClientError, ConnectResult, Disconnect, Event, PublishResult, Router, RPCResult, hookimpl
from rtbridge.denial import Denials, Throttle, explain
from rtbridge.errors import RtbridgeError
from rtbridge.events import METHODS, InvalidEvent
from rtbridge.testing import App, VirtualClock


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]


def plugin(**hooks: Any) -> object:
    return type("Plugin", (), {name: staticmethod(function) for name, function in hooks.items()})()


async def nothing() -> None: ...


async def stops(event: Event) -> None:
    event.stop_propagation()


HERE = __name__


def routed(kind: str, *patterns: str) -> object:
    router = Router()
    for pattern in patterns:
        getattr(router, f"on_{kind}")(pattern)(nothing)
    return type("Routed", (), {"router": router})()


CASES: list[Any] = [
    pytest.param([], "no hook implements on_publish; write @hookimpl on_publish(event)", id="no hook"),
    pytest.param(
        [plugin(on_publish=hookimpl(nothing))],
        f"{HERE}.nothing returned None; return PublishResult from one of them",
        id="one hook",
    ),
    pytest.param(
        [plugin(on_publish=hookimpl(nothing)), routed("publish", "room:{id}")],
        f"{HERE}.nothing, {HERE}.nothing all returned None; return PublishResult from one of them",
        id="hook and listener",
    ),
    pytest.param(
        [plugin(on_publish=hookimpl(stops))],
        f"{HERE}.stops stopped propagation without an answer; call event.respond(...) in it",
        id="stopped",
    ),
    pytest.param(
        [routed("publish", "news:*", "rooms:{id}")],
        "no route matches, the nearest pattern is 'rooms:{id}'; "
        "route it with @router.on_publish(...) or write @hookimpl on_publish(event)",
        id="no route",
    ),
]


@pytest.mark.parametrize(("plugins", "why"), CASES)
async def test_why(plugins: list[object], why: str, caplog: pytest.LogCaptureFixture) -> None:
    """One warning says what was denied to whom, why, and what to write; the outcome says the same."""
    async with App(plugins) as app:
        outcome = await app.publish("room:1", "secret payload", user="42", client="c-1")
    assert warnings(caplog) == [f"publish 'room:1' user='42' client='c-1' denied: {why}"]
    assert outcome.why == why
    assert outcome.denied_by_default
    assert outcome.disconnect == Disconnect(4500, "not handled")
    assert caplog.records[-1].event == {  # type: ignore[attr-defined]
        "kind": "publish",
        "channel": "room:1",
        "user": "42",
        "client": "c-1",
    }


async def test_a_method_is_named(caplog: pytest.LogCaptureFixture) -> None:
    """An RPC shows its method; text from clients is quoted and cut."""
    async with App() as app:
        await app.rpc("x\n" * 300, user="u")
    (warning,) = warnings(caplog)
    assert warning.startswith("rpc 'x\\nx\\n")
    assert len(warning) < 600
    assert "…'" in warning
    assert "\n" not in warning


async def test_an_undecodable_call(caplog: pytest.LogCaptureFixture) -> None:
    """It is told by what is wrong with it."""
    async with App() as app:
        await app.memory.request("rpc", b"{", wire="json")
    assert warnings(caplog) == ["invalid 'RPC' denied: not valid JSON"]


async def test_one_warning_per_interval(caplog: pytest.LogCaptureFixture) -> None:
    """The same reason is told once in ten seconds; the next one says how many were held back."""
    clock = VirtualClock()
    async with App(clock=clock) as app:
        for _ in range(5):
            await app.publish("c")
        await app.rpc("m")
        clock.advance(10)
        await app.publish("c")
    first, other, later = warnings(caplog)
    assert first.startswith("publish 'c'")
    assert other.startswith("rpc 'm'")
    assert later.endswith("write @hookimpl on_publish(event) (4 more like it since the last time)")


def test_throttle() -> None:
    """The first passes, the rest is counted until the interval is over, each kind for itself."""
    clock = VirtualClock()
    throttle = Throttle(clock, interval=5)
    assert [throttle.admit("a"), throttle.admit("a"), throttle.admit("b"), throttle.admit("a")] == [0, None, 0, None]
    clock.advance(5)
    assert [throttle.admit("a"), throttle.admit("b"), throttle.admit("a")] == [2, 0, None]


@pytest.mark.parametrize(
    ("kind", "answer", "lost"),
    [
        ("refresh", Disconnect(4501, "go"), "disconnect 4501 is lost: Centrifugo reads only the result of refresh"),
        ("sub_refresh", ClientError(1000), "error 1000 is lost: Centrifugo reads only the result of sub_refresh"),
        ("channel_state", Disconnect(4501), "disconnect 4501 is lost: no client stands behind this call"),
        ("cache_empty", ClientError(1000), "error 1000 is lost: this answer has no error"),
    ],
)
@pytest.mark.parametrize("pending", [False, True], ids=["raised", "pending"])
async def test_what_is_lost(
    kind: str, answer: Exception, lost: str, pending: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """An answer that the event cannot carry is told of, raised or pending."""

    async def hook(event: Any) -> None:
        if not pending:
            raise answer
        event.respond(answer)

    async with App([plugin(**{f"on_{kind}": hookimpl(hook)})]) as app:
        event = METHODS[kind].event()
        await app.send(event)
    (warning,) = warnings(caplog)
    assert warning.startswith(f"{kind}: {lost}")


def test_warnings_at_start() -> None:
    """Each of the four usual events that nobody answers is named with what its silence says and the hook to write."""
    none = App(config={"rtbridge": {"unhandled": {"rpc": {"error": {"code": 104, "message": "method not found"}}}}})
    assert none.runtime.warnings() == [
        "nobody answers connect: every one is denied (disconnect 4500); write @hookimpl on_connect(event)",
        "nobody answers subscribe: every one is denied (disconnect 4500); write @hookimpl on_subscribe(event)",
        "nobody answers publish: every one is denied (disconnect 4500); write @hookimpl on_publish(event)",
        "nobody answers rpc: every one is denied (error 104); write @hookimpl on_rpc(event)",
    ]
    some = App([plugin(on_connect=hookimpl(nothing), on_publish=hookimpl(nothing)), routed("rpc", "x")])
    assert [line.partition(":")[0] for line in some.runtime.warnings()] == ["nobody answers subscribe"]


@pytest.mark.parametrize(
    ("address", "warned"),
    [
        ("tcp://0.0.0.0:0", True),
        ("tcp://[::]:0", True),
        ("tcp://192.0.2.1:0", True),
        ("tcp://127.0.0.1:0", False),
        ("tcp://localhost:0", False),
        ("tcp://[::1]:0", False),
        ("unix:///run/x.sock", False),
    ],
)
def test_a_warning_when_anybody_can_call(address: str, warned: bool) -> None:
    """An address beyond this machine with neither TLS nor a secret is worth one line; with either it is not."""
    section = {"centrifuge": {"proxy_address": address}}
    found = [line for line in App(config=section).runtime.warnings() if "listens on" in line]
    assert len(found) == warned
    if warned:
        assert found[0].startswith(f"builtin listens on {address}")
        assert found[0].endswith("can pose as Centrifugo; set rtbridge.secret or rtbridge.tls")
    safe = App(config={**section, "rtbridge": {"secret": {"key": "x-key", "values": ["s"]}}})
    assert not [line for line in safe.runtime.warnings() if "listens on" in line]


def test_denials_without_a_configuration() -> None:
    """Silence of every kind is a denial, also where nothing is configured."""
    denials = Denials()
    for kind in [*METHODS, "invalid"]:
        outcome = denials.silence(kind)
        assert outcome.denied_by_default
        assert outcome.disconnect or outcome.error or outcome.failure or outcome.result.expired
    assert denials.failed("invalid", "why").failure == "internal"


async def test_explaining_an_event_that_has_no_method() -> None:
    """A hook for undecodable calls that returns None is explained like any other."""
    app = App([plugin(on_invalid=hookimpl(nothing))])
    text = explain(InvalidEvent(), app.runtime.chains["invalid"])
    assert text == f"{HERE}.nothing returned None; return an answer from one of them"


async def test_no_answer_of_a_hook_reaches_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Lines tell what was answered by kind and code, never payloads, tokens or headers."""
    caplog.set_level(logging.DEBUG, "rtbridge")
    canary = "canary-5f3a"

    class Plugin:
        @hookimpl
        async def on_connect(self, event: Event) -> ConnectResult:
            return ConnectResult(user="u", data=canary, meta=canary)

        @hookimpl
        async def on_rpc(self) -> RPCResult:
            raise ClientError(1000, canary)

        @hookimpl
        async def on_publish(self, event: Any) -> PublishResult:
            raise ValueError(len(event.data))

    headers = {"authorization": canary}
    async with App([Plugin()]) as app:
        await app.connect(data={"authToken": canary}, headers=headers)
        await app.rpc("m", canary, headers=headers, meta=canary)
        await app.publish("c", canary, headers=headers)
        await app.subscribe("c", token=canary, data=canary, headers=headers)
        await app.memory.request("rpc", canary.encode())
    assert canary not in caplog.text
    assert caplog.text.count(" → ") == 5
    assert not [r for r in caplog.records if isinstance(r.exc_info, RtbridgeError)]


async def test_callers_who_make_up_names_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """One warning for all of them in a while, whatever they write and how much of it."""
    async with App([plugin()], clock=VirtualClock()) as app:
        for number in range(50):
            await app.memory.request(f"unknown{number}", b"")
            await app.memory.request("rpc", b"\xff" * (number + 1))
    denied = [text for text in warnings(caplog) if "denied" in text]
    assert len(denied) == 2
    assert "unknown0" in denied[0]
