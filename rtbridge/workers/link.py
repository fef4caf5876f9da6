"""One end of a socketpair: frames in, frames out, one write for all that a turn of the loop has to say."""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any, Final

from rtbridge.workers.frames import Frame, FrameError, Unpacker, pack

log = logging.getLogger("rtbridge.workers")

#: Frames, and about as many bytes, after which a batch is written without waiting for the end of the turn.
_MANY: Final = 128
_LARGE: Final = 256 * 1024


class Link(asyncio.Protocol):
    """A connected end.

    Args:
        unpacker: Reads what the other end sends.
        received: Called with the frames of each batch.
        lost: Called once, when nothing more can come or go.

    """

    def __init__(
        self, unpacker: Unpacker[Any], received: Callable[[list[Any]], None], lost: Callable[[], None]
    ) -> None:
        self._unpacker = unpacker
        self._received = received
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._loop = asyncio.get_running_loop()
        self._out: list[Frame] = []
        self._size = 0
        self._resumed: asyncio.Future[None] | None = None
        self.closed = False
        self.gone = asyncio.Event()

    @classmethod
    async def over(
        cls,
        end: socket.socket,
        unpacker: Unpacker[Any],
        received: Callable[[list[Any]], None],
        lost: Callable[[], None],
    ) -> "Link":
        """A link over one end of a socketpair, which it owns from now on."""
        end.setblocking(False)
        _, link = await asyncio.get_running_loop().create_unix_connection(
            lambda: cls(unpacker, received, lost), sock=end
        )
        return link

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        try:
            frames = self._unpacker.feed(data)
        except FrameError as exc:
            log.error("a link to another process is closed: %s", exc)
            self.close()
            return
        if frames:
            self._received(frames)

    def pause_writing(self) -> None:
        """See asyncio.Protocol."""
        self._resumed = self._loop.create_future()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        resumed, self._resumed = self._resumed, None
        if resumed is not None and not resumed.done():
            resumed.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self.closed = True
        self.gone.set()
        self._out.clear()
        self.resume_writing()
        self._lost()

    def send(self, frame: Frame, size: int = 0) -> None:
        """Write a frame with the others of this turn; after the link is lost it goes nowhere.

        Args:
            frame: The frame.
            size: About how many bytes it has, where it may have many.

        """
        if self.closed:
            return
        out = self._out
        out.append(frame)
        self._size += size
        if len(out) == 1:
            self._loop.call_soon(self.flush)
        elif len(out) >= _MANY or self._size >= _LARGE:
            self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        if not self._out or self._transport is None or self.closed:
            return
        self._transport.write(pack(self._out))
        self._out.clear()
        self._size = 0

    @property
    def behind(self) -> bool:
        """Whether the other end has fallen behind."""
        return self._resumed is not None

    async def drain(self) -> None:
        """Wait until the other end takes more, where it has fallen behind."""
        if self._resumed is not None:
            await asyncio.shield(self._resumed)

    def close(self) -> None:
        """Write what is waiting, then close."""
        if self._transport is not None and not self.closed:
            try:
                self.flush()
            except FrameError as exc:
                log.error("what was left to say over a link is lost: %s", exc)
            self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None and not self.closed:
            self._transport.abort()
