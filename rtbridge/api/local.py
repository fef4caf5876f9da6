"""The server API as hooks get it: whoever composes the process says who answers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from rtbridge.api.base import Api
from rtbridge.api.settings import TIMEOUT, seconds
from rtbridge.api.threadsafe import ThreadsafeApi
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.errors import ApiError

#: What is wrong where there is no server at all.
UNSET: Final = (
    "there is no server to call: set centrifuge.grpc_api_address or rtbridge.centrifugo_api.http for a Centrifugo, "
    "or rtbridge.embedded for a server in this process"
)


class Relay(Protocol):
    """Carries calls out of the process."""

    async def __call__(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """See :meth:`Api.call`."""
        ...


class LocalApi(Api):
    """Passes calls on to a server in the same process, or to whatever carries them elsewhere.

    Args:
        clock: Expiries start from its time.
        timeout: Seconds that a call may take where its caller does not say.

    Attributes:
        serve: What answers calls in this process; None where nothing does.

    """

    def __init__(self, clock: Clock = SYSTEM_CLOCK, timeout: float = TIMEOUT) -> None:
        self.clock = clock
        self.serve: Callable[[str, Any], Any] | None = None
        self.sync = ThreadsafeApi(self, self._running, timeout)
        self._timeout = timeout
        self._relay: Relay | None = None
        self._close: Callable[[], Awaitable[None]] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def attach(self) -> None:
        """Make the running event loop the one on which calls of threads run."""
        self._loop = asyncio.get_running_loop()

    def bind(self, serve: Callable[[str, Any], Any]) -> None:
        """Say who answers calls in this process: a function of the method's name and the request, called on the loop.

        It answers at once, so ``timeout`` means nothing to it.
        """
        self.serve, self._relay, self._close = serve, None, None

    def relay(self, relay: Relay, close: Callable[[], Awaitable[None]] | None = None) -> None:
        """Say who carries calls elsewhere.

        Args:
            relay: A coroutine function of the method's name, the request and ``timeout``.
            close: Called at the end.

        """
        self.serve, self._relay, self._close = None, relay, close

    async def call(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """See :meth:`Api.call`.

        Raises:
            ApiError: The server refuses the call, or none is configured: 108.

        """
        bound = seconds(timeout, self._timeout)
        if self.serve is not None:
            return self.serve(method, request)
        if self._relay is None:
            raise ApiError(108, UNSET)
        return await self._relay(method, request, timeout=bound)

    async def close(self) -> None:
        """Close what carries calls, where that has to be closed."""
        if self._close is not None:
            await self._close()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError("api.sync: no event loop runs hooks yet; use it from on_boot on")
        return self._loop
