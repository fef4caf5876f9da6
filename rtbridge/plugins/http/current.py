"""The request at hand."""

from contextvars import ContextVar
from typing import Any, Final

from starlette.requests import Request
from starlette.types import Scope

from rtbridge.isolation import NAMING

#: The request that is being answered; whoever answers one sets it, in a context of its own.
SCOPE: Final[ContextVar[Scope | None]] = ContextVar("rtbridge_request", default=None)


def place(scope: Scope) -> tuple[str, str]:
    """Method and path of a request as they came, without the query, which may hold what is not for a log."""
    raw: Any = scope.get("raw_path") or scope["path"].encode("utf-8", "replace")
    return scope["method"], raw.decode("latin-1")


def _named() -> dict[str, str] | None:
    scope = SCOPE.get()
    if scope is None:
        return None
    method, path = place(scope)
    return {"kind": "http", "method": method, "path": path}


NAMING.append(_named)


def current_request() -> Request | None:
    """The request that the code which asks is answering; None outside of one.

    It is the same in handlers, streams and middleware of the application, on the event loop and on threads that a
    framework starts in a copy of the context. Its body is the handler's to read, not that of whoever asks here.
    """
    scope = SCOPE.get()
    return None if scope is None else Request(scope)
