"""The clients of a recording: a WebSocket connection, or a stream of an HTTP answer."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

from tests.embedded.replay.protobuf import read_replies

#: What comes at the end of a stream.
EOF: Final[Mapping[str, Any]] = {"eof": True}


class Client:
    """One connection: what came on it waits in the order in which it came.

    Attributes:
        keeps_pings: Pings are kept like messages and not answered, for recordings that are about them.
        inbox: Messages that nobody has taken yet.
        closed: How the connection ended, as recordings write it; None while it lives.

    """

    def __init__(self, protobuf: bool, keeps_pings: bool) -> None:
        self.protobuf = protobuf
        self.keeps_pings = keeps_pings
        self.inbox: list[dict[str, Any]] = []
        self.closed: Mapping[str, Any] | None = None
        self._news = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None

    async def holds(self, number: int) -> None:
        """Return once so many messages wait, or no more can come."""
        while len(self.inbox) < number and self.closed is None:
            self._news.clear()
            await self._news.wait()

    async def ends(self) -> None:
        """Return once the connection has ended."""
        while self.closed is None:
            self._news.clear()
            await self._news.wait()

    def _put(self, messages: list[dict[str, Any]]) -> None:
        self.inbox += messages
        self._news.set()

    def _end(self, closed: Mapping[str, Any]) -> None:
        self.closed = closed
        self._news.set()

    async def send(self, frame: str | bytes) -> None:
        """Send a frame; one that finds the connection closed is lost, as a client's would be."""
        raise NotImplementedError

    async def leave(self) -> None:
        """Close the connection from this side."""
        if self._reader is not None:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader


class Socket(Client):
    """A WebSocket connection.

    Args:
        socket: Open.
        protobuf: Frames to send are binary.
        keeps_pings: See :class:`Client`.
        pongs: Pings want an answer.

    """

    def __init__(self, socket: ClientConnection, *, protobuf: bool, keeps_pings: bool, pongs: bool) -> None:
        super().__init__(protobuf, keeps_pings)
        self._socket = socket
        self._pongs = pongs
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        try:
            while True:
                frame = await self._socket.recv()
                if isinstance(frame, bytes):
                    messages, rest = read_replies(frame)
                    assert not rest, rest
                else:
                    messages = [json.loads(line) for line in frame.split("\n") if line]
                if not self.keeps_pings:
                    for _ in range(messages.count({}) if self._pongs else 0):
                        await self._socket.send(b"\0" if self.protobuf else "{}")
                    messages = [message for message in messages if message]
                self._put(messages)
        except websockets.ConnectionClosed as exc:
            if exc.rcvd is None:
                self._end({"code": 1006, "reason": ""})
            else:
                self._end({"code": int(exc.rcvd.code), "reason": exc.rcvd.reason})

    async def send(self, frame: str | bytes) -> None:
        with contextlib.suppress(websockets.ConnectionClosed):
            await self._socket.send(frame)

    async def leave(self) -> None:
        await super().leave()
        await self._socket.close()


class Stream(Client):
    """The body of an HTTP answer that does not end: lines, events or delimited protobuf."""

    def __init__(self, response: httpx.Response, *, protobuf: bool, keeps_pings: bool) -> None:
        super().__init__(protobuf, keeps_pings)
        self._response = response
        self._reader = asyncio.get_running_loop().create_task(self._read())

    async def _read(self) -> None:
        with contextlib.suppress(httpx.HTTPError):
            async for message in self._delimited() if self.protobuf else self._lines():
                if message or self.keeps_pings:
                    self._put([message])
        self._end(EOF)

    async def _delimited(self) -> AsyncIterator[dict[str, Any]]:
        rest = b""
        async for chunk in self._response.aiter_raw():
            messages, rest = read_replies(rest + chunk)
            for message in messages:
                yield message

    async def _lines(self) -> AsyncIterator[dict[str, Any]]:
        events = self._response.headers["content-type"].startswith("text/event-stream")
        rest = b""
        async for chunk in self._response.aiter_raw():
            *lines, rest = (rest + chunk).split(b"\n")
            for each in lines:
                line = each.strip(b"\r")
                if events:
                    line = line.removeprefix(b"data: ") if line.startswith(b"data: ") else b""
                if line:
                    yield json.loads(line)

    async def send(self, frame: str | bytes) -> None:
        raise TypeError("a stream goes one way only")

    async def leave(self) -> None:
        await super().leave()
        await self._response.aclose()
