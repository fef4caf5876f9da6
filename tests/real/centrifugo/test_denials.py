"""What clients see when nobody answers, and in the cells of the table that no recording has."""

import asyncio
from typing import Any, Final

import pytest

from rtbridge import ClientError, ConnectResult, Disconnect, RefreshResult, RPCResult, SubscribeResult
from rtbridge.errors import DISCONNECT_CODES, ERROR_CODES

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

DENIED: Final = (4500, "not handled")
MAP: Final = {"mode": "ephemeral", "key_ttl": "60s"}
TEMPORARY: Final = {"error": {"code": 100, "message": "internal server error", "temporary": True}}

COMMANDS: Final[dict[str, dict[str, Any]]] = {
    "subscribe": {"subscribe": {"channel": "room"}},
    "publish": {"publish": {"channel": "room", "data": {}}},
    "rpc": {"rpc": {"method": "m", "data": {}}},
    "map_publish": {"publish": {"channel": "map:1", "type": 1, "key": "k", "data": {}}},
    "map_remove": {"publish": {"channel": "map:1", "type": 1, "key": "k", "removed": True}},
}


async def test_no_hooks_at_all(wire: str, stand: Any) -> None:
    """With no plugin a client does not even connect: it is closed with the shipped default."""
    running = await stand(wire)
    client = await running.frames()
    assert await client.send(connect={}) == DENIED
    assert client.seen == []


async def test_silence(wire: str, stand: Any, hooks: Any) -> None:
    """An event that every hook leaves unanswered closes the connection with the shipped default."""
    plugin = hooks()
    running = await stand(wire, plugin)
    for event, command in COMMANDS.items():
        client = await running.client()
        assert await client.send(**command) == DENIED, event
        assert (await plugin.heard(event)).user == "42"


async def test_stopped_without_an_answer(wire: str, stand: Any, hooks: Any) -> None:
    """A hook that stops propagation and answers nothing denies, though a later hook would have allowed."""
    later = hooks(rpc=RPCResult(data="allowed"))
    plugin = hooks(rpc=lambda event: event.stop_propagation())
    client = await (await stand(wire, later, plugin)).client()  # the hooks registered last run first
    assert await client.send(**COMMANDS["rpc"]) == DENIED
    assert later.seen["rpc"].empty()


async def test_chosen_denials(wire: str, stand: Any, hooks: Any) -> None:
    """rtbridge.unhandled has silence answered with an error, for one event or for all; the connection stays."""
    settings = {
        "default": {"error": {"code": "PERMISSION_DENIED"}},
        "rpc": {"error": {"code": "METHOD_NOT_FOUND"}},
        "publish": {"disconnect": {"code": 4000, "reason": "again"}},
    }
    running = await stand(wire, hooks(), unhandled=settings)
    denied = {"error": {"code": 103, "message": "permission denied"}}
    expected = dict.fromkeys(COMMANDS, denied) | {
        "rpc": {"error": {"code": 104, "message": "method not found"}},
        "publish": (4000, "again"),
    }
    for event, command in COMMANDS.items():
        client = await running.client()
        assert await client.send(**command) == expected[event], event
        if event != "publish":
            assert await client.alive()


async def test_hooks_that_fail(wire: str, stand: Any, hooks: Any) -> None:
    """A bug, another event's result, and a hook that takes too long are one temporary error, and the client stays."""
    cells = {"bug": ZeroDivisionError("a bug"), "wrong": RefreshResult(expired=True), "slow": None}

    def answer(event: Any) -> Any:
        cell = cells[event.user]
        if isinstance(cell, Exception):
            raise cell
        return asyncio.Event().wait() if cell is None else cell

    plugin = hooks(**dict.fromkeys(COMMANDS, answer), connect=lambda event: ConnectResult(user=event.data))
    running = await stand(wire, plugin, limits={"hook_timeout": "1s"})

    async def play(cell: str, event: str) -> None:
        client = await running.client(data=cell)
        assert await client.send(**COMMANDS[event]) == TEMPORARY, (cell, event)
        assert await client.alive()

    await asyncio.gather(*(play(cell, event) for cell in cells for event in COMMANDS))
    assert {plugin.seen[event].qsize() for event in COMMANDS} == {len(cells)}


async def test_map_denials(wire: str, stand: Any, hooks: Any) -> None:
    """Errors and disconnects of map hooks reach the client as raised."""
    cells: dict[str, tuple[Exception, Any]] = {
        "error": (ClientError(1000, "custom"), {"error": {"code": 1000, "message": "custom"}}),
        "temporary": (ClientError(1001, temporary=True), {"error": {"code": 1001, "temporary": True}}),
        "disconnect": (Disconnect(4501, "go away"), (4501, "go away")),
        "own": (Disconnect("PERMISSION_DENIED"), (3507, "permission denied")),
    }

    def refuse(event: Any) -> None:
        raise cells[event.user][0]

    plugin = hooks(connect=lambda event: ConnectResult(user=event.data), map_publish=refuse, map_remove=refuse)
    running = await stand(wire, plugin)
    for cell, (_, seen) in cells.items():
        for event in ("map_publish", "map_remove"):
            client = await running.client(data=cell)
            assert await client.send(**COMMANDS[event]) == seen, (cell, event)


async def test_longest_reason(wire: str, stand: Any, hooks: Any) -> None:
    """A reason of no bytes and one of as many as a close frame carries arrive whole."""

    def refuse(event: Any) -> None:
        raise Disconnect(4999, event.data)

    running = await stand(wire, hooks(rpc=refuse))
    for reason in ("", "é" * 61 + "x"):
        client = await running.client()
        assert await client.send(rpc={"method": "m", "data": reason}) == (4999, reason)


async def test_every_disconnect_and_error_of_centrifugo(wire: str, stand: Any, hooks: Any) -> None:
    """Centrifugo's own codes reach the client under their numbers."""

    def refuse(asked: Any) -> None:
        kind, name = asked.data
        raise Disconnect(name) if kind == "disconnect" else ClientError(name)

    running = await stand(wire, hooks(rpc=refuse))
    client = await running.client()
    for name, (code, message, temporary) in ERROR_CODES.items():
        error = {"code": code, "message": message} | ({"temporary": True} if temporary else {})
        assert await client.send(rpc={"method": "m", "data": ["error", name]}) == {"error": error}
    for name, closed in DISCONNECT_CODES.items():
        client = await running.client()
        assert await client.send(rpc={"method": "m", "data": ["disconnect", name]}) == closed


async def test_map_subscriptions_do_not_work_with_the_subscribe_proxy(wire: str, stand: Any, hooks: Any) -> None:
    """In a map namespace Centrifugo 6.9.1 asks the hook and refuses its answer with error 107: the reply of its
    subscribe proxy lacks the type of the subscription. Such a namespace needs allow_subscribe_for_client or tokens."""
    plugin = hooks(subscribe=SubscribeResult())
    namespaces = [{"name": "map", "subscription_type": "map", "subscribe_proxy_enabled": True, "map": MAP}]
    running = await stand(wire, plugin, over={"channel": {"namespaces": namespaces}})
    client = await running.client()
    reply = await client.send(subscribe={"channel": "map:1", "type": 1, "phase": 2, "limit": 100})
    assert (await plugin.heard("subscribe")).channel == "map:1"
    assert reply == {"error": {"code": 107, "message": "bad request"}}
