"""Calls that are taken back as soon as they are made: a worker says of each of them that it has ended."""

from collections.abc import Awaitable, Callable

import pytest

from rtbridge.codec.descriptors import message_class
from rtbridge.handler import Refused
from rtbridge.workers.frames import ROUTE
from rtbridge.workers.held import Held
from tests.workers.conftest import HOOKS, Pool, until

Start = Callable[..., Awaitable[Pool]]

_PACKAGE = "centrifugal.centrifugo.proxy"

STREAM = """
    @hookimpl
    async def on_subscribe_unidirectional(event):
        await asyncio.sleep(3600)
        yield
"""


@pytest.mark.parametrize("what", ["calls", "streams", "calls that are refused"])
async def test_none_is_held_for_good(start: Start, what: str) -> None:
    """As from a client that resets its streams at once (CVE-2023-44487): it must not use a worker up."""
    pool = await start(HOOKS + STREAM)
    (pid,) = await pool.ready(1)
    worker = pool.process_of(pid)
    rpc = message_class(f"{_PACKAGE}.RPCRequest")(method="wait", data=b"null").SerializeToString()
    subscribe = message_class(f"{_PACKAGE}.SubscribeRequest")(channel="x").SerializeToString()

    def make() -> Held:
        worker.load += 1
        match what:
            case "calls":
                held = worker.ask(ROUTE["rpc", "proto"], rpc, pool.call(), None)
            case "streams":
                held = worker.open(ROUTE["subscribe_unidirectional", "proto"], subscribe, pool.call(), None, None)
            case _:
                held = worker.refuse(Refused("rpc", "proto", "RPC", b"x", "why"), pool.call(), None)
        assert isinstance(held, Held)
        return held

    for held in [make() for _ in range(20)]:  # they travel with what takes them back
        worker.cancel(held)
    await until(lambda: not worker.held, "some are still held")
    assert worker.load == 0
    assert (await pool.ask("echo", 2)).data == 2
