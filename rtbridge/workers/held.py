"""The parent's side of one call that a worker holds, and of one stream that it feeds."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Protocol, TypeAlias

from rtbridge.bridge import StreamFailed
from rtbridge.deadlines import Timed
from rtbridge.errors import InvalidMessage
from rtbridge.workers.frames import WINDOW, Answer, Cancel, Credit, Frame, Incoming

log = logging.getLogger("rtbridge.workers")

#: Takes an answer, or the words that say why there is none.
Deliver: TypeAlias = Callable[[Answer | str], None]


class Sender(Protocol):
    """Where frames to the worker go."""

    def send(self, frame: Frame, size: int = 0) -> None:
        """Write a frame."""
        ...


class Held(Timed, eq=False):
    """A call from the moment that it is sent until nothing of it runs in the worker.

    Attributes:
        deliver: Is given its answer; or, as text, why there is none. None once it was, and when nobody waits any more.
        since: When it was sent.
        late: Called when its time is up.
        stream: The stream that it may start.

    """

    id: int
    deliver: Deliver | None
    since: float
    late: "Callable[[Held], None]"
    stream: "PoolStream | None" = None

    def expire(self) -> None:
        """Tell the worker's end that the time is up."""
        self.late(self)

    def answer(self, answer: Answer | str) -> None:
        """Give the waiting call its answer, unless it has one or went away."""
        deliver, self.deliver = self.deliver, None
        if deliver is not None:
            try:
                deliver(answer)
            except Exception:  # of whoever waits; the link has other calls to bring
                log.exception("an answer could not be delivered")


class PoolStream:
    """A stream whose hook runs in a worker.

    Args:
        id: Of its call.
        link: To the worker.
        incoming: What the client sends.
        ended: Called once, when it is over on this side.

    """

    def __init__(
        self, id: int, link: Sender, incoming: AsyncIterator[bytes] | None, ended: Callable[[int], None]
    ) -> None:
        self._id = id
        self._link = link
        self._ended = ended
        self._items: deque[bytes] = deque()  # the worker keeps to the window
        self._error: str | None = None  # "" for a good end
        self._news: asyncio.Future[None] | None = None
        self._credit = WINDOW
        self._taken = asyncio.Event()
        self._over = False
        self._pump: asyncio.Task[None] | None = None
        if incoming is not None:
            self._pump = asyncio.get_running_loop().create_task(self._forward(incoming))

    def item(self, body: bytes) -> None:
        """The worker sent a message."""
        self._items.append(body)
        self._tell()

    def end(self, error: str) -> None:
        """The worker ended it, or is gone; ``error`` is "" for a good end."""
        if self._error is None:
            self._error = error
        self._close()
        self._tell()

    def credit(self, count: int) -> None:
        """The worker took so many of the client's messages."""
        self._credit += count
        self._taken.set()

    async def items(self) -> AsyncGenerator[bytes, None]:
        """See :meth:`rtbridge.handler.Stream.items`."""
        taken = 0
        try:
            while True:
                while self._items:
                    yield self._items.popleft()
                    taken += 1
                    if taken * 2 >= WINDOW:
                        self._link.send(Credit(self._id, taken))
                        taken = 0
                if self._error is not None:
                    break
                self._news = asyncio.get_running_loop().create_future()
                await self._news
            if self._error:
                raise StreamFailed(self._error)
        finally:
            self.abandon()

    def abandon(self) -> None:
        """See :meth:`rtbridge.handler.Stream.abandon`."""
        if self._error is None:
            self._error = "abandoned"
            self._link.send(Cancel(self._id))
        self._close()

    def _close(self) -> None:
        if self._over:
            return
        self._over = True
        if self._pump is not None:
            self._pump.cancel()
        self._ended(self._id)

    def _tell(self) -> None:
        news, self._news = self._news, None
        if news is not None and not news.done():
            news.set_result(None)

    async def _forward(self, incoming: AsyncIterator[bytes]) -> None:
        try:
            async for body in incoming:
                while self._credit <= 0:
                    self._taken.clear()
                    await self._taken.wait()
                self._credit -= 1
                self._link.send(Incoming(self._id, body), len(body))
        except InvalidMessage as exc:
            self._link.send(Cancel(self._id))
            self.end(f"the caller sent {exc}")
            return
        self._link.send(Incoming(self._id, None))
