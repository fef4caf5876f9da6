"""``Api.publish`` on every way that a call travels, each beside the bare client library to the same server.

    python -m bench.api [--rounds 5] [--calls 1000] [--json FILE] [--check]

The payload is a mapping of two keys. *sequential* calls again when it has the answer, *32 at once* has 32 callers on
one event loop; CPU is that of the calling process alone, and for *local* that of the server, too. ``local`` is a hook
in the process of the embedded server, ``framed`` one in a worker; ``http`` and ``control`` call an ``rtbridge serve``,
``grpc`` a server that answers at once. Bare libraries send the same bytes and do not read the answer. They and we take
turns. ``--check`` fails where the CPU of a call, 32 at once, is beyond its bar; every bar is a ratio to a bare library
of the same run, and those whose library is not installed are left out.
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc.aio

from bench.figures import described, save, spread, table
from bench.processes import ROOT, free_port, rtbridge_serve
from bench.report import Verdict
from rtbridge import logs
from rtbridge.api import Command
from rtbridge.api.connect import open_async
from rtbridge.api.remote import encode
from rtbridge.api.settings import ControlSettings, GrpcSettings, HttpSettings
from rtbridge.app import Runtime
from rtbridge.codec.control import PACKAGE, SERVICE
from rtbridge.codec.descriptors import message_class
from rtbridge.config import parse_config
from rtbridge.events import Call, Headers
from rtbridge.loops import run
from rtbridge.workers.parent import Parent

IN_FLIGHT: Final = 32
PAYLOAD: Final = {"user": "ann", "text": "hello, everybody"}

#: The embedded server; the channel has no history, so that a publication does little.
EMBEDDED: Final = {"http_server": {"address": "127.0.0.1", "port": 0}, "http_api": {"key": "key"}}

#: What ours are held to: (case, bare library, times its CPU for a call, 32 at once). Over HTTP the same as most people
#: would take; where no socket is in between, a fraction of the cheapest way that has one.
BARS: Final = (
    ("local", "bare grpc.aio", 0.1),
    ("framed", "bare grpc.aio", 0.25),
    ("http", "bare httpx", 1.0),
    ("http", "cent", 1.0),
    ("grpc", "bare grpc.aio", 1.15),
    ("control", "bare grpc.aio, control", 1.25),
)

Ask = Callable[[], Awaitable[object]]
#: Calls per second and CPU µs of a call, one after the other and many at once.
Figures = tuple[float, float, float, float]


class Case(NamedTuple):
    """One way to publish, and what it is held against: the name of a bare one, or nothing."""

    name: str
    ask: Ask
    bare: str = ""


async def measured(ask: Ask, count: int) -> Figures:
    """The figures of so many calls."""

    async def caller(calls: int) -> None:
        for _ in range(calls):
            await ask()

    found: list[float] = []
    for callers in (1, IN_FLIGHT):
        each = max(1, count // callers)
        await asyncio.gather(*(caller(max(1, each // 10)) for _ in range(callers)))  # connections are opened
        cpu, started = time.process_time(), time.perf_counter()
        await asyncio.gather(*(caller(each) for _ in range(callers)))
        calls = each * callers
        found += [calls / (time.perf_counter() - started), (time.process_time() - cpu) / calls * 1e6]
    sequential, cpu_sequential, at_once, cpu_at_once = found
    return sequential, cpu_sequential, at_once, cpu_at_once


def configured(**own: Any) -> Any:
    """A configuration with the embedded server."""
    pool = {"num_workers": 1}
    sections = {"centrifuge": {"proxy_address": None, "pool": pool}, "logs": {"level": "error"}}
    given = {"version": "3", **sections, "rtbridge": {"entry_points": False, "embedded": EMBEDDED, **own}}
    return parse_config(given).config


async def local(rounds: int, count: int) -> list[Figures]:
    """In the process of the server."""
    runtime = Runtime(configured())
    runtime.transports()
    await runtime.boot()
    found = [await measured(lambda: runtime.api.publish("bench", PAYLOAD), count) for _ in range(rounds)]
    await runtime.shutdown()
    return found


async def framed(rounds: int, count: int) -> list[Figures]:
    """In a worker of it."""
    parent = Parent(configured(plugins=["bench.asks_api"]))
    parent.transports()
    parent.start(lazy=False)
    try:
        await parent.boot()
        found: list[Figures] = []
        for _ in range(rounds):
            request = message_class("centrifugal.centrifugo.proxy.RPCRequest")(data=str(count).encode())
            reply = await parent.handler.unary("rpc", "proto")(request.SerializeToString(), Call(Headers(()), "bench"))
            answer = message_class("centrifugal.centrifugo.proxy.RPCResponse").FromString(reply.payload)
            sequential, cpu_sequential, at_once, cpu_at_once = json.loads(answer.result.data)
            found.append((sequential, cpu_sequential, at_once, cpu_at_once))
        return found
    finally:
        await parent.stop([])


@contextlib.contextmanager
def grpc_server() -> Iterator[str]:
    """The address of a gRPC API that answers at once."""
    command = [sys.executable, "-m", "bench.asks_api"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


@contextlib.contextmanager
def serve() -> Iterator[tuple[str, str]]:
    """The URL of the HTTP API of an ``rtbridge serve``, and the address of its control RPC."""
    with tempfile.TemporaryDirectory() as folder:
        port, socket = free_port(), f"{folder}/rpc.sock"
        embedded = f"http_server: {{address: 127.0.0.1, port: {port}}}, http_api: {{key: key}}"
        text = f'version: "3"\nrpc: {{listen: "unix://{socket}"}}\nlogs: {{level: error}}\n'
        text += "centrifuge: {proxy_address: null, pool: {debug: true}}\n"
        text += f"rtbridge: {{entry_points: false, embedded: {{{embedded}}}}}\n"
        with rtbridge_serve(Path(folder), text) as server:
            assert server.stdout is not None
            while server.stdout.readline().strip() != "ready":
                if server.poll() is not None:
                    raise SystemExit("rtbridge serve did not start")
            yield f"http://127.0.0.1:{port}/api", f"unix:{socket}"


@contextlib.asynccontextmanager
async def cases(url: str, control: str, target: str) -> AsyncIterator[list[Case]]:
    """Ours and the bare ones; the libraries that only this benchmark needs are left out where they are missing."""
    async with contextlib.AsyncExitStack() as stack:
        found: list[Case] = []
        request = Command.publish("bench", PAYLOAD).request
        body = encode(request)

        async def ours(name: str, settings: Any, bare: str) -> None:
            api = await stack.enter_async_context(open_async(settings))
            found.append(Case(name, lambda: api.publish("bench", PAYLOAD), bare))

        async def bare_grpc(name: str, target: str, path: str, request: bytes) -> None:
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(target))
            send: Any = channel.unary_unary(path)
            found.append(Case(name, lambda: send(request, timeout=5.0)))

        await ours("http", HttpSettings(url=url, key="key"), "bare httpx")
        with contextlib.suppress(ImportError):
            import httpx

            client = await stack.enter_async_context(httpx.AsyncClient(headers={"X-API-Key": "key"}))
            found.append(Case("bare httpx", lambda: client.post(f"{url}/publish", content=body)))
        with contextlib.suppress(ImportError):
            from cent import AsyncClient, PublishRequest

            cent = AsyncClient(url, "key")
            stack.push_async_callback(cent.close)
            found.append(
                Case("cent", lambda: cent.publish(PublishRequest(channel="bench", data=PAYLOAD)), "bare httpx")
            )
        await ours("grpc", GrpcSettings(target=target), "bare grpc.aio")
        message = message_class("centrifugal.centrifugo.api.PublishRequest")(channel="bench", data=encode(PAYLOAD))
        path = "/centrifugal.centrifugo.api.CentrifugoApi/Publish"
        await bare_grpc("bare grpc.aio", target, path, message.SerializeToString())
        await ours("control", ControlSettings(target=control), "bare grpc.aio, control")
        asked = message_class(f"{PACKAGE}.ApiRequest")(method="publish", request=body).SerializeToString()
        await bare_grpc("bare grpc.aio, control", control, f"/{SERVICE}/Api", asked)
        yield found


async def over_the_wire(rounds: int, count: int) -> tuple[dict[str, list[Figures]], dict[str, str]]:
    """From another process; and what each is held against."""
    with serve() as (url, control), grpc_server() as target:
        async with cases(url, control, target) as all_:
            found: dict[str, list[Figures]] = {case.name: [] for case in all_}
            for number in range(rounds):
                for case in all_ if number % 2 == 0 else reversed(all_):
                    found[case.name].append(await measured(case.ask, count))
            return found, {case.name: case.bare for case in all_}


def ratio(ours: list[Figures], bare: list[Figures]) -> float:
    """Round by round, the CPU of a call for what the bare one takes, 32 at once."""
    return spread([one[3] / other[3] for one, other in zip(ours, bare, strict=True)]).median


def main() -> int:
    """Measure, print, and with ``--check`` compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=1000)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure")
    parser.add_argument("--check", action="store_true", help="fail where a bar is missed")
    options = parser.parse_args()
    logs.setup("error")
    print(described(), end="\n\n")
    found = {"local": run(local(options.rounds, 10 * options.calls))}
    found["framed"] = run(framed(options.rounds, 3 * options.calls))
    outside, against = run(over_the_wire(options.rounds, options.calls))
    found |= outside
    rows: list[list[str]] = []
    for name, rounds in found.items():
        spreads = [spread(column) for column in zip(*rounds, strict=True)]
        bare = found.get(against.get(name, ""))
        rows.append([name, *map(str, spreads), "" if bare is None else f"{ratio(rounds, bare):.2f}"])
    head = ["publish", "sequential, calls/s", "CPU µs", "32 at once, calls/s", "CPU µs ", "CPU against bare"]
    print(table(head, rows))
    print()
    verdicts = [
        Verdict(f"{name}, times the CPU of {base}", ratio(found[name], found[base]), bar)
        for name, base, bar in BARS
        if base in found
    ]
    print(table(["bar", "found", "wanted", "met"], [each.row() for each in verdicts]))
    if options.json is not None:
        save(options.json, {"calls": options.calls, "figures": found})
    return 1 if options.check and not all(each.met for each in verdicts) else 0


if __name__ == "__main__":
    sys.exit(main())
