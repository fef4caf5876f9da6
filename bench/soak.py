"""Whether a gRPC server grows with the calls that it answers: two million of them, no two alike.

    python -m bench.soak [--server builtin|worker|grpcio] [--calls 2000000] [--check]

Every call has a user, a payload and a header that never come again; two in a hundred are of a method that nobody has,
one in a hundred is given up by its caller, and one in five thousand has a connection of its own. The server runs on
core 0, the generator on core 1. ``--check`` fails when a process of the server grew by more than the bar, or a call
had no answer or a wrong one.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import psutil

from bench.figures import described, table
from bench.processes import OWN, build, family, generate, serving
from bench.report import Verdict

#: MiB that a process may grow by after the warm-up.
BAR: Final = 4.0

#: Calls after which caches are full and pools have their size, as a share of all.
WARM_UP: Final = 0.1

PARTS: Final = 8

#: Seconds that a call has. What watches deadlines keeps room for them until they are over, so memory is only flat in a
#: run that is longer than this.
TIMEOUT: Final = 2.0

#: Seconds until all that a part left behind is gone: deadlines that were set, connections that were closed.
REST: Final = TIMEOUT + 0.5

#: What becomes of calls, as the generator counts it.
OUTCOMES: Final = ("answered", "refused", "given_up", "failed")

_MEBIBYTE: Final = 2**20


def part(generator: Path, address: str, first: int, calls: int) -> dict[str, Any]:
    """Have so many calls made, and say what became of them."""
    arguments = ["-addr", address, "-first", str(first), "-calls", str(calls), "-timeout", f"{TIMEOUT}s"]
    found = generate(generator, arguments, within=60 + calls / 200)
    time.sleep(REST)
    return found


def resident(processes: dict[str, psutil.Process]) -> dict[str, float]:
    """MiB that each process holds."""
    return {name: process.memory_info().rss / _MEBIBYTE for name, process in processes.items()}


def main() -> int:
    """Measure, print, and with ``--check`` compare with the bar."""
    parser = argparse.ArgumentParser(description="Whether a gRPC server grows with the calls that it answers.")
    parser.add_argument("--server", choices=("builtin", "worker", "grpcio"), default="builtin")
    parser.add_argument("--calls", type=int, default=2_000_000, help="after the warm-up (2000000)")
    parser.add_argument("--check", action="store_true", help="exit code 1 when a bar is missed")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        generator = Path(folder) / "gensoak"
        with serving(given.server, (*OWN, given.server), quiet=True) as running:
            server, *workers = family(running.pid)
            processes = {"server": server, **{f"worker {n}": each for n, each in enumerate(workers, 1)}}
            warm = int(given.calls * WARM_UP)
            total = part(generator, running.address, 0, warm)
            complaints = [total["complaint"]] if total["complaint"] else []
            start = resident(processes)
            rows, done = [[f"{warm:,}", *(f"{size:.1f}" for size in start.values())]], warm
            for number in range(PARTS):
                share = given.calls // PARTS
                found = part(generator, running.address, done, share)
                done += share
                rows.append([f"{done:,}", *(f"{size:.1f}" for size in resident(processes).values())])
                for outcome in OUTCOMES:
                    total[outcome] += found[outcome]
                complaints += [found["complaint"]] if found["complaint"] else []
                print(f"{number + 1} of {PARTS}: {rows[-1]}, {found}", file=sys.stderr)
            grown = {name: size - start[name] for name, size in resident(processes).items()}
    print(described() + "\n")
    print(table(["calls", *(f"{name}, MiB" for name in start)], rows))
    print("\n" + ", ".join([*(f"{total[each]:,} {each.replace('_', ' ')}" for each in OUTCOMES), *complaints]) + "\n")
    bars = [Verdict(f"{name} grew by, MiB", size, BAR) for name, size in grown.items()]
    bars.append(Verdict("calls without the right answer", total["failed"], 0))
    print(table(["bar", "found", "allowed", "met"], [each.row() for each in bars]))
    return int(given.check and not all(each.met for each in bars))


if __name__ == "__main__":
    sys.exit(main())
