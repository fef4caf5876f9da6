"""The embedded server side by side with Centrifugo and python-socketio.

    python -m bench.embedded [--rounds 3] [--seconds 3] [--only storm|fanout|paced|rpc|memory|recovery] [--check]

Servers run on core 0 and the load generator, a Go program in ``bench/load``, on core 1. ``--check`` fails where a bar
is missed. A contender that is not installed is left out; so are the bars that it sets.
"""

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeVar

from bench.contenders import Contender, Server, found, running
from bench.figures import described, save, table
from bench.outage import CLIENTS, outage
from bench.processes import build, generate, raise_file_limit
from bench.report import ONLY, PARTS, Shots, tables, verdicts

T = TypeVar("T")

#: Clients of each kind in one outage.
_CLIENTS_OF_A_KIND: Final = 3

#: Open files of a server or generator with the largest crowd.
_FILES: Final = 12_000

_STORMS: Final = (1000, 2000, 5000)
_LOADS: Final = ((1, 1), (1, 32), (8, 16))
_IDLE: Final = 5000

_SECONDS_TO_GIVE_UP: Final = 120.0

#: Seconds that a server has to be done with what left it, before the next measurement.
_REST: Final = 0.5


class Case(NamedTuple):
    """One measurement: the part it is of, its name in there, and what the generator is told."""

    part: str
    label: str
    arguments: tuple[str, ...]


def cases(part: str, seconds: float) -> list[Case]:
    """What a part asks of the generator; nothing of the one that needs none."""
    lasting = ("-dur", f"{seconds}s")
    found: dict[str, list[tuple[str, tuple[str, ...]]]] = {
        "storm": [(f"{n:,}", ("-mode", "storm", "-conns", str(n))) for n in _STORMS],
        "fanout": [(ONLY, ("-mode", "fan", *lasting))],
        "paced": [(ONLY, ("-mode", "paced", *lasting))],
        "rpc": [(f"{n}×{m}", ("-mode", "rpc", "-conns", str(n), "-inflight", str(m), *lasting)) for n, m in _LOADS],  # noqa: RUF001
        "memory": [(f"{_IDLE:,}", ("-mode", "idle", "-conns", str(_IDLE), "-limit", "60s"))],
    }
    return [Case(part, label, arguments) for label, arguments in found.get(part, ())]


def shot(generator: Path, server: Server, case: Case) -> dict[str, Any]:
    """One measurement, as the generator reports it."""
    contender = server.contender
    arguments = ["-addr", server.address, "-framing", contender.framing, "-pids", server.pids, *case.arguments]
    figures = generate(generator, [*arguments, "-label", contender.name], within=_SECONDS_TO_GIVE_UP)
    print(case.part, json.dumps(figures), file=sys.stderr)
    time.sleep(_REST)
    return figures


def turns(chosen: Sequence[T], number: int) -> Iterable[T]:
    """Who comes when in a round: a machine that slows down must not always slow down the same one."""
    return chosen if number % 2 == 0 else reversed(chosen)


def under_load(generator: Path, chosen: Sequence[Contender], asked: Sequence[Case], folder: Path, rounds: int) -> Shots:
    """Every case of every contender, on servers that stay."""
    shots = Shots()
    calls = any(case.part == "rpc" for case in asked)
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(running(each, folder, calls=calls)) for each in chosen]
        for number in range(rounds):
            for case in asked:
                for server in turns(servers, number):
                    figures = shot(generator, server, case)
                    shots.setdefault((case.part, server.contender.name, case.label), []).append(figures)
    return shots


def at_rest(generator: Path, chosen: Sequence[Contender], folder: Path, rounds: int) -> Shots:
    """Memory of every contender, each time of a server that has served nobody before."""
    shots = Shots()
    (case,) = cases("memory", 0)
    for number in range(rounds):
        for contender in turns(chosen, number):
            with running(contender, folder) as server:
                figures = shot(generator, server, case)
            shots.setdefault((case.part, contender.name, case.label), []).append(figures)
    return shots


def interrupted(chosen: Sequence[Contender], folder: Path, rounds: int) -> Shots:
    """What clients that can recover get of a stream of messages while they lose the network."""
    shots = Shots()
    kinds = [kind for kind in CLIENTS for _ in range(_CLIENTS_OF_A_KIND)]
    with contextlib.ExitStack() as stack:
        able = [each for each in chosen if each.framing == "centrifuge"]
        servers = [stack.enter_context(running(each, folder)) for each in able]
        for number in range(rounds):
            for server in turns(servers, number):
                for kind, received in zip(kinds, asyncio.run(outage(server.address, kinds)), strict=True):
                    figures = received.figures() if received is not None else {}
                    shots.setdefault(("recovery", server.contender.name, kind), []).append(figures)
    return shots


def main() -> int:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description="The embedded server side by side with its peers.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, all contenders taking turns (3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, after the warm-up (3)")
    parser.add_argument("--only", action="append", choices=tuple(PARTS), help="a part; once more for another")
    parser.add_argument("--check", action="store_true", help="fail where a bar is missed")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    given = parser.parse_args()
    wanted = [part for part in PARTS if given.only is None or part in given.only]

    raise_file_limit(_FILES)
    chosen = found()
    shots = Shots()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        build(folder)
        generator = folder / "genws"
        asked = [case for part in wanted if part != "memory" for case in cases(part, given.seconds)]
        if asked:
            shots |= under_load(generator, chosen, asked, folder, given.rounds)
        if "memory" in wanted:
            shots |= at_rest(generator, chosen, folder, given.rounds)
        if "recovery" in wanted:
            shots |= interrupted(chosen, folder, given.rounds)

    print(f"{given.rounds} rounds of {given.seconds:g} s; min / median / max of rounds; servers on core 0, ", end="")
    print(f"generator on core 1; {described()}\n\n{tables(shots)}\n")
    bars = verdicts(shots)
    print(table(["bar", "found", "allowed", "met"], [each.row() for each in bars]))
    if given.json:
        save(given.json, {"shots": [{"of": key, "rounds": found} for key, found in shots.items()]})
    return 1 if given.check and not all(each.met for each in bars) else 0


if __name__ == "__main__":
    sys.exit(main())
