"""From what makes parts of an answer to whoever reads them: bounded, and over as soon as one of the two is gone."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final, NamedTuple, TypeAlias

from starlette.types import Message, Receive, Scope, Send

log = logging.getLogger("rtbridge.http")

#: Parts, and bytes in them, that wait to be sent before what makes them has to wait, too.
PARTS: Final = 64
BYTES: Final = 64 * 1024

#: Seconds that a generator has to end once nobody wants more of it.
CLOSING: Final = 10.0

#: Takes a function to be called once the server ends, and gives back what takes that out again.
Ending: TypeAlias = Callable[[Callable[[], None]], Callable[[], None]]

#: Extension of a scope: an :data:`Ending`.
ENDING: Final = "rtbridge.ending"


class Silence(NamedTuple):
    """What is sent when nothing else has been for a while.

    Attributes:
        seconds: How long that is.
        filler: The bytes.

    """

    seconds: float
    filler: bytes


async def relay(
    content: AsyncIterator[bytes],
    start: Message,
    scope: Scope,
    receive: Receive,
    send: Send,
    *,
    at_once: bool = False,
    silence: Silence | None = None,
    ends: bool = False,
) -> None:
    """Send an answer in parts, as they are made.

    ``content`` runs in a task of its own, at most :data:`PARTS` parts or :data:`BYTES` bytes ahead of the sending,
    which waits for the reader. It is cancelled and closed when the reader is gone.

    Args:
        content: Makes the parts. A generator is closed in the end, whatever happens.
        start: The message with status and headers; it is sent with the first part, so an exception before that can
            still be answered.
        scope: The request.
        receive: Tells when the reader is gone. What is left of the request's body is read and dropped.
        send: Sends.
        at_once: Send status and headers before there is a part.
        silence: What to send when nothing else is.
        ends: Whether the answer ends, whole, when the server does.

    Raises:
        Exception: What ``content`` raised, once the parts before it have been sent.

    """
    buffer = Buffer()
    making = asyncio.create_task(_make(content, buffer))
    watching = asyncio.create_task(_watch(receive, buffer))
    ending: Ending | None = scope.get("extensions", {}).get(ENDING)
    forget = ending(buffer.finish) if ends and ending is not None else None
    try:
        if at_once:
            await send(start)
        while (data := await buffer.take(silence)) is not None:
            if not at_once:
                at_once = True
                await send(start)
            await send({"type": "http.response.body", "body": data, "more_body": True})
        if not buffer.gone:
            if not at_once:
                await send(start)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        if forget is not None:
            forget()
        buffer.leave()
        watching.cancel()
        making.cancel()
        _, late = await asyncio.wait((watching, making), timeout=CLOSING)
        if making in late:
            log.error("%s: its generator goes on %g s after its end", scope["path"], CLOSING)


class Buffer:
    """Parts that wait, between a task that makes them and one that takes them."""

    def __init__(self) -> None:
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._error: Exception | None = None
        self._done = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        #: Whether nobody reads any more.
        self.gone = False

    async def put(self, data: bytes) -> None:
        """Add a part; waits while there are too many."""
        self._parts.append(data)
        self._size += len(data)
        self._changed.set()
        if len(self._parts) >= PARTS or self._size >= BYTES:
            self._room.clear()
            await self._room.wait()

    def finish(self, error: Exception | None = None) -> None:
        """No part comes any more, because of an error or because there is none."""
        if not self._done:
            self._done, self._error = True, error
            self._changed.set()

    def leave(self) -> None:
        """Nobody reads any more."""
        self.gone = True
        self._changed.set()

    async def take(self, silence: Silence | None) -> bytes | None:
        """All that waits, or what stands for silence; None once there is no more to come.

        Raises:
            Exception: The maker's, after the parts before it.

        """
        while True:
            if self.gone:
                return None
            if self._parts:
                data = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
                self._parts.clear()
                self._size = 0
                self._room.set()
                return data
            if self._done:
                if self._error is not None:
                    raise self._error
                return None
            self._changed.clear()
            if silence is None:
                await self._changed.wait()
                continue
            try:
                async with asyncio.timeout(silence.seconds):
                    await self._changed.wait()
            except TimeoutError:
                return silence.filler


async def _make(content: AsyncIterator[bytes], buffer: Buffer) -> None:
    try:
        try:
            async for part in content:
                if part:
                    await buffer.put(part)
        finally:
            if isinstance(content, AsyncGenerator):
                await content.aclose()
    except asyncio.CancelledError:
        buffer.finish()
        raise
    except Exception as exc:
        if buffer.gone:
            log.warning("a generator failed when nobody read it any more", exc_info=exc)
        buffer.finish(exc)
    except BaseException as exc:  # sys.exit() in a handler does not end the server
        buffer.finish(RuntimeError(f"the generator raised {type(exc).__name__}"))
    else:
        buffer.finish()


async def _watch(receive: Receive, buffer: Buffer) -> None:
    try:
        while (await receive())["type"] != "http.disconnect":
            pass
    except Exception as exc:  # a body that is refused
        buffer.finish(exc)
    else:
        buffer.leave()
