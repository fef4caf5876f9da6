"""The proxy service on our own gRPC server."""

import asyncio
import contextlib
import socket
import ssl
from typing import Final

from rtbridge.eager import Eager
from rtbridge.errors import ListenError
from rtbridge.handler import Handler
from rtbridge.readiness import Readiness
from rtbridge.transport.accepting import SocketServer
from rtbridge.transport.builtin.calls import NAME, Calls
from rtbridge.transport.builtin.connection import Connection
from rtbridge.transport.builtin.front import Front, Plan, Times
from rtbridge.transport.builtin.heads import Head
from rtbridge.transport.builtin.limits import Limits
from rtbridge.transport.grpc_services import GrpcServices
from rtbridge.transport.settings import GrpcSettings, Tls, bind, clear_socket, remove_socket

_SERVICE: Final = "centrifugal.centrifugo.proxy.CentrifugoProxy"

#: Callers who wait to be let in.
_BACKLOG: Final = 2048

#: Seconds between two looks at what takes too long, and for cancelled calls to end.
_SWEEP: Final = 1.0
_LEAVING: Final = 5.0


class BuiltinTransport:
    """Serves Centrifugo's gRPC proxy calls.

    Args:
        handler: Answers the calls.
        settings: Address, TLS, secret and limits.
        readiness: What the health service says.

    """

    name = NAME

    def __init__(self, handler: Handler, settings: GrpcSettings, readiness: Readiness | None = None) -> None:
        self._settings = settings
        self._services = GrpcServices([_SERVICE], reflection=settings.reflection, readiness=readiness or Readiness())
        self._calls = Calls(handler, settings, self._services)
        self._clock = handler.clock.monotonic
        self._limits = Limits(
            message_size=settings.message_size,
            header_size=settings.header_size,
            compress_from=settings.compress_from,
        )
        self._times = Times(settings.keepalive, settings.max_connection_age, settings.drain_timeout)
        self._fronts: set[Front] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._listener: socket.socket | None = None
        self._server: SocketServer | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self.throttle = self._calls.throttle
        self.eager = Eager()
        self.address = settings.address

    async def start(self) -> None:
        """Bind and begin to take calls."""
        address, tls = self._settings.address, self._settings.tls
        context = None if tls is None else _context(tls, address)
        clear_socket(address, "gRPC")
        self._listener = bind(address, "gRPC")
        if not address.startswith("unix:"):
            self.address = f"{address.rpartition(':')[0]}:{self._listener.getsockname()[1]}"

        def front() -> Front:
            return Front(self, self._times, secure=context is not None, clock=self._clock)

        most = self._settings.connections
        server = SocketServer(self._listener, front, name="gRPC", tls=context, backlog=_BACKLOG, connections=most)
        try:
            server.start()
        except ListenError:
            self._listener.close()
            raise
        self._server = server
        self._sweeping = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)

    async def stop(self, timeout: float) -> None:
        """Tell callers to go elsewhere (GOAWAY), wait for calls under way, then end."""
        self._services.stopping()
        if self._server is None or self._listener is None:
            return
        server, self._server = self._server, None
        server.close()
        self._listener.close()
        before = tuple(self._fronts)
        for front in before:
            front.drain(timeout)
        await server.wait_closed()
        for front in self._fronts.difference(before):
            front.drain(timeout)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._gone()
        for front in list(self._fronts):
            front.abort()
        await self._gone()
        self.eager.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=_LEAVING)
        if self._sweeping is not None:
            self._sweeping.cancel()
        remove_socket(self.address)

    async def _gone(self) -> None:
        while self._fronts:
            self._empty.clear()
            await self._empty.wait()

    def _sweep(self) -> None:
        self._sweeping = asyncio.get_running_loop().call_later(_SWEEP, self._sweep)
        for front in list(self._fronts):
            front.sweep()

    # What connections want of their owner.

    def plan(self, head: Head) -> Plan:
        """What answers the calls of a head."""
        return self._calls.plan(head)

    def connect(self) -> Connection:
        """The core of a new connection."""
        return Connection(self._limits, self._calls.routes, asyncio.get_running_loop().time)

    def joined(self, front: Front) -> None:
        """A connection is open."""
        self._fronts.add(front)

    def left(self, front: Front) -> None:
        """It is not any more."""
        self._fronts.discard(front)
        if not self._fronts:
            self._empty.set()

    def leaving(self, task: asyncio.Task[None]) -> None:
        """A task was cancelled, and may take its time to end."""
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _context(tls: Tls, address: str) -> ssl.SSLContext:
    cert, key, client_ca = tls.cert, tls.key, tls.read()[2]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["h2"])
    try:
        context.load_cert_chain(cert, key)
        if client_ca is not None:
            context.load_verify_locations(cadata=client_ca.decode())
            context.verify_mode = ssl.CERT_REQUIRED
    except (OSError, ValueError) as exc:
        raise ListenError(f"gRPC cannot listen on {address}: the TLS files do not fit: {exc}") from exc
    return context
