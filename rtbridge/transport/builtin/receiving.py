"""The receiving half of a connection, once it knows of a stream: messages, windows, and what a peer may not do.

Sources: RFC 9113 (HTTP/2) and gRPC over HTTP/2 (PROTOCOL-HTTP2.md of grpc/grpc).
"""

from collections.abc import Callable
from typing import Final

from rtbridge.transport.builtin import frames
from rtbridge.transport.builtin.frames import END_STREAM, PADDED, U32
from rtbridge.transport.builtin.limits import Budget, Limits
from rtbridge.transport.builtin.messages import Unacceptable, unpacked
from rtbridge.transport.builtin.sending import Sending
from rtbridge.transport.builtin.streams import Cancelled, Ended, Event, Message, Stream, Writable

#: Status codes of gRPC that the core itself answers with.
_INTERNAL: Final = 13
_RESOURCE_EXHAUSTED: Final = 8

#: What a message costs that waits to be read, besides its bytes: empty ones are not free.
_MESSAGE: Final = 256

#: Frames without a part in a call are counted together, so that most of them cost an addition.
_IDLE_STEP: Final = 50

_NO_GRPC: Final = b"This is a gRPC server: it takes POST with the content-type application/grpc.\n"


class Violation(Exception):
    """The peer broke the protocol, or wants too much: the connection ends with GOAWAY.

    Args:
        code: The error code of RFC 9113, section 7.
        why: What it did, for traces and logs.

    """

    def __init__(self, code: int, why: str) -> None:
        super().__init__(why)
        self.code = code


class Receiving(Sending):
    """What comes in for streams that are known.

    Args:
        limits: Its bounds.
        now: The time in seconds, from any start.

    """

    def __init__(self, limits: Limits, now: Callable[[], float]) -> None:
        super().__init__(limits, now)
        self._last = 0
        self._credit = frames.WINDOW
        self._unread = 0
        self._largest = limits.refusal_factor * limits.message_size
        self._unread_most = max(limits.unread, 2 * self._largest)
        self._resets = Budget(limits.resets, limits.resets_rate)
        self._idle = Budget(limits.idle_frames, limits.idle_frames_rate)

    def consumed(self, message: Message) -> None:
        """A message of a caller that sends several was used: it may send more."""
        stream = message.stream
        if stream.id in self.calls:
            stream.held -= message.size + _MESSAGE
            self._unread -= message.size + _MESSAGE
            self._replenish(stream, message.size)

    # Messages.

    def _data(self, number: int, flags: int, payload: bytes, events: list[Event]) -> None:
        if not number or number > self._last:
            raise Violation(frames.PROTOCOL_ERROR, "data of no stream")
        length = len(payload)
        if self._credit < self.limits.connection_window >> 1:
            self._grant(self.limits.connection_window - self._credit)
        if flags & PADDED:
            payload = unpadded(payload)
        if not payload and not flags & END_STREAM:
            self._idled()
        stream = self.calls.get(number)
        if stream is None or stream.ended:
            if number not in self._gone:
                self._charge()
                self._out.append(frames.rst_stream(number, frames.STREAM_CLOSED))
                if stream is not None:
                    self._drop(stream, events)
            return
        stream.credit -= length
        if stream.credit < 0:
            self._break(stream, frames.FLOW_CONTROL_ERROR, events)
            return
        if stream.awaited >= 0:
            stream.awaited -= len(payload)
            if stream.awaited < 0:
                self._break(stream, frames.PROTOCOL_ERROR, events)
                return
        padding = length - len(payload)
        if stream.head.http:
            self._replenish(stream, length)  # nobody reads it
        else:
            if padding:
                self._replenish(stream, padding)
            if not self._collect(stream, payload, events):
                return
        if flags & END_STREAM:
            self._finished(stream, events)

    def _collect(self, stream: Stream, payload: bytes, events: list[Event]) -> bool:
        """Add to the messages of a call, and tell of those that are complete; whether the call goes on."""
        body = stream.body
        if body is None:
            body = stream.body = bytearray()
        if stream.told and not stream.head.streaming:
            self._replenish(stream, len(payload))  # answered already: nobody reads the rest
            return True
        body += payload
        stream.held += len(payload)
        self._unread += len(payload)
        while True:
            size = U32.unpack_from(body, 1)[0] if len(body) >= 5 else 0
            if size > self._largest:
                return self._fail(stream, _RESOURCE_EXHAUSTED, f"a message of {size} bytes", events)
            if self._unread > self._unread_most:
                text = f"more than {self._unread_most} bytes of unfinished requests on one connection"
                return self._fail(stream, _RESOURCE_EXHAUSTED, text, events)
            if len(body) < 5 or len(body) < 5 + size or stream.head.streaming is False:
                break
            try:
                data = unpacked(body[0], bytes(body[5 : 5 + size]), stream.head.encoding, self._largest)
            except Unacceptable as exc:
                return self._fail(stream, exc.status, str(exc), events)
            del body[: 5 + size]
            if stream.head.streaming is None:
                self._tell(stream, data, events)
                return True
            stream.held += _MESSAGE
            self._unread += _MESSAGE
            events.append(Message(stream, data, 5 + size))
        if not stream.head.streaming:
            self._replenish(stream, len(payload))
        elif body and stream.credit < 5 + size - len(body):
            # A message that is larger than the window comes in all the same, on credit.
            more = 5 + size - len(body) - stream.credit
            stream.lent += more
            stream.credit += more
            self._out.append(frames.window_update(stream.id, more))
        return True

    def _finished(self, stream: Stream, events: list[Event]) -> None:
        """The caller has sent everything."""
        stream.ended = True
        if stream.awaited > 0:
            self._break(stream, frames.PROTOCOL_ERROR, events)
            return
        head, body = stream.head, stream.body
        if head.http:
            self.answer(stream, head.http, _NO_GRPC)
        elif head.streaming:
            if body:
                self._fail(stream, _INTERNAL, "a message that is cut off", events)
            else:
                events.append(Ended(stream))
        elif stream.told:
            pass
        elif head.streaming is None and not body:
            self._tell(stream, b"", events)
        elif not body or len(body) < 5 or U32.unpack_from(body, 1)[0] != len(body) - 5:
            self._fail(stream, _INTERNAL, "not one message", events)
        else:
            try:
                data = unpacked(body[0], bytes(memoryview(body)[5:]), head.encoding, self._largest)
            except Unacceptable as exc:
                self._fail(stream, exc.status, str(exc), events)
            else:
                self._tell(stream, data, events)

    def _tell(self, stream: Stream, message: bytes, events: list[Event]) -> None:
        """Hand a call on whose request is complete."""
        stream.message = message
        stream.told = True
        self._unread -= stream.held
        stream.held = 0
        stream.body = None if stream.ended else bytearray()
        events.append(stream)

    # Windows.

    def _grant(self, size: int) -> None:
        """Let the peer send more on all streams together."""
        self._credit += size
        self._out.append(frames.window_update(0, size))

    def _replenish(self, stream: Stream, size: int) -> None:
        """That much of a stream was read: let its caller send more, unless there is no more to come."""
        paid = min(size, stream.lent)
        stream.lent -= paid
        stream.owed += size - paid
        if stream.owed > self.limits.stream_window >> 1 and not stream.ended and stream.id in self.calls:
            self._out.append(frames.window_update(stream.id, stream.owed))
            stream.credit += stream.owed
            stream.owed = 0

    def _window_update(self, number: int, payload: bytes, events: list[Event]) -> None:
        if len(payload) != 4:
            raise Violation(frames.FRAME_SIZE_ERROR, "a window update of the wrong size")
        size = U32.unpack(payload)[0] & 0x7FFFFFFF
        if number > self._last:
            raise Violation(frames.PROTOCOL_ERROR, "a window of a stream that was not opened")
        stream = self.calls.get(number)
        if number and stream is None:
            return
        if not size:
            if stream is None:
                raise Violation(frames.PROTOCOL_ERROR, "a window update of nothing")
            self._break(stream, frames.PROTOCOL_ERROR, events)
        elif stream is None:
            self._window += size
            if self._window > frames.WINDOW_MAX:
                raise Violation(frames.FLOW_CONTROL_ERROR, "a window that is too large")
            events += [Writable(each) for each in self._pump_all(self._blocked)]
        else:
            stream.window += size
            if stream.window > frames.WINDOW_MAX:
                self._break(stream, frames.FLOW_CONTROL_ERROR, events)
            elif stream.outbox and self._pump(stream) and stream.trailers is None:
                events.append(Writable(stream))

    # The end of streams.

    def _fail(self, stream: Stream, status: int, text: str, events: list[Event]) -> bool:
        """Answer a call whose messages cannot be taken; whether it goes on: no."""
        if stream.outbox:
            self.reset(stream, frames.CANCEL)  # amid a message there is no place for a status
        else:
            self.fail(stream, status, text)
        events.append(Cancelled(stream, text))
        return False

    def _drop(self, stream: Stream, events: list[Event]) -> None:
        self._forget(stream)
        events.append(Cancelled(stream, ""))

    def _break(self, stream: Stream, code: int, events: list[Event]) -> None:
        """Reset a stream whose caller broke the protocol."""
        self._charge()
        self.reset(stream, code)
        events.append(Cancelled(stream, "a broken stream"))

    def _refuse(self, number: int, code: int) -> None:
        """Reset a stream that has not begun."""
        self._charge()
        self._out.append(frames.rst_stream(number, code))
        self._leave(number)

    def _forget(self, stream: Stream) -> None:
        super()._forget(stream)
        self._unread -= stream.held
        stream.held = 0
        stream.body = None

    # Abuse.

    def _charge(self) -> None:
        """A stream that was given up costs us and not the peer (CVE-2023-44487, CVE-2025-8671)."""
        if not self._resets.spend(1, self.now()):
            raise Violation(frames.ENHANCE_YOUR_CALM, "too many streams given up")

    def _idled(self) -> None:
        """A frame that is no part of a call (CVE-2019-9512, 9515, 9518)."""
        self._idle_frames += 1
        if self._idle_frames >= _IDLE_STEP:
            self._idle_frames = 0
            if not self._idle.spend(_IDLE_STEP, self.now()):
                raise Violation(frames.ENHANCE_YOUR_CALM, "too many frames that are no part of a call")


def unpadded(payload: bytes) -> bytes:
    """A payload without its padding (RFC 9113, section 6.1).

    Raises:
        Violation: There is less of it than it says.

    """
    if not payload or payload[0] >= len(payload):
        raise Violation(frames.PROTOCOL_ERROR, "more padding than there is")
    return payload[1 : len(payload) - payload[0]]
