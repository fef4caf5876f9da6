"""What every driver of a key-value store does: bytes under text keys. What the bytes mean is the fronts' work."""

import math
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple, Protocol

from rtbridge.clock import Clock
from rtbridge.errors import ConfigError

#: Largest key, in bytes of UTF-8.
MAX_KEY_BYTES: Final = 1024
#: Keys that a front passes to a driver in one call at most; longer lists are passed in parts.
MAX_BATCH: Final = 500
#: Seconds of the longest TTL: a hundred years. Whoever wants more wants no TTL.
MAX_TTL: Final = 100 * 366 * 86_400.0
#: What :meth:`Store.ttl` says of an entry that does not expire.
FOREVER: Final = math.inf
#: Counters are signed integers of 64 bits, in every driver.
MIN_COUNTER: Final = -(2**63)
MAX_COUNTER: Final = 2**63 - 1


class Store(Protocol):
    """The operations of one store: bytes under text keys of at most :data:`MAX_KEY_BYTES` of UTF-8, never blank.

    ``ttl`` is a number of seconds from now, or None for an entry that does not expire. It is above zero but for
    :meth:`incr` and :meth:`cas`, where zero or less means that the entry is gone at once. A write without a TTL takes
    away the one that was there.

    Every operation is atomic, but for those with many keys: each of their keys is, and all of them need not be.

    Raises:
        KvUnavailable: The server or the file cannot be used now.
        KvUnsupported: The driver has no such operation.
        KvLimit: A value or the store is larger than it may be.
        KvUnreadable: ``incr`` met a value that is no counter.

    """

    @abstractmethod
    async def open(self) -> None:
        """Find out early whether the store can be used, where that needs no peer; later calls do nothing."""
        ...

    @abstractmethod
    async def close(self) -> None:
        """Let go of connections, files and threads; what was acknowledged stays."""
        ...

    @abstractmethod
    def blocking(self) -> "Store":
        """The same store for threads: its coroutines wait by blocking, and never for an event loop."""
        ...

    @abstractmethod
    async def get(self, key: str) -> bytes | None:
        """The value, or None."""
        ...

    @abstractmethod
    async def set(self, key: str, value: bytes, ttl: float | None) -> None:
        """Write a value."""
        ...

    @abstractmethod
    async def has(self, key: str) -> bool:
        """Whether there is a value."""
        ...

    @abstractmethod
    async def delete(self, key: str) -> bool:
        """Take an entry away; whether it was there."""
        ...

    @abstractmethod
    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """The values of those keys that have one."""
        ...

    @abstractmethod
    async def set_many(self, items: Mapping[str, bytes], ttl: float | None) -> None:
        """Write several values with one TTL."""
        ...

    @abstractmethod
    async def delete_many(self, keys: Sequence[str]) -> int:
        """Take entries away; how many were there."""
        ...

    @abstractmethod
    async def clear(self) -> None:
        """Take away every entry of this store, and none of another."""
        ...

    @abstractmethod
    async def expire_many(self, keys: Sequence[str], ttl: float | None) -> int:
        """Give entries a new TTL; how many were there."""
        ...

    @abstractmethod
    async def ttl(self, key: str) -> float | None:
        """Seconds that an entry has left, :data:`FOREVER`, or None where there is no entry."""
        ...

    @abstractmethod
    async def incr(self, key: str, by: int, ttl: float | None) -> int:
        """Add to a decimal number and give the sum; a missing entry counts as 0.

        Args:
            key: The key.
            by: What is added; may be negative.
            ttl: For an entry that this call makes; one that is there keeps its own.

        """
        ...

    @abstractmethod
    async def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        """Write a value where there is none; whether it was written."""
        ...

    @abstractmethod
    async def cas(self, key: str, expected: bytes, value: bytes, ttl: float | None, *, keep_ttl: bool = False) -> bool:
        """Replace a value where it is still the expected one; whether it was replaced.

        Args:
            key: The key.
            expected: The bytes that have to be there.
            value: The bytes that take their place.
            ttl: As elsewhere; zero or less takes the entry away.
            keep_ttl: Leave the entry's own TTL as it is; ``ttl`` is None then.

        """
        ...

    @abstractmethod
    async def touch(self, key: str, ttl: float | None) -> bool:
        """Give an entry a new TTL; whether it was there."""
        ...

    @abstractmethod
    async def scan(self, prefix: str, cursor: str, limit: int) -> tuple[list[str], str]:
        """One page of the keys with a prefix.

        A key that is there from the first page to the last comes at least once; one that comes or goes meanwhile may.

        Args:
            prefix: Start of the keys; empty for all.
            cursor: What the page before gave; empty for the first.
            limit: About how many keys to give.

        Returns:
            The keys, and the cursor of the next page; empty after the last.

        """
        ...


class Opening(NamedTuple):
    """What a driver makes a store of.

    Attributes:
        name: The store's name.
        config: The ``config`` of the store; for a driver of another package a mapping of the values in the file.
        application: ``centrifuge.name``; keys on shared servers begin with it.
        clock: Every expiry that the driver counts itself asks it.

    """

    name: str
    config: Any
    application: str
    clock: Clock


def need(module: str, what: str, extra: str) -> Any:
    """A module of an optional dependency.

    Args:
        module: Its name.
        what: What needs it, as the configuration calls it.
        extra: The extra of rtbridge that has it.

    Raises:
        ConfigError: It is not installed; the text has the line that installs it.

    """
    try:
        return import_module(module)
    except ImportError as exc:
        package = module.partition(".")[0]
        raise ConfigError(f"{what} needs the package {package}: pip install 'rtbridge[{extra}]'") from exc
