"""The redis driver: restarts, TLS, bounds, keys on the server."""

import asyncio
import contextlib
import datetime
import math
import socket
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rtbridge import ConfigError, Kv, KvError, KvLimit, KvUnavailable, KvUnreadable
from rtbridge.plugins.kv.redis import RedisStore
from tests.plugins.kv.conftest import Make, stores_of
from tests.plugins.kv.servers import Server, bare_redis, free_port, redis_server, until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A redis-server of the test's own."""
    made = redis_server(tmp_path)
    try:
        yield made.start()
    finally:
        made.kill()


def config(server: Server, **more: Any) -> dict[str, Any]:
    return {"addrs": [f"127.0.0.1:{server.port}"], **more}


async def test_keys_on_the_server(make: Make, server: Server) -> None:
    kv = await make("redis", config=config(server), serializer="json")
    await kv.set("user:1", {"a": 1})
    await kv.set("n", 5, ttl=100)
    with contextlib.closing(bare_redis(server)) as bare:
        assert sorted(bare.keys()) == [b"shop:s:n", b"shop:s:user:1"]
        assert bare.get("shop:s:user:1") == b'{"a":1}'
        assert bare.get("shop:s:n") == b"5"
        bare.incr("shop:s:n")
        assert await kv.get("n") == 6
        assert 0 < bare.pttl("shop:s:n") <= 100_000
        bare.set("foreign", "stays")
        bare.lpush("shop:s:list", 1)
        with pytest.raises(KvUnreadable, match="what is stored there is a list, a hash or alike"):
            await kv.get("list")
        await kv.clear()
        assert bare.keys() == [b"foreign"]


async def test_prefixes(make: Make, server: Server) -> None:
    whole = await make("redis", config=config(server, prefix=""))
    part = await make("redis", config=config(server, prefix="a[*]?:"))
    await whole.set("x", 1)
    await part.set("x", 2)
    assert sorted([key async for key in whole.scan()]) == ["a[*]?:x", "x"]
    assert [key async for key in part.scan()] == ["x"]
    await part.clear()
    assert await whole.get("x") == 1
    with contextlib.closing(bare_redis(server)) as bare:
        bare.set(b"\xff\xfe", 1)
        assert "\ufffd\ufffd" in [key async for key in whole.scan()]


async def test_entries_end_by_themselves(make: Make, server: Server) -> None:
    kv = await make("redis", config=config(server))
    await kv.set("a", 1, ttl=0.0001)
    await kv.set("b", 1, ttl=0.05)
    await kv.set("c", 1)
    await until(lambda: _gone(kv, "a", "b"))
    assert await kv.ttl("a") is None
    assert await kv.ttl("c") == math.inf


async def _gone(kv: Kv, *keys: str) -> bool:
    return not await kv.get_many(keys)


async def test_counters_keep_all_bits_with_a_ttl(make: Make, server: Server) -> None:
    kv = await make("redis", config=config(server))
    assert await kv.incr("n", 2**53 + 1, ttl=60) == 2**53 + 1
    assert await kv.incr("n", 2, ttl=60) == 2**53 + 3
    assert await kv.incr("m", -(2**63), ttl=60) == -(2**63)
    with pytest.raises(KvLimit):
        await kv.incr("m", -1, ttl=60)


async def test_a_server_that_dies_and_comes_again(make: Make, server: Server) -> None:
    """Errors have a name meanwhile; afterwards the same store goes on, from coroutines and threads."""
    kv = await make("redis", config=config(server, max_retries=1, min_retry_backoff="1ms", dial_timeout="2s"))
    await asyncio.gather(*(kv.set(f"k{number}", number) for number in range(20)))
    assert await asyncio.to_thread(kv.sync.get, "k1") == 1
    assert await kv.cas("k1", 1, 2)
    server.kill()
    for call in (kv.get("k1"), kv.set("k1", 1), kv.incr("n"), kv.add("a", 1), kv.get_many(["a"]), kv.clear()):
        with pytest.raises(KvUnavailable, match=f"kv store s: redis 127.0.0.1:{server.port} cannot be reached"):
            await call
    with pytest.raises(KvUnavailable):
        await asyncio.to_thread(kv.sync.get, "k1")
    server.start()
    assert await asyncio.gather(*(kv.incr("n") for _ in range(20)))
    assert await kv.get("n") == 20
    assert await kv.get("k1") is None
    await kv.set("k1", 1)
    assert await kv.cas("k1", 1, 2)  # the script is sent again
    assert await asyncio.to_thread(kv.sync.get, "k1") == 2


async def test_a_server_that_dies_under_load(make: Make, tmp_path: Path) -> None:
    """One that writes down what it acknowledges: every such increment is there afterwards, whoever made it."""
    kept = redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "always")
    acknowledged = failed = 0
    enough, over = asyncio.Event(), False

    async def count(incr: Callable[[str], Awaitable[int]]) -> None:
        nonlocal acknowledged, failed
        while not over:
            try:
                await incr("n")
            except KvUnavailable:
                failed += 1
                await asyncio.sleep(0.01)
            else:
                acknowledged += 1
            if acknowledged >= 200:
                enough.set()

    try:
        kv = await make("redis", config=config(kept.start(), dial_timeout="2s"))
        sync = kv.sync
        ways = [kv.incr] * 6 + [lambda key: asyncio.to_thread(sync.incr, key)] * 2
        async with asyncio.timeout(40), asyncio.TaskGroup() as group:
            counting = [group.create_task(count(way)) for way in ways]
            await enough.wait()
            before = acknowledged
            await asyncio.to_thread(kept.kill)
            await asyncio.to_thread(kept.start)
            while acknowledged < before + 200:
                await asyncio.sleep(0.01)
            over = True
            await asyncio.wait(counting)
        assert failed
        assert acknowledged <= await kv.get("n") <= acknowledged + failed
    finally:
        kept.kill()


async def test_connections_that_the_server_closed_are_not_used(make: Make, server: Server) -> None:
    kv = await make("redis", config=config(server, max_retries=0))
    await asyncio.gather(*(kv.incr("n") for _ in range(10)))
    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)
    assert sorted(await asyncio.gather(*(kv.incr("n") for _ in range(10)))) == list(range(1, 11))


async def test_calls_that_may_be_made_twice_are(make: Make, tmp_path: Path) -> None:
    """A server that closes the first connection; the second attempt goes through. incr is not tried again."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(4096):
                if b"SETINFO" in data:
                    writer.write(b"+OK\r\n" * data.count(b"SETINFO"))
                    continue
                seen.append(data.split(b"\r\n")[2])
                if len(seen) % 2:
                    return
                writer.write(b"$1\r\n7\r\n")
        finally:
            writer.close()

    fake = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        port = fake.sockets[0].getsockname()[1]
        kv = await make("redis", config={"addrs": [f"127.0.0.1:{port}"], "min_retry_backoff": 0})
        assert await kv.get("a") == 7
        assert seen == [b"GET", b"GET"]
        with pytest.raises(KvUnavailable):
            await kv.incr("a")
        assert seen == [b"GET", b"GET", b"INCRBY"]
    finally:
        fake.close()


async def test_a_server_that_does_not_answer(make: Make) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        options = {"addrs": [f"127.0.0.1:{port}"], "read_timeout": "50ms", "max_retries": 0, "pool_size": 1}
        kv = await make("redis", config={**options, "pool_timeout": "5ms"})
        found = await asyncio.gather(*(kv.get("a") for _ in range(3)), return_exceptions=True)
        texts = sorted(str(each) for each in found)
        assert all(isinstance(each, KvUnavailable) for each in found)
        assert texts[:2] == ["kv store s: all 1 connections were taken for 0.005 s (pool_size, pool_timeout)"] * 2
        assert "cannot be reached: Timeout" in texts[2]
        threads = await asyncio.gather(*(asyncio.to_thread(kv.sync.get, "a") for _ in range(3)), return_exceptions=True)
        assert all(isinstance(each, KvUnavailable) for each in threads)


async def test_callers_that_give_up_leave_no_answer_behind(make: Make, server: Server) -> None:
    """Whoever takes the connection next gets its own answer."""
    kv = await make("redis", config=config(server, pool_size=2))
    await kv.set_many({f"k{number}": number for number in range(100)})
    for turn in range(50):
        tasks = [asyncio.create_task(kv.get(f"k{number}")) for number in range(8)]
        for _ in range(turn % 7):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        for number, each in enumerate(found):
            assert each == number or isinstance(each, asyncio.CancelledError)
    assert await kv.get("k99") == 99


def test_each_loop_has_its_own_connections(server: Server) -> None:
    stores = stores_of("redis", config(server))
    kv = stores("s")

    async def use(number: int) -> Any:
        found = await kv.incr("n")
        await kv.store.close()
        return (number, found)

    assert [asyncio.run(use(number)) for number in range(3)] == [(0, 1), (1, 2), (2, 3)]
    kv.sync.close()


async def test_a_server_without_room(make: Make, server: Server) -> None:
    kv = await make("redis", config=config(server))
    with contextlib.closing(bare_redis(server)) as bare:
        bare.config_set("maxmemory", "1mb")
        bare.config_set("maxmemory-policy", "noeviction")
    with pytest.raises(KvLimit, match=r"has no room: maxmemory is reached, and its policy evicts nothing"):
        await kv.set_many({f"k{number}": "x" * 50_000 for number in range(100)})


async def test_passwords(make: Make, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    protected = redis_server(folder, "--requirepass", "s3cret-pa55")
    try:
        protected.start()
        with contextlib.closing(bare_redis(protected, password="s3cret-pa55")) as bare:
            bare.execute_command("ACL", "SETUSER", "ann", "on", ">her-pa55", "~*", "+@all")
        for own in ({"password": "s3cret-pa55"}, {"username": "ann", "password": "her-pa55"}):
            kv = await make("redis", config=config(protected, **own))
            await kv.set("a", 1)
            assert await kv.get("a") == 1
        url = f"redis://ann:her-pa55@127.0.0.1:{protected.port}/0"
        kv = await make("redis", config={"url": url})
        assert await kv.incr("n") == 1
        for wrong in ({"password": "wr0ng-pa55"}, {}):
            kv = await make("redis", config=config(protected, max_retries=0, **wrong))
            with pytest.raises(KvError) as caught:
                await kv.get("a")
            assert "pa55" not in str(caught.value)
            assert "pa55" not in repr(kv.store.__dict__)
    finally:
        protected.kill()


async def test_a_socket_in_the_file_system(make: Make, tmp_path: Path) -> None:
    path = tmp_path / "redis.sock"
    made = redis_server(tmp_path, "--unixsocket", str(path))
    try:
        made.start()
        kv = await make("redis", config={"addrs": [f"unix://{path}"], "db": 3})
        await kv.set("a", 1)
        assert await asyncio.to_thread(kv.sync.get, "a") == 1
        with contextlib.closing(bare_redis(made, db=3)) as bare:
            assert bare.dbsize() == 1
    finally:
        made.kill()


async def test_tls(make: Make, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    folder = tmp_path / "tls"
    folder.mkdir()
    secure = redis_server(folder)
    port = free_port()
    options = ["--tls-port", str(port), "--tls-cert-file", str(cert), "--tls-key-file", str(key)]
    secure._command += [*options, "--tls-ca-cert-file", str(cert)]
    try:
        secure.start()
        files = {"root_ca": str(cert), "cert": str(cert), "key": str(key)}
        for own in ({"addrs": [f"127.0.0.1:{port}"]}, {"url": f"rediss://127.0.0.1:{port}/0"}):
            kv = await make("redis", config={**own, "tls": files})
            await kv.set("a", 1)
            assert await asyncio.to_thread(kv.sync.get, "a") == 1
        kv = await make("redis", config={"addrs": [f"127.0.0.1:{port}"], "tls": {}, "max_retries": 0})
        with pytest.raises(KvUnavailable, match="certificate verify failed"):
            await kv.get("a")
    finally:
        secure.kill()


async def test_nothing_is_connected_at_the_start(make: Make) -> None:
    kv = await make("redis", config={"addrs": ["127.0.0.1:1"], "max_retries": 0})
    assert isinstance(kv.store, RedisStore)
    with pytest.raises(KvUnavailable, match=r"kv store s: redis 127\.0\.0\.1:1 cannot be reached"):
        await kv.get("a")


def test_a_missing_package_has_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(
        ConfigError, match=r"^kv\.s: the driver redis needs the package redis: pip install 'rtbridge\[redis\]'"
    ):
        stores_of("redis", {})


async def test_the_clock_of_a_datetime_is_ours(make: Make, server: Server) -> None:
    kv = await make("redis", config=config(server))
    await kv.set("a", 1, ttl=datetime.datetime.fromtimestamp(time.time() + 50, datetime.UTC))
    left = await kv.ttl("a")
    assert left is not None
    assert 0 < left <= 50
