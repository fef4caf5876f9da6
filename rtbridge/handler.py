"""What transports talk to: bytes of a call in, bytes of its answer out, wherever the hooks run."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

from rtbridge.bridge import Bridge, Reply, describe
from rtbridge.clock import Clock
from rtbridge.codec import JSON, PROTO, Codec
from rtbridge.errors import InvalidMessage
from rtbridge.events import METHODS, Call, Event, Failure, InvalidEvent, Outcome

log = logging.getLogger("rtbridge.events")

Wire: TypeAlias = Literal["proto", "json"]

#: Answers one unary call.
Unary: TypeAlias = Callable[[bytes, Call], Awaitable[Reply]]

#: The same for callers that need no coroutine: the reply is given to a function, sooner or later and at most once. What
#: is returned takes the call back and has to be kept until then.
Submit: TypeAlias = Callable[[bytes, Call, Callable[[Reply], None]], Callable[[], object]]

_CODECS: Final = {"proto": PROTO, "json": JSON}


class Stream(Protocol):
    """What a subscription stream yields after its first message; used or abandoned, once."""

    def items(self) -> AsyncGenerator[bytes, None]:
        """Each later message, written for the wire.

        Raises:
            StreamFailed: The stream ends with an error.

        """
        ...

    def abandon(self) -> None:
        """End it unused: its caller left before :meth:`items` was asked for anything."""
        ...


class Opened(NamedTuple):
    """The start of a stream.

    Attributes:
        reply: Its first message, or why there is none.
        stream: What follows; None where nothing does.

    """

    reply: Reply
    stream: Stream | None


#: Starts a stream; the iterator has the later messages of the caller, as bytes, where it sends any.
Open: TypeAlias = Callable[[bytes, Call, AsyncIterator[bytes] | None], Awaitable[Opened]]


class Refused(NamedTuple):
    """A call that no event can be made of.

    Attributes:
        kind: Which event it would have been; "" where that is unknown.
        wire: How it is written; "" where no wire carries its kind here.
        name: The gRPC method or HTTP path as it came.
        raw: Its bytes as they came.
        why: What is wrong with it.

    """

    kind: str
    wire: Wire | Literal[""]
    name: str
    raw: bytes
    why: str


class Handler(Protocol):
    """Answers calls."""

    @property
    def clock(self) -> Clock:
        """The clock of deadlines and expiries."""
        ...

    def unary(self, kind: str, wire: Wire) -> Unary:
        """What answers calls of one kind; asked for once, when a transport is made."""
        ...

    def submit(self, kind: str, wire: Wire) -> Submit | None:
        """The same, for transports that would start a task for each call only to wait in it.

        None where a call needs a task of its own in any case, because its hooks run in it.
        """
        ...

    def stream(self, kind: str) -> Open:
        """What starts streams of one kind, on the wire of protobuf."""
        ...

    async def refuse(self, refused: Refused, call: Call) -> Reply:
        """The reply to a call that no event can be made of.

        ``on_invalid`` may answer in its place where the kind is known and its answer can carry an error.
        """
        ...

    async def event(self, event: Event) -> Reply:
        """The reply to an event that was made here, in protobuf."""
        ...

    async def event_stream(self, event: Event) -> Opened:
        """The same for an event that starts a stream; its call has what the client sends."""
        ...


def in_a_task(answer: Unary) -> Submit:
    """Calls that are answered in a task each; to take one back is to cancel its task."""

    async def run(body: bytes, call: Call, deliver: Callable[[Reply], None]) -> None:
        try:
            reply = await answer(body, call)
        except asyncio.CancelledError:
            deliver(Reply(Outcome(failure="cancelled", why="its task was cancelled"), b""))
            raise
        except Exception as exc:
            log.exception("a call was not answered")
            reply = Reply(Outcome(failure="internal", why=type(exc).__name__), b"")
        deliver(reply)

    def submit(body: bytes, call: Call, deliver: Callable[[Reply], None]) -> Callable[[], object]:
        return asyncio.get_running_loop().create_task(run(body, call, deliver)).cancel

    return submit


class LocalHandler:
    """Runs the hooks in this process.

    Args:
        bridge: Answers the events.

    """

    def __init__(self, bridge: Bridge) -> None:
        self.bridge = bridge
        self.clock = bridge.clock

    def unary(self, kind: str, wire: Wire) -> Unary:
        """See :meth:`Handler.unary`."""
        codec, handle = _CODECS[wire][kind], self.bridge.handle
        decode, encode, name = codec.decode, codec.encode, METHODS[kind].name

        def answer(body: bytes, call: Call) -> Awaitable[Reply]:
            try:
                event = decode(body, call)
            except InvalidMessage as exc:
                return self.refuse(Refused(kind, wire, name, body, str(exc)), call)
            return handle(event, encode)

        return answer

    def submit(self, kind: str, wire: Wire) -> Submit | None:
        """See :meth:`Handler.submit`."""
        return None

    def stream(self, kind: str) -> Open:
        """See :meth:`Handler.stream`."""
        codec, name = PROTO[kind], METHODS[kind].name

        async def start(body: bytes, call: Call, incoming: AsyncIterator[bytes] | None) -> Opened:
            if incoming is not None:
                call.incoming = _decoded(incoming, codec)
            try:
                event = codec.decode(body, call)
            except InvalidMessage as exc:
                return Opened(await self.refuse(Refused(kind, "proto", name, body, str(exc)), call), None)
            return await self.event_stream(event)

        return start

    async def refuse(self, refused: Refused, call: Call) -> Reply:
        """See :meth:`Handler.refuse`."""
        method = METHODS.get(refused.kind) if refused.wire else None
        codec = None if method is None else _CODECS[refused.wire or "proto"].get(refused.kind)
        carries = method is not None and codec is not None and method.silence == "disconnect"

        def encode(outcome: Outcome, clock: Clock) -> bytes:
            return codec.encode(outcome, clock) if carries and codec is not None else b""

        error = InvalidMessage(refused.why)
        event = InvalidEvent(call=call, method=refused.name, raw=refused.raw, error=error)
        reply = await self.bridge.handle(event, encode)
        if (carries and reply.outcome.failure is None) or reply.outcome.failure == "internal":
            return reply
        if reply.outcome.failure is None:
            log.warning("%s: on_invalid answered a call that cannot carry the answer", describe(event))
        failure: Failure = "unimplemented" if method is None else "invalid"
        return Reply(Outcome(failure=failure, denied_by_default=True, why=refused.why), b"")

    async def event(self, event: Event) -> Reply:
        """See :meth:`Handler.event`."""
        return await self.bridge.handle(event, PROTO[event.kind].encode)

    async def event_stream(self, event: Event) -> Opened:
        """See :meth:`Handler.event_stream`."""
        reply = await self.bridge.handle(event, PROTO[event.kind].encode)
        if reply.outcome.failure is not None or reply.outcome.stream is None:
            return Opened(reply, None)
        return Opened(reply, _LocalStream(self.bridge, event, reply.outcome))


class _LocalStream:
    """A stream whose hook runs in this process."""

    def __init__(self, bridge: Bridge, event: Event, outcome: Outcome) -> None:
        self._bridge = bridge
        self._event = event
        self._outcome = outcome

    def items(self) -> AsyncGenerator[bytes, None]:
        """See :meth:`Stream.items`."""
        encode = PROTO[self._event.kind].encode_item
        assert encode is not None
        return self._bridge.items(self._event, self._outcome, encode)

    def abandon(self) -> None:
        """See :meth:`Stream.abandon`."""
        self._bridge.abandoned(self._event)


async def _decoded(incoming: AsyncIterator[bytes], codec: Codec) -> AsyncIterator[Any]:
    assert codec.decode_item is not None
    async for raw in incoming:
        yield codec.decode_item(raw)
