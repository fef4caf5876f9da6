"""Server-sent events, as the HTML standard has them (section 9.2)."""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, Final

import msgspec
from starlette.background import BackgroundTask
from starlette.requests import HTTPConnection

from rtbridge.plugins.http.relay import Silence
from rtbridge.plugins.http.streams import Parts, StreamResponse, as_parts

#: Ends of lines, each of which would end a field.
_LINES: Final = re.compile(r"\r\n|\r|\n")

#: Read over by browsers, and seen by proxies that close silent connections.
_HEARTBEAT: Final = b":\n\n"


class ServerSentEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event.

    Attributes:
        data: Text as it is, anything else as JSON; None for an event that browsers do not dispatch.
        event: Its type; None for ``message``.
        id: What the browser sends as ``Last-Event-ID`` when it connects again; ``""`` has it forget.
        retry: Milliseconds that the browser waits before it connects again, from now on.
        comment: Text that browsers read over.

    """

    data: Any = None
    event: str | None = None
    id: str | None = None
    retry: int | None = None
    comment: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("event", self.event), ("id", self.id)):
            if value is not None and not {"\r", "\n", "\0"}.isdisjoint(value):
                raise ValueError(f"{name} of a server-sent event is one line without NUL, found {value!r}")
        if self.retry is not None and self.retry < 0:
            raise ValueError(f"retry of a server-sent event is not negative, found {self.retry}")

    def encode(self) -> bytes:
        """The event as it is sent, its empty line included."""
        lines: list[str] = []
        if self.comment is not None:
            lines += [f": {line}" for line in _LINES.split(self.comment)]
        if self.event is not None:
            lines.append(f"event: {self.event}")
        if self.id is not None:
            lines.append(f"id: {self.id}")
        if self.retry is not None:
            lines.append(f"retry: {self.retry}")
        if self.data is not None:
            text = self.data if isinstance(self.data, str) else msgspec.json.encode(self.data).decode()
            lines += [f"data: {line}" for line in _LINES.split(text)]
        return "".join(f"{line}\n" for line in [*lines, ""]).encode()


class EventStreamResponse(StreamResponse):
    """Sends server-sent events as a generator yields them.

    Headers go out at once, a comment whenever nothing else has been sent for a while, and the answer ends when the
    server does: browsers connect again by themselves, with the id of the last event that they got. To have them stay
    away, answer that request with 204.

    Args:
        content: Yields :class:`ServerSentEvent`, or what becomes the data of one.
        status_code: The status.
        headers: Headers beside ``cache-control: no-store`` and ``x-accel-buffering: no``.
        retry: Milliseconds that the browser waits before it connects again; None for its own time.
        heartbeat: Seconds of silence before a comment is sent.
        background: Runs after the answer.

    Raises:
        ValueError: ``retry`` is negative, or ``heartbeat`` is not positive.

    """

    media_type = "text/event-stream"
    at_once = True
    ends_with_server = True

    def __init__(
        self,
        content: Parts,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        retry: int | None = None,
        heartbeat: float = 15.0,
        background: BackgroundTask | None = None,
    ) -> None:
        if heartbeat <= 0:
            raise ValueError(f"heartbeat is a positive number of seconds, found {heartbeat}")
        own = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(content, status_code, {**own, **(headers or {})}, background=background)
        self.silence = Silence(heartbeat, _HEARTBEAT)
        self._first = b"" if retry is None else ServerSentEvent(retry=retry).encode()

    def encode(self, part: Any) -> bytes:
        """An event as it is sent."""
        return (part if isinstance(part, ServerSentEvent) else ServerSentEvent(data=part)).encode()

    def parts(self) -> AsyncIterator[bytes]:
        """What is sent."""
        return self._parts(as_parts(self.content, self.encode))

    async def _parts(self, events: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
        try:
            yield self._first
            async for event in events:
                yield event
        finally:
            await events.aclose()


def last_event_id(request: HTTPConnection) -> str | None:
    """The id of the last event that the browser got before it connected again; None if it tells none."""
    given = request.headers.get("last-event-id", "")
    return given.encode("latin-1").decode("utf-8", "replace") or None
