"""Server-sent events: how they are written, and how they are sent."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import Response

from rtbridge.http import EventStreamResponse, ServerSentEvent, Site, last_event_id


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (ServerSentEvent(data="hello"), "data: hello\n\n"),
        (ServerSentEvent(data=""), "data: \n\n"),
        (ServerSentEvent(data="a\nb\r\nc\rd"), "data: a\ndata: b\ndata: c\ndata: d\n\n"),
        (ServerSentEvent(data="a\n"), "data: a\ndata: \n\n"),
        (ServerSentEvent(data={"a": "b\nc"}), 'data: {"a":"b\\nc"}\n\n'),
        (ServerSentEvent(data="x", event="news", id="7", retry=500),
         "event: news\nid: 7\nretry: 500\ndata: x\n\n"),
        (ServerSentEvent(id=""), "id: \n\n"),
        (ServerSentEvent(comment="a\nevent: b"), ": a\n: event: b\n\n"),
        (ServerSentEvent(data="é\u2028"), "data: é\u2028\n\n"),
        (ServerSentEvent(), "\n"),
    ],
)  # fmt: skip
def test_what_is_written(event: ServerSentEvent, text: str) -> None:
    """Every end of a line begins a field anew, so nothing in a text is a field of its own."""
    assert event.encode().decode() == text


@pytest.mark.parametrize(
    "fields", [{"event": "a\nb"}, {"event": "a\rb"}, {"id": "a\nb"}, {"id": "a\0b"}, {"retry": -1}]
)
def test_what_cannot_be_written(fields: dict[str, Any]) -> None:
    """A type or an id is one line."""
    with pytest.raises(ValueError, match="of a server-sent event is"):
        ServerSentEvent(**fields)


@pytest.mark.parametrize("heartbeat", [0, -1])
def test_a_heart_that_does_not_beat(heartbeat: float) -> None:
    """Nothing could tell a silent connection from a dead one."""
    with pytest.raises(ValueError, match="heartbeat"):
        EventStreamResponse([], heartbeat=heartbeat)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_events(host: Any, kind: str) -> None:
    """Values become the data of one; where a browser goes on is told by its header."""
    site = Site()

    def sync(after: str | None) -> Iterator[Any]:
        yield "hello"
        yield {"after": after}
        yield ServerSentEvent(data="x", id="é8")

    async def asynchronous(after: str | None) -> AsyncIterator[Any]:
        for each in sync(after):
            yield each

    @site.get("/")
    async def feed(request: Request) -> Response:
        make: Any = sync if kind == "sync" else asynchronous
        return EventStreamResponse(make(last_event_id(request)), retry=500, headers={"x-own": "1"})

    served = await host(site)
    answer = await served.client.get("/", headers=[(b"Last-Event-ID", "é7".encode())])

    assert answer.text == 'retry: 500\n\ndata: hello\n\ndata: {"after":"é7"}\n\nid: é8\ndata: x\n\n'
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert (answer.headers["cache-control"], answer.headers["x-accel-buffering"]) == ("no-store", "no")
    assert answer.headers["x-own"] == "1"
    assert '"after":null' in (await served.client.get("/", headers={"last-event-id": ""})).text


async def test_headers_come_at_once_and_the_heart_beats(host: Any) -> None:
    """A browser that waits for its first event is connected, and a proxy sees that somebody is there."""
    go, site = asyncio.Event(), Site()

    async def events() -> AsyncIterator[str]:
        await go.wait()
        yield "late"

    site.get("/")(lambda _: EventStreamResponse(events(), heartbeat=0.02))
    served = await host(site)
    async with served.client.stream("GET", "/") as answer:
        assert answer.status_code == 200
        got = ""
        async for part in answer.aiter_text():
            got += part
            if got.count(":\n\n") >= 3:
                go.set()
    assert got.endswith("data: late\n\n")
    assert got.replace(":\n\n", "") == "data: late\n\n"


async def test_the_end_of_the_server(host: Any) -> None:
    """An answer that would never end is whole then, so that a browser connects elsewhere; later ones end at once."""
    site = Site()
    closed = asyncio.Event()

    async def events() -> AsyncIterator[str]:
        try:
            yield "first"
            await asyncio.Event().wait()
        finally:
            closed.set()

    site.get("/")(lambda _: EventStreamResponse(events()))
    served = await host(site)
    reader, writer = await served.connect()
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await asyncio.wait_for(reader.readuntil(b"data: first\n\n"), 10)
    await asyncio.wait_for(served.server.stop(10), 5)

    assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"0\r\n\r\n")
    assert closed.is_set()
    writer.close()


async def test_compressed(host: Any) -> None:
    """They are not: a compressor would hold them back."""
    site = Site()
    site.get("/")(lambda _: EventStreamResponse(iter(["x" * 5000])))
    served = await host(site, middleware=["gzip"])
    assert "content-encoding" not in (await served.client.get("/")).headers
