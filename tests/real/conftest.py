"""What the tests with peers that are not ours share: finding them, ports, certificates, a running rtbridge."""

import asyncio
import base64
import inspect
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import pytest

from rtbridge import Event, hookimpl
from rtbridge.app import Runtime
from rtbridge.config import parse_config
from rtbridge.events import METHODS
from rtbridge.transport.base import Transport
from tests.centrifugo import MISSING, find_binary, find_free_port
from tests.certificates import LOOPBACK, Authority

ROOT = Path(__file__).parents[2]

CI = os.environ.get("CI", "").lower() not in ("", "0", "false")

#: What serves gRPC, and what a test runs with where it does not matter.
GRPC_SERVERS = ("grpcio", "builtin")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A client of gRPC that is not ours meets every server of ours."""
    if {"go_peer", "grpc_server"} <= set(metafunc.fixturenames):
        metafunc.parametrize("grpc_server", GRPC_SERVERS)


class Certificates(NamedTuple):
    """PEM files of one certificate authority, a server on the loopback, and a client.

    Attributes:
        ca: Signed the server's and the client's certificate.
        server_cert: For ``localhost``, ``127.0.0.1`` and ``::1``.
        server_key: The server's private key.
        client_cert: For client authentication.
        client_key: The client's private key.
        stranger_ca: Another authority, which signed nothing that is trusted here.
        stranger_cert: A client certificate of that other authority.
        stranger_key: The private key of that client.

    """

    ca: Path
    server_cert: Path
    server_key: Path
    client_cert: Path
    client_key: Path
    stranger_ca: Path
    stranger_cert: Path
    stranger_key: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """PEM files for TLS and mTLS on the loopback, made for this run."""
    folder = tmp_path_factory.mktemp("certificates")
    ours, other = Authority(folder, "ca"), Authority(folder, "stranger-ca")
    server, client, stranger = ours.issue("server", *LOOPBACK), ours.issue("client"), other.issue("stranger")
    return Certificates(ours.own.cert, *server, *client, other.own.cert, *stranger)


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Gives a TCP port that was free on the loopback a moment ago, for programs that cannot bind port 0."""
    return find_free_port


def lacking(tool: str, leaves_out: str) -> NoReturn:
    """Skip for want of a tool that can be had everywhere; under CI that is a failure."""
    reason = f"{tool} is not installed, which leaves out {leaves_out}"
    if CI:
        pytest.fail(f"{reason}; under CI it has to be there", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def go() -> Path:
    """The Go tool; skips where it is not installed, fails there under CI."""
    return find_tool("go", "the tests with a gRPC client that is not ours")


@pytest.fixture(scope="session")
def node() -> Path:
    """Node; skips where it is not installed, fails there under CI."""
    return find_tool("node", "the tests with Centrifugo's JavaScript client")


@pytest.fixture(scope="session")
def npm() -> Path:
    """npm; skips where it is not installed, fails there under CI."""
    return find_tool("npm", "the tests with Centrifugo's JavaScript client")


def find_tool(name: str, leaves_out: str) -> Path:
    """A program on PATH; skips where it is not installed, fails there under CI."""
    found = shutil.which(name)
    return Path(found) if found is not None else lacking(name, leaves_out)


@pytest.fixture(scope="session")
def node_program(node: Path, npm: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Node, and the script of ``tests/real/node`` beside its installed dependencies."""
    folder = tmp_path_factory.mktemp("node")
    for source in (Path(__file__).parent / "node").iterdir():
        if source.is_file():
            shutil.copy(source, folder)
    command = [str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=150)
    if done.returncode:
        pytest.fail(f"npm ci:\n{done.stdout}{done.stderr}", pytrace=False)
    return node, folder / "client.mjs"


@pytest.fixture(scope="session")
def centrifugo_binary() -> Path:
    """Centrifugo, from ``RTBRIDGE_CENTRIFUGO`` or PATH; skips where there is none, under CI too: no registry has it."""
    try:
        found = find_binary()
    except FileNotFoundError as exc:
        pytest.fail(str(exc), pytrace=False)
    if found is None:
        pytest.skip(MISSING)
    return found


@pytest.fixture(scope="session")
def go_peer_program(go: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program of ``peer/``, built with code that protoc has just generated from our proto."""
    folder = tmp_path_factory.mktemp("peer")
    for source in (Path(__file__).parent / "peer").iterdir():
        shutil.copy(source, folder)

    def run(*command: str | Path) -> str:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}", pytrace=False)
        return done.stdout.strip()

    protoc: list[str] = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}"]
    for plugin in ("go", "go-grpc"):
        options = "module=rtbridge/peer,Mcentrifugo/proxy.proto=rtbridge/peer/proxypb"
        protoc += [
            f"--plugin=protoc-gen-{plugin}={run(go, 'tool', '-n', f'protoc-gen-{plugin}')}",
            f"--{plugin}_out=.",
            f"--{plugin}_opt={options}",
        ]
    run(*protoc, "centrifugo/proxy.proto")
    run(go, "build", "-trimpath", "-o", "peer", ".")
    return folder / "peer"


#: Bounds every wait for the Go program; nothing comes near it unless something is stuck.
PATIENCE = 30.0


class GoPeer:
    """The Go program at work: one command is one line to it and one line back."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            self._waiting.pop(answer.pop("id")).set_result(answer)
        for future in self._waiting.values():
            future.set_exception(ConnectionError("the Go program has ended"))

    def begin(self, do: str, **arguments: Any) -> "Begun":
        """Give a command and go on; bytes travel in base64."""
        assert self._process.stdin is not None
        number = next(self._ids)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        line = json.dumps({"id": number, "do": do, **arguments}, default=lambda raw: base64.b64encode(raw).decode())
        self._process.stdin.write(line.encode() + b"\n")
        return Begun(self, number, future)

    async def do(self, do: str, **arguments: Any) -> dict[str, Any]:
        """What the program says to a command."""
        return await self.begin(do, **arguments).answer()

    async def dial(self, target: str, **options: Any) -> "GoConnection":
        """A connection, lazy as grpc-go's are."""
        name = str(next(self._ids))
        await self.do("dial", connection=name, target=target, **options)
        return GoConnection(self, name)

    async def end(self) -> str:
        """Let the program end; what it had to complain of."""
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(PATIENCE):
                complaint = await self._process.stderr.read()
                await self._process.wait()
                await self._reader
        finally:
            if self._process.returncode is None:
                self._process.kill()
                await self._process.wait()
        return complaint.decode()


class Begun:
    """A command on its way."""

    def __init__(self, peer: GoPeer, number: int, future: asyncio.Future[dict[str, Any]]) -> None:
        self._peer = peer
        self._future = future
        self.number = number

    async def answer(self, within: float = PATIENCE) -> dict[str, Any]:
        """What the program says to it, and has to say within so many seconds."""
        async with asyncio.timeout(within):
            answer = await self._future
        assert "fault" not in answer, answer["fault"]
        return answer

    async def cancel(self) -> None:
        """End the context of its call or stream, as Centrifugo does when a client goes away."""
        await self._peer.do("cancel", command=self.number)


class GoConnection:
    """A client connection of the Go program."""

    def __init__(self, peer: GoPeer, name: str) -> None:
        self._peer = peer
        self._name = name

    def begin(self, method: str, request: Any = None, **options: Any) -> Begun:
        """Begin a call through the generated client; the request is protobuf's JSON."""
        return self._peer.begin("call", connection=self._name, method=method, request=request or {}, **_call(options))

    async def call(self, method: str, request: Any = None, **options: Any) -> dict[str, Any]:
        """A call through the generated client: its status, its bytes, and its reply as grpc-go read it."""
        return await self.begin(method, request, **options).answer()

    async def raw(self, path: str, content: bytes, **options: Any) -> dict[str, Any]:
        """A call of any path with any bytes."""
        return await self._peer.do("raw", connection=self._name, method=path, bytes=content, **_call(options))

    async def open(self, method: str, request: Any = None, **options: Any) -> "GoStream":
        """A subscribe stream; it has no deadline, as Centrifugo's have none."""
        arguments = _call({"timeout": 0, **options})
        begun = self._peer.begin("open", connection=self._name, method=method, request=request or {}, **arguments)
        answer = await begun.answer()
        assert answer["code"] == "OK", answer
        return GoStream(self._peer, begun)

    async def do(self, do: str, **arguments: Any) -> dict[str, Any]:
        """Any other command on this connection."""
        return await self._peer.do(do, connection=self._name, **arguments)

    def begin_other(self, do: str, **arguments: Any) -> Begun:
        """Begin any other command on this connection."""
        return self._peer.begin(do, connection=self._name, **arguments)


class GoStream:
    """A subscribe stream of the Go program."""

    def __init__(self, peer: GoPeer, begun: Begun) -> None:
        self._peer = peer
        self._begun = begun

    async def receive(self) -> dict[str, Any]:
        """The next message, or how the stream has ended: ``end`` for a clean end."""
        return await self._peer.do("receive", stream=self._begun.number)

    async def send(self, request: Any) -> dict[str, Any]:
        """Send a message in protobuf's JSON, or bytes that need not be one."""
        form = "bytes" if isinstance(request, bytes) else "request"
        return await self._peer.do("send", stream=self._begun.number, **{form: request})

    async def close_send(self) -> None:
        """Say that no more messages will be sent."""
        await self._peer.do("close_send", stream=self._begun.number)

    async def cancel(self) -> None:
        """End the stream as Centrifugo does when a client unsubscribes."""
        await self._begun.cancel()


def _call(options: dict[str, Any]) -> dict[str, Any]:
    pairs: Iterable[tuple[str, bytes]] = options.pop("metadata", ())
    timeout: float = options.pop("timeout", PATIENCE / 2)
    assert not options, options
    return {"metadata": [{"key": key, "value": value} for key, value in pairs], "timeout": int(timeout * 1000)}


@pytest.fixture
async def go_peer(go_peer_program: Path) -> AsyncIterator[GoPeer]:
    """The Go program, running; it has to end by itself and without complaint."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        go_peer_program, stdin=pipe, stdout=pipe, stderr=pipe, limit=64 * 1024 * 1024
    )
    peer = GoPeer(process)
    try:
        yield peer
    finally:
        complaint = await peer.end()
    assert (process.returncode, complaint) == (0, "")


class Backend:
    """A plugin that hears every event, keeps it, and answers what ``answer`` gives: a value, an awaitable, a stream.

    Attributes:
        seen: What was heard.
        answer: Makes the answer to an event.
        forgets: Keeps no event, where there are too many.

    """

    def __init__(self) -> None:
        self.forgets = False
        self.seen: list[Event] = []
        self.answer: Callable[[Any], Any] = lambda event: None
        for method in METHODS.values():
            setattr(self, method.hook, hookimpl(self._hook()))

    def _hook(self) -> Callable[[Any], Awaitable[Any]]:
        async def hook(event: Any) -> Any:
            if not self.forgets:
                self.seen.append(event)
            answer = self.answer(event)
            return await answer if inspect.isawaitable(answer) else answer

        return hook


@pytest.fixture
def backend() -> Backend:
    """A plugin that does as a test says; silent until then."""
    return Backend()


class Served(NamedTuple):
    """A runtime that listens."""

    runtime: Runtime
    transports: list[Transport]

    @property
    def address(self) -> str:
        """Where the first transport listens."""
        return self.transports[0].address

    async def stop(self) -> None:
        """Drain and end, as at the end of ``rtbridge serve``."""
        await self.runtime.stop(self.transports)


Serve = Callable[..., Awaitable[Served]]


@pytest.fixture
def grpc_server() -> str:
    """What serves gRPC."""
    return GRPC_SERVERS[0]


@pytest.fixture
async def serve(grpc_server: str) -> AsyncIterator[Serve]:
    """Starts rtbridge in this process, gRPC on a free port: ``await serve(plugin, **settings of rtbridge)``."""
    running: list[Served] = []

    async def start(*plugins: object, address: str = "tcp://127.0.0.1:0", **settings: Any) -> Served:
        content = {
            "version": "3",
            "centrifuge": {"proxy_address": address},
            "rtbridge": {"entry_points": False, "grpc_server": grpc_server, "drain_timeout": "10s", **settings},
        }
        runtime = Runtime(parse_config(content).config, plugins)
        await runtime.boot()
        served = Served(runtime, runtime.transports())
        running.append(served)
        for transport in served.transports:
            await transport.start()
        return served

    yield start
    for served in running:
        await served.stop()
