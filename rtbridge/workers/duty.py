"""What a worker does for its parent, whatever its mode."""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from rtbridge.app import Runtime
from rtbridge.workers.framed_api import FramedApi
from rtbridge.workers.framed_stores import FramedStores
from rtbridge.workers.frames import ApiReply, Ping, Pong, Retire, Serving, StoreReply, ToWorker, clean
from rtbridge.workers.link import Link

log = logging.getLogger("rtbridge.workers")


class Duty:
    """A worker that has booted.

    Args:
        runtime: Has the hooks.
        link: To the parent.
        api: Calls of the server API that travel over the link; None where there are none.
        stores: Operations on stores that do; None where there are none.

    """

    def __init__(
        self, runtime: Runtime, link: Link, api: FramedApi | None = None, stores: FramedStores | None = None
    ) -> None:
        self._runtime = runtime
        self._link = link
        self._api = api
        self._stores = stores
        self._loop = asyncio.get_running_loop()
        self._background: set[asyncio.Task[Any]] = set()

    def received(self, frame: ToWorker) -> None:
        """Do what a frame asks for."""
        match frame:
            case Ping():
                self._link.send(Pong())
            case ApiReply() if self._api is not None:
                self._api.reply(frame)
            case StoreReply() if self._stores is not None:
                self._stores.reply(frame)
            case Serving():
                self.keep(self._runtime.ready())
            case _:
                log.error("%s came out of turn", type(frame).__name__)

    def retire(self, why: str) -> None:
        """Ask to be replaced."""
        self._link.send(Retire(clean(why)))

    def abandon(self) -> None:
        """The parent is gone: nobody waits for anything."""
        for each in (self._api, self._stores):
            if each is not None:
                each.lost()

    async def end(self, timeout: float) -> None:
        """End what is under way, within ``timeout`` seconds."""

    def keep(self, work: Coroutine[Any, Any, None]) -> None:
        """Have something run beside."""
        task = self._loop.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
