"""Sessions that expire: Centrifugo asks again, and ends what is not prolonged."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from rtbridge import NEVER, ConnectResult, RefreshResult, SubRefreshResult, SubscribeResult

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]


async def test_a_connection_is_asked_for_until_it_is_not_prolonged(wire: str, stand: Any, hooks: Any) -> None:
    """After 3 seconds the refresh comes, with the connection's meta; its answer replaces meta and expiry, and the end
    of the session is code 3005. The client learns nothing of its expiry."""
    answers = [
        RefreshResult(expire_at=timedelta(seconds=1), meta={"turn": 1}, info={"name": "Bea"}),
        RefreshResult(expired=True),
    ]
    plugin = hooks(
        connect=ConnectResult(user="42", expire_at=timedelta(seconds=3), meta={"turn": 0}, info={"name": "Ann"}),
        refresh=lambda event: answers.pop(0),
        subscribe=SubscribeResult(),
    )
    client = await (await stand(wire, plugin)).client()
    connected = await plugin.heard("connect")
    assert "expires" not in client.seen[0]["connect"]
    await client.send(subscribe={"channel": "room"})
    first = await plugin.heard("refresh")
    assert (first.client, first.user, first.meta) == (connected.client, "42", {"turn": 0})
    assert await client.alive()
    second = await plugin.heard("refresh")
    assert second.meta == {"turn": 1}
    assert await client.closed() == (3005, "connection expired")


async def test_subscriptions(wire: str, stand: Any, hooks: Any) -> None:
    """Each expired subscription is asked for by itself: prolonged, kept for good, or ended with 2501."""
    asked: dict[str, int] = {"prolonged": 0, "kept": 0, "ended": 0, "silent": 0}

    def answer(event: Any) -> SubRefreshResult | None:
        asked[event.channel] += 1
        if event.channel == "prolonged" and asked["prolonged"] == 1:
            return SubRefreshResult(expire_at=timedelta(seconds=1), info={"seat": 2})
        if event.channel == "kept":
            return SubRefreshResult(expire_at=NEVER, info={"seat": 3})
        return None if event.channel == "silent" else SubRefreshResult(expired=True)

    plugin = hooks(
        connect=ConnectResult(user="42", meta={"role": "admin"}),
        subscribe=SubscribeResult(expire_at=timedelta(seconds=1), info={"seat": 1}),
        sub_refresh=answer,
    )
    client = await (await stand(wire, plugin)).client()
    for channel in asked:
        assert "expires" not in (await client.send(subscribe={"channel": channel}))["subscribe"]
    pushes = [await client.push() for _ in range(3)]
    expired = {"code": 2501, "reason": "subscription expired"}
    assert {push["channel"] for push in pushes} == {"prolonged", "ended", "silent"}
    assert all(push["unsubscribe"] == expired for push in pushes)
    assert pushes[2]["channel"] == "prolonged"
    assert asked == {"prolonged": 2, "kept": 1, "ended": 1, "silent": 1}
    event = await plugin.heard("sub_refresh")
    assert (event.user, event.meta) == ("42", {"role": "admin"})
    present = await client.send(presence={"channel": "kept"})
    assert [each["chan_info"] for each in present["presence"]["presence"].values()] == [{"seat": 3}]


async def test_a_failed_refresh_leaves_the_session(wire: str, stand: Any, hooks: Any) -> None:
    """While the refresh fails the connection stays, when another one whose refresh came later, and which nobody
    answered, is gone already."""
    failing = asyncio.Event()

    async def answer(event: Any) -> None:
        if event.meta["kind"] == "failing":
            failing.set()
            raise ZeroDivisionError("a bug")

    plugin = hooks(
        connect=lambda event: ConnectResult(
            user="42", meta=event.data, expire_at=timedelta(seconds=1 if event.data["kind"] == "failing" else 2)
        ),
        refresh=answer,
    )
    running = await stand(wire, plugin)
    kept, witness = await running.client(data={"kind": "failing"}), await running.client(data={"kind": "witness"})
    assert await witness.closed() == (3005, "connection expired")
    assert failing.is_set()
    assert await kept.alive()
