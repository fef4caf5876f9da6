"""What a call costs on each transport, side by side with the bare library under it, and with grpc-go.

    python -m bench.transports [--rounds 3] [--seconds 3] [--loads 1x1,1x32,8x16] [--only grpc|http] [--check]
                               [--servers NAME;…] [--json FILE]

Servers run on core 0 and the load generator on core 1. The generators, and the baseline on grpc-go, are Go programs in
``bench/load`` and are built first; without Go there is nothing to measure with. ``--check`` fails where rtbridge's own
gRPC server misses a bar; every bar is a ratio to another server of the same rounds.
"""

import argparse
import contextlib
import importlib.util
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.figures import described, save, spread, table
from bench.processes import OWN, Running, build, free_port, generate, group, serving
from bench.report import Verdict


class Contender(NamedTuple):
    """A server that is measured.

    Attributes:
        name: As tables show it.
        wire: ``grpc`` or ``http``: which generator speaks to it.
        loop: What its event loop is.
        command: What starts it; it listens on the address that follows, or prints its own.
        base: The bare library that its figures are held against.

    """

    name: str
    wire: str
    loop: str
    command: tuple[str, ...]
    base: str


class Load(NamedTuple):
    """Connections, and calls in flight on each. HTTP has one in flight on a connection, so it opens more of them."""

    connections: int
    inflight: int

    def __str__(self) -> str:
        return f"{self.connections}×{self.inflight}"  # noqa: RUF001

    def arguments(self, wire: str) -> list[str]:
        if wire == "http":
            return ["-conns", str(self.connections * self.inflight)]
        return ["-conns", str(self.connections), "-inflight", str(self.inflight)]


Measured = dict[tuple[str, str], list[dict[str, Any]]]


GRPCIO: Final = "rtbridge, grpcio"
BUILTIN: Final = "rtbridge, builtin"
WORKER: Final = "rtbridge, builtin, parent and 1 worker"
GO: Final = "grpc-go"

#: What servers of ours run on where nothing else is said.
LOOP: Final = "uvloop" if importlib.util.find_spec("uvloop") is not None else "asyncio"


def contenders(programs: Path) -> list[Contender]:
    """Ours, the bare libraries, and grpc-go."""
    grpc, http = "bare grpc.aio", "bare ASGI"
    found = [
        Contender(BUILTIN, "grpc", LOOP, (*OWN, "builtin"), grpc),
        Contender(WORKER, "grpc", LOOP, (*OWN, "worker"), grpc),
        Contender(GRPCIO, "grpc", LOOP, (*OWN, "grpcio"), grpc),
        Contender(grpc, "grpc", LOOP, (*OWN, "bare-grpc"), grpc),
        Contender(GO, "grpc", "Go", (str(programs / "gogrpc"), "-addr"), grpc),
        Contender("rtbridge, http", "http", LOOP, (*OWN, "http"), http),
        Contender(http, "http", LOOP, (*OWN, "bare-http"), http),
    ]
    if LOOP != "asyncio":
        found.insert(1, Contender(f"{BUILTIN}, asyncio", "grpc", "asyncio", (*OWN, "builtin", "asyncio"), grpc))
    return found


#: What rtbridge's own gRPC server is held to: (server, load, figure, base, ratio, whether that is the least).
BARS: Final = (
    (BUILTIN, "1×32", "cpu", GO, 1.0, False),  # noqa: RUF001
    (BUILTIN, "8×16", "cpu", GO, 1.1, False),  # noqa: RUF001
    (BUILTIN, "1×1", "cpu", GO, 1.15, False),  # noqa: RUF001
    (BUILTIN, "1×1", "p50_us", GO, 1.15, False),  # noqa: RUF001
    (WORKER, "1×32", "cpu", GO, 1.6, False),  # noqa: RUF001
    (GRPCIO, "1×32", "cpu", BUILTIN, 8.0, True),  # noqa: RUF001
)


def verdicts(found: Measured) -> list[Verdict]:
    """The bars whose servers and loads were measured, and what was found."""
    shown = {"cpu": "CPU per call", "p50_us": "p50"}
    return [
        Verdict(f"{name}, {load}, {shown[key]} / {base}", ratio(found, name, base, load, key), bar, least=least)
        for name, load, key, base, bar, least in BARS
        if (name, load) in found and (base, load) in found
    ]


@contextlib.contextmanager
def started(contender: Contender) -> Iterator[Running]:
    """The contender's server, running."""
    address = ""
    command = list(contender.command)
    if command[-1] == "-addr":
        address = f"127.0.0.1:{free_port()}"
        command.append(address)
    with serving(contender.name, command, address) as running:
        yield running


def shot(programs: Path, contender: Contender, address: str, pid: int, load: Load, seconds: float) -> dict[str, Any]:
    """One round of one load, as the generator reports it."""
    arguments = [
        *("-addr", address, "-pids", group(pid), "-label", contender.name),
        *("-dur", f"{seconds}s", "-warm", "500ms"),
        *load.arguments(contender.wire),
    ]
    figures = generate(programs / f"gen{contender.wire}", arguments, within=seconds + 60)
    if figures["errs"] or not figures["rps"]:
        raise SystemExit(f"{contender.name}, {load}: {figures['errs']} calls failed of {figures['rps']} a second")
    return figures


def measure(
    programs: Path, chosen: Sequence[Contender], loads: Sequence[Load], rounds: int, seconds: float
) -> Measured:
    """Every contender under every load, taking turns."""
    found = Measured()
    with contextlib.ExitStack() as stack:
        running = [(each, *stack.enter_context(started(each))) for each in chosen]
        for number in range(rounds):
            for load in loads:
                # Who goes first changes: a machine that slows down must not always slow down the same one.
                for contender, address, pid in running if number % 2 == 0 else reversed(running):
                    figures = shot(programs, contender, address, pid, load, seconds)
                    found.setdefault((contender.name, str(load)), []).append(figures)
                    time.sleep(0.2)
    return found


def rows(found: Measured, chosen: Sequence[Contender], loads: Sequence[Load]) -> list[list[str]]:
    """One line for each contender and load."""
    lines = []
    for wire in ("grpc", "http"):
        for load in map(str, loads):
            for contender in chosen:
                if contender.wire != wire:
                    continue
                shots = found[contender.name, load]
                against = [
                    f"{ratio(found, contender.name, base, load):.2f}" if (base, load) in found else ""
                    for base in (contender.base, GO)
                ]
                lines.append(
                    [
                        contender.name,
                        contender.loop,
                        load,
                        str(spread([figure(each, "cpu") for each in shots])),
                        *against,
                        *(f"{median(shots, key):,.0f}" for key in ("rps", "p50_us", "p99_us")),
                        f"{median(shots, 'gen_cpu'):.0%}",
                    ]
                )
    return lines


def figure(shot: dict[str, Any], key: str) -> float:
    """One figure of a round; ``cpu`` is milliseconds of the server for a thousand calls, microseconds for one."""
    return float(shot["cpu_ms_per_1k"][0] if key == "cpu" else shot[key])


def median(shots: Sequence[dict[str, Any]], key: str) -> float:
    """A figure's median over the rounds."""
    return spread([figure(each, key) for each in shots]).median


def ratio(found: Measured, name: str, base: str, load: str, key: str = "cpu") -> float:
    """One server's figure against another's: the median of the rounds, in each of which they took turns."""
    pairs = zip(found[name, load], found[base, load], strict=True)
    return spread([figure(one, key) / figure(other, key) for one, other in pairs]).median


def _load(text: str) -> Load:
    connections, _, inflight = text.partition("x")
    return Load(int(connections), int(inflight))


def main() -> int:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description="What a call costs on each transport.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, all contenders taking turns (3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, after the warm-up (3)")
    parser.add_argument("--loads", default="1x1,1x32,8x16", help="connections x calls in flight (1x1,1x32,8x16)")
    parser.add_argument("--only", choices=("grpc", "http"), help="one of the two transports")
    parser.add_argument("--servers", help="of all servers only those, by name, with a semicolon between two")
    parser.add_argument("--check", action="store_true", help="fail where a bar is missed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    given = parser.parse_args()
    loads = [_load(text) for text in given.loads.split(",")]

    with tempfile.TemporaryDirectory() as folder:
        programs = Path(folder)
        build(programs)
        named = None if given.servers is None else [name.strip() for name in given.servers.split(";")]
        there = [each for each in contenders(programs) if given.only in (None, each.wire)]
        chosen = [each for each in there if named is None or each.name in named]
        if not chosen:
            parser.error(f"there are these servers: {'; '.join(each.name for each in there)}")
        found = measure(programs, chosen, loads, given.rounds, given.seconds)
    print(
        f"{given.rounds} rounds of {given.seconds:g} s, medians; server on core 0, generator on core 1; {described()}\n"
    )
    head = [
        "server",
        "loop",
        "load",
        "CPU ms per 1,000 calls, min / median / max",
        "against bare",
        "against Go",
        "calls/s",
        "p50 µs",
        "p99 µs",
        "generator busy",
    ]
    print(table(head, rows(found, chosen, loads)))
    bars = verdicts(found)
    if bars:
        print("\n" + table(["bar", "found", "allowed", "met"], [each.row() for each in bars]))
    if given.json:
        save(given.json, {"shots": [{"server": n, "load": load, "rounds": r} for (n, load), r in found.items()]})
    return int(given.check and not all(each.met for each in bars))


if __name__ == "__main__":
    sys.exit(main())
