"""The HTTP server as its parent has it: sockets, and the workers that take connections from them."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Final

from rtbridge.config import Config
from rtbridge.deadlines import Deadlines
from rtbridge.plugins.http.doors import Door, doors
from rtbridge.plugins.http.failing import Failing
from rtbridge.plugins.http.metrics import Counts
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
        start: Makes the first frame for a worker, by its number and those of the sockets.
        environment: Of the workers.
        api: Answers calls of the server API.
        store: Does operations on stores of this process.

    Attributes:
        counts: What ``http_metrics`` has counted, in all workers that there were.
        places: Where it listens: ``web`` in plain text, ``https`` over TLS.

    Raises:
        ListenError: An address cannot be bound.

    """

    name = "web"

    def __init__(
        self,
        config: Config,
        readiness: Readiness,
        *,
        start: Callable[[int, dict[str, int]], Start],
        environment: Mapping[str, str],
        api: Callable[[Worker, ApiCall], None],
        store: Callable[[Worker, StoreCall], None],
    ) -> None:
        assert config.http is not None
        self.counts = Counts()
        self.places: dict[str, str] = {}
        self._sockets: dict[str, socket.socket] = {}
        try:
            for door in doors(config):
                self._bind(door)
        except BaseException:
            self._close()
            raise
        self._takers = Takers(config, self._sockets)
        self._lazy = config.http.lazy_boot
        self.supervisor = Supervisor(
            self._takers,
            readiness,
            config.http.pool,
            mode="http",
            drain_timeout=config.rtbridge.drain_timeout,
            start=self._with_sockets(start),
            environment=environment,
            api=api,
            store=store,
            counted=self.counts.add,
        )
        self.supervisor.begin(lazy=self._lazy)

    @property
    def address(self) -> str:
        """Where it listens first."""
        return next(iter(self.places.values()))

    def _bind(self, door: Door) -> None:
        address = door.address.target
        clear_socket(address, "HTTP")
        bound = self._sockets[door.name] = bind(address, "HTTP")
        if not address.startswith("unix:"):
            address = f"{address.rpartition(':')[0]}:{bound.getsockname()[1]}"
        self.places[door.name] = address

    def _close(self) -> None:
        for name, bound in self._sockets.items():
            bound.close()
            remove_socket(self.places[name])
        self._sockets.clear()

    def _with_sockets(self, start: Callable[[int, dict[str, int]], Start]) -> Callable[[int], Start]:
        numbers = {name: bound.fileno() for name, bound in self._sockets.items()}
        return lambda worker: start(worker, numbers)

    def configure(
        self, config: Config, *, start: Callable[[int, dict[str, int]], Start], environment: Mapping[str, str]
    ) -> None:
        """What workers that are started from now on are to be."""
        assert config.http is not None
        self._takers.configure(config)
        self.supervisor.configure(
            config.http.pool,
            drain_timeout=config.rtbridge.drain_timeout,
            start=self._with_sockets(start),
            environment=environment,
        )

    async def start(self) -> None:
        """Wait until a worker takes requests; with lazy ones there is nothing to wait for.

        Raises:
            PluginError: None does.

        """
        if self._lazy:
            for bound in self._sockets.values():
                bound.listen(_BACKLOG)  # who comes before the first worker does waits for it
        else:
            await asyncio.shield(self.supervisor.first)

    async def stop(self, timeout: float) -> None:
        """Take no new requests, end those under way within ``rtbridge.drain_timeout``, and end the workers."""
        if not self._sockets:
            return
        await self._takers.stop()
        await self.supervisor.stop()
        self._close()


class Takers:
    """A :class:`rtbridge.workers.slots.Rotation` of workers that take connections themselves.

    Args:
        config: The configuration.
        listeners: Where connections come.

    """

    def __init__(self, config: Config, listeners: Mapping[str, socket.socket]) -> None:
        self.deadlines = Deadlines()
        self.crowded: Callable[[], None] = lambda: None
        self._ready: set[Worker] = set()
        self._hopeless = ""
        self._failing = Failing(config, listeners, lambda: self._hopeless)

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
