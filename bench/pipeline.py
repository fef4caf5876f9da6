"""CPU time of one event, from the request's bytes to the answer's, without a network.

    python -m bench.pipeline [--events 20000] [--rounds 7] [--json FILE] [--check]

``--check`` fails when the whole way of an event costs more than the bar.
"""

import argparse
import asyncio
import gc
import os
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple, TextIO

from bench.figures import Spread, described, save, spread, table
from bench.recorded import Recorded, calls
from bench.workload import Around, Blocking, Chat, application
from rtbridge import logs
from rtbridge.app import Runtime
from rtbridge.cli.lifetime import run
from rtbridge.codec import JSON, PROTO
from rtbridge.events import Outcome
from rtbridge.transport.memory import MemoryTransport

#: Microseconds of CPU that an event may cost, and what is aimed at.
BAR: Final = 15.0
AIM: Final = 8.0

#: Centrifugo's default timeout of a proxy, in seconds: each of its calls carries one.
DEADLINE: Final = 1.0

Work = Callable[[int], Awaitable[None]]


def nothing() -> None:
    """No preparation."""


class Case(NamedTuple):
    """Something to measure."""

    name: str
    part: str
    work: Work
    prepare: Callable[[], None] = nothing


async def measured(work: Work, events: int) -> float:
    """Seconds of the process's CPU time, in all threads; what the events leave to the loop is part of it."""
    started = time.process_time()
    await work(events)
    await asyncio.sleep(0)
    return time.process_time() - started


class Stages:
    """The way of one recorded call, cut off after each of its stages."""

    def __init__(self, call: Recorded, memory: MemoryTransport, runtime: Runtime) -> None:
        self.call = call
        self._memory = memory
        self._codec = (PROTO if call.wire == "proto" else JSON)[call.kind]
        self._chain = runtime.chains[call.kind]
        self._clock = runtime.bridge.clock

    async def decode(self, events: int) -> None:
        """Bytes to event."""
        memory, decode, headers, body = self._memory, self._codec.decode, self.call.headers, self.call.body
        for _ in range(events):
            decode(body, memory.call(headers, DEADLINE))

    async def chain(self, events: int) -> None:
        """Bytes to event, and through the hooks."""
        memory, decode, headers, body = self._memory, self._codec.decode, self.call.headers, self.call.body
        run = self._chain.run
        for _ in range(events):
            await run(decode(body, memory.call(headers, DEADLINE)))

    async def encode(self, events: int) -> None:
        """Bytes to event, through the hooks, and the answer to bytes."""
        memory, decode, headers, body = self._memory, self._codec.decode, self.call.headers, self.call.body
        run, encode, clock = self._chain.run, self._codec.encode, self._clock
        for _ in range(events):
            encode(Outcome(result=await run(decode(body, memory.call(headers, DEADLINE)))), clock)

    async def whole(self, events: int) -> None:
        """The same through the bridge: admission, deadline, outcome, log level."""
        request, call = self._memory.request, self.call
        kind, body, wire, headers = call.kind, call.body, call.wire, call.headers
        for _ in range(events):
            await request(kind, body, wire=wire, headers=headers, deadline=DEADLINE)


async def verify(call: Recorded, memory: MemoryTransport, *, denied: bool = False) -> None:
    """A figure of calls that fail is worth nothing."""
    reply = await memory.request(call.kind, call.body, wire=call.wire, headers=call.headers, deadline=DEADLINE)
    if denied != reply.outcome.denied_by_default or (not denied and (reply.outcome.result is None)):
        raise SystemExit(f"{call.wire} {call.kind} gave {reply.outcome.label}: {reply.outcome.why}")


Figures = dict[str, dict[str, list[float]]]

#: Events of one case before the next has its turn: what else the machine does then weighs on all of them alike.
CHUNK: Final = 1000


async def interleaved(cases: Sequence[Case], rounds: int, events: int) -> Figures:
    """Microseconds per event by name and by what is told apart under it, one figure a round."""
    for case in cases:
        case.prepare()
        await measured(case.work, CHUNK)
    found: Figures = {}
    for _ in range(rounds):
        spent = dict.fromkeys(cases, 0.0)
        gc.collect()
        for _ in range(events // CHUNK):
            for case in cases:
                case.prepare()
                spent[case] += await measured(case.work, CHUNK)
        for case, seconds in spent.items():
            figure = seconds / (events // CHUNK * CHUNK) * 1e6
            found.setdefault(case.name, {}).setdefault(case.part, []).append(figure)
    return found


async def stages(rounds: int, events: int) -> Figures:
    """The stages of every recorded call."""
    runtime = application()
    await runtime.boot()
    memory = MemoryTransport(runtime.bridge)
    cases: list[Case] = []
    for call in calls():
        await verify(call, memory)
        way = Stages(call, memory, runtime)
        works = {"decode": way.decode, "chain": way.chain, "encode": way.encode, "whole": way.whole}
        cases += [Case(f"{call.kind}, {call.wire}", stage, work) for stage, work in works.items()]
    found = await interleaved(cases, rounds, events)
    await runtime.shutdown()
    return found


async def variations(rounds: int, events: int, sink: TextIO) -> Figures:
    """The whole way of an RPC, with something added or nobody there to answer."""
    plain, blocking, around = application(), application(Blocking()), application(Around())
    routed = application(plugins=[Chat()])
    quiet = partial(logs.setup, "warning", stream=sink)
    told = partial(logs.setup, "info", "console", sink)
    told_json = partial(logs.setup, "info", "json", sink)
    kinds: list[tuple[str, Runtime, Callable[[], None], bool]] = [
        ("five plugins", plain, quiet, False),
        ("and a blocking hook", blocking, quiet, False),
        ("and a middleware and a wrapper", around, quiet, False),
        ("and info lines, console", plain, told, False),
        ("and info lines, json", plain, told_json, False),
        ("a router alone", routed, quiet, False),
        ("a router alone, no route matches: denied", routed, quiet, True),
    ]
    recorded = [call for call in calls() if call.kind == "rpc"]
    cases: list[Case] = []
    quiet()
    for name, runtime, log, denied in kinds:
        await runtime.boot()
        memory = MemoryTransport(runtime.bridge)
        for call in recorded:
            if denied:  # a method of the same length that nobody routes
                call = call._replace(body=call.body.replace(b"sum", b"mul"))
            await verify(call, memory, denied=denied)
            cases.append(Case(name, call.wire, Stages(call, memory, runtime).whole, log))
    found = await interleaved(cases, rounds, events)
    for runtime in (plain, blocking, around, routed):
        await runtime.shutdown()
    return found


def stage_rows(found: Figures) -> list[list[str]]:
    """The whole with its spread, and what each stage adds: the median of the rounds' differences."""
    rows = []
    for name, ends in found.items():
        cells = [name, str(spread(ends["whole"])), f"{spread(ends['decode']).median:.1f}"]
        for before, stage in pairwise(("decode", "chain", "encode", "whole")):
            added = [end - start for start, end in zip(ends[before], ends[stage], strict=True)]
            cells.append(f"{spread(added).median:.1f}")
        rows.append(cells)
    return rows


def main() -> int:
    """Measure, print, and with ``--check`` compare with the bar."""
    parser = argparse.ArgumentParser(description="CPU time of one event, without a network.")
    parser.add_argument("--events", type=int, default=20_000, help="events per round (20000)")
    parser.add_argument("--rounds", type=int, default=7, help="rounds, all cases interleaved (7)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--check", action="store_true", help=f"exit code 1 when an event costs more than {BAR:.0f} µs")
    given = parser.parse_args()

    logs.setup("warning")
    staged = run(stages(given.rounds, given.events))
    with Path(os.devnull).open("w") as sink:
        varied = run(variations(given.rounds, max(CHUNK, given.events // 4), sink))

    print(f"{given.rounds} rounds of {given.events} events; {described()}\n")
    print("CPU µs per event; whole: min / median / max, stages: what each adds to the median\n")
    print(table(["event, wire", "whole", "decode", "hooks", "encode", "bridge"], stage_rows(staged)))
    print("\nThe whole way of an RPC with something added, min / median / max\n")
    rows = [[name, *(str(spread(by_wire[wire])) for wire in ("proto", "json"))] for name, by_wire in varied.items()]
    print(table(["", "proto", "json"], rows))
    if given.json:
        save(given.json, {"stages_us": staged, "variations_us": varied})
    worst: Spread = max((spread(by_stage["whole"]) for by_stage in staged.values()), key=lambda each: each.median)
    met = worst.median <= BAR
    print(f"\nworst median {worst.median:.1f} µs; bar {BAR:.0f}, aim {AIM:.0f}: {'met' if met else 'MISSED'}")
    return 1 if given.check and not met else 0


if __name__ == "__main__":
    sys.exit(main())
