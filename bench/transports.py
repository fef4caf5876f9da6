"""What a call costs on each transport, side by side with the bare library under it.

    python -m bench.transports [--rounds 3] [--seconds 3] [--loads 1x1,1x32,8x16] [--only grpc|http] [--json FILE]

Servers run on core 0 and the load generator on core 1. The generators, and the baseline on grpc-go, are Go programs in
``bench/load`` and are built first; without Go there is nothing to measure with.
"""

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.figures import Spread, described, save, spread, table
from bench.processes import OWN, Running, build, free_port, generate, serving


class Contender(NamedTuple):
    """A server that is measured.

    Attributes:
        name: As tables show it.
        wire: ``grpc`` or ``http``: which generator speaks to it.
        command: What starts it; it listens on the address that follows, or prints its own.
        base: What its figures are held against.

    """

    name: str
    wire: str
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


def contenders(programs: Path) -> list[Contender]:
    """Ours, the bare libraries, and grpc-go."""
    return [
        Contender("rtbridge, grpcio", "grpc", (*OWN, "grpcio"), "bare grpc.aio"),
        Contender("rtbridge, builtin", "grpc", (*OWN, "builtin"), "bare grpc.aio"),
        Contender("bare grpc.aio", "grpc", (*OWN, "bare-grpc"), "bare grpc.aio"),
        Contender("grpc-go", "grpc", (str(programs / "gogrpc"), "-addr"), "bare grpc.aio"),
        Contender("rtbridge, http", "http", (*OWN, "http"), "bare ASGI"),
        Contender("bare ASGI", "http", (*OWN, "bare-http"), "bare ASGI"),
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
        *("-addr", address, "-pids", str(pid), "-label", contender.name),
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
        for load in loads:
            for contender in chosen:
                if contender.wire != wire:
                    continue
                cost = cpu(found[contender.name, str(load)])
                base = cpu(found[contender.base, str(load)])
                shots = found[contender.name, str(load)]
                lines.append(
                    [
                        contender.name,
                        str(load),
                        str(cost),
                        f"{cost.median / base.median:.2f}",
                        f"{spread([each['rps'] for each in shots]).median:,.0f}",
                        f"{spread([each['p50_us'] for each in shots]).median:,.0f}",
                        f"{spread([each['p99_us'] for each in shots]).median:,.0f}",
                        f"{spread([each['gen_cpu'] for each in shots]).median:.0%}",
                    ]
                )
    return lines


def cpu(shots: Sequence[dict[str, Any]]) -> Spread:
    """Milliseconds of the server's CPU for a thousand calls, which is microseconds for one."""
    return spread([each["cpu_ms_per_1k"][0] for each in shots])


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
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    given = parser.parse_args()
    loads = [_load(text) for text in given.loads.split(",")]

    with tempfile.TemporaryDirectory() as folder:
        programs = Path(folder)
        build(programs)
        chosen = [each for each in contenders(programs) if given.only in (None, each.wire)]
        found = measure(programs, chosen, loads, given.rounds, given.seconds)
    print(
        f"{given.rounds} rounds of {given.seconds:g} s, medians; server on core 0, generator on core 1; {described()}\n"
    )
    head = [
        "server",
        "load",
        "CPU ms per 1,000 calls, min / median / max",
        "against bare",
        "calls/s",
        "p50 µs",
        "p99 µs",
        "generator busy",
    ]
    print(table(head, rows(found, chosen, loads)))
    if given.json:
        save(given.json, {"shots": [{"server": n, "load": load, "rounds": r} for (n, load), r in found.items()]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
