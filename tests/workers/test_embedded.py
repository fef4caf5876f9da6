"""The embedded server in the parent, its hooks in workers: clients never notice a worker."""

import asyncio
import contextlib
import json
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.workers.conftest import Pool, Project, soon, until

Start = Callable[..., Awaitable[Pool]]

CLIENTS = 200

HOOKS = """
    import asyncio, os
    from rtbridge import ApiError, Command, ConnectResult, Publication, PublishResult, RPCResult, SubscribeResult
    from rtbridge import Router, hookimpl

    router = Router()

    @router.on_rpc("thread")
    def on_a_thread(event, api):
        return RPCResult(data=api.sync.publish("chat:a", event.data, timeout=20).offset)

    @hookimpl
    async def on_connect(event):
        return ConnectResult(user=event.name or "anon", data={"pid": os.getpid()}, meta={"name": event.name})

    @hookimpl
    async def on_rpc(event, api):
        if event.method == "thread":
            return None
        if event.method == "say":
            position = await api.publish("chat:a", event.data)
            stats = await api.presence_stats("chat:a")
            return RPCResult(data={"offset": position.offset, "clients": stats.num_clients, "meta": event.meta})
        if event.method == "batch":
            commands = [Command.publish("chat:b", 1), Command.history("nowhere:a"), Command.map_stats("chat:b")]
            found = await api.batch(commands)
            try:
                await api.publish("chat:b", 1, version=-1)
            except ApiError as exc:
                found.append(exc)
            return RPCResult(data=[each.code if isinstance(each, ApiError) else each.offset for each in found])
        if event.method == "refused":
            await api.publish("nowhere:a", 1)
        await asyncio.sleep(3600 if event.method == "hang" else 0.01)
        return RPCResult(data={"pid": os.getpid(), "user": event.user, "data": event.data})

    @hookimpl
    async def on_subscribe(event):
        return SubscribeResult()

    @hookimpl
    async def on_publish(event):
        return PublishResult(data={"by": event.user, "text": event.data})

    @hookimpl
    async def on_subscribe_bidirectional(event):
        yield SubscribeResult(data=event.data)
        async for publication in event.incoming:
            yield Publication(data={"echo": publication.data})
"""

EMBEDDED = {
    "http_server": {"address": "127.0.0.1", "port": 0},
    "client": {"proxy": {"connect": {"enabled": True}}, "concurrency": 8},
    "channel": {
        "namespaces": [
            {
                "name": "chat",
                "subscribe_proxy_enabled": True,
                "publish_proxy_enabled": True,
                "presence": True,
                "history_size": 10,
                "history_ttl": "60s",
            },
            {"name": "feed", "subscribe_stream_proxy_enabled": True, "subscribe_stream_proxy_bidirectional": True},
        ]
    },
    "rpc": {
        "without_namespace": {"proxy_enabled": True},
        "proxy": {"include_connection_meta": True, "timeout": "20s"},  # what is lost is counted, not what is slow
    },
}


class Client:
    """A client of the JSON protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self._id = 0
        self.pushed: list[dict[str, Any]] = []
        self.pids: set[int] = set()

    async def ask(self, **command: Any) -> dict[str, Any]:
        """The reply to a command; pushes on the way are kept, pings answered."""
        self._id += 1
        await self._socket.send(json.dumps({"id": self._id, **command}))
        while True:
            for line in str(await self._socket.recv()).splitlines():
                message: dict[str, Any] = json.loads(line)
                if message.get("id") == self._id:
                    return message
                if not message:
                    await self._socket.send("{}")
                elif "push" in message:
                    self.pushed.append(message["push"])

    async def push(self) -> dict[str, Any]:
        """The next push."""
        while not self.pushed:
            for line in str(await self._socket.recv()).splitlines():
                message = json.loads(line)
                if "push" in message:
                    self.pushed.append(message["push"])
        return self.pushed.pop(0)


@pytest.fixture
async def served(start: Start) -> AsyncIterator[Callable[..., Awaitable[tuple[Pool, Callable[..., Any]]]]]:
    """A pool whose parent has an embedded server, and what connects a client to it."""
    async with contextlib.AsyncExitStack() as stack:

        async def run(**pool: Any) -> tuple[Pool, Callable[..., Any]]:
            found = await start(HOOKS, own={"embedded": EMBEDDED}, **pool)
            (server,) = found.parent.transports()
            await server.start()
            stack.push_async_callback(server.stop, 1.0)

            async def client(name: str) -> Client:
                address = f"ws://{server.address}/connection/websocket"
                one = Client(await stack.enter_async_context(connect(address, close_timeout=1)))
                reply = await soon(one.ask(connect={"name": name}))
                one.pids.add(reply["connect"]["data"]["pid"])
                return one

            return found, client

        yield run


async def test_events_of_clients_travel_to_workers(served: Any) -> None:
    """Connect, subscribe, publish, RPC; meta comes back with each."""
    pool, client = await served()
    ann = await client("ann")
    assert ann.pids == {worker.pid for worker in pool.workers()}
    assert "subscribe" in await soon(ann.ask(subscribe={"channel": "chat:a"}))
    assert "publish" in await soon(ann.ask(publish={"channel": "chat:a", "data": "hi"}))
    assert (await soon(ann.push()))["pub"]["data"] == {"by": "ann", "text": "hi"}
    reply = await soon(ann.ask(rpc={"method": "x", "data": [1]}))
    assert (reply["rpc"]["data"]["user"], reply["rpc"]["data"]["data"]) == ("ann", [1])


async def test_the_server_api_works_from_a_worker(served: Any) -> None:
    """Its calls travel as frames to the parent, which has the channels; errors come back as they are."""
    _, client = await served()
    ann = await client("ann")
    await soon(ann.ask(subscribe={"channel": "chat:a"}))
    for offset in (1, 2):
        reply = await soon(ann.ask(rpc={"method": "say", "data": {"n": offset}}))
        assert reply["rpc"]["data"] == {"offset": offset, "clients": 1, "meta": {"name": "ann"}}
        assert (await soon(ann.push()))["pub"]["data"] == {"n": offset}
    reply = await soon(ann.ask(rpc={"method": "batch"}))
    assert reply["rpc"]["data"] == [1, 102, 107, 107]
    reply = await soon(ann.ask(rpc={"method": "refused"}))
    assert reply["error"] == {"code": 100, "message": "internal server error", "temporary": True}


async def test_the_server_api_works_from_a_thread_of_a_worker(served: Any) -> None:
    """`api.sync` of a `def` hook."""
    _, client = await served()
    ann = await client("ann")
    await soon(ann.ask(subscribe={"channel": "chat:a"}))
    reply = await soon(ann.ask(rpc={"method": "thread", "data": "hi"}))
    assert reply["rpc"]["data"] == 1
    assert (await soon(ann.push()))["pub"]["data"] == "hi"


async def test_a_stream_of_a_client_is_pinned_to_its_worker(served: Any) -> None:
    """Both directions; when the worker leaves, the client is told to subscribe again."""
    pool, client = await served(num_workers=2)
    await pool.ready(2)
    ann = await client("ann")
    assert (await soon(ann.ask(subscribe={"channel": "feed:a", "data": {"a": 1}})))["subscribe"]["data"] == {"a": 1}
    for number in range(3):
        assert "publish" in await soon(ann.ask(publish={"channel": "feed:a", "data": number}))
        assert (await soon(ann.push()))["pub"]["data"] == {"echo": number}
    assert sorted(worker.streams for worker in pool.workers()) == [0, 1]
    await soon(pool.parent.reload(pool.parent.config))
    unsubscribed = await soon(ann.push())
    assert unsubscribed["unsubscribe"]["code"] == 2500
    assert "subscribe" in await soon(ann.ask(subscribe={"channel": "feed:a", "data": {}}))


async def test_a_killed_worker_disconnects_nobody(served: Any) -> None:
    """Its calls fail with a temporary error; sessions live in the parent."""
    pool, client = await served(num_workers=1)
    ann = await client("ann")
    (pid,) = await pool.ready(1)
    asking = asyncio.create_task(ann.ask(rpc={"method": "hang"}))
    await until(lambda: [worker.held for worker in pool.workers()] == [1])
    os.kill(pid, signal.SIGKILL)
    reply = await soon(asking)
    assert reply["error"] == {"code": 100, "message": "internal server error", "temporary": True}
    await pool.replaced(pid)
    assert (await soon(ann.ask(rpc={"method": "x"})))["rpc"]["data"]["user"] == "ann"


@pytest.mark.timeout(120)
async def test_reloads_under_load_disconnect_no_client_and_fail_no_call(served: Any, project: Project) -> None:
    """A reload every second, with 200 clients that call all the time."""
    pool, client = await served(num_workers=2)
    await pool.ready(2)
    clients = [await client(f"client{number}") for number in range(CLIENTS)]
    stop, failed, lost = False, list[Any](), list[str]()
    answered = 0

    async def go_on(one: Client) -> None:
        nonlocal answered
        try:
            while not stop:
                reply = await one.ask(rpc={"method": "x", "data": answered})
                if "rpc" in reply:
                    one.pids.add(reply["rpc"]["data"]["pid"])
                    answered += 1
                else:
                    failed.append(reply)
                await asyncio.sleep(0.1)
        except ConnectionClosed as exc:
            lost.append(str(exc))

    going = [asyncio.create_task(go_on(one)) for one in clients]
    for _ in range(5):
        await asyncio.sleep(1.0)
        await soon(pool.parent.reload(pool.parent.config))
    stop = True
    await soon(asyncio.gather(*going))
    assert (lost, failed) == ([], [])
    assert answered > CLIENTS * 5
    assert len(set().union(*(one.pids for one in clients))) >= 6
    await pool.ready(2)
