"""Shared polls: Centrifugo asks for the keys that its clients track, without any client standing behind the call."""

import asyncio
import hashlib
import hmac
from typing import Any

import pytest

from rtbridge import (
    ClientError,
    Disconnect,
    SharedPollRefreshEvent,
    SharedPollRefreshResult,
    SharedPollRefreshResultItem,
    SubscribeResult,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]


def signed(channel: str, *keys: str) -> str:
    """Permission for user 42 to track these keys, as an application signs it."""
    digest = hashlib.sha256("\0".join(keys).encode()).hexdigest()
    text = "\0".join(("1", "0", "42", channel, digest))
    return f"1:0:{hmac.new(b'poll-secret', text.encode(), hashlib.sha256).hexdigest()}"


async def track(client: Any, channel: str = "poll:scores") -> Any:
    """Subscribe and track two keys."""
    assert (await client.send(subscribe={"channel": channel, "type": 4}))["subscribe"]["type"] == 4
    batch = {"signature": signed(channel, "a", "b"), "items": [{"key": "a"}, {"key": "b"}]}
    return await client.send(sub_refresh={"channel": channel, "type": 1, "track": [batch]})


async def test_keys_are_asked_for_and_what_is_new_is_pushed(wire: str, stand: Any, hooks: Any) -> None:
    """The hook sees keys and the versions that Centrifugo has; newer values and removals reach the client."""

    def answer(event: SharedPollRefreshEvent) -> SharedPollRefreshResult:
        known = {item.key: item.version for item in event.items}
        version = min(known.get("a", 0) + 1, 2)
        items = [SharedPollRefreshResultItem(key="a", data={"score": version}, version=version)]
        if known.get("a") == 2 and "b" in known:
            items.append(SharedPollRefreshResultItem(key="b", removed=True))
        return SharedPollRefreshResult(items=items)

    plugin = hooks(subscribe=SubscribeResult(), shared_poll_refresh=answer)
    client = await (await stand(wire, plugin)).client()
    assert await track(client) == {"sub_refresh": {}}
    event = await plugin.heard("shared_poll_refresh")
    assert event.channel == "poll:scores"
    assert {item.version for item in event.items} == {0}
    assert [(await client.push())["pub"] for _ in range(3)] == [
        {"data": {"score": 1}, "key": "a", "version": 1},
        {"data": {"score": 2}, "key": "a", "version": 2},
        {"key": "b", "removed": True},
    ]
    versions = [item.version for item in event.items]
    async with asyncio.timeout(10):
        while 2 not in versions:
            versions = [item.version for item in (await plugin.heard("shared_poll_refresh")).items]


async def test_denied(wire: str, stand: Any, hooks: Any) -> None:
    """A poll that is denied or fails is in Centrifugo's log, leaves the client as it is, and the next poll comes."""
    failed = "code = Internal" if wire == "grpc" else "HTTP status code: 500"
    cells: dict[str, tuple[Exception | None, str]] = {
        "poll:silence": (None, "not available"),
        "poll:disconnect": (Disconnect(4501), "not available"),
        "poll:error": (ClientError(1000, "custom"), "custom"),
        "poll:failure": (ZeroDivisionError("a bug"), failed),
    }
    asked: set[str] = set()

    def poll(event: SharedPollRefreshEvent) -> SharedPollRefreshResult | None:
        if event.channel in asked:
            return SharedPollRefreshResult(items=[SharedPollRefreshResultItem(key="a", data=1, version=1)])
        asked.add(event.channel)
        if (answer := cells[event.channel][0]) is not None:
            raise answer
        return None

    running = await stand(wire, hooks(subscribe=SubscribeResult(), shared_poll_refresh=poll))
    for channel, (_, said) in cells.items():
        client = await running.client()
        assert await track(client, channel) == {"sub_refresh": {}}
        assert (await client.push())["pub"] == {"data": 1, "key": "a", "version": 1}
        (line,) = await running.centrifugo.logged("refresh error", f'"{channel}"')
        assert said in line
        assert await client.alive()
