"""What hooks answer leaves as an answer of which a real Centrifugo's clients were watched."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from rtbridge import (
    NEVER,
    ClientError,
    ConnectResult,
    Disconnect,
    Event,
    PublishResult,
    RefreshResult,
    RPCResult,
    SubRefreshResult,
    SubscribeResult,
    hookimpl,
)
from rtbridge.events import METHODS

EVENTS = ["connect", "refresh", "subscribe", "publish", "rpc", "sub_refresh"]
REFRESHING = ("refresh", "sub_refresh")

EXPIRE_AT = {"refresh": 1795455870, "sub_refresh": 1795455972}

#: A hook's result for the recorded "ok"; its body is recorded beside an error in "result and error".
OK: dict[str, Any] = {
    "connect": ConnectResult(user="42", info={"name": "Ann"}, data={"hello": 1}, meta={"role": "admin"}),
    "refresh": RefreshResult(expire_at=datetime.fromtimestamp(EXPIRE_AT["refresh"], UTC)),
    "subscribe": SubscribeResult(info={"seat": 1}, data={"topic": "t"}),
    "publish": PublishResult(data={"clean": True}),
    "rpc": RPCResult(data={"sum": 3}),
    "sub_refresh": SubRefreshResult(expire_at=EXPIRE_AT["sub_refresh"]),
}

#: Results that say nothing; a refresh without a time cannot be made.
EMPTY: dict[str, Any] = {
    "connect": ConnectResult(user=""),
    "subscribe": SubscribeResult(),
    "publish": PublishResult(),
    "rpc": RPCResult(),
    "sub_refresh": SubRefreshResult(expire_at=NEVER),
}


def plugin(kind: str, answer: Any) -> object:
    async def hook(event: Event) -> Any:
        if answer == "hang":
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    return type("Plugin", (), {f"on_{kind}": staticmethod(hookimpl(hook))})()


def recorded(recordings: Any, peer: Any, kind: str, answer: str) -> dict[str, Any]:
    wire = "grpc" if peer.wire == "proto" else "http"
    (line,) = [
        each for each in recordings["outcomes"] if (each["wire"], each["event"], each["answer"]) == (wire, kind, answer)
    ]
    found: dict[str, Any] = line
    return found


@pytest.mark.parametrize("kind", EVENTS)
async def test_ok(peer: Any, recordings: Any, kind: str) -> None:
    """A result leaves as the recorded one."""
    await peer.start(plugin(kind, OK[kind]))
    body = recorded(recordings, peer, kind, "result and error")["answer_body"]
    assert await peer.call(kind) == {"result": body["result"]}


@pytest.mark.parametrize("kind", EMPTY)
async def test_an_empty_result(peer: Any, recordings: Any, kind: str) -> None:
    """A result without anything in it leaves as the recorded empty result, which permits."""
    await peer.start(plugin(kind, EMPTY[kind]))
    line = recorded(recordings, peer, kind, "empty result")
    assert await peer.call(kind) == line["answer_body"]
    assert line["close"] is None


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("disconnect", Disconnect(4501, "go away")),
        ("disconnect 4000", Disconnect(4000, "again")),
        ("error", ClientError(1000, "custom")),
        ("temporary error", ClientError(1001, "later", temporary=True)),
    ],
)
async def test_raised_answers(peer: Any, recordings: Any, kind: str, name: str, answer: Exception) -> None:
    """A raised answer leaves as the recorded one; where Centrifugo ignores it, as what ends the session the same
    way."""
    await peer.start(plugin(kind, answer))
    line = recorded(recordings, peer, kind, name)
    if kind in REFRESHING:
        assert await peer.call(kind) == {"result": {"expired": True}}
        empty = recorded(recordings, peer, kind, "empty")
        assert (line["client_saw"], line["close"]) == (empty["client_saw"], empty["close"])
    else:
        assert await peer.call(kind) == line["answer_body"]
        if "disconnect" in line["answer_body"]:
            assert line["close"] == line["answer_body"]["disconnect"]
        else:
            assert line["client_saw"][-1]["error"] == line["answer_body"]["error"]


@pytest.mark.parametrize("kind", EVENTS)
@pytest.mark.parametrize(("name", "answer"), [("failure", RuntimeError("bug")), ("timeout", "hang")])
async def test_failures(peer: Any, recordings: Any, kind: str, name: str, answer: Any) -> None:
    """A bug and a slow hook leave the error that clients saw of a failed proxy call; a refresh fails as a call, so
    that the session goes on."""
    await peer.start(plugin(kind, answer), limits={"hook_timeout": "20ms"})
    line = recorded(recordings, peer, kind, name)
    found = await peer.call(kind)
    assert line["close"] is None
    if kind in REFRESHING:
        assert found == {"failure": "internal"}
        assert line["answer_body"] in ("fail", "hang")
    else:
        assert found == {"error": line["client_saw"][-1]["error"]}


@pytest.mark.parametrize("kind", EVENTS)
async def test_what_no_hook_can_send(peer: Any, recordings: Any, kind: str) -> None:
    """Silence never leaves the empty answer, which permits subscribe, publish and rpc."""
    await peer.start()
    empty = recorded(recordings, peer, kind, "empty")
    assert empty["answer_body"] == {}
    denied = await peer.call(kind)
    assert denied != empty["answer_body"]
    assert denied == (
        {"result": {"expired": True}} if kind in REFRESHING else {"disconnect": {"code": 4500, "reason": "not handled"}}
    )


@pytest.mark.parametrize("kind", EVENTS)
async def test_one_answer_at_a_time(peer: Any, kind: str) -> None:
    """A result and an error never leave together: a raised error drops the result that was pending."""

    async def respond(event: Any) -> None:
        event.respond(OK[kind])

    first = type("First", (), {f"on_{kind}": staticmethod(hookimpl(respond))})()
    await peer.start(plugin(kind, ClientError(1000, "custom")), first)
    found = await peer.call(kind)
    assert found == (
        {"result": {"expired": True}} if kind in REFRESHING else {"error": {"code": 1000, "message": "custom"}}
    )


def test_an_empty_refresh_cannot_be_made() -> None:
    """The empty result of a refresh, which ends the session, has to be asked for as `expired=True`."""
    for result in (RefreshResult, SubRefreshResult):
        with pytest.raises(ValueError, match="exactly one of expire_at and expired=True"):
            result()


def test_the_recordings_are_whole(recordings: Any) -> None:
    """Each kind of answer that is recorded is one that a test here sends or rules out."""
    answers = {line["answer"] for line in recordings["outcomes"]}
    assert answers == {
        "ok",
        "empty",
        "empty result",
        "result and error",
        "disconnect",
        "disconnect 4000",
        "error",
        "temporary error",
        "failure",
        "timeout",
    }
    assert {line["event"] for line in recordings["outcomes"]} == set(EVENTS) <= set(METHODS)
