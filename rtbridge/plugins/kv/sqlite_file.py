"""Files of the sqlite driver: who may open one, and the threads that do what waits for them."""

import asyncio
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Final, TypeAlias

from rtbridge.config.kv import SqliteConfig
from rtbridge.errors import KvError, KvLimit, KvUnavailable

#: What is done on a connection.
Job: TypeAlias = Callable[[sqlite3.Connection], Any]

#: Written into the file's header: "rtkv". A database with another one is somebody else's.
APPLICATION_ID: Final = 0x72746B76
#: Version of the table.
SCHEMA: Final = 1
#: Jobs that are done in one go at most.
_BATCH: Final = 1024
#: Seconds between two attempts at what SQLite itself does not wait for.
_PAUSE: Final = 0.01

_CREATE: Final = (
    "CREATE TABLE IF NOT EXISTS entries (store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, ends REAL,"
    " UNIQUE (store, key)) STRICT",
    "CREATE INDEX IF NOT EXISTS ends ON entries (ends) WHERE ends IS NOT NULL",
)


class Pending:
    """A job and whoever waits for it: a coroutine or a thread."""

    __slots__ = ("_event", "_future", "_loop", "error", "job", "result")

    def __init__(self, job: Job) -> None:
        self.job = job
        self.result: Any = None
        self.error: BaseException | None = None
        self._event: threading.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._future: asyncio.Future[None] | None = None

    async def on_loop(self) -> Any:
        future = self._future
        assert future is not None
        await future
        return self._outcome()

    def for_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._future = self._loop.create_future()

    def for_thread(self) -> threading.Event:
        self._event = threading.Event()
        return self._event

    def _outcome(self) -> Any:
        if self.error is not None:
            raise self.error
        return self.result

    def on_thread(self, event: threading.Event) -> Any:
        event.wait()
        return self._outcome()

    @staticmethod
    def tell(batch: Sequence["Pending"]) -> None:
        """Wake everybody who waits, each event loop once."""
        loops: dict[asyncio.AbstractEventLoop, list[Pending]] = {}
        for pending in batch:
            if pending._event is not None:
                pending._event.set()
            elif pending._loop is not None:
                loops.setdefault(pending._loop, []).append(pending)
        for loop, waiting in loops.items():
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_wake, waiting)


def _wake(waiting: list[Pending]) -> None:
    for pending in waiting:
        if pending._future is not None and not pending._future.done():
            pending._future.set_result(None)


class Worker:
    """One thread with one connection, which does what waits in one go.

    Args:
        database: Makes the connection.
        run: Does a batch of jobs and leaves each one's result or error in it.

    """

    def __init__(self, database: "Database", run: Callable[[sqlite3.Connection, list[Pending]], None]) -> None:
        self._database = database
        self._run = run
        self._jobs: deque[Pending] = deque()
        self._some = threading.Condition()
        self._closing = False
        self._thread: threading.Thread | None = None

    def put(self, pending: Pending) -> None:
        with self._some:
            if self._closing:
                raise KvUnavailable(f"kv store {self._database.name}: it is closed")
            if self._thread is None:
                name = f"rtbridge-kv-{self._database.name}"
                # What was acknowledged is in the file, so nothing is lost where the process ends.
                self._thread = threading.Thread(target=self._work, name=name, daemon=True)
                self._thread.start()
            self._jobs.append(pending)
            self._some.notify()

    def close(self) -> None:
        """End the thread after what waits is done."""
        with self._some:
            self._closing = True
            self._some.notify()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _next(self) -> list[Pending]:
        with self._some:
            while not self._jobs and not self._closing:
                self._some.wait()
            return [self._jobs.popleft() for _ in range(min(len(self._jobs), _BATCH))]

    def _work(self) -> None:
        connection: sqlite3.Connection | None = None
        while batch := self._next():
            try:
                if connection is None:
                    connection = self._database.connect()
                self._run(connection, batch)
            except BaseException as exc:
                for pending in batch:
                    pending.error = self._database.translated(exc)
                if connection is not None:
                    connection.close()
                    connection = None
            Pending.tell(batch)
            del batch
        if connection is not None:
            connection.close()


class Database:
    """One file, as one store of it sees it."""

    def __init__(self, name: str, config: SqliteConfig) -> None:
        self.name = name
        self._file = config.file
        self._max_bytes = config.max_bytes
        self._busy = config.busy_timeout

    def connect(self) -> sqlite3.Connection:
        """A connection in WAL mode, to a file that is ours.

        Raises:
            KvError: The file cannot be used; the text says why.

        """
        made = self._create()
        connection = sqlite3.connect(self._file, timeout=self._busy, isolation_level=None, check_same_thread=False)
        try:
            self._prepare(connection, made)
        except sqlite3.DatabaseError as exc:
            connection.close()
            if exc.sqlite_errorname == "SQLITE_NOTADB":
                raise KvError(
                    f"{self._file} is no SQLite database, and stays as it is; a file of RoadRunner's boltdb is not "
                    "read: name another file"
                ) from exc
            raise
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self) -> bool:
        try:
            os.close(os.open(self._file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        except FileExistsError:
            return False
        except OSError as exc:
            raise KvUnavailable(f"kv store {self.name}: {self._file}: {exc.strerror}") from exc
        return True

    def _prepare(self, connection: sqlite3.Connection, made: bool) -> None:
        def value(pragma: str) -> int:
            found: int = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
            return found

        if value("application_id") != APPLICATION_ID:
            if not made and value("schema_version") != 0:
                raise KvError(f"{self._file} is the database of something else, and stays as it is; name another file")
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        version = value("user_version")
        if version > SCHEMA:
            raise KvError(f"{self._file} was written by a newer version of rtbridge; name another file, or upgrade")
        if version < SCHEMA:
            self._begin(connection)
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA max_page_count = {max(self._max_bytes // value('page_size'), 16)}")

    def _begin(self, connection: sqlite3.Connection) -> None:
        """Make a new file a store; others may be about to do the same."""
        end = time.monotonic() + self._busy
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                break
            except sqlite3.OperationalError:  # SQLite does not wait for others here
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE)
        connection.execute("BEGIN IMMEDIATE")
        for statement in _CREATE:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")

    def translated(self, exc: BaseException) -> BaseException:
        """An error of SQLite as one of stores."""
        if not isinstance(exc, sqlite3.Error):
            return exc
        name = getattr(exc, "sqlite_errorname", "")
        where = f"kv store {self.name}: {self._file}"
        made: KvError
        if name == "SQLITE_FULL":
            made = KvLimit(f"{where} is full: max_bytes is {self._max_bytes:,}, or the disk has no room")
        elif name.startswith("SQLITE_TOOBIG"):
            made = KvLimit(f"{where}: a value is larger than SQLite takes")
        elif name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            made = KvUnavailable(f"{where}: other processes kept it busy for {self._busy:g} s (busy_timeout)")
        elif name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            made = KvError(f"{where} is damaged ({exc}); restore it, or name another file")
        else:
            made = KvUnavailable(f"{where}: {exc}")
        made.__cause__ = exc
        return made
