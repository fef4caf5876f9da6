"""Denied unless answered: what leaves for every unary event and everything that hooks can do, on every transport."""

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from rtbridge import ClientError, Disconnect, Event, Outcome, hookimpl
from rtbridge.events import METHODS

UNARY = [kind for kind, method in METHODS.items() if not method.stream]
DISCONNECTING = ("connect", "subscribe", "publish", "rpc", "map_publish", "map_remove")
REFRESHING = ("refresh", "sub_refresh")
POLLING = ("shared_poll_refresh", "channel_state")

AS_RAISED = {"disconnect": {"code": 4501, "reason": "go away"}}
AS_RAISED_ERROR = {"error": {"code": 1000, "message": "custom"}}
TEMPORARY = {"error": {"code": 100, "message": "internal server error", "temporary": True}}
NOT_AVAILABLE = {"error": {"code": 108, "message": "not available"}}
EXPIRED = {"result": {"expired": True}}
FAILED = {"failure": "internal"}

#: Kinds → silence, Disconnect, ClientError, unexpected exception and timeout.
TABLE: dict[tuple[str, ...], tuple[dict[str, Any], ...]] = {
    DISCONNECTING: ({"disconnect": {"code": 4500, "reason": "not handled"}}, AS_RAISED, AS_RAISED_ERROR, TEMPORARY),
    REFRESHING: (EXPIRED, EXPIRED, EXPIRED, FAILED),
    POLLING: (NOT_AVAILABLE, NOT_AVAILABLE, AS_RAISED_ERROR, FAILED),
    ("cache_empty",): ({"failure": "unimplemented"}, FAILED, FAILED, FAILED),
}
ROW = {kind: answers for kinds, answers in TABLE.items() for kind in kinds}

Body = Callable[[Event], Awaitable[Any]]


def plugin(kind: str, body: Body, **more: Any) -> object:
    """A plugin that has nothing but the hook of that kind."""

    async def hook(event: Event) -> Any:
        return await body(event)

    return type("Plugin", (), {f"on_{kind}": staticmethod(hookimpl(hook)), **more})()


async def nothing(event: Event) -> None:
    return None


def raising(error: Exception) -> Body:
    async def body(event: Event) -> None:
        raise error

    return body


async def forever(event: Event) -> None:
    await asyncio.Event().wait()


def test_the_table_is_whole() -> None:
    """Every unary event of the proto has its row here."""
    assert sorted(ROW) == sorted(UNARY)


@pytest.mark.parametrize("kind", UNARY)
async def test_silence(peer: Any, kind: str) -> None:
    """An event that no hook implements is denied."""
    await peer.start()
    assert await peer.call(kind) == ROW[kind][0]


@pytest.mark.parametrize("kind", UNARY)
async def test_none(peer: Any, kind: str) -> None:
    """An event whose hook returns None is denied like silence."""
    await peer.start(plugin(kind, nothing))
    assert await peer.call(kind) == ROW[kind][0]


@pytest.mark.parametrize("kind", UNARY)
async def test_disconnect(peer: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A Disconnect leaves where the answer can carry one; elsewhere the event is denied, and the log says what is
    lost."""
    await peer.start(plugin(kind, raising(Disconnect(4501, "go away"))))
    assert await peer.call(kind) == ROW[kind][1]
    assert ("disconnect 4501 is lost" in caplog.text) == (kind not in DISCONNECTING)


@pytest.mark.parametrize("kind", UNARY)
async def test_client_error(peer: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A ClientError leaves where the answer can carry one; elsewhere the event is denied, and the log says so."""
    await peer.start(plugin(kind, raising(ClientError(1000, "custom"))))
    assert await peer.call(kind) == ROW[kind][2]
    lost = kind in (*REFRESHING, "cache_empty")
    assert ("error 1000 is lost" in caplog.text) == lost


@pytest.mark.parametrize("kind", UNARY)
async def test_unexpected_exception(peer: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A bug gives what the client may try again, with the traceback in the log and nothing of it on the wire."""
    await peer.start(plugin(kind, raising(RuntimeError("secret detail"))))
    assert await peer.call(kind) == ROW[kind][3]
    assert "secret detail" not in getattr(peer, "details", "")
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.getMessage() == f"{kind}: a hook raised RuntimeError"
    assert record.exc_info is not None


@pytest.mark.parametrize("kind", UNARY)
async def test_hook_timeout(peer: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A hook that takes longer than `limits.hook_timeout` counts as failed."""
    await peer.start(plugin(kind, forever), limits={"hook_timeout": "20ms"})
    assert await peer.call(kind) == ROW[kind][3]
    assert f"{kind}: its hooks took longer than 0.02 s" in caplog.text


@pytest.mark.parametrize("kind", UNARY)
async def test_deadline(deadline_peer: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A hook that takes longer than the caller's deadline is answered for while the caller still listens.

    Centrifugo's HTTP calls carry no deadline; `limits.hook_timeout` bounds those.
    """
    await deadline_peer.start(plugin(kind, forever))
    assert await deadline_peer.call(kind, deadline=0.4 if deadline_peer.over_grpc else 0.05) == ROW[kind][3]
    assert f"{kind}: its hooks took longer than 0." in caplog.text


@pytest.mark.parametrize("kind", UNARY)
async def test_the_caller_goes_away(peer: Any, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """The hook is cancelled, a line is logged, and the after-event hook runs."""
    caplog.set_level(logging.INFO, "rtbridge.events")
    reached, cancelled, after = asyncio.Event(), asyncio.Event(), asyncio.Event()
    seen: list[Outcome] = []

    async def body(event: Event) -> None:
        reached.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    async def after_event(event: Event, outcome: Outcome) -> None:
        seen.append(outcome)
        after.set()

    await peer.start(plugin(kind, body, after_event=staticmethod(hookimpl(after_event))))
    await peer.abandon(kind, reached)
    for each in (cancelled, after):
        await asyncio.wait_for(each.wait(), 10)
    assert [outcome.failure for outcome in seen] == ["cancelled"]
    assert f"{kind} → failure cancelled in " in caplog.text
    assert peer.runtime.bridge.active == 0


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds blocking hooks until the test's end at the latest."""
    event = threading.Event()
    yield event
    event.set()


async def test_a_blocking_hook_past_its_time(
    peer: Any, gate: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    """The call is answered while the thread still blocks; its stack is logged and it is given back when it returns."""
    given_back = asyncio.Event()

    class Plugin:
        @hookimpl
        def on_rpc(self, event: Event) -> None:
            gate.wait(20)

        @hookimpl
        async def after_event(self) -> None:
            given_back.set()

    await peer.start(Plugin(), limits={"hook_timeout": "200ms"}, threads=1)
    assert await peer.call("rpc") == TEMPORARY
    assert "its thread stays busy until the hook returns, it is here:" in caplog.text
    assert "gate.wait(20)" in caplog.text
    await asyncio.wait_for(given_back.wait(), 10)
    assert peer.runtime.bridge._threads.in_use == 1
    gate.set()
    async with asyncio.timeout(10):
        while peer.runtime.bridge._threads.in_use:
            await asyncio.sleep(0.001)


UNHANDLED = {
    "default": {"disconnect": {"code": 4400, "reason": "nobody home"}},
    "rpc": {"error": {"code": 104, "message": "method not found"}},
    "shared_poll_refresh": {"error": {"code": 1200, "message": "no polls"}},
}


@pytest.mark.parametrize(
    ("kind", "answer"),
    [(kind, UNHANDLED["default"]) for kind in DISCONNECTING if kind != "rpc"]
    + [("rpc", UNHANDLED["rpc"]), ("shared_poll_refresh", UNHANDLED["shared_poll_refresh"])]
    + [(kind, EXPIRED) for kind in REFRESHING]
    + [("channel_state", NOT_AVAILABLE), ("cache_empty", {"failure": "unimplemented"})],
)
async def test_unhandled_by_event(peer: Any, kind: str, answer: dict[str, Any]) -> None:
    """`rtbridge.unhandled` chooses what silence says, for one event or the rest, where the answer can carry it."""
    await peer.start(unhandled=UNHANDLED)
    assert await peer.call(kind) == answer


@pytest.mark.parametrize("kind", DISCONNECTING)
async def test_unhandled_default_error(peer: Any, kind: str) -> None:
    """The default may be an error."""
    await peer.start(unhandled={"default": {"error": {"code": 404, "message": "nobody", "temporary": True}}})
    assert await peer.call(kind) == {"error": {"code": 404, "message": "nobody", "temporary": True}}


@pytest.mark.parametrize("kind", UNARY)
async def test_nothing_leaves_empty(peer: Any, kind: str) -> None:
    """No silence is the empty answer, which Centrifugo takes for permission."""
    await peer.start(plugin(kind, nothing))
    status, body = await peer.raw(kind, b"" if peer.wire == "proto" else b"{}")
    assert status != "ok" or body not in (b"", b"{}", b"null", b'{"result":{}}')
