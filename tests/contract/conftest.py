"""One peer for each transport, so that every test of the contract runs over all of them.

A peer starts plugins behind its transport, sends calls as Centrifugo writes them and reads the bytes that come back
with a parser that is not the one under test. A new transport joins with one more class in ``PEERS``.
"""

import asyncio
import contextlib
import json
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

import grpc
import grpc.aio
import httpx
import pytest

from rtbridge.app import UNHANDLED_EVENTS, Runtime
from rtbridge.bridge import StreamFailed
from rtbridge.codec import PROTO
from rtbridge.codec.descriptors import message_class
from rtbridge.config import parse_config
from rtbridge.events import METHODS, Call, Headers
from rtbridge.handler import Refused
from rtbridge.transport.memory import MemoryTransport
from rtbridge.workers.answerer import Answerer
from rtbridge.workers.frames import ROUTE, TO_WORKER, Unpacker
from rtbridge.workers.link import Link
from rtbridge.workers.pool import Pool
from rtbridge.workers.process import Watcher, Worker

T = TypeVar("T")

Pairs = Iterable[tuple[str, str]]

#: Seconds after which a wait has failed; nothing here depends on how long anything takes.
BOUND = 15

_STREAMS = ("subscribe_unidirectional", "subscribe_bidirectional")

_STATUS = {
    grpc.StatusCode.INTERNAL: "internal",
    grpc.StatusCode.UNIMPLEMENTED: "unimplemented",
    grpc.StatusCode.INVALID_ARGUMENT: "invalid",
    grpc.StatusCode.UNAUTHENTICATED: "unauthenticated",
    500: "internal",
    404: "unimplemented",
    400: "invalid",
    401: "unauthenticated",
}


async def soon(work: Awaitable[T]) -> T:
    return await asyncio.wait_for(work, BOUND)


def message(name: str) -> Any:
    return message_class(f"centrifugal.centrifugo.proxy.{name}")


def _plain(value: Any) -> Any:
    """A protobuf value as the JSON that the HTTP proxy would carry: payloads as documents, defaults left out."""
    if hasattr(value, "ListFields"):
        found: dict[str, Any] = {}
        for field, each in value.ListFields():
            if field.message_type is not None and field.message_type.GetOptions().map_entry:
                found[field.name] = {key: _plain(item) for key, item in each.items()}
            elif isinstance(each, Sequence) and not isinstance(each, str | bytes):
                found[field.name] = [_plain(item) for item in each]
            else:
                found[field.name] = _plain(each)
        return found
    if isinstance(value, bytes):
        with contextlib.suppress(ValueError):
            return json.loads(value)
    return value


def read_answer(wire: str, kind: str, body: bytes) -> dict[str, Any]:
    """What the bytes of an answer say."""
    if wire == "json":
        answer: dict[str, Any] = json.loads(body)
        return answer
    name = "StreamSubscribe" if kind in _STREAMS else METHODS[kind].name
    parsed: dict[str, Any] = _plain(message(f"{name}Response").FromString(body))
    return parsed


def write_request(wire: str, kind: str, fields: Mapping[str, Any]) -> bytes:
    """A request's bytes; payloads are given as JSON values."""
    if wire == "json":
        return json.dumps(fields).encode()
    if kind in _STREAMS:
        inner = write_request(wire, "subscribe", fields)
        if kind == "subscribe_unidirectional":
            return inner
        request = message("SubscribeRequest").FromString(inner)
        return bytes(message("StreamSubscribeRequest")(subscribe_request=request).SerializeToString())
    kinds = message(f"{METHODS[kind].name}Request").DESCRIPTOR.fields_by_name
    given = {
        name: json.dumps(value).encode() if kinds[name].type == kinds[name].TYPE_BYTES else value
        for name, value in fields.items()
    }
    return bytes(message(f"{METHODS[kind].name}Request")(**given).SerializeToString())


class Peer(ABC):
    """Someone who calls as Centrifugo does.

    Attributes:
        name: The transport, as ``event.via`` shows it.
        wire: ``proto`` or ``json``.
        over_grpc: Whether it is one of gRPC, on a socket.
        section: What it needs in the ``rtbridge`` section.
        sections: What it needs beside it.

    """

    name: ClassVar[str]
    wire: ClassVar[str]
    over_grpc: ClassVar[bool] = False

    section: Mapping[str, Any] = {}
    sections: Mapping[str, Any] = {}
    runtime: Runtime

    async def start(self, *plugins: object, **own: Any) -> Self:
        """Serve these plugins; ``own`` is the ``rtbridge`` section."""
        section = {"entry_points": False, "drain_timeout": "5s", **self.section, **own}
        given = {"version": "3", "rtbridge": section, **self.sections}
        config = parse_config(given, known_events=UNHANDLED_EVENTS).config
        self.runtime = Runtime(config, plugins)
        await self._open()
        return self

    @abstractmethod
    async def _open(self) -> None: ...

    @abstractmethod
    async def close(self) -> None:
        """Go away, and stop what was started."""

    @abstractmethod
    async def raw(
        self, kind: str, body: bytes, headers: Pairs = (), deadline: float | None = None
    ) -> tuple[str, bytes]:
        """``ok`` or the kind of failure, and the bytes."""

    async def call(
        self, kind: str, fields: Mapping[str, Any] | None = None, headers: Pairs = (), deadline: float | None = None
    ) -> dict[str, Any]:
        """The answer: ``result``, ``error`` or ``disconnect``, or ``failure``."""
        status, body = await soon(self.raw(kind, write_request(self.wire, kind, fields or {}), headers, deadline))
        return read_answer(self.wire, kind, body) if status == "ok" else {"failure": status}

    async def abandon(self, kind: str, reached: asyncio.Event) -> None:
        """Call, and go away once the hook was reached."""
        calling = asyncio.create_task(self.raw(kind, write_request(self.wire, kind, {})))
        await soon(reached.wait())
        calling.cancel()
        await asyncio.wait((calling,))


class MemoryPeer(Peer):
    """The transport without a wire, fed the bytes of gRPC."""

    name = "memory"
    wire = "proto"

    async def _open(self) -> None:
        await self.runtime.boot()
        self.memory = MemoryTransport(self.runtime.bridge)

    async def close(self) -> None:
        await self.runtime.shutdown()

    async def raw(
        self, kind: str, body: bytes, headers: Pairs = (), deadline: float | None = None
    ) -> tuple[str, bytes]:
        wire: Any = self.wire
        reply = await self.memory.request(kind, body, wire=wire, headers=headers, deadline=deadline)
        return reply.outcome.failure or "ok", reply.payload

    async def subscribe(self, kind: str, **fields: Any) -> "MemoryStream":
        """Start a subscription stream."""
        stream = MemoryStream(self, kind)
        await soon(stream.start(write_request(self.wire, kind, fields)))
        return stream


class MemoryJsonPeer(MemoryPeer):
    """The transport without a wire, fed the bytes of HTTP."""

    wire = "json"


class GrpcioPeer(Peer):
    """A grpc.aio client on a socket."""

    name = "grpcio"
    section: Mapping[str, Any] = {"grpc_server": "grpcio"}
    over_grpc = True
    wire = "proto"
    credentials: grpc.ChannelCredentials | None = None
    options: tuple[tuple[str, Any], ...] = ()

    sections: Mapping[str, Any] = {"centrifuge": {"proxy_address": "tcp://127.0.0.1:0"}}

    async def _open(self) -> None:
        await self.runtime.boot()
        (self.transport,) = self.runtime.transports()
        await self.transport.start()
        self.channel = self.dial()

    def dial(self) -> grpc.aio.Channel:
        """Another connection."""
        options = (("grpc.use_local_subchannel_pool", 1), *self.options)
        if self.credentials is not None:
            return grpc.aio.secure_channel(self.transport.address, self.credentials, options)
        return grpc.aio.insecure_channel(self.transport.address, options)

    async def close(self) -> None:
        await self.channel.close()
        await self.runtime.stop([self.transport])

    async def raw(
        self, kind: str, body: bytes, headers: Pairs = (), deadline: float | None = None
    ) -> tuple[str, bytes]:
        path = METHODS[kind].path if kind in METHODS else kind
        try:
            method: Any = self.channel.unary_unary(path)
            return "ok", await method(body, metadata=tuple(headers), timeout=deadline)
        except grpc.aio.AioRpcError as exc:
            self.details = exc.details() or ""
            return _STATUS.get(exc.code(), exc.code().name), b""

    async def subscribe(self, kind: str, **fields: Any) -> "GrpcioStream":
        """Start a subscription stream."""
        stream = GrpcioStream(self, kind)
        await soon(stream.start(write_request(self.wire, kind, fields)))
        return stream


class BuiltinPeer(GrpcioPeer):
    """The same client, and rtbridge's own server."""

    name = "builtin"

    section: Mapping[str, Any] = {"grpc_server": "builtin"}


def _http_status(code: int) -> str:
    return "ok" if code == 200 else _STATUS.get(code, str(code))


class UvicornPeer(Peer):
    """An HTTP client on a socket."""

    name = "http"
    wire = "json"
    verify: Any = True

    section: Mapping[str, Any] = {"http_proxy": {"address": "127.0.0.1:0"}}

    async def _open(self) -> None:
        await self.runtime.boot()
        (self.transport,) = self.runtime.transports()
        await self.transport.start()
        address = self.transport.address
        via = httpx.AsyncHTTPTransport(
            uds=address.removeprefix("unix:") if address.startswith("unix:") else None, verify=self.verify
        )
        host = "localhost" if address.startswith("unix:") else address
        scheme = "http" if self.verify is True else "https"
        self.client = httpx.AsyncClient(base_url=f"{scheme}://{host}", transport=via, timeout=BOUND)

    async def close(self) -> None:
        await self.client.aclose()
        await self.runtime.stop([self.transport])

    async def raw(
        self, kind: str, body: bytes, headers: Pairs = (), deadline: float | None = None
    ) -> tuple[str, bytes]:
        given = list(headers)
        if not any(name.lower() == "content-type" for name, _ in given):
            given.append(("Content-Type", "application/json"))
        return await self.post(f"/{kind.lstrip('/')}", body, given)

    async def post(self, path: str, body: bytes, headers: Pairs, method: str = "POST") -> tuple[str, bytes]:
        """Any request."""
        response = await self.client.request(method, path, content=body, headers=list(headers))
        self.details = response.text
        assert response.status_code != 200 or response.headers["content-type"] == "application/json"
        return _http_status(response.status_code), response.content


class AsgiPeer(UvicornPeer):
    """A server that calls the ASGI application as the specification says, and nothing more."""

    async def _open(self) -> None:
        self.app = self.runtime.http_app()

    async def close(self) -> None:
        await self.runtime.shutdown()

    async def post(self, path: str, body: bytes, headers: Pairs, method: str = "POST") -> tuple[str, bytes]:
        left = asyncio.Event()
        parts: list[dict[str, Any]] = [
            {"type": "http.request", "body": body[:7], "more_body": True},
            {"type": "http.request", "body": body[7:]},
        ]
        sent: list[Any] = []

        async def receive() -> dict[str, Any]:
            if parts:
                return parts.pop(0)
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(event: Any) -> None:
            sent.append(event)

        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
        }
        serving = asyncio.create_task(self.app(scope, receive, send))
        try:
            await asyncio.shield(serving)
        except asyncio.CancelledError:
            left.set()
            await soon(serving)
            assert sent == []
            raise
        head, content = sent
        assert dict(head["headers"])[b"content-length"] == str(len(content["body"])).encode()
        self.details = content["body"].decode()
        return _http_status(head["status"]), content["body"]


class FramesPeer(Peer):
    """The bytes of gRPC, relayed over a socketpair to a worker's answerer in this process."""

    name = "frames"
    wire = "proto"

    async def _open(self) -> None:
        await self.runtime.boot()
        bridge = self.runtime.bridge
        self.pool = Pool(
            bridge.denials, concurrency=100_000, worker_concurrency=100_000, max_queue_size=0, allocate_timeout=5
        )
        watcher = Watcher()
        watcher.freed = lambda worker: self.pool.freed()
        self.worker = Worker(1, watcher, self.pool.deadlines, 0.0)
        ours, theirs = socket.socketpair()
        await self.worker.attach(ours)
        self._theirs = await Link.over(theirs, Unpacker(TO_WORKER), self._received, lambda: None)
        self._answerer = Answerer(self.runtime, self._theirs, None)
        self.pool.join(self.worker)

    def _received(self, frames: list[Any]) -> None:
        for frame in frames:
            self._answerer.received(frame)

    async def close(self) -> None:
        await self.runtime.shutdown()
        assert (self.pool.active, self.worker.load, self.worker.held) == (0, 0, {})
        self._theirs.close()
        await soon(self._theirs.gone.wait())

    def call_of(self, headers: Pairs = (), deadline: float | None = None) -> Call:
        until = None if deadline is None else self.pool.clock.monotonic() + deadline
        return Call(Headers(list(headers)), self.name, until, self.pool.clock)

    async def raw(
        self, kind: str, body: bytes, headers: Pairs = (), deadline: float | None = None
    ) -> tuple[str, bytes]:
        wire: Any = self.wire
        call = self.call_of(headers, deadline)
        if (kind, wire) in ROUTE:
            reply = await self.pool.unary(kind, wire)(body, call)
        else:
            reply = await self.pool.refuse(Refused("", "", kind, body, f"{kind!r} is no event of this wire"), call)
        return reply.outcome.failure or "ok", reply.payload

    async def subscribe(self, kind: str, **fields: Any) -> "FramesStream":
        """Start a subscription stream."""
        stream = FramesStream(self, kind)
        await soon(stream.start(write_request(self.wire, kind, fields)))
        return stream


class FramesJsonPeer(FramesPeer):
    """The bytes of HTTP, relayed."""

    wire = "json"


class MemoryStream:
    """A subscription stream without a wire."""

    def __init__(self, peer: Any, kind: str) -> None:
        self._peer, self._kind = peer, kind
        self._sent: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._seen: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._pump: asyncio.Task[None] | None = None
        self._end: dict[str, Any] = {"end": True}
        self.first: dict[str, Any] = {}

    async def start(self, body: bytes) -> None:
        codec, memory = PROTO[self._kind], self._peer.memory
        call = Call(Headers(), "memory", None, self._peer.runtime.bridge.clock)
        if codec.decode_item is not None:
            call.incoming = self._incoming()
        event = codec.decode(body, call)
        outcome = await memory.send(event)
        if outcome.failure is not None:
            self.first = self._end = {"failure": outcome.failure}
            return
        self.first = read_answer("proto", self._kind, codec.encode(outcome, call.clock))["subscribe_response"]
        if outcome.stream is not None:
            self._pump = asyncio.create_task(self._run(event, outcome))

    async def _incoming(self) -> AsyncIterator[Any]:
        decode = PROTO[self._kind].decode_item
        assert decode is not None
        while (item := await self._sent.get()) is not None:
            yield decode(item)

    async def _run(self, event: Any, outcome: Any) -> None:
        codec = PROTO[self._kind]
        assert codec.encode_item is not None
        try:
            async for item in self._peer.memory.stream(event, outcome):
                self._seen.put_nowait(read_answer("proto", self._kind, codec.encode_item(item))["publication"])
        except StreamFailed:
            self._seen.put_nowait({"failure": "internal"})
        else:
            self._seen.put_nowait({"end": True})

    async def next(self) -> dict[str, Any]:
        """The next publication, ``end`` or ``failure``."""
        return await soon(self._seen.get()) if self._pump is not None else self._end

    async def send(self, **publication: Any) -> None:
        """Publish into the stream."""
        self._sent.put_nowait(_publication(publication))

    async def done_sending(self) -> None:
        """The client has no more to say."""
        self._sent.put_nowait(None)

    async def cancel(self) -> None:
        """Go away."""
        assert self._pump is not None
        self._pump.cancel()
        await asyncio.wait((self._pump,))


class FramesStream(MemoryStream):
    """A subscription stream over a socketpair."""

    def __init__(self, peer: FramesPeer, kind: str) -> None:
        super().__init__(peer, kind)
        self._pool = peer.pool
        self._made = peer.call_of()

    async def start(self, body: bytes) -> None:
        both = self._kind == "subscribe_bidirectional"
        opened = await self._pool.stream(self._kind)(body, self._made, self._later() if both else None)
        if opened.reply.outcome.failure is not None:
            self.first = self._end = {"failure": opened.reply.outcome.failure}
            return
        self.first = read_answer("proto", self._kind, opened.reply.payload)["subscribe_response"]
        if opened.stream is not None:
            self._pump = asyncio.create_task(self._forward(opened.stream))

    async def _later(self) -> AsyncIterator[bytes]:
        while (item := await self._sent.get()) is not None:
            yield item

    async def _forward(self, stream: Any) -> None:
        try:
            async with contextlib.aclosing(stream.items()) as items:
                async for item in items:
                    self._seen.put_nowait(read_answer("proto", self._kind, item)["publication"])
        except StreamFailed:
            self._seen.put_nowait({"failure": "internal"})
        else:
            self._seen.put_nowait({"end": True})


class GrpcioStream:
    """A subscription stream on a socket."""

    def __init__(self, peer: GrpcioPeer, kind: str) -> None:
        self._peer, self._kind = peer, kind
        self._call: Any = None
        self.first: dict[str, Any] = {}

    async def start(self, body: bytes) -> None:
        channel: Any = self._peer.channel
        path = METHODS[self._kind].path
        if self._kind == "subscribe_bidirectional":
            self._call = channel.stream_stream(path)()
            with contextlib.suppress(grpc.aio.AioRpcError):  # the call may have failed by now; reading tells how
                await self._call.write(body)
        else:
            self._call = channel.unary_stream(path)(body)
        found = await self._read()
        self.first = found.get("subscribe_response", found)

    async def _read(self) -> dict[str, Any]:
        try:
            found = await soon(self._call.read())
        except grpc.aio.AioRpcError as exc:
            return {"failure": _STATUS.get(exc.code(), exc.code().name)}
        if found is not grpc.aio.EOF:
            return read_answer("proto", self._kind, found)
        code = await soon(self._call.code())
        return {"end": True} if code is grpc.StatusCode.OK else {"failure": _STATUS.get(code, code.name)}

    async def next(self) -> dict[str, Any]:
        """The next publication, ``end`` or ``failure``."""
        found = await self._read()
        publication: dict[str, Any] = found.get("publication", found)
        return publication

    async def send(self, **publication: Any) -> None:
        """Publish into the stream."""
        await soon(self._call.write(_publication(publication)))

    async def done_sending(self) -> None:
        """The client has no more to say."""
        await soon(self._call.done_writing())

    async def cancel(self) -> None:
        """Go away."""
        self._call.cancel()


def _publication(fields: dict[str, Any]) -> bytes:
    fields["data"] = json.dumps(fields["data"]).encode()
    request = message("StreamSubscribeRequest")(publication=message("Publication")(**fields))
    return bytes(request.SerializeToString())


PEERS: dict[str, type[Peer]] = {
    "memory": MemoryPeer,
    "memory-json": MemoryJsonPeer,
    "frames": FramesPeer,
    "frames-json": FramesJsonPeer,
    "grpcio": GrpcioPeer,
    "builtin": BuiltinPeer,
    "asgi": AsgiPeer,
    "uvicorn": UvicornPeer,
}


@contextlib.asynccontextmanager
async def _peer(name: str) -> AsyncIterator[Peer]:
    peer = PEERS[name]()
    try:
        yield peer
    finally:
        if hasattr(peer, "runtime"):
            await soon(peer.close())


def _peers(*names: str) -> Any:
    """A fixture that is each of these transports in turn; ``await peer.start(plugin)`` serves."""

    @pytest.fixture(params=names)
    async def found(request: pytest.FixtureRequest) -> AsyncIterator[Peer]:
        async with _peer(request.param) as one:
            yield one

    return found


peer = _peers(*PEERS)
deadline_peer = _peers(
    "memory", "memory-json", "frames", "frames-json", "grpcio", "builtin"
)  # Centrifugo's HTTP calls carry no deadline
stream_peer = _peers("memory", "frames", "grpcio", "builtin")
wire_peer = _peers("grpcio", "builtin", "asgi", "uvicorn")  # they read headers, secrets and limits from a wire
socket_peer = _peers("grpcio", "builtin", "uvicorn")
http_peer = _peers("asgi", "uvicorn")
grpc_peer = _peers("grpcio", "builtin")
socket_http_peer = _peers("uvicorn")


@pytest.fixture
async def dial() -> AsyncIterator[Callable[[str], Awaitable[Peer]]]:
    """Peers by name, where a test wants several."""
    async with contextlib.AsyncExitStack() as stack:

        async def found(name: str) -> Peer:
            return await stack.enter_async_context(_peer(name))

        yield found


@pytest.fixture
def recordings() -> dict[str, list[dict[str, Any]]]:
    """What a real Centrifugo 6.9.1 sent (``calls``) and what its clients saw (``outcomes``)."""
    folder = Path(__file__).parents[1] / "recordings"
    return {
        name: [json.loads(line) for line in (folder / f"{name}.jsonl").read_text().splitlines()]
        for name in ("calls", "outcomes")
    }
