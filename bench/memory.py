"""Whether a process grows with the events that it answers: a million of them, each with names of its own.

    python -m bench.memory [--events 1000000] [--traced 100000] [--check]

``--check`` fails when the process grew by more than the bar.
"""

import argparse
import asyncio
import gc
import os
import sys
import tracemalloc
from collections import Counter
from pathlib import Path
from typing import Final

import msgspec

from bench.figures import described, table
from bench.recorded import Wire
from bench.workload import Blocking, application
from rtbridge import Disconnect, RPCEvent, hookimpl, logs
from rtbridge.app import Runtime
from rtbridge.cli.lifetime import run
from rtbridge.codec.descriptors import message_class
from rtbridge.transport.memory import MemoryTransport

#: MiB that the process may grow by, and KiB that may be held by what Python code allocated.
BAR_RSS: Final = 4.0
BAR_TRACED: Final = 64.0

WARM_UP: Final = 50_000

_PACKAGE: Final = "centrifugal.centrifugo.proxy"


class Moody:
    """Refuses and fails now and then, because failing must not hold memory either."""

    @hookimpl
    async def on_rpc(self, event: RPCEvent) -> None:
        if event.method.endswith("18"):
            raise Disconnect(4501, "eighteen")
        if event.method.endswith("17"):
            raise LookupError(event.method)


class Requests:
    """The bytes of calls whose names never come again."""

    def __init__(self) -> None:
        self._rpc = message_class(f"{_PACKAGE}.RPCRequest")
        self._publish = message_class(f"{_PACKAGE}.PublishRequest")

    def one(self, number: int) -> tuple[str, bytes, Wire]:
        """Kind, bytes and wire of a call: answered, denied, failed, refused and broken ones take turns."""
        user, turn = f"user{number}", number % 10
        if turn < 4:
            message = self._publish(user=user, channel=f"room{number}", data=b'{"text":" hello "}')
            return "publish", message.SerializeToString(), "proto"
        if turn < 7:
            data = msgspec.Raw(b'{"text":" hello "}')
            body = {"user": user, "channel": f"room{number}", "data": data, "encoding": "json"}
            return "publish", msgspec.json.encode(body), "json"
        if turn == 9:
            return "rpc", b"\xff" + user.encode(), "json"  # no UTF-8, no JSON
        return "rpc", self._rpc(user=user, method=f"area1.x{number}", data=b"{}").SerializeToString(), "proto"


async def answer(runtime: Runtime, first: int, events: int, seen: Counter[str]) -> None:
    """Put events through the pipeline, count the outcomes, and let the loop do what they left behind."""
    memory, requests = MemoryTransport(runtime.bridge), Requests()
    for number in range(first, first + events):
        kind, body, wire = requests.one(number)
        headers = [("x-request", str(number))]
        reply = await memory.request(kind, body, wire=wire, headers=headers, deadline=1.0)
        seen[reply.outcome.label] += 1
        if number % 100 == 0:
            await asyncio.sleep(0)
    await asyncio.sleep(1.2)  # the last deadlines pass


def resident() -> float:
    """MiB of memory that the process holds."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def grown(events: int, traced: int) -> tuple[list[list[str]], float, float]:
    """Rows to print, the growth in MiB of the process and in KiB of what Python holds."""
    runtime = application(Moody(), Blocking())
    await runtime.boot()
    seen = Counter[str]()
    await answer(runtime, 0, WARM_UP, seen)
    gc.collect()
    rows, start, done = [[f"{WARM_UP:,}", f"{resident():.1f}", ""]], resident(), 0
    for part in range(4):
        share = events // 4
        await answer(runtime, WARM_UP + done, share, seen)
        done += share
        gc.collect()
        rows.append([f"{WARM_UP + done:,}", f"{resident():.1f}", f"{resident() - start:+.2f}"])
        print(f"{part + 1} of 4", file=sys.stderr)
    rss = resident() - start
    mix = ", ".join(f"{label} {count / seen.total():.1%}" for label, count in seen.most_common())
    print(f"Outcomes: {mix}\n")

    tracemalloc.start()
    await answer(runtime, 10 * events, traced // 4, seen)
    gc.collect()
    before = tracemalloc.take_snapshot()
    held = tracemalloc.get_traced_memory()[0]
    await answer(runtime, 20 * events, traced, seen)
    gc.collect()
    after = tracemalloc.take_snapshot()
    kept = (tracemalloc.get_traced_memory()[0] - held) / 1024
    tracemalloc.stop()
    own = [tracemalloc.Filter(False, tracemalloc.__file__), tracemalloc.Filter(False, __file__)]
    print("What Python holds after the traced events and did not before, by line:")
    for line in after.filter_traces(own).compare_to(before.filter_traces(own), "lineno")[:5]:
        print(f"  {line}")
    print()
    await runtime.shutdown()
    return rows, rss, kept


def main() -> int:
    """Measure, print, and with ``--check`` compare with the bar."""
    parser = argparse.ArgumentParser(description="Whether a process grows with the events that it answers.")
    parser.add_argument("--events", type=int, default=1_000_000, help="events after the warm-up (1000000)")
    parser.add_argument("--traced", type=int, default=100_000, help="events with every allocation traced (100000)")
    parser.add_argument("--check", action="store_true", help="exit code 1 when the process grew beyond the bar")
    given = parser.parse_args()
    with Path(os.devnull).open("w") as sink:
        logs.setup("warning", stream=sink)
        rows, rss, kept = run(grown(given.events, given.traced))
        logs.setup("warning")
    print(described() + "\n")
    print(table(["events", "resident MiB", "since warm-up"], rows))
    met = rss <= BAR_RSS and kept <= BAR_TRACED
    print(
        f"\nresident {rss:+.2f} MiB (bar {BAR_RSS:g}), held by Python {kept:+.1f} KiB over {given.traced:,} events "
        f"(bar {BAR_TRACED:g}): {'met' if met else 'MISSED'}"
    )
    return 1 if given.check and not met else 0


if __name__ == "__main__":
    sys.exit(main())
