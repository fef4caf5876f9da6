"""The server API of the embedded server, of this process or of the one that it works for."""

from collections.abc import Callable
from typing import Any

from rtbridge.api.base import Api
from rtbridge.errors import ApiError


class LocalApi(Api):
    """Calls a server in the same process, once there is one."""

    def __init__(self) -> None:
        self._serve: Callable[[str, Any], Any] | None = None

    def bind(self, serve: Callable[[str, Any], Any]) -> None:
        """Say who answers calls: a function, or a coroutine function."""
        self._serve = serve

    async def call(self, method: str, request: Any) -> Any:
        """See :meth:`Api.call`.

        Raises:
            ApiError: The server refuses the call, or there is none in this process: 108.

        """
        if self._serve is None:
            raise ApiError(108, "no server API in this process: rtbridge.embedded is not configured")
        result = self._serve(method, request)
        return await result if hasattr(result, "__await__") else result
