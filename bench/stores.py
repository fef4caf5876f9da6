"""Stores in memory, used from where they are not: from a worker over its socketpair, and from outside over the RPC.

    python -m bench.stores [--rounds 3] [--gets 20000] [--check]

The value has 100 bytes. *sequential* asks again when it has the answer, *32 at once* has 32 askers on one event loop;
the Python front (key check, serializer) is part of both. The outside process is held against a bare grpcio unary call
of as many bytes, in the same run. ``--check`` fails when a bar is missed.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import grpc.aio

from bench.figures import described, spread, table
from bench.processes import ROOT, rtbridge_serve
from bench.report import Verdict
from rtbridge import logs
from rtbridge.codec.descriptors import message_class
from rtbridge.config import parse_config
from rtbridge.events import Call, Headers
from rtbridge.loops import run
from rtbridge.workers.parent import Parent

IN_FLIGHT: Final = 32

#: Gets per second that a worker reaches at least, one after the other and many at once; and what a process outside
#: reaches of a bare gRPC call.
SEQUENTIAL_BAR: Final = 12_000
AT_ONCE_BAR: Final = 40_000
OUTSIDE_BAR: Final = 0.8

_REQUEST: Final = "centrifugal.centrifugo.proxy.RPCRequest"


async def rates(ask: Callable[[], Awaitable[object]], count: int) -> tuple[float, float]:
    """How often something is answered per second: one after the other, and many at once."""
    started = time.perf_counter()
    for _ in range(count):
        await ask()
    sequential = count / (time.perf_counter() - started)
    left = count

    async def asker() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await ask()

    started = time.perf_counter()
    await asyncio.gather(*(asker() for _ in range(IN_FLIGHT)))
    return sequential, count / (time.perf_counter() - started)


async def gets(store: Any, count: int) -> tuple[float, float]:
    """Gets per second of a store."""
    await store.set("key", "x" * 100)
    return await rates(lambda: store.get("key"), count)


async def from_a_worker(rounds: int, count: int) -> list[tuple[float, float]]:
    """What a hook reaches."""
    given = {
        "version": "3",
        "centrifuge": {"proxy_address": None, "pool": {"num_workers": 1}},
        "kv": {"s": {"driver": "memory"}},
        "logs": {"level": "error"},
        "rtbridge": {"entry_points": False, "plugins": ["bench.asks_stores"]},
    }
    parent = Parent(parse_config(given).config)
    parent.start(lazy=False)
    try:
        await parent.boot()
        found: list[tuple[float, float]] = []
        for _ in range(rounds):
            request = message_class(_REQUEST)(data=str(count).encode()).SerializeToString()
            reply = await parent.handler.unary("rpc", "proto")(request, Call(Headers(()), "bench"))
            answer = message_class("centrifugal.centrifugo.proxy.RPCResponse").FromString(reply.payload)
            sequential, at_once = json.loads(answer.result.data)
            found.append((sequential, at_once))
        return found
    finally:
        await parent.stop([])


OUTSIDE: Final = """
import asyncio, json, sys
import rtbridge
from bench.stores import bare, gets
rtbridge.load_config()
async def main():
    print(json.dumps([await gets(rtbridge.kv("s"), int(sys.argv[1])), await bare(int(sys.argv[1]))]))
asyncio.run(main())
"""


async def bare(count: int) -> tuple[float, float]:
    """Calls per second of grpc.aio alone, to a server in another process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.asks_stores", stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    address = (await process.stdout.readline()).decode().strip()
    try:
        async with grpc.aio.insecure_channel(address) as channel:
            send: Any = channel.unary_unary("/bench.Echo/Echo")
            body = b"x" * 120
            await send(body)
            return await rates(lambda: send(body), count)
    finally:
        process.terminate()
        await process.wait()


def from_outside(rounds: int, count: int) -> list[list[tuple[float, float]]]:
    """What a script reaches, and bare grpcio beside it."""
    found: list[list[tuple[float, float]]] = []
    with tempfile.TemporaryDirectory() as folder:
        text = f'version: "3"\nrpc: {{listen: "unix://{folder}/rpc.sock"}}\nkv: {{s: {{driver: memory}}}}\n'
        text += "centrifuge: {proxy_address: '127.0.0.1:0', pool: {num_workers: 1}}\nlogs: {level: error}\n"
        text += "rtbridge: {entry_points: false}\n"
        with rtbridge_serve(Path(folder), text) as server:
            assert server.stdout is not None
            while server.stdout.readline().strip() != "ready":
                if server.poll() is not None:
                    raise SystemExit("rtbridge serve did not start")
            for _ in range(rounds):
                script = [sys.executable, "-c", OUTSIDE, str(count)]
                environment = {**os.environ, "PYTHONPATH": str(ROOT)}
                done = subprocess.run(script, cwd=folder, env=environment, capture_output=True, text=True, check=True)
                found.append(json.loads(done.stdout))
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--gets", type=int, default=20_000)
    parser.add_argument("--check", action="store_true", help="fail beyond the bars")
    options = parser.parse_args()
    logs.setup("error")
    print(described(), end="\n\n")
    inside = run(from_a_worker(options.rounds, options.gets))
    outside = from_outside(options.rounds, max(1, options.gets // 10))
    measured = {
        "worker": inside,
        "outside": [ours for ours, _ in outside],
        "bare grpcio": [bare for _, bare in outside],
    }
    found = {name: [spread(column) for column in zip(*rates, strict=True)] for name, rates in measured.items()}
    print(table(["gets/s from", "sequential", "32 at once"], [[name, *map(str, row)] for name, row in found.items()]))
    one, many = (spread.median for spread in found["worker"])
    shares = [ours.median / bare.median for ours, bare in zip(found["outside"], found["bare grpcio"], strict=True)]
    verdicts = [
        Verdict("worker, one after the other, gets/s", one, SEQUENTIAL_BAR, least=True),
        Verdict("worker, 32 at once, gets/s", many, AT_ONCE_BAR, least=True),
        Verdict("outside to bare grpcio, one after the other", shares[0], OUTSIDE_BAR, least=True),
        Verdict("outside to bare grpcio, 32 at once", shares[1], OUTSIDE_BAR, least=True),
    ]
    print()
    print(table(["bar", "measured", "wanted", ""], [verdict.row() for verdict in verdicts]))
    return int(options.check and not all(verdict.met for verdict in verdicts))


if __name__ == "__main__":
    sys.exit(main())
