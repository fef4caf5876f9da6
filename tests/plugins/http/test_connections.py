"""What the server does with connections: time for bodies, contexts of requests, a way to cut; with either parser."""

import asyncio
import sys
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest
import uvicorn
from starlette.requests import Request
from uvicorn.server import ServerState

from rtbridge.http import Site
from rtbridge.transport.uvicorn_protocol import Connections, progress_of, protocol_of


@pytest.fixture(params=["httptools", "h11"], autouse=True)
def parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The parser that is there: the extra `fast` brings the first, the second always is."""
    if request.param == "h11":
        monkeypatch.setitem(sys.modules, "uvicorn.protocols.http.httptools_impl", None)
    return str(request.param)


class Timer:
    """One that fires when a test says so."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call = call
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Timers:
    """An event loop whose time, and whose timers of one delay, are in the test's hand."""

    def __init__(self, delay: float = 20.0) -> None:
        self.made: list[Timer] = []
        self.now = 1000.0
        self.delay = delay
        self._loop = asyncio.get_running_loop()

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, call: Callable[[], None]) -> Any:
        if delay != self.delay:
            return self._loop.call_later(delay, call)
        self.made.append(Timer(call))
        return self.made[-1]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)

    @property
    def running(self) -> list[Timer]:
        """Those that nobody has cancelled."""
        return [timer for timer in self.made if not timer.cancelled]

    def fire(self, after: float) -> None:
        """Let time go by, until the only timer is due."""
        (timer,) = self.running
        self.now += after
        timer.cancelled = True
        timer.call()


class Wire(asyncio.Transport):
    """The other side of a protocol."""

    def __init__(self) -> None:
        super().__init__()
        self.aborted = False
        self.closed: list[bool] = []

    def close(self) -> None:
        self.closed.append(True)

    def abort(self) -> None:
        self.aborted = True

    def is_closing(self) -> bool:
        return self.aborted

    def get_protocol(self) -> Any:
        return self.protocol

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def write(self, data: Any) -> None: ...

    protocol: Any = None


@pytest.mark.parametrize("long_bodies", [False, True])
async def test_time_for_bodies(long_bodies: bool) -> None:
    """Each part has its own time, unless the whole has; while the application does not read, nobody is late."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.Event().wait()

    connections = Connections(receive_timeout=20.0, send_timeout=60.0, long_bodies=long_bodies, isolated=True)
    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none")
    config.load()
    state, timers, wire = ServerState(), Timers(), Wire()
    protocol = protocol_of(65536, connections)(config=config, server_state=state, app_state={})
    protocol.loop = timers
    wire.protocol = protocol
    protocol.connection_made(wire)
    (first,) = timers.running
    protocol.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n")
    protocol.data_received(b"x")
    (timer,) = timers.running
    assert (timer is first) is not long_bodies
    protocol.data_received(b"x" * 100_000)
    (timer,) = timers.running
    assert protocol.flow.read_paused
    timer.cancel()
    timer.call()
    assert wire.aborted is not long_bodies
    if long_bodies:
        (timer,) = timers.running
        protocol.flow.resume_reading()
        timer.call()
        assert wire.aborted
    for task in state.tasks:
        task.cancel()
    await asyncio.gather(*state.tasks, return_exceptions=True)


async def test_time_for_a_greeting() -> None:
    """A connection may be silent at first for longer than a request may take that has begun."""
    connections = Connections(receive_timeout=20.0, send_timeout=60.0, greeting=3600.0)
    config = uvicorn.Config(lambda: None, log_config=None, lifespan="off", ws="none")
    config.load()
    timers, wire = Timers(), Wire()
    protocol = protocol_of(65536, connections)(config=config, server_state=ServerState(), app_state={})
    protocol.loop = timers
    wire.protocol = protocol
    protocol.connection_made(wire)
    greeting = protocol.receiving
    assert timers.running == []
    protocol.data_received(b"POST / HTTP/1.1\r\n")
    (timer,) = timers.running
    assert greeting.cancelled()
    protocol.data_received(b"Host: x\r\n")
    assert timers.running == [timer]
    timer.call()
    assert wire.aborted


async def hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


class Idle:
    """A connection whose idle times are in the test's hand."""

    def __init__(self) -> None:
        config = uvicorn.Config(hello, log_config=None, lifespan="off", ws="none", timeout_keep_alive=75)
        config.load()
        self.timers, self.wire, self._state = Timers(75), Wire(), ServerState()
        self.protocol = protocol_of(65536, Connections())(config=config, server_state=self._state, app_state={})
        self.protocol.loop, self.wire.protocol = self.timers, self.protocol
        self.protocol.connection_made(self.wire)

    async def send(self, data: bytes = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n") -> None:
        """Have bytes come, and be answered if they are a request."""
        self.protocol.data_received(data)
        await asyncio.wait_for(asyncio.gather(*self._state.tasks), 5)


async def test_an_idle_connection() -> None:
    """Is closed, by the one timer that it has; that looks again where the connection was used meanwhile."""
    idle = Idle()
    await idle.send()
    idle.timers.now += 50
    for _ in range(3):
        await idle.send()
    assert len(idle.timers.made) == 1
    idle.timers.delay = 50  # what is left then
    idle.timers.fire(25)
    assert idle.wire.closed == []
    idle.timers.fire(50)
    assert idle.wire.closed == [True]
    idle.protocol.connection_lost(None)
    assert idle.timers.running == []


async def test_a_connection_that_is_not_idle() -> None:
    """Stays open while a request is on its way; the timer ends with the connection, however that does."""
    idle = Idle()
    await idle.send()
    await idle.send(b"GET / HTTP/1.1\r\nHost:")
    idle.timers.fire(75)
    assert idle.wire.closed == []
    assert idle.timers.running == []
    await idle.send(b" x\r\n\r\n")
    assert len(idle.timers.running) == 1
    idle.protocol.connection_lost(ConnectionResetError())
    assert idle.timers.running == []


@pytest.mark.parametrize(
    ("request_", "known"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", (False, b"")),
        (b"GET / HTTP/1.0\r\n\r\n", (False, b"")),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", (False, b"x")),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", (True, b"")),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", (True, b"")),
    ],
)
async def test_what_is_known_of_a_body(request_: bytes, known: tuple[bool, bytes]) -> None:
    """Whether there is one, and whether more of it comes, before the application has read any."""
    found: list[tuple[bool, bytes]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        progress = progress_of(send)
        assert progress is not None
        found.append((progress.more_body, bytes(progress.body)))
        await hello(scope, receive, send)

    config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none")
    config.load()
    state = ServerState()
    protocol = protocol_of(65536, Connections())(config=config, server_state=state, app_state={})
    protocol.connection_made(Wire())
    protocol.data_received(request_)
    await asyncio.wait_for(asyncio.gather(*state.tasks), 5)
    protocol.connection_lost(None)
    assert found == [known]


USER: ContextVar[str] = ContextVar("user", default="nobody")


async def test_requests_are_apart(host: Any) -> None:
    """What a request sets is not there in the next one, be it pipelined or on a connection that was read again."""
    site = Site()

    @site.post("/")
    async def whose(request: Request) -> str:
        before = USER.get()
        await request.body()
        USER.set("somebody")
        return before

    @site.get("/")
    async def look(_: Request) -> str:
        return USER.get()

    served = await host(site)
    body = b"x" * 200_000  # so large that reading is paused, and goes on from within the handler
    post = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    get = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    together = await served.raw(post + get + post + last)
    assert together.count(b"nobody") == 4
    assert b"somebody" not in together
    for _ in range(2):
        assert (await served.client.post("/", content=body)).text == "nobody"


@pytest.mark.parametrize("version", [b"1.0", b"1.1"])
async def test_half_an_answer(host: Any, version: bytes) -> None:
    """The connection is reset, which no whole answer is, not even where its end would end a body."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise RuntimeError

    served = await host(app)
    reader, writer = await served.connect()
    writer.write(b"GET / HTTP/%s\r\nHost: x\r\n\r\n" % version)
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(), 10)
    writer.close()


async def test_how_far_an_answer_is(host: Any) -> None:
    """uvicorn says so itself; what stands in its way says nothing."""
    seen: list[tuple[bool, bool, bool]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise RuntimeError("no lifespan")
        progress = progress_of(send)
        assert progress is not None

        def look() -> None:
            seen.append((progress.response_started, progress.response_complete, progress.disconnected))

        look()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        look()
        await send({"type": "http.response.body", "body": b"ok"})
        look()

        async def wrapped(message: Any) -> None:
            await send(message)

        assert progress_of(wrapped) is None

    served = await host(app)
    assert (await served.client.get("/")).text == "ok"
    assert seen == [(False, False, False), (True, False, False), (True, True, False)]
