"""Clients that mean no good: the documented code each time, and a server that serves the next one."""

import gc
from typing import Any

import pytest

from tests.embedded.conftest import Start

BAD_REQUEST = (3501, "bad request")


@pytest.mark.parametrize(
    "message",
    [
        '{"id":2,"connect":{}}',
        '{"id":2,"dance":{}}',
        '{"id":2,"subscribe":null}',
        '{"id":2,"subscribe":{"channel":5}}',
        '{"id":2,"subscribe":{"channel":""}}',
        '{"id":2,"publish":{"channel":""}}',
        '{"id":2,"history":{"channel":""}}',
        '{"id":2,"presence":{"channel":""}}',
        '{"id":2,"unsubscribe":{"channel":""}}',
        '{"id":2,"refresh":{}}',
        '{"id":2,"sub_refresh":{}}',
        '{"id":2,"ping":{}}',
        '{"id":0,"subscribe":{"channel":"c"}}',
        '{"id":4294967296,"unsubscribe":{"channel":"c"}}',
        "{}",
        "[" * 10_000,
        '{"id":2,"rpc":{"data":' + "[" * 10_000,
        '{"id":2,"unsubscribe":{"channel":"\\ud800"}}',
    ],
    ids=str,
)
async def test_what_makes_no_sense(message: str, desk: Start) -> None:
    """A connected client that sends it is closed, and only that one."""
    node = await desk(client={"insecure": True})
    good, bad = node.user(), node.user()
    bad.send(message)
    assert bad.closed == BAD_REQUEST
    assert good.do("subscribe", channel="c") == {}


async def test_a_message_that_nobody_takes(desk: Start) -> None:
    """`send` has nobody behind it."""
    client = (await desk(client={"insecure": True})).user()
    client.send({"send": {"data": 1}})
    assert client.closed == (3508, "not available")


async def test_ten_thousand_subscriptions(desk: Start) -> None:
    """Those over the limit are errors, and nothing stays of them."""
    node = await desk(client={"insecure": True})
    client = node.user()
    client.send(*({"id": 2 + n, "subscribe": {"channel": f"c{n}"}} for n in range(10_000)))
    replies = client.take()
    assert sum("subscribe" in reply for reply in replies) == 128
    assert sum(reply.get("error", {}).get("code") == 106 for reply in replies) == 10_000 - 128
    assert len(node.node.hub) == 128
    client.session.disconnected()
    assert len(node.node.hub) == 0


async def test_nothing_is_left_of_those_who_came_and_went(desk: Start) -> None:
    """As many objects after a thousand clients as after a hundred."""
    options = {"presence": True, "join_leave": True, "force_push_join_leave": True}
    node = await desk(client={"insecure": True}, channel={"without_namespace": options})

    def visit(count: int) -> int:
        for number in range(count):
            client = node.user()
            client.do("subscribe", channel=f"c{number % 7}")
            client.do("publish", channel=f"c{number % 7}", data={"n": number})
            client.session.disconnected()
        node.advance(60)
        gc.collect()
        found: list[Any] = gc.get_objects()
        return len(found)

    visit(100)
    before = visit(100)
    assert visit(1000) <= before + 50
    assert (node.node.clients, node.node.hub._channels, len(node.node.timers)) == ({}, {}, 0)
