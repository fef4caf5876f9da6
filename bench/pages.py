"""The HTTP application of the benchmarks: a hello, and streams of chunks of 1 KiB."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

from rtbridge.http import StreamResponse

#: A part of a stream.
CHUNK: Final = b"x" * 1024

_HELLO: Final = b"hello, world"
_HEADERS: Final = [(b"content-type", b"text/plain"), (b"content-length", str(len(_HELLO)).encode())]


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Answer with a few bytes, with nothing in between."""
    await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
    await send({"type": "http.response.body", "body": _HELLO})


async def _chunks() -> AsyncIterator[bytes]:
    while True:
        yield CHUNK


def _blocking_chunks() -> Iterator[bytes]:
    while True:
        yield CHUNK


async def app(scope: Any, receive: Any, send: Any) -> None:
    """``/`` says hello, ``/async`` and ``/sync`` stream until the reader goes."""
    if scope["type"] != "http":
        raise RuntimeError("no lifespan")
    match scope["path"]:
        case "/async":
            await StreamResponse(_chunks())(scope, receive, send)
        case "/sync":
            await StreamResponse(_blocking_chunks())(scope, receive, send)
        case _:
            await hello(scope, receive, send)
