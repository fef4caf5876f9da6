"""The embedded server as one of a process's transports."""

import asyncio
import logging

from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.config import Embedded
from rtbridge.config.embedded import UniWebSocket, WebSocket
from rtbridge.embedded.api import ServerApi
from rtbridge.embedded.connection import Outlet, Peer
from rtbridge.embedded.fronts.endpoints import Endpoint, Endpoints, Settings
from rtbridge.embedded.fronts.http import HttpFront
from rtbridge.embedded.fronts.listener import Listener
from rtbridge.embedded.fronts.origins import Origins
from rtbridge.embedded.fronts.tls import server_context
from rtbridge.embedded.node import Node
from rtbridge.embedded.session import Session
from rtbridge.embedded.wire import Wire
from rtbridge.handler import Handler
from rtbridge.transport.forwarded import Forwarded

log = logging.getLogger("rtbridge.embedded")


class EmbeddedServer:
    """Serves Centrifugo's client protocol and server API on one address, from one process's memory.

    Args:
        handler: Answers events.
        config: The section ``rtbridge.embedded``.
        clock: Every duration and expiry asks it.

    Attributes:
        node: Channels and connections.
        api: The server API, for calls in process.

    Raises:
        SetupError: Origins, networks or keys of the configuration cannot be used.

    """

    name = "embedded"

    def __init__(self, handler: Handler, config: Embedded, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self.node = Node(handler, config, clock=clock, name=config.node.name)
        self.api = ServerApi(self.node)
        self._config = config
        origins, forwarded = Origins(config.client.allowed_origins), Forwarded(config.trusted_subnets)
        http = HttpFront(self.node, self.api, origins, forwarded)
        endpoints = Endpoints(self._paths(), origins=origins, forwarded=forwarded, admits=self.node.admits_connection)
        tls = config.http_server.tls
        host = config.http_server.address or "0.0.0.0"  # noqa: S104  # as in Centrifugo: every interface
        self._listener = Listener(
            http.app,
            f"{host}:{config.http_server.port}",
            endpoints,
            closing=self.node.shut,
            tls=server_context(tls.cert_pem, tls.key_pem, tls.client_ca_pem) if tls.enabled else None,
        )
        self._wakeup: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def _paths(self) -> dict[str, Endpoint]:
        found: dict[str, Endpoint] = {}
        if not self._config.websocket.disabled:
            settings = self._settings(self._config.websocket)
            found[self._config.websocket.handler_prefix] = Endpoint(self._open, settings=settings)
        if self._config.uni_websocket.enabled:
            settings = self._settings(self._config.uni_websocket)
            endpoint = Endpoint(self._open, unidirectional=True, settings=settings)
            found[self._config.uni_websocket.handler_prefix] = endpoint
        return found

    def _settings(self, section: WebSocket | UniWebSocket) -> Settings:
        return Settings(
            message_size=section.message_size_limit,
            inflated_size=section.decompressed_message_size_limit,
            queue_size=self._config.client.queue_max_size,
            write_timeout=section.write_timeout,
            ping_interval=self.node.ping_interval,
            pong_timeout=self.node.pong_timeout,
            compression=section.compression,
            compression_level=section.compression_level,
            compression_min_size=section.compression_min_size,
        )

    def _open(self, outlet: Outlet, wire: Wire, peer: Peer, native: bool) -> Session:
        # A unidirectional client gets both: frames keep the connection, messages tell the page that it is there.
        return Session(self.node, outlet, wire, peer, pings=wire.unidirectional or not native)

    @property
    def address(self) -> str:
        """Where it listens: ``host:port``, with the port that was bound once it is started."""
        return self._listener.address

    async def start(self) -> None:
        """Bind and begin to take connections.

        Raises:
            ListenError: The address cannot be bound.

        """
        self._loop = asyncio.get_running_loop()
        self.node.timers.armed = self._arm
        await self._listener.start()

    async def stop(self, timeout: float) -> None:
        """Send clients away with 3001, let requests under way end, bounded by ``timeout`` seconds."""
        await self._listener.stop(min(timeout, self._config.shutdown.timeout))
        self.node.close()
        self.node.timers.armed = None
        if self._wakeup is not None:
            self._wakeup.cancel()

    def _arm(self, at: float) -> None:
        """Wake up when the earliest timer is due."""
        assert self._loop is not None
        if self._wakeup is not None:
            self._wakeup.cancel()
        delay = max(0.0, at - self.node.clock.monotonic())
        self._wakeup = self._loop.call_later(delay, self.run_timers)

    def run_timers(self) -> None:
        """Run what is due; the loop does it, and whoever moved a virtual clock."""
        self.node.timers.run_due()
        due = self.node.timers.next()
        if due is not None and self.node.timers.armed is not None:
            self._arm(due)
