"""Where the time of a call goes in rtbridge's own gRPC server: each stage of its way, without the socket.

    python -m bench.hotpath [--rounds 15] [--json FILE]

What a grpc-go client sends, one connection with 32 calls in flight, is recorded once and played to the server again and
again, in the pieces in which it came. The way is cut off after each stage; the table says what each one adds to the
median. What ``bench.transports`` measures above the sum is the socket and the event loop.
"""

import argparse
import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

from bench.figures import Spread, described, save, spread, table
from bench.processes import build, generate
from bench.workload import application, own
from rtbridge import logs
from rtbridge.app import Runtime
from rtbridge.bridge import Reply
from rtbridge.cli.lifetime import run
from rtbridge.clock import SYSTEM_CLOCK
from rtbridge.codec import PROTO
from rtbridge.config import parse_config
from rtbridge.events import Call, Outcome
from rtbridge.handler import LocalHandler
from rtbridge.loops import settle
from rtbridge.transport.builtin import BuiltinTransport
from rtbridge.transport.builtin.front import Front, Times
from rtbridge.transport.builtin.streams import Stream
from rtbridge.transport.settings import GrpcSettings

#: Bytes of one read, as asyncio makes them at most.
_READ: Final = 256 * 1024

#: Pieces of the recording that are played: some ten thousand calls.
_PIECES: Final = 800

Answer = Callable[[bytes, Call], Awaitable[Reply]]


async def recorded(program: Path, address: str) -> list[bytes]:
    """What a client sends to a server, in pieces."""
    host, _, port = address.rpartition(":")
    pieces: list[bytes] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, kept: list[bytes] | None) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(_READ):
                if kept is not None:
                    kept.append(data)
                writer.write(data)
        writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind, ahead = await asyncio.open_connection(host, int(port))
        await asyncio.gather(relay(reader, ahead, pieces), relay(behind, writer, None))

    between = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with between:
        where = f"127.0.0.1:{between.sockets[0].getsockname()[1]}"
        arguments = ["-addr", where, "-conns", "1", "-inflight", "32", "-dur", "1s", "-warm", "100ms", "-label", "x"]
        await asyncio.to_thread(generate, program, arguments, within=60)
    return pieces[:_PIECES]


class Sink:
    """A transport that takes everything at once."""

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else None

    def set_write_buffer_limits(self, high: int) -> None: ...

    def write(self, data: bytes) -> None: ...

    def is_closing(self) -> bool:
        return False


class Cut(LocalHandler):
    """A handler that goes some of the way only."""

    def __init__(self, runtime: Runtime, answer: Answer) -> None:
        super().__init__(runtime.bridge)
        self._answer = answer

    def unary(self, kind: str, wire: Any) -> Answer:
        """The same for all."""
        return self._answer


def stages(runtime: Runtime, payload: bytes) -> dict[str, LocalHandler]:
    """Handlers that go further and further."""
    codec, chain, reply = PROTO["rpc"], runtime.chains["rpc"], Reply(Outcome(), payload)
    decode, encode = codec.decode, codec.encode

    async def at_once(body: bytes, call: Call) -> Reply:
        return reply

    async def decoded(body: bytes, call: Call) -> Reply:
        decode(body, call)
        return reply

    async def answered(body: bytes, call: Call) -> Reply:
        return Reply(reply.outcome, encode(Outcome(result=await chain.run(decode(body, call))), SYSTEM_CLOCK))

    named = {
        "its start, the frames of the reply, a share of the write": at_once,
        "request to event": decoded,
        "five plugins, result to reply": answered,
    }
    found: dict[str, LocalHandler] = {name: Cut(runtime, answer) for name, answer in named.items()}
    return {**found, "bridge: admission, deadline, context, outcome": LocalHandler(runtime.bridge)}


def core(server: BuiltinTransport, pieces: list[bytes]) -> tuple[float, int]:
    """Seconds of the core alone, and how many calls there were."""
    connection, calls = server.connect(), 0
    started = time.process_time()
    for piece in pieces:
        for event in connection.receive(piece):
            if isinstance(event, Stream):
                calls += 1
                del connection.calls[event.id]
    return time.process_time() - started, calls


async def whole(server: BuiltinTransport, pieces: list[bytes]) -> float:
    """Seconds of a connection, with everything that its calls leave to the loop."""
    front = Front(server, Times(0, 0, 0), secure=False, clock=SYSTEM_CLOCK.monotonic)
    sink: Any = Sink()
    front.connection_made(sink)
    played, loop, rest = asyncio.Event(), asyncio.get_running_loop(), iter(pieces)

    def play() -> None:  # outside of any task, as a loop hands over what it has read
        piece = next(rest, None)
        if piece is None:
            played.set()
        else:
            front.data_received(piece)
            loop.call_soon(loop.call_soon, play)

    started = time.process_time()
    play()
    await played.wait()
    taken = time.process_time() - started
    server.left(front)
    return taken


async def measure(program: Path, rounds: int) -> dict[str, list[float]]:
    """Microseconds of one call up to the end of each stage, once a round; the stages take turns."""
    runtime = application(config=parse_config(own({"logs": {"level": "warning"}})).config)
    await runtime.boot()
    settings = GrpcSettings("127.0.0.1:0")
    live = BuiltinTransport(runtime.handler, settings)
    await live.start()
    pieces = await recorded(program, live.address)
    await live.stop(5.0)
    servers = {name: BuiltinTransport(handler, settings) for name, handler in stages(runtime, b"x" * 206).items()}
    settle()  # as rtbridge serve does
    found: dict[str, list[float]] = {"bytes to calls: frames, HPACK, metadata, timeout": [], **{n: [] for n in servers}}
    for _ in range(rounds):
        taken, calls = core(live, pieces)
        found["bytes to calls: frames, HPACK, metadata, timeout"].append(taken / calls * 1e6)
        for name, server in servers.items():
            found[name].append(await whole(server, pieces) / calls * 1e6)
    await runtime.shutdown()
    return found


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    logs.setup("warning")
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder))
        found = run(measure(Path(folder) / "gengrpc", options.rounds))
    print(described(), end="\n\n")
    rows, before = list[list[str]](), Spread(0.0, 0.0, 0.0)
    for name, values in found.items():
        until = spread(values)
        rows.append([name, f"{until.median - before.median:.1f}", str(until)])
        before = until
    print(table(["stage", "adds, CPU µs", "up to here, min / median / max"], rows))
    if options.json is not None:
        save(options.json, found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
