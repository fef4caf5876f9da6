"""The server API of a Centrifugo, called by hooks in worker processes: each makes a client when it needs one."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.api.fakes import DROP, GrpcFake, HttpFake, answer

Start = Callable[..., Awaitable[Any]]

HOOKS = """
    import sys
    from rtbridge import ApiFailure, PublishResult, RPCResult, hookimpl

    @hookimpl
    def on_publish(event, api):
        return PublishResult(data=api.sync.publish("room", event.data, timeout=20).offset)

    @hookimpl
    async def on_rpc(event, api):
        if event.method == "publish":
            try:
                found = (await api.publish("room", event.data)).offset
            except ApiFailure as failure:
                found = failure.may_have_happened
        else:
            found = None
        loaded = [name for name in ("grpc", "rtbridge.api.http", "rtbridge.api.grpcio") if name in sys.modules]
        return RPCResult(data=[found, loaded])
"""


async def test_over_http(start: Start) -> None:
    """Connections are kept from event to event; gRPC is not even loaded."""
    async with HttpFake().listening() as fake:
        fake.answers = [answer('{"result":{"offset":7}}')]
        own = {"centrifugo_api": {"http": {"url": fake.url, "key": "the-key"}}}
        pool = await start(HOOKS, own={**own, "centrifuge": {"grpc_api_address": None}})
        assert (await pool.ask("idle")).data == [None, []]
        for _ in range(2):
            assert (await pool.ask("publish", 1)).data == [7, ["rtbridge.api.http"]]
        assert [(asked.connection, asked.headers["x-api-key"]) for asked in fake.asked] == [(1, "the-key")] * 2
        published = await pool.send("publish", b"")
        assert (published.message.result.data, fake.asked[-1].connection) == (b"7", 1)
        fake.answers = [DROP]
        assert (await pool.ask("publish", 1)).data[0] is True


async def test_over_grpc(start: Start) -> None:
    """Loaded with the first call."""
    async with GrpcFake().listening() as fake:
        pool = await start(HOOKS, own={"centrifuge": {"grpc_api_address": f"tcp://{fake.target}"}})
        assert (await pool.ask("idle")).data == [None, []]
        assert (await pool.ask("publish", 1)).data == [0, ["grpc", "rtbridge.api.grpcio"]]
        assert (await pool.send("publish", b"")).message.result.data == b"0"
        assert [method for method, _ in fake.asked] == ["Publish"] * 2


async def test_calls_of_several_workers(start: Start) -> None:
    """Side by side."""
    async with HttpFake().listening() as fake:
        own = {"centrifugo_api": {"http": {"url": fake.url}}}
        pool = await start(HOOKS, own={**own, "centrifuge": {"grpc_api_address": None}}, num_workers=2)
        await pool.ready(2)
        found = await asyncio.gather(*(pool.ask("publish", number) for number in range(20)))
        assert [each.data[0] for each in found] == [0] * 20
        assert len(fake.asked) == 20
