"""What worker processes cost and what they bring.

    python -m bench.workers [--rounds 5] [--calls 40000] [--flat 1000000] [--check]

*relay*: CPU of one RPC answered in this process, beside that of one answered in a worker, parent and worker together;
the same loop asks, 32 calls at a time, as the built-in gRPC server does, without that server's own cost.
*burn*: a hook that takes 1 ms of CPU, in one worker and in two. *flat*: by how much parent and workers grow with many
calls, asked by the same loop. *start*: from the start of ``rtbridge serve`` with the sample chat to the first answer
over gRPC. *memory*: what its parent and its workers hold after some thousand calls. ``--check`` fails beyond the bars.
"""

import argparse
import asyncio
import contextlib
import contextvars
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, Final

import grpc
import psutil

from bench.figures import described, spread, table
from bench.processes import free_port, rtbridge_serve
from bench.recorded import Recorded, calls
from bench.report import Verdict
from bench.workload import own
from rtbridge import logs
from rtbridge.app import Runtime
from rtbridge.bridge import Reply
from rtbridge.codec.descriptors import message_class
from rtbridge.config import Config, parse_config
from rtbridge.eager import Eager
from rtbridge.events import Call, Headers
from rtbridge.handler import Handler, Submit, Unary
from rtbridge.loops import run
from rtbridge.workers.parent import Parent

IN_FLIGHT: Final = 32

#: Calls before memory is looked at.
WARM_UP: Final = 10_000

RELAY_BAR: Final = 15.0
SCALE_BAR: Final = 1.8
WORKER_BAR: Final = 45.0
PARENT_BAR: Final = 60.0
GROWTH_BAR: Final = 4.0
START_BAR: Final = 1.0

_MEGABYTE: Final = 1024**2

#: A caller who finds the server as soon as it listens: by default each try waits longer than the one before.
_AT_ONCE: Final = [(f"grpc.{name}_reconnect_backoff_ms", 20) for name in ("initial", "min", "max")]
_REQUEST: Final = "centrifugal.centrifugo.proxy.RPCRequest"


def config(**pool: Any) -> Config:
    """The application in so many workers."""
    given = {"centrifuge": {"pool": pool}, "logs": {"level": "error"}, "rtbridge": {"plugins": ["bench.answers"]}}
    return parse_config(own(given)).config


@contextlib.asynccontextmanager
async def workers(count: int) -> AsyncIterator[Parent]:
    """A parent with so many workers that are ready."""
    parent = Parent(config(num_workers=count))
    parent.start(lazy=False)
    try:
        await parent.boot()
        while not parent.readiness.ready:  # noqa: ASYNC110  # a wait of a moment, once
            await asyncio.sleep(0.01)
        yield parent
    finally:
        await parent.stop([])


def at_once(answer: Unary) -> Submit:
    """Calls that are answered as the built-in server answers those that came together: at once, unless they wait."""
    eager, context, loop = Eager(), contextvars.copy_context(), asyncio.get_running_loop()
    come: list[tuple[bytes, Call, Callable[[Reply], None]]] = []

    async def serve(body: bytes, call: Call, deliver: Callable[[Reply], None]) -> None:
        deliver(await answer(body, call))

    def turn() -> None:
        batch = come.copy()
        come.clear()
        for each in batch:
            eager.start(serve(*each), context.copy())

    def submit(body: bytes, call: Call, deliver: Callable[[Reply], None]) -> Callable[[], object]:
        if not come:
            loop.call_soon(turn)
        come.append((body, call, deliver))
        return turn

    return submit


async def drive(handler: Handler, body: bytes, recorded: Recorded, count: int) -> float:
    """Have so many calls answered, as a server hands them over; seconds that it took."""
    submit, clock = handler.submit("rpc", "proto") or at_once(handler.unary("rpc", "proto")), handler.clock
    headers = Headers(recorded.headers)
    done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    begun = answered = 0
    kept: dict[int, Callable[[], object]] = {}

    def begin() -> None:
        nonlocal begun
        begun += 1
        kept[begun % IN_FLIGHT] = submit(body, Call(headers, "bench", clock.monotonic() + 5.0, clock), deliver)

    def deliver(reply: Reply) -> None:
        nonlocal answered
        answered += 1
        if not reply.payload:
            done.set_exception(AssertionError(reply.outcome.why))
        elif begun < count:
            begin()
        elif answered == count:
            done.set_result(None)

    started = time.perf_counter()
    for _ in range(min(count, IN_FLIGHT)):
        begin()
    await done
    return time.perf_counter() - started


def cpu(*processes: psutil.Process) -> float:
    """Seconds of CPU that they have used."""
    return sum(sum(process.cpu_times()[:2]) for process in processes)


def children(parent: Parent) -> list[psutil.Process]:
    return [psutil.Process(worker.pid) for worker in parent.workers()]


async def relay(rounds: int, count: int) -> tuple[list[float], list[float]]:
    """µs of CPU of one call, alone and with a worker, once a round; the two take turns."""
    recorded = calls()[0]
    runtime = Runtime(config(debug=True))
    await runtime.boot()
    alone, relayed = list[float](), list[float]()
    here = psutil.Process()
    async with workers(1) as parent:
        there = children(parent)
        for _ in range(rounds + 1):
            before = cpu(here)
            await drive(runtime.handler, recorded.body, recorded, count)
            alone.append((cpu(here) - before) / count * 1e6)
            before = cpu(here, *there)
            await drive(parent.handler, recorded.body, recorded, count)
            relayed.append((cpu(here, *there) - before) / count * 1e6)
    await runtime.shutdown()
    return alone[1:], relayed[1:]


async def burn(rounds: int) -> dict[int, list[float]]:
    """Calls per second of the hook that takes 1 ms, by the number of workers."""
    body = message_class(_REQUEST)(method="burn").SerializeToString()
    found: dict[int, list[float]] = {1: [], 2: []}
    async with workers(1) as one, workers(2) as two:
        for _ in range(rounds):
            for parent, count in ((one, 1), (two, 2)):
                seconds = await drive(parent.handler, body, calls()[0], 2000)
                found[count].append(2000 / seconds)
    return found


def held(process: psutil.Process) -> float:
    """MB that a process holds: its share of what it shares (PSS), where the system knows."""
    info = process.memory_full_info()
    return float(getattr(info, "pss", info.uss)) / _MEGABYTE


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[psutil.Process, str, float]]:
    """``rtbridge serve`` with two workers: its process, where it listens, and when it was started."""
    address = f"127.0.0.1:{free_port()}"
    config = (
        f'version: "3"\ncentrifuge: {{proxy_address: "{address}", pool: {{num_workers: 2}}}}\nlogs: {{level: error}}'
    )
    config += "\nrtbridge: {plugins: [samples.chat.hooks], entry_points: false}\n"
    started = time.perf_counter()
    with rtbridge_serve(folder, config) as process:
        yield psutil.Process(process.pid), address, started


def ask(channel: grpc.Channel, count: int) -> None:
    """Have so many RPCs answered, over gRPC as Centrifugo sends them."""
    send: Any = channel.unary_unary("/centrifugal.centrifugo.proxy.CentrifugoProxy/RPC")
    request = message_class(_REQUEST)(method="rooms", user="ann", client="c", encoding="json").SerializeToString()
    flying = [send.future(request, timeout=10, wait_for_ready=True) for _ in range(min(count, IN_FLIGHT))]
    for number in range(count):
        flying[number % IN_FLIGHT].result()
        if number + IN_FLIGHT < count:
            flying[number % IN_FLIGHT] = send.future(request, timeout=10)


async def growth(count: int) -> list[tuple[str, float]]:
    """MB by which a parent and its two workers grow over so many calls."""
    async with workers(2) as parent:
        recorded = calls()[0]
        everybody = {"parent": psutil.Process(), **{f"worker {i}": p for i, p in enumerate(children(parent), 1)}}
        await drive(parent.handler, recorded.body, recorded, count // 10)
        before = {name: held(process) for name, process in everybody.items()}
        await drive(parent.handler, recorded.body, recorded, count)
        return [(name, held(process) - before[name]) for name, process in everybody.items()]


def lives(rounds: int) -> tuple[list[float], list[tuple[str, float]]]:
    """Seconds from start to first answer, once a round; MB of parent and workers."""
    starts, sizes = list[float](), list[tuple[str, float]]()
    for number in range(rounds):
        with (
            tempfile.TemporaryDirectory() as folder,
            serving(Path(folder)) as (process, address, started),
            grpc.insecure_channel(address, _AT_ONCE) as channel,
        ):
            ask(channel, 1)
            starts.append(time.perf_counter() - started)
            if number == rounds - 1:
                ask(channel, WARM_UP)
                everybody = {"parent": process, **{f"worker {i}": p for i, p in enumerate(process.children(), 1)}}
                sizes = [(name, held(each)) for name, each in everybody.items()]
    return starts, sizes


def main() -> int:
    """Measure, print, and with ``--check`` compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=40_000, help="of one measurement of the relay")
    parser.add_argument(
        "--flat", type=int, default=1_000_000, help="calls over which memory is to stay flat; 0 to leave it out"
    )
    parser.add_argument("--check", action="store_true", help="fail beyond the bars")
    options = parser.parse_args()
    logs.setup("error")
    print(described(), end="\n\n")
    alone, relayed = run(relay(options.rounds, options.calls))
    burned = run(burn(options.rounds))
    grown = run(growth(options.flat)) if options.flat else []
    starts, sizes = lives(options.rounds)
    added = [b - a for a, b in zip(alone, relayed, strict=True)]
    rows = [
        ["one process, µs of CPU per call", str(spread(alone))],
        ["parent and worker, µs of CPU per call", str(spread(relayed))],
        ["the relay adds, µs", str(spread(added))],
        ["1 ms hook, one worker, calls/s", str(spread(burned[1]))],
        ["1 ms hook, two workers, calls/s", str(spread(burned[2]))],
        ["start to first answer, ms", str(spread([1000 * value for value in starts]))],
    ]
    rows += [[f"{name} of `rtbridge serve`, MB", f"{size:.1f}"] for name, size in sizes]
    rows += [[f"{name}, MB more after {options.flat:,} calls", f"{size:.1f}"] for name, size in grown]
    print(table(["measured", "low / median / high"], rows), end="\n\n")
    scale = spread(burned[2]).median / spread(burned[1]).median
    verdicts = [
        Verdict("the relay adds, µs of CPU", spread(added).median, RELAY_BAR),
        Verdict("two workers to one", scale, SCALE_BAR, least=True),
        Verdict("start to first answer, s", spread(starts).median, START_BAR),
    ]
    verdicts += [Verdict(f"{name}, MB", size, PARENT_BAR if name == "parent" else WORKER_BAR) for name, size in sizes]
    verdicts += [Verdict(f"{name} grows by, MB", size, GROWTH_BAR) for name, size in grown]
    print(table(["bar", "measured", "wanted", ""], [verdict.row() for verdict in verdicts]))
    return int(options.check and not all(verdict.met for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
