"""The sqlite driver: a file in WAL mode, shared by processes; expiry survives restarts.

Two threads and two connections serve a store. Writers that wait at the same time are written by one transaction and one
fsync (group commit), and each is acknowledged after it. Readers see what was acknowledged. Nothing else is kept in
memory, so that processes need to agree on nothing but the file.
"""

import asyncio
import re
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from rtbridge.clock import Clock
from rtbridge.config.kv import SqliteConfig
from rtbridge.errors import KvError, KvLimit, KvUnreadable
from rtbridge.plugins.kv.sqlite_file import Database, Pending, Worker
from rtbridge.stores.base import FOREVER, MAX_COUNTER, MIN_COUNTER, Opening, Store

T = TypeVar("T")
#: Entries that one sweep takes out at most, so that writers do not wait long for it.
_SWEEP: Final = 1000
_COUNTER: Final = re.compile(rb"-?[0-9]{1,19}")
_HIGHEST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)

_LIVE: Final = "store = ? AND key = ? AND (ends IS NULL OR ends > ?)"
_GET: Final = f"SELECT value, ends FROM entries WHERE {_LIVE}"  # noqa: S608  # constants
_PUT: Final = (
    "INSERT INTO entries (store, key, value, ends) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (store, key) DO UPDATE SET value = excluded.value, ends = excluded.ends"
)
_DELETE: Final = "DELETE FROM entries WHERE store = ? AND key = ?"
_CLEAR: Final = "DELETE FROM entries WHERE store = ?"
_DELETE_LIVE: Final = f"DELETE FROM entries WHERE {_LIVE}"  # noqa: S608
_RENEW: Final = f"UPDATE entries SET ends = ? WHERE {_LIVE}"  # noqa: S608
_SCAN: Final = (
    "SELECT key FROM entries WHERE store = ? AND key > ? AND key >= ? AND key < ? AND (ends IS NULL OR ends > ?)"
    " ORDER BY key LIMIT ?"
)
_SCAN_TO_END: Final = _SCAN.replace(" AND key < ?", "")
_OVER: Final = "DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE ends <= ? LIMIT ?)"


class SqliteStore(Store):
    """A store in a file.

    Args:
        name: The store's name; its entries are kept under it.
        config: The file and its bounds.
        clock: Expiry asks its ``time``.

    """

    def __init__(self, name: str, config: SqliteConfig, clock: Clock) -> None:
        self._name = name
        self._now = clock.time
        self._interval = config.interval
        self._swept: float | None = None
        self._database = Database(name, config)
        self._writer = Worker(self._database, self._write)
        self._reader = Worker(self._database, self._read)
        self._blocks = False

    def blocking(self) -> Store:
        """See :class:`Store`."""
        made = SqliteStore.__new__(SqliteStore)
        made.__dict__.update(self.__dict__)
        made._blocks = True
        return made

    async def open(self) -> None:
        """See :class:`Store`."""
        await self._do(self._writer, lambda connection: None)

    async def close(self) -> None:
        """See :class:`Store`."""
        for thread in (self._writer, self._reader):
            if self._blocks:
                thread.close()
            else:
                await asyncio.to_thread(thread.close)

    async def _do(self, thread: Worker, job: Callable[[sqlite3.Connection], T]) -> T:
        """What a job gives back, which is never a cursor.

        A cursor that ends on another thread resets its statement there, while the store's thread may be using it: the
        connection's cache has one for each text.
        """
        pending = Pending(job)
        if self._blocks:
            event = pending.for_thread()
            thread.put(pending)
            found: T = pending.on_thread(event)
        else:
            pending.for_loop()
            thread.put(pending)
            found = await pending.on_loop()
        return found

    def _read(self, connection: sqlite3.Connection, batch: list[Pending]) -> None:
        for pending in batch:
            try:
                pending.result = pending.job(connection)
            except Exception as exc:
                pending.error = self._database.translated(exc)

    def _write(self, connection: sqlite3.Connection, batch: list[Pending]) -> None:
        """All jobs in one transaction; where that fails for one of them, each in its own."""
        if len(batch) > 1 and self._together(connection, batch):
            return
        for pending in batch:
            pending.error = None
            self._alone(connection, pending)

    def _together(self, connection: sqlite3.Connection, batch: list[Pending]) -> bool:
        try:
            connection.execute("BEGIN IMMEDIATE")
            for pending in batch:
                try:
                    pending.result = pending.job(connection)
                except KvError as exc:  # it wrote nothing, the others go on
                    pending.error = exc
            self._sweep(connection)
            connection.execute("COMMIT")
        except sqlite3.Error:
            _roll_back(connection)
            return False
        return True

    def _alone(self, connection: sqlite3.Connection, pending: Pending) -> None:
        try:
            connection.execute("BEGIN IMMEDIATE")
            pending.result = pending.job(connection)
            self._sweep(connection)
            connection.execute("COMMIT")
        except Exception as exc:
            _roll_back(connection)
            pending.error = self._database.translated(exc)

    def _sweep(self, connection: sqlite3.Connection) -> None:
        """Take out what is over, from time to time; nothing grows without a write."""
        now = self._now()
        if self._swept is None or now - self._swept >= self._interval:
            taken = connection.execute(_OVER, (now, _SWEEP)).rowcount
            self._swept = now if taken < _SWEEP else None

    def _end(self, ttl: float | None) -> float | None:
        return None if ttl is None else self._now() + ttl

    async def get(self, key: str) -> bytes | None:
        """See :class:`Store`."""
        place = (self._name, key, self._now())
        row = await self._do(self._reader, lambda connection: connection.execute(_GET, place).fetchone())
        return None if row is None else row[0]

    async def has(self, key: str) -> bool:
        """See :class:`Store`."""
        return await self.get(key) is not None

    async def get_many(self, keys: Sequence[str]) -> dict[str, bytes]:
        """See :class:`Store`."""
        now = self._now()
        rows = f"SELECT key, value FROM entries WHERE store = ? AND key IN ({', '.join('?' * len(keys))})"  # noqa: S608
        rows += " AND (ends IS NULL OR ends > ?)"
        values = (self._name, *keys, now)
        return dict(await self._do(self._reader, lambda connection: connection.execute(rows, values).fetchall()))

    async def ttl(self, key: str) -> float | None:
        """See :class:`Store`."""
        place = (self._name, key, self._now())
        row = await self._do(self._reader, lambda connection: connection.execute(_GET, place).fetchone())
        if row is None:
            return None
        return FOREVER if row[1] is None else row[1] - self._now()

    async def scan(self, prefix: str, cursor: str, limit: int) -> tuple[list[str], str]:
        """See :class:`Store`."""
        after = _after(prefix)
        bounds = (self._name, cursor, prefix) if after is None else (self._name, cursor, prefix, after)
        query = _SCAN_TO_END if after is None else _SCAN
        values = (*bounds, self._now(), limit)
        rows = await self._do(self._reader, lambda connection: connection.execute(query, values).fetchall())
        keys = [key for (key,) in rows]
        return keys, keys[-1] if len(keys) == limit else ""

    async def set(self, key: str, value: bytes, ttl: float | None) -> None:
        """See :class:`Store`."""
        row = (self._name, key, value, self._end(ttl))
        await self._do(self._writer, lambda connection: connection.execute(_PUT, row).rowcount)

    async def set_many(self, items: Mapping[str, bytes], ttl: float | None) -> None:
        """See :class:`Store`."""
        ends = self._end(ttl)
        rows = [(self._name, key, value, ends) for key, value in items.items()]
        await self._do(self._writer, lambda connection: connection.executemany(_PUT, rows).rowcount)

    async def delete(self, key: str) -> bool:
        """See :class:`Store`."""
        return await self.delete_many([key]) == 1

    async def delete_many(self, keys: Sequence[str]) -> int:
        """See :class:`Store`."""
        now = self._now()

        def job(connection: sqlite3.Connection) -> int:
            return sum([connection.execute(_DELETE_LIVE, (self._name, key, now)).rowcount for key in keys])

        return await self._do(self._writer, job)

    async def clear(self) -> None:
        """See :class:`Store`."""
        await self._do(self._writer, lambda connection: connection.execute(_CLEAR, (self._name,)).rowcount)

    async def touch(self, key: str, ttl: float | None) -> bool:
        """See :class:`Store`."""
        return await self.expire_many([key], ttl) == 1

    async def expire_many(self, keys: Sequence[str], ttl: float | None) -> int:
        """See :class:`Store`."""
        now = self._now()
        ends = self._end(ttl)

        def job(connection: sqlite3.Connection) -> int:
            return sum([connection.execute(_RENEW, (ends, self._name, key, now)).rowcount for key in keys])

        return await self._do(self._writer, job)

    async def add(self, key: str, value: bytes, ttl: float | None) -> bool:
        """See :class:`Store`."""
        now, ends = self._now(), self._end(ttl)

        def job(connection: sqlite3.Connection) -> bool:
            if connection.execute(_GET, (self._name, key, now)).fetchone() is not None:
                return False
            connection.execute(_PUT, (self._name, key, value, ends))
            return True

        return await self._do(self._writer, job)

    async def incr(self, key: str, by: int, ttl: float | None) -> int:
        """See :class:`Store`."""
        now = self._now()

        def job(connection: sqlite3.Connection) -> int:
            row = connection.execute(_GET, (self._name, key, now)).fetchone()
            if row is not None and _COUNTER.fullmatch(row[0]) is None:
                raise KvUnreadable(f"kv store {self._name}: incr on a value that is no integer")
            number = by if row is None else int(row[0]) + by
            if not MIN_COUNTER <= number <= MAX_COUNTER:
                raise KvLimit(f"kv store {self._name}: a counter beyond 64 bits")
            if row is not None or ttl is None or ttl > 0:
                ends = row[1] if row is not None else None if ttl is None else now + ttl
                connection.execute(_PUT, (self._name, key, b"%d" % number, ends))
            return number

        return await self._do(self._writer, job)

    async def cas(self, key: str, expected: bytes, value: bytes, ttl: float | None, *, keep_ttl: bool = False) -> bool:
        """See :class:`Store`."""
        now, ends = self._now(), self._end(ttl)

        def job(connection: sqlite3.Connection) -> bool:
            row = connection.execute(_GET, (self._name, key, now)).fetchone()
            if row is None or row[0] != expected:
                return False
            if ttl is not None and ttl <= 0:
                connection.execute(_DELETE, (self._name, key))
            else:
                connection.execute(_PUT, (self._name, key, value, row[1] if keep_ttl else ends))
            return True

        return await self._do(self._writer, job)


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _after(prefix: str) -> str | None:
    """The least text above every text with this prefix; None where there is none. SQLite orders by code points."""
    while prefix:
        last = ord(prefix[-1])
        prefix = prefix[:-1]
        if last < _HIGHEST:
            return prefix + chr(_SURROGATES.stop if last + 1 in _SURROGATES else last + 1)
    return None


def open_store(opening: Opening) -> SqliteStore:
    """The store that the configuration describes; its file is made when it is opened."""
    return SqliteStore(opening.name, opening.config, opening.clock)
