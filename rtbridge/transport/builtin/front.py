"""The socket of one connection: bytes to the core and back, a task for each call, and what takes too long."""

import asyncio
import contextvars
import logging
import random
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any, Final, NamedTuple, Protocol, TypeAlias, cast

from rtbridge.denial import Throttle
from rtbridge.eager import Eager
from rtbridge.errors import InvalidMessage
from rtbridge.transport.builtin import frames
from rtbridge.transport.builtin.connection import Connection
from rtbridge.transport.builtin.heads import Head
from rtbridge.transport.builtin.streams import Cancelled, Ended, Message, Stream, Writable

log = logging.getLogger("rtbridge.grpc")

#: Bytes that a transport keeps for a peer who reads slowly, before we stop reading from it.
_HIGH_WATER: Final = 2**20

#: Bytes of a stream's messages after which what is to be sent leaves at once, rather than at the end of the tick.
_AT_ONCE: Final = 2**16

#: Seconds for what comes before the first call, for the answer to our PING, between the two GOAWAYs, and for the peer
#: to read why its connection ends.
_GREETING: Final = 10.0
_PONG: Final = 20.0
_DOOR: Final = 1.0
_FAREWELL: Final = 1.0

#: Seconds without progress after which a request that does not come, or a reply that is not taken, is given up.
STALL: Final = 30.0

#: Answers one call of a head: in a task, or else it has arranged for the answer and set ``take_back``.
Plan: TypeAlias = "Callable[[Stream, Front], Coroutine[Any, Any, None] | None]"


class Times(NamedTuple):
    """How long a connection may take and last, in seconds; 0 for no bound.

    Attributes:
        keepalive: Silence after which the peer is pinged.
        age: After which it is asked to reconnect.
        grace: What its calls get after that.
        stall: See :data:`STALL`.

    """

    keepalive: float
    age: float
    grace: float
    stall: float = STALL


class Owner(Protocol):
    """Whoever has the connections of one server."""

    throttle: Throttle
    eager: Eager

    def plan(self, head: Head) -> Plan:
        """What answers the calls of a head."""
        ...

    def connect(self) -> Connection:
        """The core of a new connection."""
        ...

    def joined(self, front: "Front") -> None:
        """A connection is open."""
        ...

    def left(self, front: "Front") -> None:
        """It is not any more."""
        ...

    def leaving(self, task: "asyncio.Task[None]") -> None:
        """A task was cancelled, and may take its time to end."""
        ...


class Front(asyncio.Protocol):
    """One connection.

    Args:
        owner: Has it.
        times: How long it may take and last.
        secure: Whether it is one of TLS.
        clock: The clock of deadlines.

    Attributes:
        arrived: When the bytes were read that are being handled, on that clock.
        peer: Where it comes from, for people.

    """

    def __init__(self, owner: Owner, times: Times, *, secure: bool, clock: Callable[[], float]) -> None:
        self._owner = owner
        self._times = times
        self._secure = secure
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._start = owner.eager.start
        self._context = contextvars.copy_context()
        self._connection = owner.connect()
        self._transport: asyncio.Transport | None = None
        self._scheduled = False
        self._at_once = 0
        self._made = self._heard = self._loop.time()
        self._pinged = False
        self._over = False
        self._paused: float | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self.arrived = 0.0
        self.peer = ""

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet the peer."""
        transport = cast("asyncio.Transport", transport)  # uvloop's are none by name
        self._transport = transport
        self.peer = _written(transport.get_extra_info("peername"))
        self._owner.joined(self)
        if self._secure:
            tls = transport.get_extra_info("ssl_object")
            if tls.selected_alpn_protocol() != "h2":
                log.debug("closed a connection from %s: it did not ask for h2 (ALPN)", self.peer)
                transport.abort()
                return
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        if self._times.age > 0:
            # Not all of those that came together at once: they come back together.
            age = self._times.age * random.uniform(0.9, 1.1)  # noqa: S311  # nothing secret
            self._timers.append(self._loop.call_later(age, self.drain, self._times.grace))
        self.flush()

    def data_received(self, data: bytes) -> None:
        """Begin the calls that came, and tell those under way what did."""
        self.arrived = self._clock()
        connection, start, context = self._connection, self._start, self._context
        events, calls = connection.receive(data), connection.calls
        if connection.closed:
            for event in events:
                if isinstance(event, Cancelled):
                    self._tell(event)  # not among those that end with the connection any more
            self._leave()
            return
        for event in events:
            if isinstance(event, Stream):
                head = event.head
                plan: Plan | None = head.plan
                if plan is None:
                    plan = head.plan = self._owner.plan(head)
                if head.streaming:
                    event.inbox = Inbox(self, connection.limits.message_size)
                if event.id not in calls:
                    continue  # given up by what came with it
                work = plan(event, self)
                if work is not None:
                    # In a context of its own: asyncio reads in that of whoever resumed the reading, maybe a call's.
                    event.task = start(work, context.copy())
            else:
                self._tell(event)
        self._heard = self._loop.time()
        self._pinged = False
        if connection.waiting and not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def pause_writing(self) -> None:
        """Take no more requests from a peer that takes no replies."""
        self._connection.paused = True
        self._paused = self._loop.time()
        assert self._transport is not None
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It takes them again."""
        self._paused = None
        assert self._transport is not None
        for stream in self._connection.resume():
            _wake(stream)
        self._schedule()
        self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody waits for these answers any more."""
        self._transport = None
        for timer in self._timers:
            timer.cancel()
        self._cancel_all()
        self._owner.left(self)

    # What answers calls.

    def respond(self, stream: Stream, message: bytes) -> None:
        """Answer a call that has one answer."""
        connection = self._connection
        connection.respond(stream, message)
        if not connection.calls:
            self.flush()  # no other answer is to come by itself, so none is waited for
        elif not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    async def send(self, stream: Stream, message: bytes) -> None:
        """Send one of several answers, as soon as its caller takes it."""
        self._connection.send(stream, message)
        self._at_once += len(message)
        if self._at_once >= _AT_ONCE:
            self.flush()
        else:
            self._schedule()
        if stream.outbox:  # looked at after all that may have emptied it: nobody would wake us
            stream.waiter = self._loop.create_future()
            try:
                await stream.waiter
            finally:
                stream.waiter = None

    def finish(self, stream: Stream) -> None:
        """End a call that had several answers."""
        self._connection.finish(stream)
        self._schedule()

    def fail(self, stream: Stream, status: int, text: str) -> None:
        """End a call with a status that is not OK."""
        self._connection.fail(stream, status, text)
        self._schedule()

    def cut(self, stream: Stream, status: int, text: str) -> None:
        """The same for a call that is not to go on, whatever its task and its caller do."""
        if stream.outbox:
            self._connection.reset(stream, frames.CANCEL)
        else:
            self._connection.fail(stream, status, text)
        self._cancel(stream)
        self._schedule()

    def consumed(self, message: Message) -> None:
        """A message of a caller that sends several was used."""
        self._connection.consumed(message)
        self._schedule()

    # The life of a connection.

    def drain(self, grace: float) -> None:
        """Let the calls under way end, and the peer open another connection for the next; then cut it."""
        self._connection.drain()
        self._timers.append(self._loop.call_later(_DOOR, self._close_door))
        self._timers.append(self._loop.call_later(_DOOR + grace, self.abort))
        self.flush()

    def _close_door(self) -> None:
        self._connection.close_door()
        self.flush()

    def abort(self) -> None:
        """End it at once."""
        self._cancel_all()
        if self._transport is not None:
            self._transport.abort()

    def sweep(self) -> None:
        """Look for what takes too long; called about once a second."""
        now, times, connection = self._loop.time(), self._times, self._connection
        if self._transport is None or self._transport.is_closing():
            return
        if not connection.settled:
            if now - self._made > _GREETING:
                log.debug("closed a connection from %s: it did not say anything", self.peer)
                self.abort()
            return
        if self._paused is not None:
            if times.stall and now - self._paused > times.stall:
                self._warn("reads nothing")
                self.abort()
            return
        if times.stall:
            for stream in connection.overdue(times.stall):
                self._warn("takes no part of a reply, or sends no more of a request")
                connection.reset(stream, frames.ENHANCE_YOUR_CALM)
                self._cancel(stream)
            if connection.closed:
                self._leave()
                return
        if times.keepalive and not self._pinged and now - self._heard >= times.keepalive:
            self._pinged = True
            self._heard = now
            connection.ping()
        elif self._pinged and now - self._heard >= _PONG:
            log.debug("closed a connection from %s: it does not answer", self.peer)
            self.abort()
        if connection.waiting:
            self.flush()

    def flush(self) -> None:
        """Write what is to be sent."""
        self._scheduled = False
        self._at_once = 0
        connection, transport = self._connection, self._transport
        if transport is None or transport.is_closing():
            return
        if connection.waiting:
            transport.write(connection.data_to_send())
            while connection.more:
                for stream in connection.resume():
                    _wake(stream)
                transport.write(connection.data_to_send())
        if connection.drained:
            transport.close()

    def _schedule(self) -> None:
        if not self._scheduled and self._connection.waiting:
            self._scheduled = True
            self._loop.call_soon(self.flush)

    def _leave(self) -> None:
        """The core has ended the connection: let the peer read why, then close."""
        transport = self._transport
        if transport is None or transport.is_closing() or self._over:
            return
        self._over = True
        self._warn(self._connection.why)
        self.flush()
        self._cancel_all()
        if transport.can_write_eof():
            transport.write_eof()
            self._timers.append(self._loop.call_later(_FAREWELL, transport.abort))
        else:
            transport.close()

    def _warn(self, what: str) -> None:
        kind = what.partition(" of ")[0][:13]  # without what a peer chooses, which would make each its own
        if (held := self._owner.throttle.admit(f"connection {kind}")) is not None:
            log.warning("a connection from %s: %s (%d more like it)", self.peer, what, held)

    # Calls.

    def _tell(self, event: Message | Ended | Cancelled | Writable) -> None:
        stream = event.stream
        if isinstance(event, Writable):
            _wake(stream)
        elif isinstance(event, Message):
            stream.inbox.put(event)
        elif isinstance(event, Ended):
            stream.inbox.end()
        else:
            if event.why:
                self._warn(event.why)
            self._cancel(stream)

    def _cancel(self, stream: Stream) -> None:
        if stream.take_back is not None:
            stream.take_back()
        task = stream.task
        if task is not None and not task.done():
            task.cancel()
            self._owner.leaving(task)

    def _cancel_all(self) -> None:
        calls = self._connection.calls
        for stream in list(calls.values()):
            self._cancel(stream)
        calls.clear()


class Inbox:
    """The messages of a caller that sends several, in order; read once.

    Args:
        front: Its connection.
        most: The largest message that is handed on.

    """

    def __init__(self, front: Front, most: int) -> None:
        self._front = front
        self._most = most
        self._messages: deque[Message] = deque()
        self._ended = False
        self._waiter: asyncio.Future[None] | None = None

    def put(self, message: Message) -> None:
        """One more has come."""
        self._messages.append(message)
        self._notify()

    def end(self) -> None:
        """There are no more."""
        self._ended = True
        self._notify()

    def _notify(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def __aiter__(self) -> "Inbox":
        return self

    async def __anext__(self) -> bytes:
        data = await self.first()
        if len(data) > self._most:
            raise InvalidMessage(f"{len(data)} bytes; rtbridge.limits.message_size is {self._most}")
        return data

    async def first(self) -> bytes:
        """The next message, whatever its size.

        Raises:
            StopAsyncIteration: There is none.

        """
        while not self._messages:
            if self._ended:
                raise StopAsyncIteration
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._messages.popleft()
        self._front.consumed(message)
        return message.data


def _wake(stream: Stream) -> None:
    if stream.waiter is not None and not stream.waiter.done():
        stream.waiter.set_result(None)


def _written(address: Any) -> str:
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return f"unix:{address or ''}"
