"""How hooks answer: decision by decision, on every transport."""

import logging
from collections.abc import Callable
from typing import Any

import pytest

from rtbridge import ClientError, ConnectResult, Disconnect, Event, PublishResult, Router, RPCEvent, RPCResult, hookimpl

Act = Callable[[RPCEvent], Any]


def rpc_hook(style: str, act: Act, **options: Any) -> object:
    """A plugin whose `on_rpc` does `act`, as each kind of function that a hook can be."""

    async def async_hook(event: RPCEvent) -> Any:
        return act(event)

    def sync_hook(event: RPCEvent) -> Any:
        return act(event)

    if style == "router":
        router = Router()
        router.on_rpc("*")(async_hook)
        return type("Plugin", (), {"router": router})()
    if style == "inline":
        options["blocking"] = False
    hook: Any = hookimpl(**options)(async_hook if style == "async" else sync_hook)
    return type("Plugin", (), {"on_rpc": staticmethod(hook)})()


def name_of(style: str) -> str:
    """The hook's name in the log."""
    return f"rpc_hook.<locals>.{'async' if style == 'async' else 'sync'}_hook"


def raising(error: Exception) -> Act:
    def act(event: RPCEvent) -> Any:
        raise error

    return act


def answering(data: object) -> Act:
    return lambda event: RPCResult(data=data)


def doing(*steps: Callable[[RPCEvent], object]) -> Act:
    def act(event: RPCEvent) -> Any:
        for step in steps:
            step(event)

    return act


def respond(data: object) -> Callable[[RPCEvent], object]:
    return lambda event: event.respond(RPCResult(data=data))


def stop(event: Event) -> None:
    event.stop_propagation()


def result(data: object) -> dict[str, Any]:
    return {"result": {"data": data}}


DENIED = {"disconnect": {"code": 4500, "reason": "not handled"}}
TEMPORARY = {"error": {"code": 100, "message": "internal server error", "temporary": True}}


@pytest.fixture(params=["async", "inline", "blocking"])
def style(request: pytest.FixtureRequest) -> str:
    """Each kind of function that a hook can be."""
    return str(request.param)


class Never:
    """A plugin that must not be reached."""

    def __init__(self) -> None:
        self.reached = False

    @hookimpl(trylast=True)
    async def on_rpc(self, event: RPCEvent) -> None:
        self.reached = True


@pytest.mark.parametrize(
    ("act", "answer"),
    [
        pytest.param(answering({"a": 1}), result({"a": 1}), id="result"),
        pytest.param(
            raising(Disconnect(4501, "go away")), {"disconnect": {"code": 4501, "reason": "go away"}}, id="disconnect"
        ),
        pytest.param(
            raising(ClientError("PERMISSION_DENIED")),
            {"error": {"code": 103, "message": "permission denied"}},
            id="error",
        ),
        pytest.param(
            raising(ClientError(1001, "later", temporary=True)),
            {"error": {"code": 1001, "message": "later", "temporary": True}},
            id="temporary error",
        ),
    ],
)
async def test_an_answer_ends_the_chain(peer: Any, style: str, act: Act, answer: dict[str, Any]) -> None:
    """A returned result and a raised Disconnect or ClientError answer, and no later hook runs."""
    never = Never()
    await peer.start(never, rpc_hook(style, act))
    assert await peer.call("rpc", {"method": "m"}) == answer
    assert not never.reached


@pytest.mark.parametrize(
    ("act", "answer"),
    [
        pytest.param(answering("later"), result("later"), id="result"),
        pytest.param(raising(Disconnect(4501)), {"disconnect": {"code": 4501}}, id="disconnect"),
        pytest.param(raising(ClientError(400, "no")), {"error": {"code": 400, "message": "no"}}, id="error"),
    ],
)
async def test_an_answer_replaces_a_pending_one(peer: Any, style: str, act: Act, answer: dict[str, Any]) -> None:
    """What a later hook returns or raises stands in place of what an earlier one responded."""
    await peer.start(rpc_hook(style, act, trylast=True), rpc_hook(style, doing(respond("first")), tryfirst=True))
    assert await peer.call("rpc") == answer


async def test_a_pending_answer_stands(peer: Any, style: str) -> None:
    """`respond` answers when nothing after it does, and the later hooks run."""
    never = Never()
    await peer.start(never, rpc_hook(style, doing(respond([1]))))
    assert await peer.call("rpc") == result([1])
    assert never.reached


async def test_the_last_pending_answer_stands(peer: Any, style: str) -> None:
    """A later `respond` replaces an earlier one, in the same hook and in the next."""
    first = rpc_hook(style, doing(respond(1), respond(2)), tryfirst=True)
    await peer.start(first, rpc_hook(style, doing(respond(3), respond(4)), trylast=True))
    assert await peer.call("rpc") == result(4)


@pytest.mark.parametrize("answer", [Disconnect(4502, "bye"), ClientError(401, "no")], ids=["disconnect", "error"])
async def test_respond_takes_a_denial(peer: Any, style: str, answer: Any) -> None:
    """A Disconnect or ClientError may be pending as well."""
    await peer.start(rpc_hook(style, lambda event: event.respond(answer)))
    expected = (
        {"disconnect": {"code": 4502, "reason": "bye"}}
        if isinstance(answer, Disconnect)
        else {"error": {"code": 401, "message": "no"}}
    )
    assert await peer.call("rpc") == expected


@pytest.mark.parametrize("steps", [(stop, respond(7)), (respond(7), stop)], ids=["before", "after"])
async def test_stop_propagation_with_respond(peer: Any, style: str, steps: Any) -> None:
    """Before or after `respond`, `stop_propagation` keeps later hooks from running and lets the answer stand."""
    never = Never()
    await peer.start(never, rpc_hook(style, doing(*steps)))
    assert await peer.call("rpc") == result(7)
    assert not never.reached


async def test_stop_propagation_alone_denies(peer: Any, style: str, caplog: pytest.LogCaptureFixture) -> None:
    """Without an answer the event is denied, later hooks do not run, and the log names who stopped it."""
    never = Never()
    await peer.start(never, rpc_hook(style, stop))
    assert await peer.call("rpc", {"method": "m", "user": "7", "client": "c1"}) == DENIED
    assert not never.reached
    (warning,) = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warning.startswith("rpc 'm' user='7' client='c1' denied: ")
    assert f".{name_of(style)} stopped propagation without an answer;" in warning


async def test_a_stop_lets_an_earlier_pending_answer_stand(peer: Any, style: str) -> None:
    """A hook that stops after an earlier one responded does not take the answer away."""
    await peer.start(rpc_hook(style, stop, trylast=True), rpc_hook(style, doing(respond(1)), tryfirst=True))
    assert await peer.call("rpc") == result(1)


async def test_none_everywhere_denies(peer: Any, style: str, caplog: pytest.LogCaptureFixture) -> None:
    """When every hook and listener returns None the event is denied, and the log names them."""
    await peer.start(rpc_hook("router", doing()), rpc_hook(style, doing()))
    assert await peer.call("rpc") == DENIED
    assert f"{name_of(style)}, " in caplog.text
    assert f"{name_of('async')} all returned None; return RPCResult from one of them" in caplog.text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (ConnectResult(user=""), "answered RPCEvent with ConnectResult, not RPCResult"),
        ({"data": 1}, "answered RPCEvent with dict, not RPCResult"),
        (False, "answered RPCEvent with bool, not RPCResult"),
        (Disconnect(4500), "answered RPCEvent with Disconnect, not RPCResult; raise it instead of returning it"),
    ],
    ids=["another event's", "dict", "bool", "returned Disconnect"],
)
async def test_a_wrong_result_is_an_exception(
    peer: Any, style: str, answer: object, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What does not answer the event is the plugin's bug: a temporary error, and the log names the hook."""
    await peer.start(rpc_hook(style, lambda event: answer), rpc_hook("async", doing(respond(1)), tryfirst=True))
    assert await peer.call("rpc") == TEMPORARY
    (error,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert f"{name_of(style)} {said}" in error


async def test_respond_refuses_what_does_not_answer(peer: Any, style: str, caplog: pytest.LogCaptureFixture) -> None:
    """`respond` with another event's result raises in the hook."""
    await peer.start(rpc_hook(style, lambda event: event.respond(PublishResult())))  # type: ignore[arg-type]
    assert await peer.call("rpc") == TEMPORARY
    assert "RPCEvent is answered with RPCResult, not PublishResult" in caplog.text


async def test_an_unexpected_exception_drops_the_pending_answer(
    peer: Any, style: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever was pending, an exception that is no answer gives a temporary error and a traceback in the log."""
    await peer.start(rpc_hook(style, doing(respond("secret"), lambda event: 1 / 0)))
    assert await peer.call("rpc") == TEMPORARY
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.getMessage() == "rpc: a hook raised ZeroDivisionError"
    assert record.exc_info is not None


async def test_routed_listeners_answer_like_hooks(peer: Any) -> None:
    """A routed listener runs after plain hooks; what it returns replaces what they responded."""
    await peer.start(rpc_hook("router", answering("routed")), rpc_hook("blocking", doing(respond("plain"))))
    assert await peer.call("rpc", {"method": "x"}) == result("routed")
