"""The memcached driver, on pymemcache: it blocks, so coroutines wait for threads. What memcached lacks fails by name.

memcached has no TTLs that can be read, no iteration, no clearing of a part, no counting below zero, and no replacing
that keeps a TTL.
"""

import asyncio
import hashlib
import math
import re
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NoReturn, TypeVar

from pymemcache.client.base import Client  # pyright: ignore[reportMissingTypeStubs]  # it has types, and no py.typed
from pymemcache.exceptions import (  # pyright: ignore[reportMissingTypeStubs]
    MemcacheClientError,
    MemcacheError,
    MemcacheServerError,
)

from rtbridge.config import Address
from rtbridge.config.kv import MemcachedConfig
from rtbridge.errors import KvError, KvLimit, KvUnavailable, KvUnreadable, KvUnsupported
from rtbridge.stores.base import MAX_COUNTER, Opening, Store

T = TypeVar("T")

#: Bytes of a key, its prefix included. Source: memcached, doc/protocol.txt.
MAX_KEY: Final = 250
#: Seconds from which on memcached takes an expiry for a date. Source: memcached, doc/protocol.txt.
_DATES: Final = 30 * 86_400
#: Threads that coroutines of one store wait for at most.
_THREADS: Final = 64
#: Attempts against others who make and delete the same counter.
_ATTEMPTS: Final = 100
#: From here on a sum may have a digit more than counters have; taken back, memcached would leave a space behind it.
_LARGE: Final = 10**19 - 2**63
_FORBIDDEN: Final = re.compile(rb"[\x00-\x20\x7f%]")


class _Pool:
    """Connections to one server.

    Args:
        name: The store's name, for errors.
        address: The server.
        config: Bounds and timeouts.

    """

    def __init__(self, name: str, address: Address, config: MemcachedConfig) -> None:
        self.address = address.path or f"{address.host}:{address.port}"
        self._name = name
        self._server: Any = address.path or (address.host, address.port)
        self._config = config
        self._places = threading.BoundedSemaphore(config.pool_size)
        self._idle: list[Client] = []

    def use(self, job: Callable[[Client], T]) -> T:
        """Do something with a connection that nobody else has meanwhile."""
        with self._places:
            client = self._idle.pop() if self._idle else self._made()
            if client.sock is not None and _is_over(client.sock):
                client.close()  # the next command connects again
            try:
                found = job(client)
            except BaseException as exc:
                client.close()  # half an answer may be under way
                if isinstance(exc, MemcacheError | OSError):
                    raise self._translated(exc) from exc
                raise
            finally:
                self._idle.append(client)
        return found

    def close(self) -> None:
        """Close the connections that nobody uses."""
        while self._idle:
            self._idle.pop().close()

    def _made(self) -> Client:
        config = self._config
        return Client(
            self._server,
            connect_timeout=config.dial_timeout,
            timeout=config.read_timeout,
            default_noreply=False,
            no_delay=True,
        )

    def _translated(self, exc: Exception) -> KvError:
        where = f"kv store {self._name}: memcached {self.address}"
        text = str(exc)
        if isinstance(exc, MemcacheServerError) and ("too large" in text or "out of memory" in text):
            return KvLimit(f"{where}: a value is larger than the server takes (its option -I), or it has no room")
        if isinstance(exc, MemcacheClientError) and "non-numeric" in text:
            return KvUnreadable(
                f"kv store {self._name}: incr on a value that is no integer, or one below zero, which memcached "
                "cannot count from"
            )
        return KvUnavailable(f"{where} cannot be reached: {text or type(exc).__name__}")


class MemcachedStore(Store):
    """A store on servers, under a prefix. A key's server follows from the key; one that is gone takes its part.

    Args:
        name: The store's name.
        config: Servers, bounds and timeouts.
        prefix: What every key begins with there.

    """

    def __init__(self, name: str, config: MemcachedConfig, prefix: str) -> None:
        self._name = name
        self._prefix = prefix
        self._pools = [_Pool(name, address, config) for address in config.addr]
        threads = min(config.pool_size * len(self._pools), _THREADS)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=f"rtbridge-kv-{name}")
        self._blocks = False

    async def open(self) -> None:
        """See :class:`Store`; the servers may come later."""

    async def close(self) -> None:
        """See :class:`Store`."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for pool in self._pools:
            pool.close()

    def blocking(self) -> Store:
        """See :class:`Store`."""
        made = MemcachedStore.__new__(MemcachedStore)
        made.__dict__.update(self.__dict__)
        made._blocks = True
        return made

    async def _on(self, place: bytes, job: Callable[[Client], T]) -> T:
        """What a job gives on the server of a key."""
        return await self._run(lambda: self._pool(place).use(job))

    async def _run(self, job: Callable[[], T]) -> T:
        if self._blocks:
            return job()
        try:
            waiting = asyncio.get_running_loop().run_in_executor(self._threads, job)
        except RuntimeError as exc:
            raise KvUnavailable(f"kv store {self._name}: it is closed") from exc
        return await waiting

    def _lacks(self, what: str) -> NoReturn:
        raise KvUnsupported(f"kv store {self._name}: memcached has no {what}")

    def _place(self, key: str) -> bytes:
        place = _FORBIDDEN.sub(lambda found: b"%%%02X" % found[0][0], f"{self._prefix}{key}".encode())
        if len(place) > MAX_KEY:
            raise KvLimit(
                f"kv store {self._name}: a key of {len(place)} bytes with its prefix; memcached takes {MAX_KEY}, "
                "store under a hash of it"
            )
        return place

    def _pool(self, place: bytes) -> _Pool:
        """The server of a key, by rendezvous hashing: when servers come or go, the other keys stay where they are."""
        if len(self._pools) == 1:
            return self._pools[0]
        return max(
            self._pools, key=lambda pool: hashlib.blake2b(place, key=pool.address.encode()[:64], digest_size=8).digest()
        )

    def _spread(self, places: Iterable[bytes]) -> dict[_Pool, list[bytes]]:
        found: dict[_Pool, list[bytes]] = {}
        for place in places:
            found.setdefault(self._pool(place), []).append(place)
        return found

    async def get(self, key: str) -> bytes | None:
        """See :class:`Store`."""
        place = self._place(key)
        return await self._on(place, lambda client: client.get(place))

    async def has(self, key: str) -> bool:
        """See :class:`Store`."""
        return await self.get(key) is not None

    async def set(self, key: str, value: bytes, ttl: float | None) -> None:
        """See :class:`Store`."""
        place = self._place(key)
        await self._on(place, lambda client: client.set(place, value, _expiry(ttl)))

    async def delete(self, key: str) -> bool:
        """See :class:`Store`."""
        return await self.delete_many([key]) == 1

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See :class:`Store`."""
        places = {self._place(key): key for key in keys}

        def job() -> dict[str, bytes]:
            found: dict[str, bytes] = {}
            for pool, part in self._spread(places).items():
                found |= {places[place]: value for place, value in pool.use(_getting(part)).items()}
            return found

        return await self._run(job)

    async def set_many(self, items: Mapping[str, bytes], ttl: float | None) -> None:
        """See :class:`Store`."""
        values = {self._place(key): value for key, value in items.items()}

        def job() -> None:
            for pool, part in self._spread(values).items():
                pool.use(_setting({place: values[place] for place in part}, _expiry(ttl)))

        await self._run(job)

    async def delete_many(self, keys: Sequence[str]) -> int:
        """See :class:`Store`."""
        places = [self._place(key) for key in keys]

        def job() -> int:
            return sum([pool.use(_deleting(part)) for pool, part in self._spread(places).items()])

        return await self._run(job)

    async def clear(self) -> None:
        """See :class:`Store`; only where the store has the servers to itself.

        Raises:
            KvUnsupported: The keys have a prefix, so others may share the servers.

        """
        if self._prefix:
            self._lacks('clear of one store; prefix: "" gives the store its servers alone, and clear empties them')

        def job() -> None:
            for pool in self._pools:
                pool.use(lambda client: client.flush_all())

        await self._run(job)

    async def expire_many(self, keys: Sequence[str], ttl: float | None) -> int:
        """See :class:`Store`."""
        places = [self._place(key) for key in keys]

        def job() -> int:
            spread = self._spread(places).items()
            return sum([pool.use(_touching(part, _expiry(ttl))) for pool, part in spread])

        return await self._run(job)

    async def touch(self, key: str, ttl: float | None) -> bool:
        """See :class:`Store`."""
        return await self.expire_many([key], ttl) == 1

    async def ttl(self, key: str) -> float | None:
        """See :class:`Store`.

        Raises:
            KvUnsupported: Always.

        """
        self._lacks("ttl")

    async def incr(self, key: str, by: int, ttl: float | None) -> int:
        """See :class:`Store`.

        Raises:
            KvUnsupported: ``by`` is below zero.

        """
        if by < 0:
            self._lacks("incr by less than zero")
        place = self._place(key)

        def job(client: Client) -> int:
            if by >= _LARGE and int(_number(client.get(place))) + by > MAX_COUNTER:
                raise KvLimit(f"kv store {self._name}: a counter beyond 64 bits")
            for _ in range(_ATTEMPTS):
                found = client.incr(place, by, noreply=False)
                if found is not None:
                    if found > MAX_COUNTER:
                        client.decr(place, by, noreply=False)
                        raise KvLimit(f"kv store {self._name}: a counter beyond 64 bits")
                    return int(found)
                if (ttl is not None and ttl <= 0) or client.add(place, b"%d" % by, _expiry(ttl)):
                    return by
            raise KvError(f"kv store {self._name}: incr did not come through against others who delete the counter")

        return await self._on(place, job)

    async def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        """See :class:`Store`."""
        place = self._place(key)
        return await self._on(place, lambda client: bool(client.add(place, value, _expiry(ttl))))

    async def cas(self, key: str, expected: bytes, value: bytes, ttl: float | None, *, keep_ttl: bool = False) -> bool:
        """See :class:`Store`.

        Raises:
            KvUnsupported: ``keep_ttl`` is wanted.

        """
        if keep_ttl:
            self._lacks("cas that keeps the TTL")
        place = self._place(key)

        def job(client: Client) -> bool:
            found, token = client.gets(place)
            if found != expected or token is None:
                return False
            return bool(client.cas(place, value, token, _expiry(ttl), noreply=False))

        return await self._on(place, job)

    async def scan(self, prefix: str, cursor: str, limit: int) -> tuple[list[str], str]:
        """See :class:`Store`.

        Raises:
            KvUnsupported: Always.

        """
        self._lacks("iteration")


def _number(value: bytes | None) -> bytes:
    """A counter's text; 0 for what is none, which incr itself refuses."""
    return value if value is not None and value.isdigit() else b"0"


def _getting(places: Sequence[bytes]) -> Callable[[Client], dict[Any, Any]]:
    return lambda client: client.get_many(places)


def _setting(values: dict[Any, Any], expiry: int) -> Callable[[Client], object]:
    def job(client: Client) -> None:
        if client.set_many(values, expiry):
            raise MemcacheServerError("a value was not stored")

    return job


def _deleting(places: Sequence[bytes]) -> Callable[[Client], int]:
    return lambda client: sum([bool(client.delete(place)) for place in places])


def _touching(places: Sequence[bytes], expiry: int) -> Callable[[Client], int]:
    return lambda client: sum([bool(client.touch(place, expiry)) for place in places])


def _expiry(ttl: float | None) -> int:
    """A TTL as memcached counts: whole seconds, 0 for never, below zero for gone, a date where it is long."""
    if ttl is None:
        return 0
    if ttl <= 0:
        return -1
    seconds = math.ceil(ttl)
    return seconds if seconds <= _DATES else math.ceil(time.time() + ttl)


def _is_over(sock: socket.socket) -> bool:
    """Whether an idle connection was closed by the server, or has an answer that nobody waits for."""
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([sock], [], [], 0)[0])


def open_store(opening: Opening) -> MemcachedStore:
    """The store that the configuration describes; nothing is connected before the first call."""
    config: MemcachedConfig = opening.config
    prefix = f"{opening.application}:{opening.name}:" if config.prefix is None else config.prefix
    return MemcachedStore(opening.name, config, prefix)
