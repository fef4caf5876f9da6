"""Handlers that return values, and a site of them on Starlette."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import update_wrapper
from typing import Any, TypeAlias, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from rtbridge.plugins.http.streams import StreamResponse

Handler: TypeAlias = Callable[[Request], Any]

F = TypeVar("F", bound=Handler)


def respond(value: Any) -> Response:
    """The answer that a value stands for.

    A ``Response`` is that answer. A generator, sync or async, streams as it yields; ``str`` is plain text, ``bytes``
    are bytes, None is 204; anything else is JSON.

    Raises:
        TypeError: The value cannot be JSON.

    """
    if isinstance(value, Response):
        return value
    if value is None:
        return Response(status_code=204)
    if isinstance(value, str):
        return PlainTextResponse(value)
    if isinstance(value, bytes):
        return Response(value, media_type="application/octet-stream")
    if isinstance(value, Iterator | AsyncIterator):
        return StreamResponse(value)
    return Response(msgspec.json.encode(value), media_type="application/json")


def handler(function: Handler) -> Callable[[Request], Awaitable[Response]]:
    """A handler for Starlette's and FastAPI's routes of one that returns, or yields, values; see :func:`respond`.

    Args:
        function: Takes the request: ``def``, which runs in a thread, ``async def``, or a generator of either kind.

    """

    async def answer(request: Request) -> Response:
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            return StreamResponse(function(request))
        if inspect.iscoroutinefunction(function):
            return respond(await function(request))
        return respond(await run_in_threadpool(function, request))

    # Its names, and no more: FastAPI would look behind a wrapper, and call what is there in its own way.
    update_wrapper(answer, function, ("__module__", "__name__", "__qualname__", "__doc__"), ())
    del answer.__wrapped__  # type: ignore[attr-defined]
    return answer


class Site(Starlette):
    """A Starlette application whose handlers return values: ``site = Site()``, ``@site.get("/feed/{room}")``.

    What a handler may be and return is in :func:`handler` and :func:`respond`; everything else is Starlette's.
    """

    def on(self, path: str, methods: Sequence[str]) -> Callable[[F], F]:
        """Have a function answer these methods of a path."""

        def add(function: F) -> F:
            self.add_route(path, handler(function), list(methods))
            return function

        return add

    def get(self, path: str) -> Callable[[F], F]:
        """Have a function answer GET and HEAD."""
        return self.on(path, ["GET"])

    def post(self, path: str) -> Callable[[F], F]:
        """Have a function answer POST."""
        return self.on(path, ["POST"])

    def put(self, path: str) -> Callable[[F], F]:
        """Have a function answer PUT."""
        return self.on(path, ["PUT"])

    def patch(self, path: str) -> Callable[[F], F]:
        """Have a function answer PATCH."""
        return self.on(path, ["PATCH"])

    def delete(self, path: str) -> Callable[[F], F]:
        """Have a function answer DELETE."""
        return self.on(path, ["DELETE"])
