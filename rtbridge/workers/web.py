"""The HTTP server as its parent has it: a socket, and the workers that take connections from it."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Final

from rtbridge.config import Config
from rtbridge.deadlines import Deadlines
from rtbridge.plugins.http.failing import Failing
from rtbridge.readiness import Readiness
from rtbridge.transport.settings import bind, clear_socket, remove_socket
from rtbridge.workers.frames import ApiCall, Start, StoreCall
from rtbridge.workers.process import Worker
from rtbridge.workers.supervisor import Supervisor

#: Connections that may wait to be taken.
_BACKLOG: Final = 2048


class Web:
    """One transport among others of the parent, served by workers of its own.

    Args:
        config: The configuration, with the section ``http``.
        readiness: Is told when not all is well.
        start: Makes the first frame for a worker, by its number and that of the socket.
        environment: Of the workers.
        api: Answers calls of the server API.
        store: Does operations on stores of this process.

    Attributes:
        address: Where it listens.

    Raises:
        ListenError: The address cannot be bound.

    """

    name = "web"

    def __init__(
        self,
        config: Config,
        readiness: Readiness,
        *,
        start: Callable[[int, int], Start],
        environment: Mapping[str, str],
        api: Callable[[Worker, ApiCall], None],
        store: Callable[[Worker, StoreCall], None],
    ) -> None:
        assert config.http is not None
        self.address = config.http.address.target
        clear_socket(self.address, "HTTP")
        self._socket = bind(self.address, "HTTP")
        if not self.address.startswith("unix:"):
            self.address = f"{self.address.rpartition(':')[0]}:{self._socket.getsockname()[1]}"
        self._takers = Takers(config, self._socket)
        self._lazy = config.http.lazy_boot
        self.supervisor = Supervisor(
            self._takers,
            readiness,
            config.http.pool,
            mode="http",
            drain_timeout=config.rtbridge.drain_timeout,
            start=self._with_socket(start),
            environment=environment,
            api=api,
            store=store,
        )
        self.supervisor.begin(lazy=self._lazy)

    def _with_socket(self, start: Callable[[int, int], Start]) -> Callable[[int], Start]:
        number = self._socket.fileno()
        return lambda worker: start(worker, number)

    def configure(self, config: Config, *, start: Callable[[int, int], Start], environment: Mapping[str, str]) -> None:
        """What workers that are started from now on are to be."""
        assert config.http is not None
        self._takers.configure(config)
        self.supervisor.configure(
            config.http.pool,
            drain_timeout=config.rtbridge.drain_timeout,
            start=self._with_socket(start),
            environment=environment,
        )

    async def start(self) -> None:
        """Wait until a worker takes requests; with lazy ones there is nothing to wait for.

        Raises:
            PluginError: None does.

        """
        if self._lazy:
            self._socket.listen(_BACKLOG)  # who comes before the first worker does waits for it
        else:
            await asyncio.shield(self.supervisor.first)

    async def stop(self, timeout: float) -> None:
        """Take no new requests, end those under way within ``rtbridge.drain_timeout``, and end the workers."""
        if self._socket.fileno() < 0:
            return
        await self._takers.stop()
        await self.supervisor.stop()
        self._socket.close()
        remove_socket(self.address)


class Takers:
    """A :class:`rtbridge.workers.supervisor.Rotation` of workers that take connections themselves.

    Args:
        config: The configuration.
        listener: Where connections come.

    """

    def __init__(self, config: Config, listener: socket.socket) -> None:
        self.deadlines = Deadlines()
        self.crowded: Callable[[], None] = lambda: None
        self._listener = listener
        self._ready: set[Worker] = set()
        self._hopeless = ""
        self._failing = Failing(config, listener, lambda: self._hopeless)

    def configure(self, config: Config) -> None:
        """Answer for workers as this configuration says."""
        self._failing.configure(config)

    @property
    def waiting(self) -> int:
        """Nobody knows how many connections wait in the system's queue."""
        return 0

    def join(self, worker: Worker) -> None:
        """This one takes connections."""
        self._ready.add(worker)
        self._look()

    def leave(self, worker: Worker) -> None:
        """This one does not any more, or not now."""
        self._ready.discard(worker)

    def freed(self) -> None:
        """Calls are what is counted so; requests are not handed out."""

    def give_up(self, why: str) -> None:
        """Answer for the workers while none is there, so that nobody waits for one."""
        self._hopeless = why
        self._look()

    def _look(self) -> None:
        self._failing.want(bool(self._hopeless) and not self._ready)

    async def stop(self) -> None:
        """Take no connections."""
        await self._failing.stop()
