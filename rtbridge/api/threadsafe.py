"""A blocking face for an ``Api``: its calls run on the event loop that another thread runs."""

import asyncio
import concurrent.futures
from collections.abc import Callable
from typing import Any, Final

from rtbridge.api.base import Api, SyncApi
from rtbridge.api.settings import seconds
from rtbridge.errors import ApiFailure

#: Seconds that a call has beyond its time: it ends by itself when that is up, and says better what was the matter.
_GRACE: Final = 0.5


class ThreadsafeApi(SyncApi):
    """The calls of an ``Api``, for every thread but the one that runs its event loop.

    Args:
        api: The API.
        loop: Gives the loop; called with each call.
        timeout: Seconds that a call may take where its caller does not say.

    """

    def __init__(self, api: Api, loop: Callable[[], asyncio.AbstractEventLoop], timeout: float) -> None:
        self.clock = api.clock
        self._api = api
        self._loop = loop
        self._timeout = timeout

    def call(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """See :meth:`Api.call`.

        Raises:
            RuntimeError: This thread runs the event loop, or none runs yet.

        """
        bound, loop = seconds(timeout, self._timeout), self._loop()
        if asyncio._get_running_loop() is loop:
            raise RuntimeError("api.sync blocks, and this is the event loop that its calls run on: await api here")

        begun = abandoned = False

        async def work() -> Any:
            nonlocal begun
            begun = True
            if not abandoned:  # else cancelling the task comes too late for its first step
                return await self._api.call(method, request, timeout=bound)

        coroutine = work()
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        except RuntimeError:
            coroutine.close()
            raise ApiFailure("api.sync: the event loop of the hooks has ended", False) from None
        try:
            return future.result(bound + _GRACE)
        except concurrent.futures.CancelledError:
            raise ApiFailure("api.sync: the event loop of the hooks ended during the call", begun) from None
        except TimeoutError:
            abandoned = True
            future.cancel()
            raise ApiFailure(f"api.sync: the event loop of the hooks was busy for {bound:g} s", begun, True) from None
