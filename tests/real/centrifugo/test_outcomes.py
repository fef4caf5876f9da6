"""What clients see of each answer is what was recorded of a Centrifugo that asked a hand-written backend."""

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest

from rtbridge import (
    NEVER,
    ClientError,
    ConnectResult,
    Disconnect,
    PublishResult,
    RefreshResult,
    RPCResult,
    SubRefreshResult,
    SubscribeResult,
)

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

RECORDED: Final = [
    json.loads(line) for line in (Path(__file__).parents[2] / "recordings" / "outcomes.jsonl").read_text().splitlines()
]

SOON: Final = timedelta(seconds=1)
LATER: Final = timedelta(hours=1)

#: What a hook does to give the recorded answer. The other recorded answers (an empty message, a result beside an
#: error) never leave rtbridge.
RAISED: Final[dict[str, Callable[[], Exception]]] = {
    "disconnect": lambda: Disconnect(4501, "go away"),
    "disconnect 4000": lambda: Disconnect(4000, "again"),
    "error": lambda: ClientError(1000, "custom"),
    "temporary error": lambda: ClientError(1001, "later", temporary=True),
    "failure": lambda: ZeroDivisionError("a bug"),
}
RETURNED: Final[dict[str, dict[str, Any]]] = {
    "connect": {
        "empty result": ConnectResult(user=""),
        "ok": ConnectResult(user="42", info={"name": "Ann"}, data={"hello": 1}, meta={"role": "admin"}),
    },
    "refresh": {"ok": RefreshResult(expire_at=LATER)},
    "subscribe": {
        "empty result": SubscribeResult(),
        "ok": SubscribeResult(info={"seat": 1}, data={"topic": "t"}),
    },
    "publish": {"empty result": PublishResult(), "ok": PublishResult(data={"clean": True})},
    "rpc": {"empty result": RPCResult(), "ok": RPCResult(data={"sum": 3})},
    "sub_refresh": {"empty result": SubRefreshResult(expire_at=NEVER), "ok": SubRefreshResult(expire_at=LATER)},
}
COMMANDS: Final[dict[str, dict[str, Any]]] = {
    "subscribe": {"subscribe": {"channel": "room"}},
    "publish": {"publish": {"channel": "room", "data": {"text": "hi"}}},
    "rpc": {"rpc": {"method": "sum", "data": {"a": 1}}},
    "sub_refresh": {"subscribe": {"channel": "room"}},
}


def cells(wire: str, event: str) -> dict[str, Any]:
    """Recorded outcomes by the answer, as far as hooks can give it."""
    own = {each["answer"]: each for each in RECORDED if (each["wire"], each["event"]) == (wire, event)}
    return {answer: own[answer] for answer in (*RAISED, *RETURNED[event], "timeout")}


class Answers:
    """Answers one kind of event by the cell that the client is in; its cell is its user, and says so with connect."""

    def __init__(self, event: str) -> None:
        self._event = event
        self.cancelled = asyncio.Event()

    async def answer(self, event: Any) -> Any:
        """The answer to an event."""
        cell = event.data["cell"] if event.kind == "connect" else event.user
        if event.kind == self._event:
            return await self._cell(cell)
        if event.kind == "connect":
            refreshed = self._event == "refresh"
            return ConnectResult(
                user=cell, data=None if refreshed else {"hello": 1}, expire_at=SOON if refreshed else None
            )
        assert event.kind == "subscribe"
        return SubscribeResult(expire_at=SOON)

    async def _cell(self, cell: str) -> Any:
        if cell in RAISED:
            raise RAISED[cell]()
        if cell == "timeout":
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.set()
        return RETURNED[self._event][cell]


def plain(frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Frames as they were recorded: what differs from run to run has a name."""
    text = json.dumps(frames)
    for frame in frames:
        for key in ("client", "version") if "connect" in frame else ():
            text = text.replace(json.dumps(frame["connect"][key]), f'"${key}"')
    result: list[dict[str, Any]] = json.loads(text)
    return result


@pytest.mark.parametrize("event", RETURNED)
async def test_client_sees_what_was_recorded(event: str, wire: str, stand: Any, hooks: Any) -> None:
    """Each answer of a hook, or its failure, does to the client what was recorded for it."""
    answers, expected = Answers(event), cells(wire, event)
    plugin = hooks(connect=answers.answer, **({} if event == "connect" else {event: answers.answer}))
    if event == "sub_refresh":
        plugin.answers["subscribe"] = answers.answer
    running = await stand(wire, plugin, proxies={event: {"timeout": "1s"}})

    async def play(cell: str) -> Any:
        recorded, client = expected[cell], await running.frames()
        await client.send(connect={"data": {"cell": cell}})
        if event in COMMANDS:
            await client.send(**COMMANDS[event])
        if recorded["close"]:
            assert await client.closed() == (recorded["close"]["code"], recorded["close"]["reason"]), cell
        elif any("push" in frame for frame in recorded["client_saw"]):
            await client.push()
        return client

    clients = dict(zip(expected, await asyncio.gather(*map(play, expected)), strict=True))
    for _ in expected:
        await plugin.heard(event)
    async with asyncio.timeout(10):
        await answers.cancelled.wait()
    if event.endswith("refresh"):
        await running.centrifugo.logged(f"error proxying {event.replace('_', ' ')}", times=2)
    for cell, client in clients.items():
        assert plain(client.seen) == expected[cell]["client_saw"], cell
        refused = event == "connect" and any("error" in frame for frame in client.seen)
        if expected[cell]["close"] is None and not refused:  # Centrifugo reads nothing more after a refused connect
            assert await client.alive(), cell
            assert plain(client.seen[:-1]) == expected[cell]["client_saw"], cell
