"""A TCP proxy between a client and a server that a test can cut, as a network would."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

_CHUNK = 64 * 1024


class Cable:
    """Forwards bytes both ways until it is cut.

    Args:
        port: Of the server, on the loopback.

    Attributes:
        target: The server's port; a later connection goes where it says then.

    """

    def __init__(self, port: int) -> None:
        self.target = port
        self._cut = False
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._connections: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """``host:port`` for clients."""
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Reset every connection, and each new one, until :meth:`mend`."""
        self._cut = True
        for connection in self._connections:
            connection.cancel()

    def mend(self) -> None:
        """Let connections through again."""
        self._cut = False

    def freeze(self) -> None:
        """Keep connections open and let nothing through any more: the other side has gone without a word."""
        self._thawed.clear()

    def thaw(self) -> None:
        """Let everything through again, that which waits first."""
        self._thawed.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        writers = [writer]
        try:
            if self._cut:
                return
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
            writers.append(far_writer)
            async with asyncio.TaskGroup() as pumps:
                pumps.create_task(self._pump(reader, far_writer))
                pumps.create_task(self._pump(far_reader, writer))
        except* (OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            for each in writers:
                each.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await self._thawed.wait()
            writer.write(data)
            await writer.drain()
        await self._thawed.wait()
        with contextlib.suppress(OSError):
            writer.write_eof()

    @contextlib.asynccontextmanager
    async def laid(self) -> AsyncIterator["Cable"]:
        """The cable, from when it takes connections until all of them have ended."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield self
        finally:
            self._server.close()
            self.cut()
            await asyncio.gather(*self._connections, return_exceptions=True)
            await self._server.wait_closed()
