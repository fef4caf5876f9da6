"""The sqlite driver: its file, restarts, other processes, kills, bounds."""

import asyncio
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from rtbridge import ConfigError, Kv, KvError, KvLimit, KvUnavailable
from rtbridge.plugins.kv.sqlite import SqliteStore, _after
from rtbridge.plugins.kv.sqlite_file import APPLICATION_ID
from rtbridge.testing import VirtualClock
from tests.plugins.kv.conftest import Make, stores_of

ROOT = Path(__file__).parents[3]

WRITE = """
import asyncio
import sys
from rtbridge.app import parse_config
from rtbridge.plugins.kv import open_stores

config = {"version": "3", "kv": {"s": {"driver": "sqlite", "config": {"file": sys.argv[1]}}}}
kv = open_stores(parse_config(config).config)("s")


async def write(row: int) -> None:
    number = 0
    while True:
        number += 1
        await kv.set_many({f"{row}:a": [number, "x" * 3000], f"{row}:b": [number, "y" * 3000]})
        sys.stdout.buffer.write(b"%d %d\\n" % (row, number))
        sys.stdout.flush()


async def main() -> None:
    await asyncio.gather(*(write(row) for row in range(8)))


asyncio.run(main())
"""


def start(code: str, *arguments: str) -> "subprocess.Popen[bytes]":
    """A Python process of the test's own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )


async def test_entries_and_their_ends_survive_a_restart(make: Make, tmp_path: Path) -> None:
    clock = VirtualClock()
    config = {"file": str(tmp_path / "kv.db")}
    kv = await make("sqlite", clock, config)
    await kv.set_many({"a": 1, "b": [2]})
    await kv.set("short", "x", ttl=10)
    await kv.incr("counter", ttl=100)
    await kv.close()
    again = await make("sqlite", clock, config)
    assert await again.get_many(["a", "b", "short", "counter"]) == {"a": 1, "b": [2], "short": "x", "counter": 1}
    assert await again.ttl("short") == 10
    clock.advance(10)
    assert not await again.has("short")
    assert await again.ttl("counter") == 90
    with pytest.raises(KvUnavailable, match="kv store s: it is closed"):
        await kv.get("a")
    await kv.close()


async def test_the_file_is_its_owners(make: Make, tmp_path: Path) -> None:
    kv = await make("sqlite", config={"file": str(tmp_path / "kv.db")})
    await kv.set("a", 1)
    for name in ("kv.db", "kv.db-wal"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


async def test_writes_are_durable(make: Make) -> None:
    """WAL, and an fsync for each commit (synchronous = FULL), whether a connection made the file or found it."""
    kv = await make("sqlite")
    assert isinstance(kv.store, SqliteStore)

    def pragmas(connection: sqlite3.Connection) -> list[Any]:
        return [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]

    for thread in (kv.store._writer, kv.store._reader):
        assert await kv.store._do(thread, pragmas) == ["wal", 2]


async def test_stores_share_a_file(make: Make, tmp_path: Path) -> None:
    config = {"file": str(tmp_path / "kv.db")}
    first = await make("sqlite", config=config)
    second = Kv("t", SqliteStore("t", stores_config(config), VirtualClock()), first.codec, VirtualClock())
    await first.set("a", 1)
    await second.set("a", 2)
    assert (await first.get("a"), await second.get("a")) == (1, 2)
    await first.clear()
    assert await second.get("a") == 2
    await second.close()


def stores_config(config: dict[str, Any]) -> Any:
    from rtbridge.config import parse_config

    return parse_config({"version": "3", "kv": {"s": {"driver": "sqlite", "config": config}}}).config.kv["s"].config


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"bolt" * 2000, "is no SQLite database, and stays as it is; a file of RoadRunner's boltdb is not read"),
        (None, "is the database of something else, and stays as it is; name another file"),
        ("newer", "was written by a newer version of rtbridge"),
    ],
)
async def test_a_file_that_is_not_ours_stays_as_it_is(
    make: Make, tmp_path: Path, content: bytes | str | None, text: str
) -> None:
    file = tmp_path / "rr.db"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        connection = sqlite3.connect(file)
        connection.execute("CREATE TABLE customers (name TEXT)")
        if content:
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute("PRAGMA user_version = 99")
        connection.commit()
        connection.close()
    before = file.read_bytes()
    with pytest.raises(ConfigError, match=text) as caught:
        await make("sqlite", config={"file": str(file)})
    assert str(caught.value).startswith("kv.s: ")
    assert file.read_bytes() == before


async def test_an_empty_file_becomes_a_store(make: Make, tmp_path: Path) -> None:
    (tmp_path / "kv.db").touch()
    kv = await make("sqlite", config={"file": str(tmp_path / "kv.db")})
    await kv.set("a", 1)
    assert await kv.get("a") == 1


async def test_a_folder_that_is_missing_fails_the_start(make: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"kv\.s: kv store s: .*No such file or directory"):
        await make("sqlite", config={"file": str(tmp_path / "nowhere" / "kv.db")})


async def test_a_damaged_file_is_told(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "kv.db"
    kv = await make("sqlite", config={"file": str(file)})
    await kv.set_many({f"k{number}": "x" * 500 for number in range(300)})
    await kv.close()
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xff" * (len(data) - 4096)
    file.write_bytes(data)
    again = stores_of("sqlite", {"file": str(file)})("s")
    with pytest.raises(KvError, match=r"kv store s: .* is damaged"):
        await again.get_many([f"k{number}" for number in range(300)])
    await again.close()


async def test_the_file_has_a_bound(make: Make, tmp_path: Path) -> None:
    kv = await make("sqlite", config={"file": str(tmp_path / "kv.db"), "max_bytes": "256KiB"})
    written = 20
    await kv.set_many({f"k{number}": b"x" * 10_000 for number in range(written)})
    with pytest.raises(KvLimit, match=r"kv store s: .*kv\.db is full: max_bytes is 262,144, or the disk has no room"):
        await kv.set_many({f"more{number}": b"x" * 10_000 for number in range(written)})
    found = await asyncio.gather(
        kv.set("large", b"x" * 100_000), kv.set("small", 1), kv.get("k1"), return_exceptions=True
    )
    assert isinstance(found[0], KvLimit)
    assert len([key async for key in kv.scan("k")]) == written
    await kv.delete_many([f"k{number}" for number in range(written)])
    await kv.set("large", b"x" * 100_000)


async def test_what_is_over_leaves_the_file(make: Make, tmp_path: Path) -> None:
    clock = VirtualClock()
    kv = await make("sqlite", clock, {"file": str(tmp_path / "kv.db"), "interval": "60s"})

    def rows() -> int:
        connection = sqlite3.connect(tmp_path / "kv.db")
        try:
            count: int = connection.execute("SELECT count(*) FROM entries").fetchone()[0]
            return count
        finally:
            connection.close()

    await kv.set_many({f"k{number}": 1 for number in range(1500)}, ttl=5)
    clock.advance(59)
    await kv.set("a", 1)
    assert rows() == 1501
    assert [key async for key in kv.scan()] == ["a"]
    clock.advance(1)
    await kv.set("a", 1)
    assert rows() == 501
    await kv.set("a", 1)
    assert rows() == 1


async def test_a_failing_write_takes_none_with_it(make: Make) -> None:
    kv = await make("sqlite")
    await kv.set("text", "x")
    found = await asyncio.gather(
        *(kv.incr("text" if number == 5 else "n") for number in range(10)), return_exceptions=True
    )
    assert isinstance(found[5], KvError)
    assert sorted(each for each in found if isinstance(each, int)) == list(range(1, 10))


async def test_waiting_writers_share_a_transaction(make: Make) -> None:
    kv = await make("sqlite")
    assert isinstance(kv.store, SqliteStore)
    batches: list[int] = []
    write = kv.store._writer._run
    entered, go = threading.Event(), threading.Event()

    def counted(connection: sqlite3.Connection, batch: Any) -> None:
        entered.set()
        assert go.wait(10)
        batches.append(len(batch))
        write(connection, batch)

    kv.store._writer._run = counted
    first = asyncio.create_task(kv.set("first", 1))
    assert await asyncio.to_thread(entered.wait, 10)
    rest = [asyncio.create_task(kv.set(f"k{number}", number)) for number in range(32)]
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(first, *rest)
    assert batches == [1, 32]
    assert await kv.get("k31") == 31


async def test_a_caller_that_gave_up_does_not_matter(make: Make) -> None:
    kv = await make("sqlite")
    task = asyncio.create_task(kv.set("a", 1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await kv.set("b", 2)
    assert await kv.get("b") == 2


def test_a_loop_that_is_gone_does_not_matter(tmp_path: Path) -> None:
    stores = stores_of("sqlite", {"file": str(tmp_path / "kv.db")})
    kv = stores("s")

    async def leave() -> None:
        asyncio.get_running_loop().create_task(kv.set("a", 1))
        await asyncio.sleep(0)

    asyncio.run(leave())
    asyncio.run(kv.set("b", 2))
    assert kv.sync.get("b") == 2
    kv.sync.close()


async def test_another_process_may_keep_the_file(make: Make, tmp_path: Path) -> None:
    file = tmp_path / "kv.db"
    kv = await make("sqlite", config={"file": str(file), "busy_timeout": "50ms"})
    await kv.set("a", 1)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(KvUnavailable, match=r"other processes kept it busy for 0\.05 s \(busy_timeout\)"):
        await kv.set("a", 2)
    assert await kv.get("a") == 1  # readers do not wait for writers
    other.execute("ROLLBACK")
    other.close()
    await kv.set("a", 3)
    assert await kv.get("a") == 3


async def test_no_cursor_leaves_the_thread_of_its_connection(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ends elsewhere resets a statement that the thread may be using."""
    kv = await make("sqlite")
    given: list[Any] = []
    do = SqliteStore._do

    async def watched(self: SqliteStore, thread: Any, job: Any) -> Any:
        given.append(await do(self, thread, job))
        return given[-1]

    monkeypatch.setattr(SqliteStore, "_do", watched)
    store = kv.store
    await store.set("a", b"1", None)
    await store.set_many({"b": b"1", "c": b"2"}, 60.0)
    await store.incr("a", 1, None)
    await store.add("d", b"x", None)
    await store.cas("d", b"x", b"y", None)
    await store.touch("d", 60.0)
    await store.get("a")
    await store.get_many(["a", "b"])
    await store.ttl("b")
    await store.scan("", "", 10)
    await store.delete("a")
    await store.clear()
    assert len(given) == 12
    assert not any(isinstance(each, sqlite3.Cursor) for each in given)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("lines", [1, 40, 203])
def test_a_kill_in_mid_write_loses_nothing_that_was_acknowledged(tmp_path: Path, lines: int) -> None:
    """The last acknowledged write of each writer is there, whole; the next one may be."""
    file = tmp_path / "kv.db"
    process = start(WRITE, str(file))
    assert process.stdout is not None
    acknowledged: dict[int, int] = {}
    try:
        for _ in range(lines):
            row, number = process.stdout.readline().split()
            acknowledged[int(row)] = int(number)
    finally:
        process.send_signal(signal.SIGKILL)
        assert process.stdin is not None
        process.stdin.close()
        for line in process.stdout.read().splitlines(keepends=True):
            if line.endswith(b"\n"):  # the kill may have cut the last one
                row, number = line.split()
                acknowledged[int(row)] = int(number)
        process.stdout.close()
        process.wait(60)
    stores = stores_of("sqlite", {"file": str(file)})
    kv = stores("s").sync
    for writer, last in acknowledged.items():
        first, second = kv.get(f"{writer}:a"), kv.get(f"{writer}:b")
        assert first == [second[0], "x" * 3000]
        assert last <= first[0] <= last + 1
    kv.set("after", 1)
    kv.close()
    connection = sqlite3.connect(file)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


@pytest.mark.parametrize(
    ("prefix", "after"),
    [
        ("", None),
        ("a", "b"),
        ("user:", "user;"),
        ("\ud7ff", "\ue000"),
        ("\U0010ffff", None),
        ("a\U0010ffff", "b"),
        ("\x00", "\x01"),
    ],
)
def test_the_end_of_a_prefix(prefix: str, after: str | None) -> None:
    assert _after(prefix) == after
