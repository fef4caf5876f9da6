"""Routes that hooks give, in front of the user's application."""

from collections.abc import Sequence
from typing import Any, Final

from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.routing import BaseRoute, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from rtbridge.errors import PluginError

#: Stands in a scope that no route has taken.
_FREE: Final = "rtbridge.free"

#: Starlette leaves this behind for the handlers of its routes.
_HANDLERS: Final = "starlette.exception_handlers"


class Routes:
    """Routes on Starlette.

    Args:
        routes: The routes; the first one that fits takes a request.
        app: What answers where none fits; None for nothing.

    Raises:
        PluginError: Something among them is no route.

    """

    def __init__(self, routes: Sequence[Any], app: ASGIApp) -> None:
        for each in routes:
            if not isinstance(each, BaseRoute):
                raise PluginError(f"http_routes: found {each!r}, allowed: routes of Starlette: Route, Mount, Host")
        router = Router(list(routes), redirect_slashes=False, default=_free)
        self._router = ExceptionMiddleware(router)
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._router(scope, receive, send)
        if scope.pop(_FREE, False):
            scope.pop(_HANDLERS, None)
            await self._app(scope, receive, send)


async def _free(scope: Scope, receive: Receive, send: Send) -> None:
    scope[_FREE] = True
