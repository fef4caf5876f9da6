"""A blocking face for stores that need an event loop: their operations run on one that another thread runs."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeVar

from rtbridge.stores.base import Store

T = TypeVar("T")


class Elsewhere(Store):
    """A store for threads, whose operations run on an event loop that another thread runs.

    Args:
        store: The store.
        loop: Gives that loop; called with each operation.

    """

    def __init__(self, store: Store, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
        self._store = store
        self._loop = loop

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            loop = self._loop()
        except BaseException:
            coroutine.close()
            raise
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    async def open(self) -> None:
        """See :class:`Store`."""
        self._run(self._store.open())

    async def close(self) -> None:
        """See :class:`Store`."""
        self._run(self._store.close())

    def blocking(self) -> Store:
        """See :class:`Store`."""
        return self

    async def get(self, key: str) -> bytes | None:
        """See :class:`Store`."""
        return self._run(self._store.get(key))

    async def set(self, key: str, value: bytes, ttl: float | None) -> None:
        """See :class:`Store`."""
        self._run(self._store.set(key, value, ttl))

    async def has(self, key: str) -> bool:
        """See :class:`Store`."""
        return self._run(self._store.has(key))

    async def delete(self, key: str) -> bool:
        """See :class:`Store`."""
        return self._run(self._store.delete(key))

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See :class:`Store`."""
        return self._run(self._store.get_many(keys))

    async def set_many(self, items: Mapping[str, bytes], ttl: float | None) -> None:
        """See :class:`Store`."""
        self._run(self._store.set_many(items, ttl))

    async def delete_many(self, keys: Sequence[str]) -> int:
        """See :class:`Store`."""
        return self._run(self._store.delete_many(keys))

    async def clear(self) -> None:
        """See :class:`Store`."""
        self._run(self._store.clear())

    async def expire_many(self, keys: Sequence[str], ttl: float | None) -> int:
        """See :class:`Store`."""
        return self._run(self._store.expire_many(keys, ttl))

    async def ttl(self, key: str) -> float | None:
        """See :class:`Store`."""
        return self._run(self._store.ttl(key))

    async def incr(self, key: str, by: int, ttl: float | None) -> int:
        """See :class:`Store`."""
        return self._run(self._store.incr(key, by, ttl))

    async def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        """See :class:`Store`."""
        return self._run(self._store.add(key, value, ttl))

    async def cas(self, key: str, expected: bytes, value: bytes, ttl: float | None, *, keep_ttl: bool = False) -> bool:
        """See :class:`Store`."""
        return self._run(self._store.cas(key, expected, value, ttl, keep_ttl=keep_ttl))

    async def touch(self, key: str, ttl: float | None) -> bool:
        """See :class:`Store`."""
        return self._run(self._store.touch(key, ttl))

    async def scan(self, prefix: str, cursor: str, limit: int) -> tuple[list[str], str]:
        """See :class:`Store`."""
        return self._run(self._store.scan(prefix, cursor, limit))
