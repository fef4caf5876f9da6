"""The redis driver over several servers: clusters, sentinels, and what it does when one of the servers is gone."""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import redis

from rtbridge import Kv, KvUnavailable
from tests.plugins.kv.conftest import Make
from tests.plugins.kv.servers import Server, bare_redis, binary, free_port, redis_server, until

pytestmark = pytest.mark.timeout(120)


async def writes(kv: Kv, value: int) -> bool:
    """Whether a value could be written."""
    try:
        await kv.set("a", value)
    except KvUnavailable:
        return False
    return True


def folder(path: Path) -> Path:
    """A folder that was not there."""
    path.mkdir()
    return path


@contextlib.asynccontextmanager
async def clustered(path: Path, *options: str, tls_ports: Sequence[int] = ()) -> AsyncIterator[list[Server]]:
    """Three servers that share the slots."""
    servers: list[Server] = []
    async with contextlib.AsyncExitStack() as stack:
        buses = [free_port() for _ in range(3)]
        for number, bus in enumerate(buses):
            own = [*options, *(["--tls-port", str(tls_ports[number]), "--tls-cluster", "yes"] if tls_ports else [])]
            own += ["--cluster-enabled", "yes", "--cluster-port", str(bus)]
            servers.append(redis_server(folder(path / f"node{number}"), *own))
            stack.callback(servers[-1].kill)
            servers[-1].start()
        clients = [stack.enter_context(contextlib.closing(bare_redis(server))) for server in servers]
        for bare, slots in zip(clients, [(0, 5460), (5461, 10922), (10923, 16383)], strict=True):
            bare.execute_command("CLUSTER", "ADDSLOTSRANGE", *slots)
        for bare in clients[1:]:
            port = tls_ports[0] if tls_ports else servers[0].port
            bare.execute_command("CLUSTER", "MEET", "127.0.0.1", port, buses[0])

        async def whole() -> bool:
            infos = [bare.execute_command("CLUSTER", "INFO") for bare in clients]
            return all(b"cluster_state:ok" in info and b"cluster_known_nodes:3" in info for info in infos)

        await until(whole)
        yield servers


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[list[Server]]:
    """Three servers that share the slots."""
    async with clustered(tmp_path) as servers:
        yield servers


async def test_a_cluster_over_tls(make: Make, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """Every server of it."""
    cert, key = map(str, certificate)
    options = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert]
    ports = [free_port() for _ in range(3)]
    async with clustered(tmp_path, *options, tls_ports=ports):
        files = {"root_ca": cert, "cert": cert, "key": key}
        kv = await make("redis", config={"addrs": [f"127.0.0.1:{port}" for port in ports], "tls": files})
        items = {f"key-{number}": number for number in range(50)}
        await kv.set_many(items)
        assert await kv.get_many(items) == items
        assert await asyncio.to_thread(kv.sync.get_many, items) == items
        assert {key async for key in kv.scan()} == set(items)
        stranger = await make("redis", config={"addrs": [f"127.0.0.1:{ports[0]}"], "cluster": True, "tls": {}})
        for call in (stranger.get("key-1"), asyncio.to_thread(stranger.sync.get, "key-1")):
            with pytest.raises(KvUnavailable, match="certificate verify failed"):
                await call


async def test_a_cluster(make: Make, cluster: list[Server]) -> None:
    kv = await make("redis", config={"addrs": [f"127.0.0.1:{server.port}" for server in cluster]})
    items = {f"key-{number}": number for number in range(700)}
    await kv.set_many(items, ttl=60)
    assert await kv.get_many(items) == items
    for server in cluster:
        with contextlib.closing(bare_redis(server)) as bare:
            assert bare.dbsize() > 100
    assert {key async for key in kv.scan("key-")} == set(items)
    assert await kv.incr("n", ttl=60) == 1
    assert await kv.cas("n", 1, 2)
    assert not await kv.add("n", 3)
    assert await kv.expire_many(["key-1", "key-2", "key-3", "missing"], None) == 3
    assert await kv.ttl("key-2") == math.inf
    assert await kv.delete_many(["key-1", "key-2", "missing"]) == 2

    def threads() -> None:
        assert kv.sync.get_many(["key-3", "key-4", "key-5"]) == {"key-3": 3, "key-4": 4, "key-5": 5}
        assert set(kv.sync.scan("key-")) == set(items) - {"key-1", "key-2"}
        kv.sync.clear()

    await asyncio.to_thread(threads)
    assert [key async for key in kv.scan()] == []
    single = await make("redis", config={"addrs": [f"127.0.0.1:{cluster[0].port}"], "cluster": True})
    await single.set_many(items)
    assert await single.get_many(items) == items
    options = {"url": f"redis://127.0.0.1:{cluster[0].port}", "cluster": True, "read_only": True}
    url = await make("redis", config=options)
    assert await url.get_many(items) == items


async def test_a_cluster_that_loses_a_server(make: Make, cluster: list[Server]) -> None:
    options = {"max_retries": 0, "dial_timeout": "2s"}
    kv = await make("redis", config={"addrs": [f"127.0.0.1:{server.port}" for server in cluster], **options})
    items = {f"key-{number}": number for number in range(50)}
    await kv.set_many(items)
    cluster[1].kill()
    found = await asyncio.gather(*(kv.get(key) for key in items), return_exceptions=True)
    assert {type(each) for each in found if isinstance(each, Exception)} == {KvUnavailable}
    await asyncio.to_thread(cluster[1].start)

    async def answers() -> bool:
        found = await asyncio.gather(*(kv.get(key) for key in items), return_exceptions=True)
        return not any(isinstance(each, Exception) for each in found)

    await until(answers)
    await kv.set_many(items)  # the server that came again has forgotten its part
    assert await kv.get_many(items) == items
    assert await asyncio.to_thread(kv.sync.get_many, items) == items


async def test_a_cluster_that_is_not_there(make: Make) -> None:
    """Or lacks a part: by name, from coroutines and threads, whatever is asked."""
    options = {"addrs": ["127.0.0.1:1", "127.0.0.1:2"], "max_retries": 0}
    kv = await make("redis", config=options)
    calls = (kv.get("a"), kv.get_many(["a"]), kv.incr("n"), kv.clear(), anext(kv.scan()))
    for call in (*calls, asyncio.to_thread(kv.sync.get, "a")):
        with pytest.raises(KvUnavailable, match=r"redis 127\.0\.0\.1:1, redis 127\.0\.0\.1:2 cannot be reached"):
            await call


@contextlib.contextmanager
def paired(path: Path, *options: str, tls_ports: Sequence[int] = ()) -> Iterator[tuple[Server, Server]]:
    """A server and its replica."""
    own = [["--tls-port", str(port), "--tls-replication", "yes"] for port in tls_ports] or [[], []]
    first = redis_server(folder(path / "first"), "--repl-diskless-sync-delay", "0", *options, *own[0])
    port = tls_ports[0] if tls_ports else first.port
    second = redis_server(folder(path / "second"), "--replicaof", f"127.0.0.1 {port}", *options, *own[1])
    try:
        yield first.start(), second.start()
    finally:
        first.kill()
        second.kill()


@contextlib.contextmanager
def watched(path: Path, port: int, *lines: str) -> Iterator[Server]:
    """What watches them, as ``shop``."""
    home = folder(path)
    file = home / "sentinel.conf"
    watching = Server([binary("redis-server"), str(file), "--sentinel"], home, b"PING\r\n")
    file.write_text(
        f"port {watching.port}\nbind 127.0.0.1\nsentinel monitor shop 127.0.0.1 {port} 1\n"
        "sentinel down-after-milliseconds shop 300\nsentinel failover-timeout shop 2000\n"
        'requirepass "watch-pa55"\n' + "".join(f"{line}\n" for line in lines)
    )
    try:
        yield watching.start()
    finally:
        watching.kill()


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Server, Server]]:
    """A server and its replica."""
    with paired(tmp_path) as servers:
        yield servers


@pytest.fixture
def sentinel(tmp_path: Path, pair: tuple[Server, Server]) -> Iterator[Server]:
    """What watches them, as ``shop``."""
    with watched(tmp_path / "sentinel", pair[0].port) as watching:
        yield watching


async def test_sentinels_over_tls(make: Make, tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    """They, the server that they name, and the one that takes its place."""
    cert, key = map(str, certificate)
    files = {"tls-cert-file": cert, "tls-key-file": key, "tls-ca-cert-file": cert}
    options = [part for name, value in files.items() for part in (f"--{name}", value)]
    ports, doors = [free_port(), free_port()], [free_port(), free_port()]
    with contextlib.ExitStack() as stack:
        first, second = stack.enter_context(paired(tmp_path, *options, tls_ports=ports))
        lines = [f"{name} {value}" for name, value in files.items()]
        watching = [
            stack.enter_context(
                watched(tmp_path / f"sentinel{door}", ports[0], "tls-replication yes", f"tls-port {door}", *lines)
            )
            for door in doors
        ]
        shared = {
            "addrs": [f"127.0.0.1:{door}" for door in doors],
            "master_name": "shop",
            "sentinel_password": "watch-pa55",
            "max_retries": 0,
        }
        kv = await make("redis", config={**shared, "tls": {"root_ca": cert, "cert": cert, "key": key}})
        await kv.set("a", 1)
        assert await asyncio.to_thread(kv.sync.get, "a") == 1
        with contextlib.closing(bare_redis(first)) as bare:
            assert bare.get("shop:s:a") == b"1"
            assert bare.execute_command("WAIT", 1, 20_000) == 1
        settings: list[dict[str, Any]] = [{"tls": {}}, {}]
        for own in settings:  # who does not know the authority, and who speaks no TLS
            stranger = await make("redis", config={**shared, **own})
            for call in (stranger.get("a"), asyncio.to_thread(stranger.sync.get, "a")):
                with pytest.raises(KvUnavailable, match="No master found for 'shop'"):
                    await call

        async def ready() -> bool:  # to name the replica, and to agree on it
            for each in watching:
                with contextlib.closing(bare_redis(each, password="watch-pa55")) as bare:
                    known = bare.sentinel_master("shop")
                if (known["num-slaves"], known["num-other-sentinels"]) != (1, 1):
                    return False
            return True

        await until(ready, 60)
        first.kill()
        await until(lambda: writes(kv, 2), 60)
        await until(lambda: thread_writes(kv, 3))
        with contextlib.closing(bare_redis(second)) as bare:
            assert bare.get("shop:s:a") == b"3"
            assert bare.info("replication")["role"] == "master"


async def test_sentinels(make: Make, pair: tuple[Server, Server], sentinel: Server) -> None:
    """The server that they name is asked; when it dies or steps down, the one that takes its place."""
    options = {
        "addrs": [f"127.0.0.1:{sentinel.port}"],
        "master_name": "shop",
        "sentinel_password": "watch-pa55",
        "max_retries": 0,
    }
    other = await make("redis", config={**options, "master_name": "nobody"})
    with pytest.raises(KvUnavailable, match="No master found for 'nobody'"):
        await other.get("a")
    kv = await make("redis", config=options)
    first, second = pair
    await kv.set("a", 1)
    assert await asyncio.to_thread(kv.sync.get, "a") == 1
    with contextlib.closing(bare_redis(first)) as bare:
        assert bare.dbsize() == 1
        assert bare.execute_command("WAIT", 1, 20_000) == 1

    async def hands_over() -> bool:
        with contextlib.closing(bare_redis(sentinel, password="watch-pa55")) as bare:
            try:
                bare.execute_command("SENTINEL", "FAILOVER", "shop")
            except redis.ResponseError:  # it has not looked at the replica yet
                return False
        return True

    async def handed_over() -> bool:
        with contextlib.closing(bare_redis(first)) as one, contextlib.closing(bare_redis(second)) as other:
            infos = [each.info("replication") for each in (one, other)]
        return [info["role"] for info in infos] == ["slave", "master"] and infos[0]["master_link_status"] == "up"

    await until(hands_over)
    await until(handed_over, 60)
    await until(lambda: writes(kv, 2))  # connections that were kept lead to a replica now
    await until(lambda: thread_writes(kv, 3))
    with contextlib.closing(bare_redis(second)) as bare:
        assert bare.get("shop:s:a") == b"3"
        assert bare.execute_command("WAIT", 1, 20_000) == 1

    second.kill()
    await until(lambda: writes(kv, 4), 60)
    with contextlib.closing(bare_redis(first)) as bare:
        assert bare.info("replication")["role"] == "master"
        assert bare.get("shop:s:a") == b"4"
    assert await asyncio.to_thread(kv.sync.get, "a") == 4


async def thread_writes(kv: Kv, value: int) -> bool:
    """The same as :func:`writes` from a thread."""
    try:
        await asyncio.to_thread(kv.sync.set, "a", value)
    except KvUnavailable:
        return False
    return True
