"""What the HTTP server costs: a hello beside bare uvicorn, and chunks of 1 KiB from generators.

    python -m bench.http [--rounds 5] [--seconds 3] [--json FILE] [--check]

Servers are on core 0, whoever asks is on core 1; contenders take turns. *hello*: GET of a few bytes over 32
connections, answered by the same ASGI application on uvicorn alone and behind ``http.app``, as an HTTP worker runs it;
the generator in ``bench/load`` asks, and `wrk <https://github.com/wg/wrk>`_ besides where it is installed.
*stream*: one reader takes what an endless generator yields. ``--check`` fails beyond 1.1 times what bare uvicorn takes,
beyond half of the 130 µs that RoadRunner and PHP take for a hello, and below 50,000 chunks a second of async and 30,000
of sync generators.
"""

import argparse
import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import psutil

from bench.figures import Spread, described, save, spread, table
from bench.pages import CHUNK
from bench.processes import LOAD, OWN, ROOT, Running, build, generate, pinned, serving
from bench.report import Verdict, cpu

HELLO_BAR: Final = 1.1
ROADRUNNER_BAR: Final = 65.0
ASYNC_BAR: Final = 50_000.0
SYNC_BAR: Final = 30_000.0

CONNECTIONS: Final = 32

BARE: Final = "bare uvicorn"
OURS: Final = "rtbridge"

#: Seconds before a stream is measured.
_WARM: Final = 0.3


def hello(programs: Path, name: str, server: Running, seconds: float) -> dict[str, Any]:
    """One round of hellos, as the generator reports it."""
    arguments = ["-addr", server.address, "-pids", str(server.pid), "-label", name, "-get", "/", "-size", "5"]
    arguments += ["-conns", str(CONNECTIONS), "-dur", f"{seconds}s", "-warm", "500ms"]
    figures = generate(programs / "genhttp", arguments, within=seconds + 60)
    if figures["errs"] or not figures["rps"]:
        raise SystemExit(f"{name}: {figures['errs']} requests failed of {figures['rps']} a second")
    return figures


def hello_of_wrk(name: str, server: Running, seconds: float) -> dict[str, Any]:
    """One round of hellos that wrk asks for: the same figures."""
    process = psutil.Process(server.pid)
    command = [*pinned(1), "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s"]
    before = process.cpu_times()
    done = subprocess.run(
        [*command, "-s", str(LOAD / "wrk.lua"), f"http://{server.address}/"],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
    )
    after = process.cpu_times()
    if done.returncode:
        raise SystemExit(f"{name}: {done.stdout}{done.stderr}")
    found = json.loads(done.stdout.splitlines()[-1])
    if found["errs"] or not found["requests"]:
        raise SystemExit(f"{name}: {found['errs']} requests failed of {found['requests']}")
    busy = after.user + after.system - before.user - before.system
    return {**found, "rps": found["requests"] / found["seconds"], "cpu_ms_per_1k": [busy * 1e6 / found["requests"]]}


def read(address: str, path: str, seconds: float) -> dict[str, float]:
    """What this process reads of an endless stream: bytes, and how long it took."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
        buffer = bytearray(1024 * 1024)
        warm = time.monotonic() + _WARM
        while time.monotonic() < warm:
            connection.recv_into(buffer)
        size, began = 0, time.monotonic()
        while time.monotonic() < began + seconds:
            size += connection.recv_into(buffer)
        return {"bytes": size, "seconds": time.monotonic() - began}


def stream(server: Running, path: str, seconds: float) -> dict[str, float]:
    """Chunks a second that one reader gets, and the share of its core that the server took for them."""
    process = psutil.Process(server.pid)
    command = [*pinned(1), sys.executable, "-m", "bench.http", "--read", server.address, path, str(seconds)]
    before, began = process.cpu_times(), time.monotonic()
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60
    )
    after, took = process.cpu_times(), time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"{path}: {done.stderr}")
    found = json.loads(done.stdout)
    busy = (after.user + after.system - before.user - before.system) / took
    return {"chunks": found["bytes"] / len(CHUNK) / found["seconds"], "busy": busy}


def main() -> int:
    """Measure, print, and with ``--check`` compare."""
    parser = argparse.ArgumentParser(description="What the HTTP server costs.")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, contenders taking turns (5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement (3)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--check", action="store_true", help="fail when a bar is missed")
    parser.add_argument("--read", nargs=3, metavar=("ADDRESS", "PATH", "SECONDS"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        address, path, seconds = given.read
        print(json.dumps(read(address, path, float(seconds))))
        return 0

    wrk = shutil.which("wrk") is not None
    shots: dict[str, list[dict[str, Any]]] = {BARE: [], OURS: []}
    shots |= {f"{name}, wrk": [] for name in shots if wrk}
    streams: dict[str, list[dict[str, float]]] = {"/async": [], "/sync": []}
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        programs = Path(folder)
        build(programs)
        bare = stack.enter_context(serving(BARE, (*OWN, "bare-web")))
        ours = stack.enter_context(serving(OURS, (*OWN, "web")))
        for number in range(given.rounds):
            turns = [(BARE, bare), (OURS, ours)]
            for name, server in turns if number % 2 == 0 else reversed(turns):
                shots[name].append(hello(programs, name, server, given.seconds))
            for name, server in (turns if number % 2 == 0 else reversed(turns)) if wrk else ():
                shots[f"{name}, wrk"].append(hello_of_wrk(name, server, given.seconds))
            for path, found in streams.items():
                found.append(stream(ours, path, given.seconds))

    costs = {name: cpu(found) for name, found in shots.items()}
    if not wrk:
        print("wrk is not installed, so its rows are left out: apt install wrk\n")
    print(f"{given.rounds} rounds of {given.seconds:g} s; servers on core 0, whoever asks on core 1; {described()}\n")
    head = ["hello", "CPU µs, min / median / max", "requests/s", "p50 µs", "p99 µs"]
    print(table(head, [_row(name, costs[name], found) for name, found in shots.items()]))
    print()
    rows = [
        [f"{path[1:]} generator", str(spread([one["chunks"] for one in found])), _share(found)]
        for path, found in streams.items()
    ]
    print(table(["stream", "chunks of 1 KiB a second, min / median / max", "core busy"], rows))
    print()
    verdicts = [
        Verdict("hello, times bare uvicorn's CPU", _against(shots[OURS], shots[BARE]).median, HELLO_BAR),
        Verdict("hello, CPU µs", costs[OURS].median, ROADRUNNER_BAR),
        Verdict(
            "chunks/s, async generator", spread([one["chunks"] for one in streams["/async"]]).median, ASYNC_BAR, True
        ),
        Verdict("chunks/s, sync generator", spread([one["chunks"] for one in streams["/sync"]]).median, SYNC_BAR, True),
    ]
    if wrk:
        times = _against(shots[f"{OURS}, wrk"], shots[f"{BARE}, wrk"])
        verdicts.insert(1, Verdict("hello of wrk, times bare uvicorn's CPU", times.median, HELLO_BAR))
    print(table(["bar", "found", "wanted", "met"], [each.row() for each in verdicts]))
    if given.json:
        save(given.json, {"hello": shots, "stream": streams})
    return 1 if given.check and not all(each.met for each in verdicts) else 0


def _against(ours: list[dict[str, Any]], bare: list[dict[str, Any]]) -> Spread:
    """Round by round, what ours takes for what the bare one takes."""
    pairs = zip(ours, bare, strict=True)
    return spread([one["cpu_ms_per_1k"][0] / other["cpu_ms_per_1k"][0] for one, other in pairs])


def _row(name: str, cost: Spread, found: list[dict[str, Any]]) -> list[str]:
    middle = {key: spread([one[key] for one in found]).median for key in ("rps", "p50_us", "p99_us")}
    return [name, str(cost), *(f"{middle[key]:,.0f}" for key in ("rps", "p50_us", "p99_us"))]


def _share(found: list[dict[str, float]]) -> str:
    return f"{spread([one['busy'] for one in found]).median:.0%}"


if __name__ == "__main__":
    sys.exit(main())
