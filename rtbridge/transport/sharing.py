"""One listening socket for several processes, each of which takes its share of the connections."""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any, Final

log = logging.getLogger("rtbridge.http")

#: What the system says when it has no room for another connection; not the fault of the one that is waiting.
_NO_ROOM: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

#: Seconds until another try then.
_PAUSE: Final = 1.0

#: Seconds that connections which were taken have to be ready for their first byte: a TLS handshake takes some.
_SETTLE: Final = 2.0


class Shared:
    """Takes one connection in each turn of the event loop, so that the others get theirs.

    asyncio's own server takes all that are waiting at once: of a proxy that opens thirty connections for later, one
    process would have them all, and the others none.

    Args:
        listener: The socket, bound; closing it is left to whoever has it.
        make: Makes the protocol of a connection.
        tls: For connections over TLS; None in plain text.
        backlog: How many connections may wait.

    """

    def __init__(
        self, listener: socket.socket, make: Callable[[], asyncio.Protocol], tls: ssl.SSLContext | None, backlog: int
    ) -> None:
        self._listener = listener
        self._make = make
        self._tls = tls
        self._backlog = backlog
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._taking: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Take connections."""
        self._listener.listen(self._backlog)
        self._watch()

    def _watch(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listener.fileno(), self._ready)

    def _ready(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or the other side has thought better of it
        except OSError as exc:
            if exc.errno not in _NO_ROOM:
                raise
            log.error("no connections are taken for %g s: %s", _PAUSE, exc.strerror)
            self._loop.remove_reader(self._listener.fileno())
            self._loop.call_later(_PAUSE, self._watch)
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._take(connection))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def _take(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, connection, ssl=self._tls)
        except (OSError, ssl.SSLError) as exc:  # it went, or speaks no TLS
            log.debug("a connection came to nothing: %s", exc)
            connection.close()

    # What uvicorn asks of a server.

    @property
    def sockets(self) -> Sequence[socket.socket]:
        """Where it listens."""
        return () if self._closed else (self._listener,)

    def close(self) -> None:
        """Take no more connections."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._listener.fileno())

    async def wait_closed(self) -> None:
        """Wait until those that were taken are ready for their first byte."""
        if self._taking:
            await asyncio.wait(tuple(self._taking), timeout=_SETTLE)
