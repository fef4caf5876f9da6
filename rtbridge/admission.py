"""How many events may be answered at once, and who is turned away while its caller still listens."""

import asyncio
from collections import deque
from typing import Final

from rtbridge.errors import Overloaded

#: Share of the caller's time that an event may wait for a place: what is left has to do for answering it.
_WAIT_SHARE: Final = 0.5

#: Seconds to wait where the caller names no deadline: half of what Centrifugo's proxies have by default.
_WAIT_DEFAULT: Final = 0.5


class Admission:
    """A bound on concurrent events with a bounded line before it.

    Args:
        limit: Events answered at once; as many more may wait.

    """

    __slots__ = ("_line", "active", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.active = 0
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Events in the line."""
        return len(self._line)

    async def wait(self, remaining: float | None) -> None:
        """Take a place when one comes free in time; call it only when ``active`` has reached ``limit``.

        Raises:
            Overloaded: The line is full, or no place came free in half of the time that remains.

        """
        if len(self._line) >= self.limit:
            raise Overloaded(f"{self.limit} events are being answered and {len(self._line)} wait")
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._line.append(future)
        try:
            async with asyncio.timeout(_WAIT_DEFAULT if remaining is None else remaining * _WAIT_SHARE):
                await future
        except BaseException as exc:
            if future.done() and not future.cancelled():
                self.leave()
            elif future in self._line:  # whoever left meanwhile has passed it over
                self._line.remove(future)
            if isinstance(exc, TimeoutError):
                raise Overloaded(f"{self.limit} events are being answered and none ended in time") from exc
            raise

    def leave(self) -> None:
        """Give the place to the next in line, or back."""
        while self._line:
            future = self._line.popleft()
            if not future.done():
                future.set_result(None)
                return
        self.active -= 1
