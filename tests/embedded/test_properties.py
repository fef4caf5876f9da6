"""Random clients against the server: nothing crashes, nothing is lost, nothing comes twice."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from rtbridge.app import Runtime
from rtbridge.config import Config, embedded_from
from rtbridge.embedded.node import Node
from rtbridge.testing import VirtualClock
from tests.embedded.conftest import Client, Desk

OPTIONS = {"history_size": 5, "history_ttl": "300s", "force_recovery": True, "presence": True, "join_leave": True}
CONFIG: dict[str, Any] = {
    "client": {"insecure": True, "ping_interval": "1h"},
    "channel": {"without_namespace": OPTIONS},
}

channels = st.sampled_from(["a", "b", ""])
commands = st.one_of(
    st.fixed_dictionaries({"subscribe": st.fixed_dictionaries({"channel": channels, "recover": st.booleans()})}),
    st.fixed_dictionaries({"unsubscribe": st.fixed_dictionaries({"channel": channels})}),
    st.fixed_dictionaries({"publish": st.fixed_dictionaries({"channel": channels, "data": st.integers()})}),
    st.fixed_dictionaries({"history": st.fixed_dictionaries({"channel": channels, "limit": st.integers(-2, 9)})}),
    st.fixed_dictionaries({"presence": st.fixed_dictionaries({"channel": channels})}),
    st.fixed_dictionaries({"rpc": st.fixed_dictionaries({"method": channels})}),
)


async def made() -> Desk:
    """A node, for one example."""
    clock = VirtualClock()
    runtime = Runtime(Config(), (), clock)
    await runtime.boot()
    await runtime.shutdown()
    return Desk(Node(runtime.handler, embedded_from(CONFIG), clock=clock), clock)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), commands), max_size=40))
def test_every_command_is_answered_once(steps: list[tuple[int, dict[str, Any]]]) -> None:
    """Each command gets one reply with its id, or its connection is closed."""

    async def play() -> None:
        desk = await made()
        clients = [desk.user() for _ in range(3)]
        for number, (index, command) in enumerate(steps, 2):
            client = clients[index]
            if client.closed is not None:
                continue
            client.send({"id": number, **command})
            ids = [each["id"] for each in client.take() if "id" in each]
            assert ids == ([number] if client.closed is None else [])
        for client in clients:
            client.session.disconnected()
        assert desk.node.open == set()
        assert all(not channel.subs and not channel.presence for channel in desk.node.hub._channels.values())

    asyncio.run(play())


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["publish", "drop", "return", "wait"]), max_size=60))
def test_nothing_is_lost_and_nothing_comes_twice(steps: list[str]) -> None:
    """A subscriber that drops and comes back has every offset once and in order, or is told that some are missing."""

    async def play() -> None:
        desk = await made()
        publisher, reader = desk.user(), desk.user()
        state = reader.do("subscribe", channel="a")
        position: dict[str, Any] = {"epoch": state["epoch"], "offset": state.get("offset", 0)}
        there = True

        def receive(client: Client) -> None:
            for each in client.take():
                if "pub" in each.get("push", {}):
                    offset = each["push"]["pub"]["offset"]
                    assert offset == position["offset"] + 1
                    position["offset"] = offset

        for step in steps:
            if step == "publish":
                publisher.do("publish", channel="a", data=1)
            elif step == "wait":
                desk.advance(1)
            elif step == "drop" and there:
                receive(reader)
                reader.session.disconnected()
                there = False
            elif step == "return" and not there:
                reader, there = desk.user(), True
                state = reader.do("subscribe", channel="a", recover=True, **position)
                top = desk.node.hub.stream("a", 60).top
                if state.get("recovered"):
                    missed = [each["offset"] for each in state.get("publications", [])]
                    assert missed == list(range(position["offset"] + 1, top + 1))
                else:
                    assert top - position["offset"] > 5
                position["offset"] = top
        if there:
            receive(reader)
            assert position["offset"] == desk.node.hub.stream("a", 60).top

    asyncio.run(play())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    """Whatever a client sends first, it is answered by the code for a bad request, or served as the command it is."""

    async def play() -> None:
        desk = await made()
        client = desk.client()
        client.session.receive(data)
        assert client.closed == (3501, "bad request")

    asyncio.run(play())
