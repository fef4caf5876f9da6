"""Takes connections from a listening socket: as many as there is room for, also where several processes take some."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from rtbridge.clock import SYSTEM_CLOCK
from rtbridge.denial import Throttle
from rtbridge.errors import ListenError

log = logging.getLogger("rtbridge.listening")

#: What says of one connection that it is gone, or that another process was faster; the next one may be well.
_GONE: Final = (BlockingIOError, InterruptedError, ConnectionError)

#: Seconds until another try where the system gives nothing (EMFILE, ENFILE, ENOBUFS, ENOMEM, ENETDOWN; accept(2)).
_PAUSE: Final = 1.0

#: Connections that are taken in one turn of the event loop where nobody else takes any.
_AT_ONCE: Final = 128

#: One in so many files that a process may open is for other things than one socket's connections.
_KEPT: Final = 8

#: Seconds for a TLS handshake, and for connections that were taken to be ready for their first byte when it ends.
_HANDSHAKE: Final = 10.0
_SETTLE: Final = 2.0


class Bound(NamedTuple):
    """How many connections there may be.

    Attributes:
        most: As many.
        why: Who says so, and what to change.

    """

    most: float
    why: str


def bound(connections: int | None) -> Bound:
    """As many as asked for, or seven of eight files that this process may open if that is less; None asks for none."""
    most = float("inf") if connections is None else connections
    try:
        import resource
    except ImportError:  # Windows, which has no such limit
        files = -1
    else:
        files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if files == resource.RLIM_INFINITY:
            files = -1
    room = files - files // _KEPT
    if files >= 0 and room < most:
        return Bound(room, f"RLIMIT_NOFILE is {files} (ulimit -n, LimitNOFILE of systemd)")
    return Bound(most, f"rtbridge.limits.connections is {connections}")


class _Taken(socket.socket):
    """A connection that tells when it gives its descriptor back."""

    __slots__ = ("_left",)

    def __init__(self, taken: socket.socket, left: "Callable[[_Taken], object]") -> None:
        self._left = left
        super().__init__(taken.family, taken.type, taken.proto, fileno=taken.detach())
        self.setblocking(False)

    def close(self) -> None:  # asyncio's way
        super().close()
        self._left(self)

    def detach(self) -> int:  # uvloop's, which closes the descriptor itself
        descriptor = super().detach()
        self._left(self)
        return descriptor


class SocketServer:
    """What asyncio's own server is, with bounds.

    What is beyond the bound is closed at once, before any handshake, so that it knows. Where the system has no room,
    nothing is taken for a moment: asyncio's server tries again, and logs, thousands of times a second (CPython 3.11),
    uvloop's closes what comes and says nothing.

    Args:
        listener: The socket, bound; closing it is left to whoever has it.
        make: Makes the protocol of a connection.
        name: For people.
        tls: For connections over TLS; None in plain text.
        backlog: How many connections may wait.
        connections: How many may be open; None for as many as the system allows.
        shared: Whether other processes take some, too. Then one is taken in each turn of the event loop, so that the
            others get theirs: of a proxy that opens thirty connections for later, one process would have them all.

    """

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[], asyncio.Protocol],
        *,
        name: str,
        tls: ssl.SSLContext | None = None,
        backlog: int = 2048,
        connections: int | None = None,
        shared: bool = False,
    ) -> None:
        self._listener = listener
        self._make = make
        self._name = name
        self._tls = tls
        self._backlog = backlog
        self._bound = bound(connections)
        self._at_once = 1 if shared else _AT_ONCE
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._open: set[_Taken] = set()
        self._taking: set[asyncio.Task[Any]] = set()
        self._waiting: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None
        self._throttle = Throttle(SYSTEM_CLOCK)

    def start(self) -> None:
        """Take connections.

        Raises:
            ListenError: Somebody else does.

        """
        try:
            self._listener.listen(self._backlog)
        except OSError as exc:
            raise ListenError(f"{self._name} cannot listen: {exc.strerror}") from exc
        self._watch()

    def _watch(self) -> None:
        try:
            self._loop.add_reader(self._listener.fileno(), self._ready)
        except NotImplementedError:  # the loop of Windows
            self._waiting = self._loop.create_task(self._wait())

    async def _wait(self) -> None:
        while True:
            try:
                connection, _ = await self._loop.sock_accept(self._listener)
            except _GONE:
                continue
            except OSError as exc:
                self._fail(exc)
                await asyncio.sleep(_PAUSE)
            else:
                self._admit(connection)

    def _ready(self) -> None:
        for _ in range(self._at_once):
            try:
                connection, _ = self._listener.accept()
            except _GONE:
                return
            except OSError as exc:
                self._fail(exc)
                self._loop.remove_reader(self._listener.fileno())
                self._retry = self._loop.call_later(_PAUSE, self._watch)
                return
            self._admit(connection)

    def _fail(self, exc: OSError) -> None:
        if (held := self._throttle.admit("no room")) is not None:
            log.error(
                "%s takes no new connections for now: %s; it tries again every %g s (%d more like it)",
                self._name,
                exc.strerror,
                _PAUSE,
                held,
            )

    def _admit(self, connection: socket.socket) -> None:
        if len(self._open) >= self._bound.most:
            connection.close()
            if (held := self._throttle.admit("too many")) is not None:
                log.warning(
                    "%s closed a new connection: %d are open, and %s (%d more like it)",
                    self._name,
                    len(self._open),
                    self._bound.why,
                    held,
                )
            return
        taken = _Taken(connection, self._open.discard)
        self._open.add(taken)
        task = self._loop.create_task(self._take(taken))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def _take(self, taken: _Taken) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._make, taken, ssl=self._tls, ssl_handshake_timeout=None if self._tls is None else _HANDSHAKE
            )
        except (OSError, ssl.SSLError) as exc:  # it went, or speaks no TLS
            log.debug("a connection came to nothing: %s", exc)
            taken.close()
        except Exception:
            log.exception("%s could not serve a connection", self._name)
            taken.close()

    # What is asked of a server.

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """Where it listens."""
        return () if self._closed else (self._listener,)

    def close(self) -> None:
        """Take no more connections."""
        if self._closed:
            return
        self._closed = True
        if self._retry is not None:
            self._retry.cancel()
        if self._waiting is not None:
            self._waiting.cancel()
        else:
            self._loop.remove_reader(self._listener.fileno())

    async def wait_closed(self) -> None:
        """Wait until those that were taken are ready for their first byte, and give up those that take too long."""
        if self._taking:
            _, late = await asyncio.wait(tuple(self._taking), timeout=_SETTLE)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
