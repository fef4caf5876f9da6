"""Clients of redis-py: a server, a cluster or sentinels, for event loops and for threads; what their errors mean."""

import asyncio
import threading
import weakref
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

import redis
from redis import asyncio as redis_asyncio
from redis import cluster as thread_cluster
from redis import exceptions
from redis import sentinel as thread_sentinel
from redis.asyncio import cluster as loop_cluster
from redis.asyncio import sentinel as loop_sentinel
from redis.asyncio.retry import Retry as LoopRetry
from redis.backoff import NoBackoff
from redis.retry import Retry as ThreadRetry

from rtbridge.config import Address
from rtbridge.config.kv import RedisConfig
from rtbridge.errors import KvError, KvLimit, KvUnavailable, KvUnreadable

Command: TypeAlias = tuple[Any, ...]

#: What redis-py raises; its errors of a cluster that cannot be reached, or lacks a part, are none of its RedisError.
_FAULTS: Final = (exceptions.RedisError, exceptions.RedisClusterException, OSError)

#: RESP2 is spoken by every server and every sentinel, and its answers have one shape.
_PROTOCOL: Final = 2


class Library(NamedTuple):
    """redis-py's two halves, which have the same names."""

    client: Any
    cluster: Any
    sentinel: Any
    #: Its word for a call that is made once.
    once: Any


LOOPS: Final = Library(redis_asyncio.Redis, loop_cluster, loop_sentinel, LoopRetry(NoBackoff(), 0))
THREADS: Final = Library(redis.Redis, thread_cluster, thread_sentinel, ThreadRetry(NoBackoff(), 0))


class Unsent(Exception):
    """The server does not know a script by its name yet."""


class Link(Protocol):
    """Commands to a server or a cluster, waited for in one way or another."""

    async def call(self, *command: Any) -> Any:
        """The answer to a command."""
        ...

    async def calls(self, commands: Sequence[Command]) -> list[Any]:
        """The answers to commands that are sent together; no transaction."""
        ...

    async def scan(self, cursor: str, pattern: str, limit: int) -> tuple[list[bytes], str]:
        """One page of the keys that match, and the cursor of the next one."""
        ...

    async def pause(self, seconds: float) -> None:
        """Wait."""
        ...

    async def close(self) -> None:
        """Close the connections of this event loop, or of all threads."""
        ...


class Settings:
    """What a configuration says, as redis-py takes it.

    Args:
        name: The store's name, for errors.
        config: The configuration.

    Attributes:
        is_cluster: Whether keys are spread over servers.

    """

    def __init__(self, name: str, config: RedisConfig) -> None:
        self.name = name
        self.config = config
        sentinel = bool(config.master_name)
        self.is_cluster = config.cluster or (config.url is None and len(config.addrs) > 1 and not sentinel)
        self.where = "redis" if config.url else ", ".join(_shown(address) for address in config.addrs)

    @cached_property
    def options(self) -> dict[str, Any]:
        """Options of every connection."""
        config = self.config
        made: dict[str, Any] = {
            "socket_timeout": config.read_timeout,
            "socket_connect_timeout": config.dial_timeout,
            "protocol": _PROTOCOL,
        }
        for key in ("username", "password"):
            if value := getattr(config, key):
                made[key] = value
        if config.db and not self.is_cluster:
            made["db"] = config.db
        return made

    @cached_property
    def tls(self) -> dict[str, Any]:
        """Options of TLS."""
        tls = self.config.tls
        if tls is None:
            return {}
        files = {"ssl_ca_certs": tls.root_ca, "ssl_certfile": tls.cert, "ssl_keyfile": tls.key}
        return {key: str(path) for key, path in files.items() if path is not None}

    def made(self, library: Library) -> Any:
        """A client, which makes every call once."""
        config = self.config
        options = {**self.options, "retry": library.once}
        secure = {"ssl": True, **self.tls} if config.tls is not None else {}
        if self.is_cluster:
            if config.read_only:
                options["load_balancing_strategy"] = thread_cluster.LoadBalancingStrategy.ROUND_ROBIN
            if config.url is not None:
                return library.cluster.RedisCluster.from_url(config.url, **options, **self.tls)
            nodes = [library.cluster.ClusterNode(address.host, address.port) for address in config.addrs]
            return library.cluster.RedisCluster(startup_nodes=nodes, **options, **secure)
        if config.url is not None:
            return library.client.from_url(config.url, **options, **self.tls)
        if config.master_name:
            own = {"username": config.sentinel_username, "password": config.sentinel_password}
            watching = {**options, **secure} | {key: value or None for key, value in own.items()}
            watching.pop("db", None)
            sentinels = [(address.host, address.port) for address in config.addrs]
            sentinel = library.sentinel.Sentinel(sentinels, sentinel_kwargs=watching, **options, **secure)
            return sentinel.master_for(config.master_name)
        (address,) = config.addrs
        if address.path:
            return library.client(unix_socket_path=address.path, **options)
        return library.client(host=address.host, port=address.port, **options, **secure)

    def translated(self, exc: Exception) -> Exception:
        """An error of redis-py as one of stores; its texts hold hosts, and neither passwords nor values."""
        where = f"kv store {self.name}: {self.where}"
        text = str(exc)
        match exc:
            case exceptions.OutOfMemoryError():
                return KvLimit(f"{where} has no room: maxmemory is reached, and its policy evicts nothing")
            case exceptions.ReadOnlyError() | exceptions.ClusterDownError() | exceptions.TryAgainError():
                return KvUnavailable(f"{where}: {text}")
            case exceptions.NoScriptError():
                return Unsent()
            case exceptions.ResponseError() if "would overflow" in text:
                return KvLimit(f"kv store {self.name}: a counter beyond 64 bits")
            case exceptions.ResponseError() if "not an integer" in text:
                return KvUnreadable(f"kv store {self.name}: incr on a value that is no integer")
            case exceptions.ResponseError() if text.startswith("WRONGTYPE"):
                return KvUnreadable(f"kv store {self.name}: what is stored there is a list, a hash or alike")
            case exceptions.ResponseError():
                return KvError(f"{where}: {text}")
            case _:
                return KvUnavailable(f"{where} cannot be reached: {text}")


def _shown(address: Address) -> str:
    return f"redis {address.path or str(address).removeprefix('tcp://')}"


class LoopLink:
    """Commands from coroutines; each event loop has a client of its own, as connections belong to one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Any, asyncio.Semaphore]] = (
            weakref.WeakKeyDictionary()
        )
        #: The loop that asked last: nearly always the only one.
        self._last: tuple[weakref.ref[asyncio.AbstractEventLoop], tuple[Any, asyncio.Semaphore]] | None = None
        self._timeout = settings.config.pool_timeout

    def _client(self) -> tuple[Any, asyncio.Semaphore]:
        loop = asyncio.get_running_loop()
        if self._last is not None and self._last[0]() is loop:
            return self._last[1]
        found = self._clients.get(loop)
        if found is None:
            client = self._settings.made(LOOPS)
            found = self._clients[loop] = (client, asyncio.Semaphore(self._settings.config.pool_size))
        self._last = (weakref.ref(loop), found)
        return found

    async def _wait(self, places: asyncio.Semaphore) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await places.acquire()
        except TimeoutError as exc:
            raise _crowded(self._settings) from exc

    async def call(self, *command: Any) -> Any:
        """See :class:`Link`."""
        client, places = self._client()
        await (self._wait(places) if places.locked() else places.acquire())
        try:
            return await client.execute_command(*command)
        except _FAULTS as exc:
            raise self._settings.translated(exc) from exc
        finally:
            places.release()

    async def calls(self, commands: Sequence[Command]) -> list[Any]:
        """See :class:`Link`."""
        client, places = self._client()
        await (self._wait(places) if places.locked() else places.acquire())
        try:
            pipeline = _pipeline(client, commands, self._settings)
            found: list[Any] = await pipeline.execute()
        except _FAULTS as exc:
            raise self._settings.translated(exc) from exc
        finally:
            places.release()
        return found

    async def scan(self, cursor: str, pattern: str, limit: int) -> tuple[list[bytes], str]:
        """See :class:`Link`."""
        client, places = self._client()
        await (self._wait(places) if places.locked() else places.acquire())
        try:
            if not self._settings.is_cluster:
                position, keys = await client.scan(int(cursor or 0), pattern, limit)
                return keys, str(position) if position else ""
            if not cursor:
                await client.initialize()
            index, position, node, last = _node_of(client.get_primaries(), cursor)
            answer = await client.scan(position, pattern, limit, target_nodes=node)
            return _page_of(answer, index, last=last)
        except _FAULTS as exc:
            raise self._settings.translated(exc) from exc
        finally:
            places.release()

    async def pause(self, seconds: float) -> None:
        """See :class:`Link`."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """See :class:`Link`."""
        self._last = None
        found = self._clients.pop(asyncio.get_running_loop(), None)
        if found is not None:
            for each in _clients(found[0]):
                with suppress(*_FAULTS):
                    await each.aclose()
            # A cluster's client forgets to close where it was about to look at the cluster again.
            for node in _nodes(found[0]):
                with suppress(*_FAULTS):
                    await node.disconnect()


class ThreadLink:
    """Commands from threads; all of them share one client."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._places = threading.BoundedSemaphore(settings.config.pool_size)
        self._making = threading.Lock()
        self._made: Any = None

    def _client(self) -> Any:
        if self._made is None:
            with self._making:
                if self._made is None:
                    # A cluster's client asks for the cluster's shape where it is made.
                    self._made = self._settings.made(THREADS)
        return self._made

    def _place(self) -> None:
        if not self._places.acquire(timeout=self._settings.config.pool_timeout):
            raise _crowded(self._settings)

    async def call(self, *command: Any) -> Any:
        """See :class:`Link`."""
        self._place()
        try:
            return self._client().execute_command(*command)
        except _FAULTS as exc:
            raise self._settings.translated(exc) from exc
        finally:
            self._places.release()

    async def calls(self, commands: Sequence[Command]) -> list[Any]:
        """See :class:`Link`."""
        self._place()
        try:
            found: list[Any] = _pipeline(self._client(), commands, self._settings).execute()
        except _FAULTS as exc:
            raise self._settings.translated(exc) from exc
        finally:
            self._places.release()
        return found

    async def scan(self, cursor: str, pattern: str, limit: int) -> tuple[list[bytes], str]:
        """See :class:`Link`."""
        self._place()
        try:
            client = self._client()
            if not self._settings.is_cluster:
                position, keys = client.scan(int(cursor or 0), pattern, limit)
                return keys, str(position) if position else ""
            index, position, node, last = _node_of(client.get_primaries(), cursor)
            answer = client.scan(position, pattern, limit, target_nodes=node)
            return _page_of(answer, index, last=last)
        except _FAULTS as exc:
            raise self._settings.translated(exc) from exc
        finally:
            self._places.release()

    async def pause(self, seconds: float) -> None:
        """See :class:`Link`."""
        threading.Event().wait(seconds)

    async def close(self) -> None:
        """See :class:`Link`."""
        with self._making:
            made, self._made = self._made, None
        for each in _clients(made) if made is not None else ():
            each.close()


def _clients(client: Any) -> list[Any]:
    """A client, and those of the sentinels that it asks."""
    manager = getattr(getattr(client, "connection_pool", None), "sentinel_manager", None)
    return [client] if manager is None else [client, *manager.sentinels]


def _nodes(client: Any) -> list[Any]:
    """The servers that a cluster's client for event loops knows."""
    manager = getattr(client, "nodes_manager", None)
    return [] if manager is None else [*manager.nodes_cache.values(), *manager.startup_nodes.values()]


def _crowded(settings: Settings) -> KvUnavailable:
    return KvUnavailable(
        f"kv store {settings.name}: all {settings.config.pool_size} connections were taken for "
        f"{settings.config.pool_timeout:g} s (pool_size, pool_timeout)"
    )


def _pipeline(client: Any, commands: Sequence[Command], settings: Settings) -> Any:
    pipeline = client.pipeline() if settings.is_cluster else client.pipeline(transaction=False)
    for command in commands:
        pipeline.execute_command(*command)
    return pipeline


def _node_of(nodes: Sequence[Any], cursor: str) -> tuple[int, int, Any, bool]:
    """Which server of a cluster a page comes from, the cursor there, and whether it is the last one."""
    number, _, position = cursor.partition(":")
    index = int(number or 0)
    ordered = sorted(nodes, key=lambda node: str(node.name))
    if index >= len(ordered):
        raise exceptions.ConnectionError("the cluster has fewer servers than when the iteration began")
    return index, int(position or 0), ordered[index], index == len(ordered) - 1


def _page_of(answer: tuple[dict[str, int], list[bytes]], index: int, *, last: bool) -> tuple[list[bytes], str]:
    cursors, keys = answer
    (position,) = cursors.values()
    if position:
        return keys, f"{index}:{position}"
    return keys, "" if last else f"{index + 1}:0"
