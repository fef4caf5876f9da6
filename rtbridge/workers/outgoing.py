"""The worker's side of a subscription stream."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from rtbridge.bridge import StreamFailed
from rtbridge.workers.frames import MAX_PAYLOAD, WINDOW, Credit, Item, StreamEnd, clean
from rtbridge.workers.link import Link


class Outgoing:
    """Sends what a hook yields as long as the parent takes it, and has what the client sends.

    Args:
        id: Of the call.
        link: To the parent.

    """

    def __init__(self, id: int, link: Link) -> None:
        self._id = id
        self._link = link
        self._credit = WINDOW
        self._more = asyncio.Event()
        self._incoming: asyncio.Queue[bytes | None] = asyncio.Queue()  # the parent keeps to the window

    def credit(self, count: int) -> None:
        """The parent took so many."""
        self._credit += count
        self._more.set()

    def incoming(self, body: bytes | None) -> None:
        """The client sent something, or will send nothing more."""
        self._incoming.put_nowait(body)

    async def later(self) -> AsyncIterator[bytes]:
        """What the client sends."""
        taken = 0
        while (body := await self._incoming.get()) is not None:
            yield body
            taken += 1
            if taken * 2 >= WINDOW:
                self._link.send(Credit(self._id, taken))
                taken = 0

    async def send(self, items: AsyncGenerator[bytes, None]) -> None:
        """Everything that the hook yields, then the end."""
        error = ""
        async with aclosing(items):
            try:
                async for item in items:
                    if len(item) > MAX_PAYLOAD:
                        raise StreamFailed(f"a message of {len(item):,} bytes; at most {MAX_PAYLOAD:,} travel")
                    while self._credit <= 0:
                        self._more.clear()
                        await self._more.wait()
                    self._credit -= 1
                    self._link.send(Item(self._id, item), len(item))
            except StreamFailed as exc:
                error = clean(str(exc)) or "it failed"
        self._link.send(StreamEnd(self._id, error))
