"""What clients of a real Centrifugo get of the backend behind it: their RPCs in a second.

    python -m bench.centrifugo [--rounds 3] [--seconds 3] [--clients 32] [--inflight 4] [--check]

The backend has core 0; Centrifugo and the clients, a Go program in ``bench/load``, share core 1. ``--check`` fails
where rtbridge's own gRPC server has fewer calls answered than grpc-go.
"""

import argparse
import contextlib
import sys
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.contenders import MISSING, centrifugo, centrifugo_program
from bench.figures import described, spread, table
from bench.processes import build, generate, group
from bench.report import Verdict
from bench.transports import BUILTIN, GO, GRPCIO, WORKER, contenders, figure, median, ratio, started

_BEHIND: Final = (BUILTIN, WORKER, GRPCIO, GO)

#: Calls in a second, against grpc-go's: the least that rtbridge's own server may have.
BAR: Final = 1.0


class Stand(NamedTuple):
    """A backend and the Centrifugo in front of it.

    Attributes:
        name: The backend's.
        loop: The backend's event loop.
        url: Where clients connect.
        pids: The backend's processes and Centrifugo's, as generators take them.

    """

    name: str
    loop: str
    url: str
    pids: str


def main() -> int:
    """Build, measure, print."""
    parser = argparse.ArgumentParser(description="RPCs of clients of a real Centrifugo, by what is behind it.")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, all backends taking turns (3)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, after the warm-up (3)")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--inflight", type=int, default=4, help="calls of each client at once (4)")
    parser.add_argument("--check", action="store_true", help="fail where the bar is missed")
    given = parser.parse_args()
    program = centrifugo_program()
    if program is None:
        raise SystemExit(f"Centrifugo was not found: {MISSING}")

    load = f"{given.clients}×{given.inflight}"  # noqa: RUF001
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        build(folder)
        stands = []
        for contender in contenders(folder):
            if contender.name in _BEHIND:
                behind = stack.enter_context(started(contender))
                front = stack.enter_context(centrifugo(program, folder, behind, core=1))
                url = f"ws://{front.address}/connection/websocket"
                stands.append(Stand(contender.name, contender.loop, url, f"{group(behind.pid)},{front.pid}"))
        fixed = ["-clients", str(given.clients), "-inflight", str(given.inflight), "-dur", f"{given.seconds}s"]
        for number in range(given.rounds):
            for stand in stands if number % 2 == 0 else reversed(stands):
                arguments = [*fixed, "-url", stand.url, "-pids", stand.pids, "-label", stand.name]
                figures = generate(folder / "gencf", arguments, within=given.seconds + 60)
                if figures["errs"] or not figures["rps"]:
                    raise SystemExit(f"{stand.name}: {figures['errs']} calls failed of {figures['rps']} a second")
                found.setdefault((stand.name, load), []).append(figures)
                print(figures, file=sys.stderr)
    print(
        f"{load} calls, {given.rounds} rounds of {given.seconds:g} s, medians; backend on core 0, Centrifugo and "
        f"clients on core 1; {described()}\n"
    )
    rows = []
    for stand in stands:
        shots = found[stand.name, load]
        rows.append(
            [
                stand.name,
                stand.loop,
                str(spread([figure(each, "rps") for each in shots])),
                f"{ratio(found, stand.name, GO, load, 'rps'):.2f}",
                f"{median(shots, 'p50_us'):,.0f}",
                f"{median(shots, 'p99_us'):,.0f}",
                f"{median(shots, 'cpu'):.1f}",
                f"{spread([each['cpu_ms_per_1k'][1] for each in shots]).median:.1f}",
            ]
        )
    head = [
        "backend",
        "loop",
        "RPC/s, min / median / max",
        "against Go",
        "p50 µs",
        "p99 µs",
        "its CPU µs",
        "Centrifugo's",
    ]
    print(table(head, rows))
    bar = Verdict("RPC/s, rtbridge, builtin / grpc-go", ratio(found, BUILTIN, GO, load, "rps"), BAR, least=True)
    print("\n" + table(["bar", "found", "allowed", "met"], [bar.row()]))
    return int(given.check and not bar.met)


if __name__ == "__main__":
    sys.exit(main())
