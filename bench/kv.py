"""Operations of the key-value stores, in one process, and redis beside bare redis-py.

    python -m bench.kv [--rounds 5] [--folder DIR] [--only memory|sqlite|redis] [--json FILE] [--check]

``--check`` fails when a bar is missed: memory below 300,000 gets/s, sqlite below 5,000 durable sets/s at 32 in flight,
redis beyond 1.15 times what bare redis-py takes for the same calls in the same run. Values are a mapping of three keys
in the default serializer; bare redis-py reads and writes the same bytes and leaves them as they are. A round is cut
into slices, and contenders take turns at them, so that a machine that slows down slows down all of them. ``--folder``
is where the sqlite file is written: a disk, where durability is to mean something.
"""

import argparse
import asyncio
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.figures import Spread, described, save, spread, table
from bench.processes import free_port
from rtbridge import Kv, KvStores
from rtbridge.config import parse_config
from rtbridge.plugins.kv import open_stores

#: Operations per second that a store has to reach, and how many times bare redis-py's time a call may take.
MEMORY_BAR: Final = 300_000.0
SQLITE_BAR: Final = 5_000.0
REDIS_BAR: Final = 1.15

VALUE: Final = {"user": "ann", "name": "Ann Smith", "roles": ["admin", "editor"]}
#: Parts of a round, between which contenders take turns.
SLICES: Final = 10
#: Seconds that a server has to answer after its start.
_START: Final = 20.0

Work = Callable[[int], Awaitable[object]]


class Case(NamedTuple):
    """Something to measure: operations, how many in a round, and how many of them at once."""

    name: str
    work: Work
    operations: int
    at_once: int = 1


async def timed(case: Case) -> float:
    """Seconds of one slice."""

    async def caller(first: int) -> None:
        work = case.work
        for number in range(first, case.operations // SLICES, case.at_once):
            await work(number)

    started = time.perf_counter()
    if case.at_once == 1:
        await caller(0)
    else:
        await asyncio.gather(*(caller(first) for first in range(case.at_once)))
    return time.perf_counter() - started


async def measured(cases: Sequence[Case], rounds: int) -> dict[str, list[float]]:
    """Operations per second of each case and round; the first round is not counted."""
    found: dict[str, list[float]] = {case.name: [] for case in cases}
    for turn in range(rounds + 1):
        seconds = dict.fromkeys(found, 0.0)
        for _ in range(SLICES):
            for case in cases:
                seconds[case.name] += await timed(case)
        if turn:
            for case in cases:
                found[case.name].append(case.operations / seconds[case.name])
    return found


def stores(driver: str, config: dict[str, Any], **kv: Any) -> KvStores:
    """The stores of a configuration with one of them, ``s``."""
    return open_stores(
        parse_config({"version": "3", "kv": {"s": {"driver": driver, "config": config}}, "rtbridge": {"kv": kv}}).config
    )


async def memory(rounds: int, folder: Path) -> dict[str, list[float]]:
    """The memory driver; its figures are those of the fronts, too."""
    plain, encrypted = stores("memory", {})("s"), stores("memory", {}, keypair_path=str(_keypair(folder)))("s")
    for kv in (plain, encrypted):
        await kv.set("k", VALUE)

    async def threads(number: int) -> None:
        plain.sync.get("k")

    cases = [
        Case("memory get", lambda number: plain.get("k"), 200_000),
        Case("memory set", lambda number: plain.set("k", VALUE), 50_000),
        Case("memory incr", lambda number: plain.incr("n"), 50_000),
        Case("memory get, SyncKv", threads, 100_000),
        Case("memory get, encrypted", lambda number: encrypted.get("k"), 20_000),
    ]
    return await measured(cases, rounds)


async def sqlite(rounds: int, folder: Path) -> dict[str, list[float]]:
    """The sqlite driver, and how often the disk itself can be asked to keep a page."""
    kv = stores("sqlite", {"file": str(folder / "kv.db")})("s")
    await kv.set("k", VALUE)
    with (folder / "page").open("wb", buffering=0) as page:
        serial = itertools.count()

        async def write(number: int) -> None:
            # SQLite does not write a row that is the same as before.
            await kv.set(f"k{number % 1000}", {**VALUE, "serial": next(serial)})

        async def sync(number: int) -> None:
            os.pwrite(page.fileno(), b"x" * 4096, 0)
            os.fdatasync(page.fileno())

        cases = [
            Case("fdatasync of 4 KiB, alone", sync, 300),
            Case("sqlite set", write, 300),
            Case("sqlite set, 32 in flight", write, 8_000, 32),
            Case("sqlite incr of one counter, 32 in flight", lambda number: kv.incr("n"), 8_000, 32),
            Case("sqlite get", lambda number: kv.get("k"), 3_000),
            Case("sqlite get, 32 in flight", lambda number: kv.get("k"), 20_000, 32),
        ]
        found = await measured(cases, rounds)
    await kv.close()
    return found


@contextmanager
def redis_server(folder: Path) -> Iterator[int]:
    """The port of a redis-server of our own."""
    port = free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(_START)


async def redis(rounds: int, folder: Path) -> dict[str, list[float]]:
    """The redis driver beside bare redis-py, on the same server."""
    import redis.asyncio as bare_redis

    with redis_server(folder) as port:
        kv: Kv = stores("redis", {"addrs": [f"127.0.0.1:{port}"], "prefix": ""})("s")
        bare: Any = bare_redis.Redis(host="127.0.0.1", port=port, protocol=2)
        async with asyncio.timeout(_START):
            while not await _answers(kv):  # noqa: ASYNC110  # it says nothing when it listens
                await asyncio.sleep(0.05)
        data = kv.codec.encode("k", VALUE)
        await kv.set("k", VALUE)
        cases = [
            Case("redis-py get", lambda number: bare.get("k"), 5_000),
            Case("redis get", lambda number: kv.get("k"), 5_000),
            Case("redis-py set", lambda number: bare.set("k", data), 5_000),
            Case("redis set", lambda number: kv.set("k", VALUE), 5_000),
            Case("redis-py get, 32 in flight", lambda number: bare.get("k"), 10_000, 32),
            Case("redis get, 32 in flight", lambda number: kv.get("k"), 10_000, 32),
        ]
        found = await measured(cases, rounds)
        await kv.close()
        await bare.aclose()
    return found


async def _answers(kv: Kv) -> bool:
    from rtbridge import KvUnavailable

    try:
        await kv.has("k")
    except KvUnavailable:
        return False
    return True


def _keypair(folder: Path) -> Path:
    from rtbridge.stores.crypt import write_keypair

    path = folder / "bench.key"
    write_keypair(path)
    return path


PARTS: Final[dict[str, Callable[[int, Path], Awaitable[dict[str, list[float]]]]]] = {
    "memory": memory,
    "sqlite": sqlite,
    "redis": redis,
}


def ratio(found: dict[str, list[float]], name: str) -> float | None:
    """How many times bare redis-py's time a call took, by the medians; None for what has nothing beside it."""
    beside = found.get(name.replace("redis ", "redis-py ", 1)) if name.startswith("redis ") else None
    return None if beside is None else spread(beside).median / spread(found[name]).median


def missed(found: dict[str, list[float]]) -> list[str]:
    """The bars that were missed, in words."""
    lines: list[str] = []
    for name, bar in (("memory get", MEMORY_BAR), ("sqlite set, 32 in flight", SQLITE_BAR)):
        if name in found and (rate := spread(found[name]).median) < bar:
            lines.append(f"{name}: {rate:,.0f}/s, the bar is {bar:,.0f}/s")
    beside = {name: times for name in found if (times := ratio(found, name)) is not None}
    lines += [
        f"{name}: {times:.2f} times bare redis-py, the bar is {REDIS_BAR}"
        for name, times in beside.items()
        if times > REDIS_BAR
    ]
    return lines


def shown(rates: Spread) -> str:
    """Operations per second."""
    return f"{rates.low:,.0f} / {rates.median:,.0f} / {rates.high:,.0f}"


def main() -> int:
    """Measure, print, compare."""
    parser = argparse.ArgumentParser(description="Operations of the key-value stores.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, default=None)
    parser.add_argument("--only", choices=PARTS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    names = [chosen.only] if chosen.only else list(PARTS)
    if "redis" in names and shutil.which("redis-server") is None:
        print("redis-server is not installed, which leaves out redis", file=sys.stderr)
        names.remove("redis")
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        for name in names:
            found |= asyncio.run(_run(PARTS[name], chosen.rounds, Path(folder)))
    rows: list[list[str]] = []
    for name, rates in found.items():
        times = ratio(found, name)
        rows.append(
            [name, shown(spread(rates)), f"{1e6 / spread(rates).median:,.1f}", "" if times is None else f"{times:.2f}"]
        )
    print(table(["operation", "per second: min / median / max", "µs", "times bare"], rows))
    print(f"\n{described()}")
    if chosen.json:
        save(chosen.json, {"rates": found})
    lines = missed(found)
    print("\n".join(lines))
    return 1 if chosen.check and lines else 0


async def _run(
    part: Callable[[int, Path], Awaitable[dict[str, list[float]]]], rounds: int, folder: Path
) -> dict[str, list[float]]:
    return await part(rounds, folder)


if __name__ == "__main__":
    sys.exit(main())
