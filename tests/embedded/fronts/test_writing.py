"""What leaves when: one write in a tick, and clients that do not keep up, on a transport that counts."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from websockets.frames import Opcode

from rtbridge.embedded.framing import close_frame, text_frame
from rtbridge.embedded.fronts.endpoints import Endpoint, Endpoints, Settings
from rtbridge.embedded.fronts.origins import Origins
from rtbridge.embedded.fronts.websocket import WebSocket
from rtbridge.transport.forwarded import Forwarded
from tests.embedded.fronts.conftest import Site
from tests.embedded.fronts.raw import PATH, Recorder, close, frame, head, soon

A, B, C = text_frame(b"a"), text_frame(b"b"), text_frame(b"c")


class Counting(asyncio.Transport):
    """A transport whose client reads when a test says so.

    Attributes:
        written: Every write since the handshake.
        unread: What the buffer holds, in bytes; a client that keeps up leaves nothing there.

    """

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written: list[bytes] = []
        self.unread = 0
        self.keeps_up = True
        self.high = 65536
        self.ended: list[str] = []
        self.protocol: WebSocket

    def write(self, data: Any) -> None:
        self.written.append(bytes(data))
        if not self.keeps_up:
            self.unread += len(data)
            if self.unread > self.high:
                self.protocol.pause_writing()

    def reads(self) -> None:
        """The client reads all there is."""
        self.unread = 0
        self.protocol.resume_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        assert high is not None
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.unread

    def is_closing(self) -> bool:
        return bool(self.ended)

    def close(self) -> None:
        self.ended.append("close")

    def abort(self) -> None:
        self.ended.append("abort")
        if self.protocol is not None:
            self.protocol.connection_lost(None)

    def can_write_eof(self) -> bool:
        return False

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Shared:
    """Connections that share a tick."""

    def __init__(self, **settings: Any) -> None:
        self.sessions: list[Recorder] = []
        endpoint = Endpoint(self._session, settings=Settings(**settings))
        self.endpoints = Endpoints({PATH: endpoint}, origins=Origins(["*"]), forwarded=Forwarded())

    def _session(self, *given: Any) -> Recorder:
        self.sessions.append(Recorder(*given))
        return self.sessions[-1]

    def open(self, *lines: str) -> tuple[Counting, Recorder]:
        transport = Counting()
        transport.protocol = WebSocket(self.endpoints)
        transport.protocol.connection_made(transport)
        transport.protocol.data_received(head(PATH, *lines))
        transport.written.clear()
        return transport, self.sessions[-1]


async def tick() -> None:
    """One turn of the loop, in which what is queued leaves."""
    await asyncio.sleep(0)


async def test_one_write_in_a_tick() -> None:
    """Everything that was queued for a connection leaves together, in order, and once."""
    transport, session = Shared().open()
    for data in (A, B, C):
        session.outlet.write(data)
    assert transport.written == []
    await tick()
    assert transport.written == [A + B + C]
    await tick()
    assert transport.written == [A + B + C]
    session.outlet.write(A)
    await tick()
    assert transport.written == [A + B + C, A]


async def test_a_single_frame_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """A publication that leaves alone is the very bytes that everybody gets."""
    shared = Shared()
    written: list[Any] = []
    for _ in range(2):
        transport, _ = shared.open()
        monkeypatch.setattr(transport, "write", written.append)
    for session in shared.sessions:
        session.outlet.write(A)
    await tick()
    assert [data is A for data in written] == [True, True]


async def test_one_callback_for_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many connections have something to write, the loop is asked once."""
    shared = Shared()
    transports = [shared.open()[0] for _ in range(50)]
    scheduled: list[Any] = []
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "call_soon", scheduled.append)
    for session in shared.sessions:
        for data in (A, B):
            session.outlet.write(data)
    monkeypatch.undo()
    assert len(scheduled) == 1
    scheduled[0]()
    assert [transport.written for transport in transports] == [[A + B]] * 50


async def test_a_connection_that_cannot_be_written_to(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is dropped, and the others of the same tick get theirs."""
    shared = Shared()
    broken, first = shared.open()
    fine, second = shared.open()

    def fails(_: bytes) -> None:
        raise RuntimeError("the handle is closed")

    monkeypatch.setattr(broken, "write", fails)  # as uvloop does on a handle that is closing
    for session in (first, second):
        session.outlet.write(A)
    await tick()
    assert (broken.ended, fine.written) == (["abort"], [A])
    assert first.gone
    assert "could not be written to" in caplog.text


async def test_what_waits_is_shared() -> None:
    """While a client does not keep up, publications wait as the bytes that all share, and leave when it reads."""
    transport, session = Shared(queue_size=200_000).open()
    transport.keeps_up = False
    session.outlet.write(b"x" * 70_000)
    await tick()
    for data in (A, B):
        session.outlet.write(data)
        await tick()
    assert len(transport.written) == 1
    transport.keeps_up = True
    transport.reads()
    assert transport.written[1:] == [A + B]
    transport.reads()
    session.outlet.write(C)
    await tick()
    assert transport.written[1:] == [A + B, C]


async def test_a_burst_that_the_client_takes() -> None:
    """More than the limit in one tick is fine for a client that reads as fast as it is sent."""
    transport, session = Shared(queue_size=1000).open()
    for _ in range(100):
        session.outlet.write(b"x" * 100)
    await tick()
    assert session.closed is None
    assert b"".join(transport.written) == b"x" * 10_000


async def test_one_frame_over_the_limit() -> None:
    """It is delivered, and then the client is told that it is slow."""
    transport, session = Shared(queue_size=1000).open()
    session.outlet.write(A)
    session.outlet.write(b"x" * 1001)
    session.outlet.write(B)
    await tick()
    assert session.closed == (3008, "slow")
    assert transport.written == [A + b"x" * 1001, close_frame(3008, "slow")]


async def test_a_slow_client() -> None:
    """What waits for a client that does not read is bounded; the close frame comes last."""
    transport, session = Shared(queue_size=100_000, write_timeout=1.0).open()  # after the close frame, too
    transport.keeps_up = False
    written = 0
    while session.closed is None:
        session.outlet.write(b"x" * 1000)
        written += 1000
        await tick()
        assert written < 300_000
    assert session.closed == (3008, "slow")
    assert transport.written[-1] == close_frame(3008, "slow")
    assert transport.unread < 100_000
    await session.until(lambda s: s.gone)
    assert transport.ended == ["abort"]


async def test_a_slow_client_among_others() -> None:
    """It is closed after whoever publishes is through its list, so that the list may change then."""
    shared = Shared(queue_size=100_000)
    slow, first = shared.open()
    fine, second = shared.open()
    slow.keeps_up = False
    first.outlet.write(b"x" * 99_000)
    await tick()
    for session in (first, second):
        for _ in range(120):
            session.outlet.write(b"x" * 1000)
        assert session.closed is None
    await tick()
    assert (first.closed, second.closed) == ((3008, "slow"), None)
    assert sum(map(len, fine.written)) == 120_000


async def test_slow_and_gone_in_one_tick() -> None:
    """A client that leaves before it is told stays gone."""
    transport, session = Shared(queue_size=10).open()
    session.outlet.write(b"x" * 11)
    transport.protocol.connection_lost(None)
    await tick()
    assert (session.closed, session.gone) == (None, 1)


async def test_a_client_that_reads_nothing() -> None:
    """With less waiting than the limit it is dropped when a while brought no progress."""
    transport, session = Shared(write_timeout=0.01).open()
    transport.keeps_up = False
    session.outlet.write(b"x" * 70_000)
    await session.until(lambda s: s.gone)
    assert session.closed == (3009, "write error")
    assert transport.ended == ["abort"]


async def test_a_client_that_reads_a_little() -> None:
    """Progress is enough to stay."""
    transport, session = Shared(write_timeout=0.01, queue_size=10_000_000).open()
    transport.keeps_up = False
    session.outlet.write(b"x" * 5_000_000)
    looked = asyncio.Event()
    protocol: Any = transport.protocol
    original = protocol.__class__._check_progress
    looks = 0

    class Looking(WebSocket):
        __slots__ = ()

        def _check_progress(self, read: int) -> None:
            nonlocal looks
            looks += 1
            transport.unread -= 1
            original(self, read)
            if looks == 5:
                transport.keeps_up = True
                transport.reads()
                looked.set()

    protocol.__class__ = Looking
    await soon(looked.wait())
    assert session.closed is None
    await asyncio.sleep(0.02)
    assert (session.closed, looks) == (None, 6)


async def test_pongs_for_a_client_that_reads_nothing() -> None:
    """Its pings are not answered, and no ping frame is sent to it."""
    transport, session = Shared().open("X: 1")
    transport.keeps_up = False
    session.outlet.write(b"x" * 70_000)
    await tick()
    transport.protocol.data_received(frame(b"", Opcode.PING))
    protocol: Any = transport.protocol
    protocol._ping()
    await tick()
    assert len(transport.written) == 1
    protocol._cancel_timer()


async def test_a_close_while_something_waits() -> None:
    """All that is queued leaves before the close frame, whether the client reads or not."""
    transport, session = Shared().open()
    transport.keeps_up = False
    session.outlet.write(b"x" * 70_000)
    await tick()
    session.outlet.write(A)
    session.close(3001, "shutdown")
    assert transport.written[1:] == [A, close_frame(3001, "shutdown")]
    transport.protocol.data_received(close(3001))
    assert transport.ended == ["close"]
    transport.abort()


async def test_the_end_of_a_connection_that_is_closed_again() -> None:
    """Whatever comes after the end is ignored."""
    transport, session = Shared().open()
    transport.protocol.data_received(close())
    assert (session.gone, transport.ended) == (1, ["close"])
    transport.protocol.data_received(frame("late"))
    transport.protocol.eof_received()
    transport.protocol.connection_lost(None)
    session.outlet.close(3000, "late")
    assert (session.gone, session.messages) == (1, [])
    assert repr(session.outlet) == "<WebSocket over>"


Start = Callable[..., Awaitable[Site]]


async def test_slow_over_a_socket(site: Start) -> None:
    """As recorded of a Centrifugo: the push that is too large arrives, and 3008 after it."""
    served = await site(settings=Settings(queue_size=2000))
    client, session = await served.open()
    session.outlet.write(text_frame(b"x" * 3000))
    assert await client.receive() == (Opcode.TEXT, b"x" * 3000)
    assert await client.closing() == (3008, "slow")


async def test_a_client_that_stops_reading_over_a_socket(site: Start) -> None:
    """Its connection ends, nothing grows, and others are served."""
    served = await site(settings=Settings(queue_size=200_000, write_timeout=0.05))
    client, session = await served.open(room=4096)
    session.narrow()
    while session.closed is None:
        session.outlet.write(text_frame(b"x" * 1000))
        await asyncio.sleep(0)
    await session.until(lambda s: s.gone)
    assert session.closed[0] in (3008, 3009)
    assert await served.alive()
    client.leave()
