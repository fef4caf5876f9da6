"""rtbridge's own gRPC server in front of workers, asked by grpcio's client."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import grpc.aio
import pytest

from rtbridge.codec.descriptors import message_class
from rtbridge.readiness import Readiness
from rtbridge.transport.builtin import BuiltinTransport
from rtbridge.transport.settings import GrpcSettings
from tests.workers.conftest import Pool, Project, soon, until

Start = Callable[..., Awaitable[Pool]]

_PACKAGE = "centrifugal.centrifugo.proxy"
_REPLY = message_class(f"{_PACKAGE}.RPCResponse")


class Caller:
    """Calls of one connection."""

    def __init__(self, pool: Pool, server: BuiltinTransport, channel: grpc.aio.Channel) -> None:
        self.pool = pool
        self.server = server
        self._send: Any = channel.unary_unary(
            f"/{_PACKAGE}.CentrifugoProxy/RPC", response_deserializer=_REPLY.FromString
        )

    def call(self, method: str, data: Any = None, timeout: float = 20.0) -> Any:
        request = message_class(f"{_PACKAGE}.RPCRequest")(method=method, data=json.dumps(data).encode())
        return self._send(request.SerializeToString(), timeout=timeout, metadata=(("x-a", "1"),))

    async def ask(self, method: str, data: Any = None) -> Any:
        """The reply to an RPC."""
        return await soon(self.call(method, data))


@pytest.fixture
async def caller(start: Start) -> AsyncIterator[Callable[..., Awaitable[Caller]]]:
    """Starts workers with the server in front of them."""
    pools: list[tuple[BuiltinTransport, grpc.aio.Channel]] = []

    async def run(**pool: Any) -> Caller:
        own = pool.pop("own", None)
        found = await start(own=own, **pool)
        server = BuiltinTransport(found.parent.handler, GrpcSettings("127.0.0.1:0", message_size=10_000), Readiness())
        await server.start()
        channel = grpc.aio.insecure_channel(server.address)
        pools.append((server, channel))
        return Caller(found, server, channel)

    yield run
    for server, channel in pools:
        await channel.close()
        await soon(server.stop(5.0))


async def test_workers_answer(caller: Callable[..., Awaitable[Caller]]) -> None:
    """Two workers share the calls of one connection; headers and payloads are as they were sent."""
    front = await caller(num_workers=2)
    pids = await front.pool.ready(2)
    replies = await asyncio.gather(*(front.ask("echo", {"n": number}) for number in range(100)))
    assert [json.loads(reply.result.data)["n"] for reply in replies] == list(range(100))
    assert {json.loads((await front.ask("pid")).result.data) for _ in range(4)} == set(pids)
    assert json.loads((await front.ask("header")).result.data) == ["1", "builtin"]
    denied = await front.ask("nobody answers this")
    assert denied.disconnect.code == 4500


async def test_a_caller_who_goes_away(caller: Callable[..., Awaitable[Caller]], project: Project) -> None:
    """A reset stream cancels the hook in its worker."""
    front = await caller()
    calling = front.call("wait")
    await until(lambda: project.exists("waits"))
    calling.cancel()
    await until(lambda: project.exists("cancelled"))
    await until(lambda: front.pool.parent.handler.active == 0)
    assert json.loads((await front.ask("echo", 1)).result.data) == 1


async def test_a_connection_that_breaks(caller: Callable[..., Awaitable[Caller]], project: Project) -> None:
    """So does the end of the connection."""
    front = await caller()
    calling = asyncio.ensure_future(front.call("wait"))
    await until(lambda: project.exists("waits"))
    for connection in list(front.server._fronts):
        connection.abort()
    with pytest.raises(grpc.aio.AioRpcError):
        await soon(calling)
    await until(lambda: project.exists("cancelled"))


async def test_a_worker_that_dies(caller: Callable[..., Awaitable[Caller]]) -> None:
    """Its calls get a temporary error, and the next ones another worker."""
    front = await caller()
    (pid,) = await front.pool.ready(1)
    held = [front.call("until", "go") for _ in range(5)]
    await until(lambda: [worker.held for worker in front.pool.workers()] == [5])
    os.kill(pid, signal.SIGKILL)
    for reply in [await soon(call) for call in held]:
        assert (reply.error.code, reply.error.temporary) == (100, True)
    assert json.loads((await front.ask("pid")).result.data) != pid


async def test_calls_wait_for_a_place(caller: Callable[..., Awaitable[Caller]]) -> None:
    front = await caller(own={"limits": {"worker_concurrency": 1}})
    first = front.call("until", "go")
    await until(lambda: [worker.held for worker in front.pool.workers()] == [1])
    second = front.call("echo", 2)
    await until(lambda: front.pool.parent.handler.waiting == 1)
    front.pool.go()
    assert json.loads((await soon(second)).result.data) == 2
    await soon(first)


async def test_a_request_over_the_limit(caller: Callable[..., Awaitable[Caller]]) -> None:
    """A worker hears of it, whose on_invalid may answer; here nobody does."""
    front = await caller()
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await front.ask("echo", "x" * 20_000)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "rtbridge.limits.message_size is 10000" in str(refused.value.details())
