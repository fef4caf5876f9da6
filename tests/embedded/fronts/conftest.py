"""The front on a real socket, with sessions that record."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from rtbridge.embedded.fronts.endpoints import Endpoint, Endpoints, Settings
from rtbridge.embedded.fronts.listener import Listener
from rtbridge.embedded.fronts.origins import Origins
from rtbridge.transport.forwarded import Forwarded
from tests.embedded.fronts.raw import PATH, Client, Recorder, soon

UNI_PATH = "/connection/uni_websocket"


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Says what it was asked, after it has read the whole request."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message.get("body", b"")
        more = message.get("more_body", False)
    answer = f"{scope['method']} {scope['path']} ".encode() + body
    headers = [(b"content-length", str(len(answer)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": answer})


class Site:
    """A listener under test and its sessions.

    Attributes:
        sessions: One for each connection that was let in.
        full: Whether there is no more room.

    """

    def __init__(self) -> None:
        self.sessions: list[Recorder] = []
        self.full = False
        self.listener: Listener
        self._clients: list[Client] = []

    async def start(
        self,
        *,
        settings: Settings | None = None,
        origins: tuple[str, ...] = ("*",),
        trusted: tuple[str, ...] = (),
        header_size: int = 16384,
        app: Any = application,
        **listener: Any,
    ) -> "Site":
        endpoints = Endpoints(
            {
                PATH: Endpoint(self._session, settings=settings),
                UNI_PATH: Endpoint(self._session, unidirectional=True, settings=settings),
            },
            origins=Origins(origins),
            forwarded=Forwarded(trusted),
            admits=lambda: not self.full,
            header_size=header_size,
        )
        self.listener = Listener(app, "127.0.0.1:0", endpoints, closing=self.close, **listener)
        await self.listener.start()
        return self

    def _session(self, *given: Any) -> Recorder:
        self.sessions.append(Recorder(*given))
        return self.sessions[-1]

    @property
    def port(self) -> int:
        return int(self.listener.address.rpartition(":")[2])

    async def dial(self, **options: Any) -> Client:
        """A client that is connected and has said nothing."""
        self._clients.append(await Client.dial(self.port, **options))
        return self._clients[-1]

    async def open(self, path: str = PATH, *lines: str, **options: Any) -> tuple[Client, Recorder]:
        """A WebSocket client and its session."""
        client = await self.dial(**options)
        await client.upgrade(path, *lines)
        return client, self.sessions[-1]

    async def alive(self) -> bool:
        """Whether one more client gets an echo."""
        client, session = await self.open()
        session.on_message = lambda data: session.outlet.write(b"\x81\x02ok")
        client.send(b"\x81\x80\0\0\0\0")
        return (await client.receive())[1] == b"ok"

    def close(self) -> None:
        """What a node does with its sessions at the end."""
        for session in self.sessions:
            if not session.gone:
                session.close(3001, "shutdown")

    async def stop(self) -> None:
        for client in self._clients:
            client.leave()
        await soon(self.listener.stop(5))


@pytest.fixture
async def site() -> AsyncIterator[Callable[..., Awaitable[Site]]]:
    """Starts listeners; all are stopped after the test."""
    started: list[Site] = []

    async def start(**options: Any) -> Site:
        started.append(Site())
        return await started[-1].start(**options)

    yield start
    for each in started:
        await each.stop()


@pytest.fixture(params=["httptools", "h11"])
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """uvicorn's parser: the extra `fast` brings the first, the second always is there."""
    if request.param == "h11":
        monkeypatch.setitem(sys.modules, "uvicorn.protocols.http.httptools_impl", None)
    return str(request.param)
