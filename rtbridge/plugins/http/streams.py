"""Answers that are made while they are sent."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from rtbridge.plugins.http.relay import Silence, relay
from rtbridge.plugins.http.threads import pulled

Parts: TypeAlias = AsyncIterable[Any] | Iterable[Any]

#: Statuses whose answers have no body (RFC 9110, section 6.4.1).
_BODILESS: Final = (204, 205, 304)


class StreamResponse(Response):
    """Sends what a generator yields, as it yields.

    An async generator runs on the event loop; a sync one in a thread, which is also where it is closed. Either is at
    most 64 parts or 64 KiB ahead of the reader. When the reader goes it is cancelled or stopped at its next ``yield``,
    and closed. An exception before the first part is answered with 500; after it the connection is cut, so that nobody
    takes half an answer for a whole one. Requests with HEAD do not start it.

    Args:
        content: Yields ``bytes`` or ``str``, which is sent as UTF-8.
        status_code: The status.
        headers: Headers, with ``content-length`` where the length is known.
        media_type: The type; ``text/plain`` where none is given.
        background: Runs after the answer.

    """

    media_type: str | None = "text/plain"

    #: Whether status and headers are sent before there is a part.
    at_once = False
    #: What is sent when nothing else is.
    silence: Silence | None = None
    #: Whether the answer ends when the server does.
    ends_with_server = False

    def __init__(
        self,
        content: Parts,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        self.content = content
        self.status_code = status_code
        self.media_type = self.media_type if media_type is None else media_type
        self.background = background
        self.init_headers(headers)

    def encode(self, part: Any) -> bytes:
        """A part as bytes.

        Raises:
            TypeError: It is neither bytes nor text.

        """
        if isinstance(part, bytes):
            return part
        if isinstance(part, str):
            return part.encode()
        if isinstance(part, bytearray | memoryview):
            return bytes(part)
        raise TypeError(f"a stream yields bytes or str, found {type(part).__name__}")

    def parts(self) -> AsyncIterator[bytes]:
        """What is sent."""
        return as_parts(self.content, self.encode)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        start: Message = {
            "type": "http.response.start",
            "status": self.status_code,
            "headers": self.raw_headers,
        }
        if scope["method"] == "HEAD" or self.status_code in _BODILESS:
            await self.dispose()
            await send(start)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        else:
            await relay(
                self.parts(),
                start,
                scope,
                receive,
                send,
                at_once=self.at_once,
                silence=self.silence,
                ends=self.ends_with_server,
            )
        if self.background is not None:
            await self.background()

    async def dispose(self) -> None:
        """Close what is never started."""
        if isinstance(self.content, AsyncGenerator):
            await self.content.aclose()
        elif (close := getattr(self.content, "close", None)) is not None:
            await asyncio.to_thread(close)


def as_parts(content: Parts, encode: Callable[[Any], bytes]) -> AsyncGenerator[bytes]:
    """The items of an async or sync iterable as bytes.

    Raises:
        TypeError: It is neither.

    """
    if isinstance(content, AsyncIterable):
        return _encoded(content, encode)
    if isinstance(content, str | bytes | Mapping) or not isinstance(content, Iterable):
        raise TypeError(f"a stream is made of a generator or another iterable, found {type(content).__name__}")
    iterator: Iterator[Any] = iter(content)
    return pulled(iterator, encode)


async def _encoded(content: AsyncIterable[Any], encode: Callable[[Any], bytes]) -> AsyncGenerator[bytes]:
    try:
        async for part in content:
            yield encode(part)
    finally:
        if isinstance(content, AsyncGenerator):
            await content.aclose()
