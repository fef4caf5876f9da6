"""The server API as hooks get it: whoever composes the process says who answers."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from rtbridge.api.base import Api
from rtbridge.errors import ApiError

#: What is wrong where there is no server at all.
UNSET: Final = (
    "there is no server to call: set centrifuge.grpc_api_address or rtbridge.centrifugo_api.http for a Centrifugo, "
    "or rtbridge.embedded for a server in this process"
)


class LocalApi(Api):
    """Passes calls on to a server in the same process, or to whatever else it is bound to."""

    def __init__(self) -> None:
        self._serve: Callable[[str, Any], Any] | None = None
        self._close: Callable[[], Awaitable[None]] | None = None

    def bind(self, serve: Callable[[str, Any], Any], close: Callable[[], Awaitable[None]] | None = None) -> None:
        """Say who answers calls.

        Args:
            serve: A function, or a coroutine function, of the method's name and the request.
            close: Called at the end.

        """
        self._serve = serve
        self._close = close

    async def call(self, method: str, request: Any) -> Any:
        """See :meth:`Api.call`.

        Raises:
            ApiError: The server refuses the call, or none is configured: 108.

        """
        if self._serve is None:
            raise ApiError(108, UNSET)
        result = self._serve(method, request)
        return await result if hasattr(result, "__await__") else result

    async def close(self) -> None:
        """Close what answers calls, where that has to be closed."""
        if self._close is not None:
            await self._close()
