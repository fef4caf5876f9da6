"""The memcached driver: restarts, several servers, bounds, what memcached does with time."""

import asyncio
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymemcache.client.base import Client

from rtbridge import ConfigError, KvLimit, KvUnavailable, KvUnreadable
from rtbridge.plugins.kv import memcached
from rtbridge.plugins.kv.memcached import MemcachedStore
from tests.plugins.kv.conftest import Make, stores_of
from tests.plugins.kv.servers import Server, memcached_server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A memcached of the test's own."""
    made = memcached_server(tmp_path)
    try:
        yield made.start()
    finally:
        made.kill()


def config(*servers: Server, **more: Any) -> dict[str, Any]:
    return {"addr": [f"127.0.0.1:{server.port}" for server in servers], **more}


def bare(server: Server) -> Any:
    return Client(("127.0.0.1", server.port), default_noreply=False)


async def test_keys_on_the_server(make: Make, server: Server) -> None:
    kv = await make("memcached", config=config(server), serializer="json")
    await kv.set("user 1", {"a": 1})
    await kv.set("100%", 5)
    await kv.set("usér", 6)
    client = bare(server)
    assert client.get(b"shop:s:user%201") == b'{"a":1}'
    assert client.get(b"shop:s:100%25") == b"5"
    assert client.get("shop:s:usér".encode()) == b"6"
    client.close()


async def test_keys_have_memcacheds_bound(make: Make, server: Server) -> None:
    kv = await make("memcached", config=config(server))
    longest = "k" * (250 - len("shop:s:"))
    await kv.set(longest, 1)
    assert await kv.get(longest) == 1
    with pytest.raises(KvLimit, match="kv store s: a key of 251 bytes with its prefix; memcached takes 250"):
        await kv.get(longest + "k")


async def test_values_have_the_servers_bound(make: Make, server: Server) -> None:
    kv = await make("memcached", config=config(server))
    with pytest.raises(KvLimit, match="a value is larger than the server takes"):
        await kv.set("a", "x" * 1_100_000)
    with pytest.raises(KvLimit):
        await kv.add("a", "x" * 1_100_000)
    await kv.set("a", "fine")
    assert await kv.get("a") == "fine"


async def test_clear_of_servers_that_are_the_stores_own(make: Make, server: Server) -> None:
    kv = await make("memcached", config=config(server, prefix=""))
    await kv.set_many({"a": 1, "b": 2})
    await kv.clear()
    assert await kv.get_many(["a", "b"]) == {}


async def test_entries_end_by_themselves(make: Make, server: Server) -> None:
    """memcached counts whole seconds; a part of one is a whole one."""
    kv = await make("memcached", config=config(server))
    await kv.set_many({"a": 1, "b": 1}, ttl=0.2)
    await kv.set("c", 1, ttl=100)
    await kv.set("d", 1, ttl=40 * 86_400)
    assert await kv.get_many(["a", "b", "c", "d"]) == {"a": 1, "b": 1, "c": 1, "d": 1}
    async with asyncio.timeout(20):
        while await kv.get_many(["a", "b"]):
            await asyncio.sleep(0.05)
    assert await kv.get_many(["c", "d"]) == {"c": 1, "d": 1}


def test_long_ttls_are_dates() -> None:
    assert [memcached._expiry(ttl) for ttl in (None, 0, -5, 0.1, 1, 1.5, 30 * 86_400)] == [
        0,
        -1,
        -1,
        1,
        1,
        2,
        2_592_000,
    ]
    assert memcached._expiry(30 * 86_400 + 1) > time.time() + 30 * 86_400


async def test_large_increments(make: Make, server: Server) -> None:
    kv = await make("memcached", config=config(server))
    assert await kv.incr("n", 2**62) == 2**62
    for by in (2**62, 2**63 - 1):
        with pytest.raises(KvLimit):
            await kv.incr("n", by)
        assert await kv.get("n") == 2**62
    assert await kv.incr("n", 2**62 - 1) == 2**63 - 1
    with pytest.raises(KvLimit):
        await kv.incr("n", 5)
    assert await kv.get("n") == 2**63 - 1
    await kv.set("m", -5)
    with pytest.raises(KvUnreadable, match="or one below zero, which memcached cannot count from"):
        await kv.incr("m")
    assert await kv.get("m") == -5


async def test_counters_of_many_threads(make: Make, server: Server) -> None:
    kv = await make("memcached", config=config(server, pool_size=3))
    await asyncio.gather(*(kv.incr("n", ttl=60) for _ in range(200)))
    assert await kv.get("n") == 200


async def test_a_server_that_dies_and_comes_again(make: Make, server: Server) -> None:
    kv = await make("memcached", config=config(server, dial_timeout="2s", read_timeout="2s"))
    await asyncio.gather(*(kv.set(f"k{number}", number) for number in range(20)))
    assert await asyncio.to_thread(kv.sync.get, "k1") == 1
    server.kill()
    for call in (kv.get("k1"), kv.set("k1", 1), kv.incr("n"), kv.add("a", 1), kv.get_many(["a"]), kv.delete("a")):
        with pytest.raises(KvUnavailable, match=rf"kv store s: memcached 127\.0\.0\.1:{server.port} cannot be reached"):
            await call
    with pytest.raises(KvUnavailable):
        await asyncio.to_thread(kv.sync.get, "k1")
    server.start()
    assert sorted(await asyncio.gather(*(kv.incr("n") for _ in range(20)))) == list(range(1, 21))
    assert await kv.get("k1") is None


async def test_a_server_that_dies_under_load(make: Make, server: Server) -> None:
    """Callers get errors with a name, or answers; the counter that begins anew loses none of those after its start."""
    kv = await make("memcached", config=config(server, dial_timeout="20s", read_timeout="20s"))
    found: list[int] = []
    failed: set[int] = set()
    over = False

    async def count(number: int, incr: Callable[[str], Awaitable[int]]) -> None:
        while not over:
            try:
                found.append(await incr("n"))
            except KvUnavailable:
                failed.add(number)
                await asyncio.sleep(0.01)

    sync = kv.sync
    ways = [kv.incr] * 6 + [lambda key: asyncio.to_thread(sync.incr, key)] * 2
    async with asyncio.timeout(40), asyncio.TaskGroup() as group:
        counting = [group.create_task(count(number, way)) for number, way in enumerate(ways)]
        while len(found) < 200:
            await asyncio.sleep(0.01)
        await asyncio.to_thread(server.kill)
        while len(failed) < len(ways):  # so that no answer of the old server is still on its way
            await asyncio.sleep(0.01)
        before = len(found)
        await asyncio.to_thread(server.start)
        while len(found) < before + 200:
            await asyncio.sleep(0.01)
        over = True
        await asyncio.wait(counting)
    assert sorted(found[before:]) == list(range(1, len(found) - before + 1))
    assert await kv.get("n") == len(found) - before


async def test_connections_that_the_server_closed_are_not_used(make: Make, server: Server) -> None:
    kv = await make("memcached", config=config(server))
    await asyncio.gather(*(kv.incr("n") for _ in range(10)))
    server.kill()
    server.start()
    assert sorted(await asyncio.gather(*(kv.incr("n") for _ in range(10)))) == list(range(1, 11))


async def test_several_servers(make: Make, tmp_path: Path) -> None:
    servers: list[Server] = []
    try:
        for number in range(3):
            folder = tmp_path / str(number)
            folder.mkdir()
            servers.append(memcached_server(folder).start())
        kv = await make("memcached", config=config(*servers))
        items = {f"key-{number}": number for number in range(300)}
        await kv.set_many(items, ttl=60)
        assert await kv.get_many(items) == items
        assert await asyncio.to_thread(kv.sync.get_many, items) == items
        assert await kv.expire_many([*items, "missing"], 100) == 300
        fewer = await make("memcached", config=config(*servers[:2]))
        kept = await fewer.get_many(items)
        assert 140 < len(kept) < 260
        servers[2].kill()
        found = await asyncio.gather(*(kv.get(key) for key in items), return_exceptions=True)
        assert [each for each in found if not isinstance(each, KvUnavailable)] == list(kept.values())
        assert await kv.delete_many(kept) == len(kept)
    finally:
        for server in servers:
            server.kill()


async def test_a_server_that_does_not_answer(make: Make) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        kv = await make("memcached", config={"addr": [f"127.0.0.1:{silent.getsockname()[1]}"], "read_timeout": "50ms"})
        with pytest.raises(KvUnavailable, match="cannot be reached: timed out"):
            await kv.get("a")


async def test_callers_that_give_up_leave_no_answer_behind(make: Make, server: Server) -> None:
    kv = await make("memcached", config=config(server, pool_size=2))
    await kv.set_many({f"k{number}": number for number in range(100)})
    for turn in range(20):
        tasks = [asyncio.create_task(kv.get(f"k{number}")) for number in range(8)]
        for _ in range(turn % 5):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        for number, each in enumerate(found):
            assert each == number or isinstance(each, asyncio.CancelledError)


async def test_an_answer_that_nobody_waited_for_is_not_the_next_ones(make: Make, server: Server) -> None:
    kv = await make("memcached", config=config(server, pool_size=1))
    await kv.set("a", 1)
    assert isinstance(kv.store, MemcachedStore)
    (client,) = kv.store._pools[0]._idle
    client.sock.sendall(b"version\r\n")
    async with asyncio.timeout(10):
        while not memcached._is_over(client.sock):
            await asyncio.sleep(0.01)
    assert await kv.get("a") == 1


async def test_a_store_that_is_closed(make: Make, server: Server) -> None:
    kv = await make("memcached", config=config(server))
    await kv.set("a", 1)
    await kv.close()
    with pytest.raises(KvUnavailable, match="kv store s: it is closed"):
        await kv.get("a")


def test_a_missing_package_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pymemcache", None)
    with pytest.raises(
        ConfigError, match=r"the driver memcached needs the package pymemcache: pip install 'rtbridge\[memcached\]'"
    ):
        stores_of("memcached", {})
