"""The stores that the parent has in its memory, used from a worker."""

import asyncio
import itertools

from rtbridge.stores.remote import Performed
from rtbridge.workers.frames import MAX_PAYLOAD, StoreCall, StoreReply
from rtbridge.workers.link import Link


class FramedStores:
    """Operations that travel to the parent, batched like calls, and what comes of them.

    Args:
        link: To the parent.

    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._ids = itertools.count(1)
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[int, asyncio.Future[Performed]] = {}

    async def ask(self, store: str, operation: str, arguments: bytes) -> Performed:
        """See :data:`rtbridge.stores.remote.Ask`."""
        if len(arguments) > MAX_PAYLOAD:
            return Performed(b"", "KvLimit", f"kv.{store}: {len(arguments):,} bytes; at most {MAX_PAYLOAD:,} travel")
        if self._link.closed:
            return _GONE
        id = next(self._ids)
        future: asyncio.Future[Performed] = self._loop.create_future()
        self._waiting[id] = future
        try:
            if self._link.behind:
                await self._link.drain()
            self._link.send(StoreCall(id, store, operation, arguments), len(arguments))
            return await future
        finally:
            del self._waiting[id]

    def reply(self, frame: StoreReply) -> None:
        """The parent answered."""
        future = self._waiting.get(frame.id)
        if future is not None and not future.done():
            future.set_result(Performed(frame.result, frame.error, frame.message))

    def lost(self) -> None:
        """The parent is gone."""
        for future in self._waiting.values():
            if not future.done():
                future.set_result(_GONE)


_GONE = Performed(b"", "KvUnavailable", "the process that has the stores in memory is gone")
