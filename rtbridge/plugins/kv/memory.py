"""The memory driver: one process's memory, bounded by entries and bytes; the least recently used goes first."""

import heapq
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from rtbridge.clock import Clock
from rtbridge.config.kv import MemoryConfig
from rtbridge.errors import KvLimit, KvUnreadable
from rtbridge.stores.base import FOREVER, MAX_COUNTER, MIN_COUNTER, Opening, Store

#: Bytes that an entry takes beside its key and value, roughly what CPython needs.
OVERHEAD: Final = 200
#: Iterations that may be under way at once; the one that waited longest starts its listing again.
_LISTINGS: Final = 8
_COUNTER: Final = re.compile(rb"-?[0-9]{1,19}")


class _Entry(NamedTuple):
    value: bytes
    #: In the clock's monotonic seconds; None for one that does not end.
    ends: float | None


class MemoryStore(Store):
    """A store in this process, for all of its threads and event loops.

    Args:
        name: The store's name, for errors.
        max_entries: Entries at most.
        max_bytes: Bytes of keys and values at most, :data:`OVERHEAD` for each entry included.
        clock: Expiry asks it.

    """

    def __init__(self, name: str, *, max_entries: int, max_bytes: int, clock: Clock) -> None:
        self._name = name
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._now = clock.monotonic
        self._lock = threading.Lock()
        self._entries: OrderedDict[str, _Entry] = OrderedDict()
        self._bytes = 0
        #: When and what, soonest first; what was overwritten meanwhile is passed over.
        self._ending: list[tuple[float, str]] = []
        self._listings: OrderedDict[str, list[str]] = OrderedDict()
        self._serial = 0

    async def open(self) -> None:
        """See :class:`Store`."""

    async def close(self) -> None:
        """See :class:`Store`; the entries are gone."""
        await self.clear()

    def blocking(self) -> Store:
        """See :class:`Store`; nothing waits here."""
        return self

    async def get(self, key: str) -> bytes | None:
        """See :class:`Store`."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is None:
                return None
            value, ends = entry
            if ends is not None and ends <= self._now():
                self._drop(key, entry)
                return None
            self._entries.move_to_end(key)
            return value

    async def set(self, key: str, value: bytes, ttl: float | None) -> None:
        """See :class:`Store`."""
        with self._lock:
            self._write(key, value, self._end(ttl))

    async def has(self, key: str) -> bool:
        """See :class:`Store`."""
        with self._lock:
            return self._live(key) is not None

    async def delete(self, key: str) -> bool:
        """See :class:`Store`."""
        with self._lock:
            return self._delete(key)

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See :class:`Store`."""
        found: dict[str, bytes] = {}
        with self._lock:
            for key in keys:
                if (entry := self._live(key)) is not None:
                    self._entries.move_to_end(key)
                    found[key] = entry.value
        return found

    async def set_many(self, items: Mapping[str, bytes], ttl: float | None) -> None:
        """See :class:`Store`."""
        with self._lock:
            ends = self._end(ttl)
            for key, value in items.items():
                self._write(key, value, ends)

    async def delete_many(self, keys: Sequence[str]) -> int:
        """See :class:`Store`."""
        with self._lock:
            return sum([self._delete(key) for key in keys])

    async def clear(self) -> None:
        """See :class:`Store`."""
        with self._lock:
            self._entries.clear()
            self._ending.clear()
            self._listings.clear()
            self._bytes = 0

    async def expire_many(self, keys: Sequence[str], ttl: float | None) -> int:
        """See :class:`Store`."""
        with self._lock:
            ends = self._end(ttl)
            return sum([self._renew(key, ends) for key in keys])

    async def ttl(self, key: str) -> float | None:
        """See :class:`Store`."""
        with self._lock:
            entry = self._live(key)
            if entry is None:
                return None
            return FOREVER if entry.ends is None else entry.ends - self._now()

    async def incr(self, key: str, by: int, ttl: float | None) -> int:
        """See :class:`Store`."""
        with self._lock:
            entry = self._live(key)
            if entry is not None and _COUNTER.fullmatch(entry.value) is None:
                raise KvUnreadable(f"kv store {self._name}: incr on a value that is no integer")
            number = by if entry is None else int(entry.value) + by
            if not MIN_COUNTER <= number <= MAX_COUNTER:
                raise KvLimit(f"kv store {self._name}: a counter beyond 64 bits")
            if entry is not None:
                self._write(key, b"%d" % number, entry.ends)
            elif ttl is None or ttl > 0:
                self._write(key, b"%d" % number, self._end(ttl))
            return number

    async def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        """See :class:`Store`."""
        with self._lock:
            if self._live(key) is not None:
                return False
            self._write(key, value, self._end(ttl))
            return True

    async def cas(self, key: str, expected: bytes, value: bytes, ttl: float | None, *, keep_ttl: bool = False) -> bool:
        """See :class:`Store`."""
        with self._lock:
            entry = self._live(key)
            if entry is None or entry.value != expected:
                return False
            if ttl is not None and ttl <= 0:
                self._drop(key, entry)
            else:
                self._write(key, value, entry.ends if keep_ttl else self._end(ttl))
            return True

    async def touch(self, key: str, ttl: float | None) -> bool:
        """See :class:`Store`."""
        with self._lock:
            return self._renew(key, self._end(ttl))

    async def scan(self, prefix: str, cursor: str, limit: int) -> tuple[list[str], str]:
        """See :class:`Store`."""
        with self._lock:
            serial, _, rest = cursor.partition(" ")
            start, _, last = rest.partition(" ")
            listing = self._listings.get(serial)
            position = int(start) if start else 0
            if listing is None:
                self._serial += 1
                serial, position = str(self._serial), 0
                listing = sorted([key for key in self._entries if key.startswith(prefix) and key > last])
                self._listings[serial] = listing
                if len(self._listings) > _LISTINGS:
                    self._listings.popitem(last=False)
            end = position + limit
            page = listing[position:end]
            found = [key for key in page if self._live(key) is not None]
            if end >= len(listing):
                self._listings.pop(serial, None)
                return found, ""
            self._listings.move_to_end(serial)
            return found, f"{serial} {end} {page[-1]}"

    def _end(self, ttl: float | None) -> float | None:
        return None if ttl is None else self._now() + ttl

    def _live(self, key: str) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is not None and entry.ends is not None and entry.ends <= self._now():
            self._drop(key, entry)
            return None
        return entry

    def _drop(self, key: str, entry: _Entry) -> None:
        del self._entries[key]
        self._bytes -= _size(key, entry.value)

    def _delete(self, key: str) -> bool:
        entry = self._live(key)
        if entry is None:
            return False
        self._drop(key, entry)
        return True

    def _renew(self, key: str, ends: float | None) -> bool:
        entry = self._live(key)
        if entry is None:
            return False
        self._entries[key] = _Entry(entry.value, ends)
        self._note(key, ends)
        return True

    def _write(self, key: str, value: bytes, ends: float | None) -> None:
        size = _size(key, value)
        if size > self._max_bytes:
            raise KvLimit(f"kv store {self._name}: a value of {len(value):,} bytes; max_bytes is {self._max_bytes:,}")
        before = self._entries.get(key)
        if before is not None:
            self._bytes -= _size(key, before.value)
        self._entries[key] = _Entry(value, ends)
        self._entries.move_to_end(key)
        self._bytes += size
        self._note(key, ends)
        if len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            self._make_room()

    def _note(self, key: str, ends: float | None) -> None:
        if ends is None:
            return
        heapq.heappush(self._ending, (ends, key))
        now = self._now()
        while self._ending and self._ending[0][0] <= now:
            self._live(heapq.heappop(self._ending)[1])
        if len(self._ending) > 2 * len(self._entries) + 64:  # most of it is of what was overwritten or deleted
            self._ending = [(entry.ends, key) for key, entry in self._entries.items() if entry.ends is not None]
            heapq.heapify(self._ending)

    def _make_room(self) -> None:
        now = self._now()
        while self._ending and self._ending[0][0] <= now:
            self._live(heapq.heappop(self._ending)[1])
        while len(self._entries) > self._max_entries or self._bytes > self._max_bytes:
            key, entry = self._entries.popitem(last=False)
            self._bytes -= _size(key, entry.value)


def _size(key: str, value: bytes) -> int:
    return (len(key) if key.isascii() else len(key.encode())) + len(value) + OVERHEAD


def open_store(opening: Opening) -> MemoryStore:
    """The store that the configuration describes."""
    config: MemoryConfig = opening.config
    return MemoryStore(opening.name, max_entries=config.max_entries, max_bytes=config.max_bytes, clock=opening.clock)
