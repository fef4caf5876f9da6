"""The request at hand."""

from contextvars import ContextVar
from typing import Final

from starlette.requests import Request
from starlette.types import Scope

#: The request that is being answered; whoever answers one sets it, in a context of its own.
SCOPE: Final[ContextVar[Scope | None]] = ContextVar("rtbridge_request", default=None)


def current_request() -> Request | None:
    """The request that the code which asks is answering; None outside of one.

    It is the same in handlers, streams and middleware of the application, on the event loop and on threads that a
    framework starts in a copy of the context. Its body is the handler's to read, not that of whoever asks here.
    """
    scope = SCOPE.get()
    return None if scope is None else Request(scope)
