"""The redis driver: Redis 6 or newer, Valkey, clusters, sentinels; each process speaks to the servers itself."""

import hashlib
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from rtbridge.config.kv import RedisConfig
from rtbridge.errors import KvUnavailable
from rtbridge.plugins.kv.redis_link import Link, LoopLink, Settings, ThreadLink, Unsent
from rtbridge.stores.base import FOREVER, Opening, Store

T = TypeVar("T")

_SPECIAL: Final = re.compile(r"([*?\[\]\\])")
#: Keys that are looked at for one page of an iteration.
_SCANNED: Final = 500


class _Script:
    """A Lua script: sent once to a server, named from then on."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


#: A TTL of the counter's first call; in milliseconds, zero or less = gone.
_INCR: Final = _Script(
    "local there = redis.call('EXISTS', KEYS[1])\n"
    "local sum = redis.call('INCRBY', KEYS[1], ARGV[1])\n"
    "if there == 0 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end\n"
    # A number of Lua is a double; the text keeps all 64 bits.
    "return redis.call('GET', KEYS[1]) or tostring(sum)"
)
_CAS: Final = _Script(
    "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end\n"
    "if ARGV[3] == 'keep' then redis.call('SET', KEYS[1], ARGV[2], 'KEEPTTL')\n"
    "elseif ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2])\n"
    "elseif tonumber(ARGV[3]) <= 0 then redis.call('DEL', KEYS[1])\n"
    "else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end\n"
    "return 1"
)


class RedisStore(Store):
    """A store on a server, under a prefix.

    Args:
        settings: How the server is reached.
        prefix: What every key begins with there.
        link: Carries commands; by default for coroutines.
        threads: Carries commands of threads, for :meth:`blocking`.

    """

    def __init__(
        self, settings: Settings, prefix: str, link: Link | None = None, threads: ThreadLink | None = None
    ) -> None:
        self._settings = settings
        self._config: RedisConfig = settings.config
        self._prefix = prefix
        self._threads = threads or ThreadLink(settings)
        self._link: Link = link or LoopLink(settings)

    async def open(self) -> None:
        """See :class:`Store`; the server may come later."""

    async def close(self) -> None:
        """See :class:`Store`."""
        await self._link.close()
        if self._link is not self._threads:
            await self._threads.close()

    def blocking(self) -> Store:
        """See :class:`Store`."""
        return RedisStore(self._settings, self._prefix, self._threads, self._threads)

    async def _again(self, call: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """A call that may be made twice, made until it comes through or enough was tried."""
        pause = self._config.min_retry_backoff
        for _ in range(self._config.max_retries):
            try:
                return await call(*arguments)
            except KvUnavailable:
                await self._link.pause(pause)
                pause = min(pause * 2, self._config.max_retry_backoff)
        return await call(*arguments)

    async def _script(self, script: _Script, *arguments: Any) -> Any:
        try:
            return await self._link.call("EVALSHA", script.sha, 1, *arguments)
        except Unsent:
            return await self._link.call("EVAL", script.text, 1, *arguments)

    def _place(self, key: str) -> bytes:
        return f"{self._prefix}{key}".encode()

    async def get(self, key: str) -> bytes | None:
        """See :class:`Store`."""
        found: bytes | None = await self._again(self._link.call, "GET", self._place(key))
        return found

    async def set(self, key: str, value: bytes, ttl: float | None) -> None:
        """See :class:`Store`."""
        await self._again(self._link.call, *_set(self._place(key), value, ttl))

    async def has(self, key: str) -> bool:
        """See :class:`Store`."""
        return bool(await self._again(self._link.call, "EXISTS", self._place(key)))

    async def delete(self, key: str) -> bool:
        """See :class:`Store`."""
        return bool(await self._link.call("DEL", self._place(key)))

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See :class:`Store`."""
        if self._settings.is_cluster:
            found = await self._again(self._link.calls, [("GET", self._place(key)) for key in keys])
        else:
            found = await self._again(self._link.call, "MGET", *[self._place(key) for key in keys])
        return {key: value for key, value in zip(keys, found, strict=True) if value is not None}

    async def set_many(self, items: Mapping[str, bytes], ttl: float | None) -> None:
        """See :class:`Store`."""
        await self._again(self._link.calls, [_set(self._place(key), value, ttl) for key, value in items.items()])

    async def delete_many(self, keys: Sequence[str]) -> int:
        """See :class:`Store`."""
        if self._settings.is_cluster:
            return sum(await self._link.calls([("DEL", self._place(key)) for key in keys]))
        found: int = await self._link.call("DEL", *[self._place(key) for key in keys])
        return found

    async def clear(self) -> None:
        """See :class:`Store`; entries that come while it runs may stay."""
        cursor = ""
        while True:
            places, cursor = await self._again(self._link.scan, cursor, f"{_literal(self._prefix)}*", _SCANNED)
            if places:
                await self._again(self._link.calls, [("UNLINK", place) for place in places])
            if not cursor:
                return

    async def touch(self, key: str, ttl: float | None) -> bool:
        """See :class:`Store`."""
        return await self.expire_many([key], ttl) == 1

    async def expire_many(self, keys: Sequence[str], ttl: float | None) -> int:
        """See :class:`Store`."""
        places = [self._place(key) for key in keys]
        if ttl is not None:
            return sum(await self._again(self._link.calls, [("PEXPIRE", place, _ms(ttl)) for place in places]))
        # PERSIST answers 0 for an entry that had no TTL, too.
        both = [command for place in places for command in (("PERSIST", place), ("EXISTS", place))]
        return sum((await self._again(self._link.calls, both))[1::2])

    async def ttl(self, key: str) -> float | None:
        """See :class:`Store`."""
        left: int = await self._again(self._link.call, "PTTL", self._place(key))
        return {-2: None, -1: FOREVER}.get(left, left / 1000)

    async def incr(self, key: str, by: int, ttl: float | None) -> int:
        """See :class:`Store`."""
        if ttl is None:
            return int(await self._link.call("INCRBY", self._place(key), by))
        return int(await self._script(_INCR, self._place(key), by, _ms(ttl)))

    async def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        """See :class:`Store`."""
        return await self._link.call(*_set(self._place(key), value, ttl), "NX") is not None

    async def cas(self, key: str, expected: bytes, value: bytes, ttl: float | None, *, keep_ttl: bool = False) -> bool:
        """See :class:`Store`."""
        left = "keep" if keep_ttl else "" if ttl is None else _ms(ttl)
        return bool(await self._script(_CAS, self._place(key), expected, value, left))

    async def scan(self, prefix: str, cursor: str, limit: int) -> tuple[list[str], str]:
        """See :class:`Store`."""
        pattern = f"{_literal(self._prefix + prefix)}*"
        places, cursor = await self._again(self._link.scan, cursor, pattern, limit)
        start = len(self._prefix.encode())
        # Keys of other programs, where the prefix is empty, may be any bytes.
        return [place[start:].decode(errors="replace") for place in places], cursor


def _set(place: bytes, value: bytes, ttl: float | None) -> tuple[Any, ...]:
    return ("SET", place, value) if ttl is None else ("SET", place, value, "PX", _ms(ttl))


def _ms(ttl: float) -> int:
    return math.ceil(ttl * 1000)


def _literal(text: str) -> str:
    """A pattern that matches this text and nothing else."""
    return _SPECIAL.sub(r"\\\1", text)


def open_store(opening: Opening) -> RedisStore:
    """The store that the configuration describes; nothing is connected before the first call."""
    config: RedisConfig = opening.config
    prefix = f"{opening.application}:{opening.name}:" if config.prefix is None else config.prefix
    return RedisStore(Settings(opening.name, config), prefix)
