"""The server API as hooks call it: requests as Centrifugo takes them, results as values."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from rtbridge import (
    ApiError,
    ClientInfo,
    Command,
    Disconnect,
    History,
    Position,
    PresenceStats,
    SubscribeOptionOverride,
)
from rtbridge.api import LocalApi, Publication
from rtbridge.api import _generated as messages
from rtbridge.testing import ApiCalls, VirtualClock


@pytest.fixture
def calls() -> ApiCalls:
    """The other end."""
    return ApiCalls()


@pytest.fixture
def api(calls: ApiCalls) -> LocalApi:
    """An API whose time stands still."""
    made = LocalApi(VirtualClock())
    made.bind(calls.serve)
    return made


def plain(request: Any) -> Any:
    """A request as JSON has it."""
    return msgspec.json.decode(msgspec.json.encode(request))


async def test_without_a_server() -> None:
    """A hook is told what is missing."""
    with pytest.raises(ApiError) as refused:
        await LocalApi().publish("c", 1)
    assert (refused.value.code, "rtbridge.embedded" in str(refused.value)) == (108, True)


@pytest.mark.parametrize(
    ("data", "sent"), [({"a": 1}, {"data": {"a": 1}}), (b"\xff", {"b64data": "/w=="}), (None, {}), ("", {"data": ""})]
)
async def test_payloads(data: Any, sent: Any, api: LocalApi, calls: ApiCalls) -> None:
    """Values travel as JSON, bytes as they are."""
    calls.answer("publish", offset=3, epoch="e")
    assert await api.publish("c", data, tags={"t": "v"}, version=2) == Position(3, "e")
    assert [plain(request) for _, request in calls.calls] == [
        {"channel": "c", **sent, "tags": {"t": "v"}, "version": 2}
    ]


async def test_broadcast(api: LocalApi, calls: ApiCalls) -> None:
    """Each channel has its own answer."""
    error = {"error": {"code": 102, "message": "unknown channel"}}
    calls.answer("broadcast", responses=[{"result": {"offset": 1, "epoch": "e"}}, error, {}])
    first, second, third = await api.broadcast(["a", "b", "c"], 1)
    assert (first, third) == (Position(1, "e"), Position())
    assert isinstance(second, ApiError)
    assert second.code == 102
    assert calls.published == [("a", 1), ("b", 1), ("c", 1)]


async def test_connections(api: LocalApi, calls: ApiCalls) -> None:
    """What acts on the connections of a user."""
    now = int(api.clock.time())
    override = SubscribeOptionOverride(presence=False)
    await api.subscribe("u", "c", info={"a": 1}, expire_at=timedelta(minutes=1), override=override)
    await api.subscribe("u", "c", recover_since=Position(1, "e"), session="s")
    await api.unsubscribe("u", "c", client="id")
    await api.disconnect("u", Disconnect(4000, "bye"), whitelist=["id"])
    await api.disconnect("u")
    await api.refresh("u", expire_at=now + 9, info=[1])
    await api.refresh("u", expired=True)
    assert [(method, plain(request)) for method, request in calls.calls] == [
        (
            "subscribe",
            {"channel": "c", "user": "u", "expire_at": now + 60, "info": {"a": 1}, "override": {"presence": {}}},
        ),
        ("subscribe", {"channel": "c", "user": "u", "recover_since": {"offset": 1, "epoch": "e"}, "session": "s"}),
        ("unsubscribe", {"channel": "c", "user": "u", "client": "id"}),
        ("disconnect", {"user": "u", "disconnect": {"code": 4000, "reason": "bye"}, "whitelist": ["id"]}),
        ("disconnect", {"user": "u"}),
        ("refresh", {"user": "u", "expire_at": now + 9, "info": [1]}),
        ("refresh", {"user": "u", "expired": True}),
    ]


async def test_looking(api: LocalApi, calls: ApiCalls) -> None:
    """What only reads, as values."""
    ann = {"user": "ann", "client": "id", "conn_info": {"n": 1}}
    calls.answer("presence", presence={"id": ann})
    calls.answer("presence_stats", num_clients=2, num_users=1)
    calls.answer("history", publications=[{"data": 1, "offset": 2, "info": ann}, {"data": None}], epoch="e", offset=3)
    calls.answer("channels", channels={"c": {"num_clients": 4}})
    calls.answer("info", nodes=[{"name": "n"}])
    info = ClientInfo(user="ann", client="id", conn_info={"n": 1})
    assert await api.presence("c") == {"id": info}
    assert await api.presence_stats("c") == PresenceStats(2, 1)
    wanted = (
        Publication(data=1, offset=2, tags={}, info=info),
        Publication(data=None, offset=0, tags={}),
    )
    assert await api.history("c", limit=2, since=Position(1, "e")) == History(
        publications=wanted, position=Position(3, "e")
    )
    await api.history("c")
    assert await api.channels("c*") == {"c": 4}
    assert [node.name for node in await api.info()] == ["n"]
    await api.history_remove("c")
    assert calls.calls[-1] == ("history_remove", messages.HistoryRemoveRequest("c"))


async def test_batch(api: LocalApi, calls: ApiCalls) -> None:
    """Each command is answered as a call of its own."""
    calls.answer("publish", offset=3, epoch="e")
    calls.refuse("presence", 108)
    first, second = await api.batch([Command.publish("c", 1), Command.presence("c")])
    assert first == Position(3, "e")
    assert isinstance(second, ApiError)
    assert (second.code, calls.published) == (108, [("c", 1)])
    assert [method for method, _ in calls.calls] == ["publish", "presence"]


async def test_refusals(api: LocalApi, calls: ApiCalls) -> None:
    """An error of the server is an exception."""
    calls.refuse("presence", 108)
    with pytest.raises(ApiError, match="not available"):
        await api.presence("c")
    assert str(ApiError(999)) == "API error 999"
    assert await api.broadcast(["a"], 1) == [Position()]
