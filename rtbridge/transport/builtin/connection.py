"""One connection of a gRPC server, without a socket: bytes in, calls out; replies in, bytes out.

Sources: RFC 9113 (HTTP/2), RFC 7541 (HPACK), and gRPC over HTTP/2 (PROTOCOL-HTTP2.md of grpc/grpc).
"""

import time
from collections.abc import Callable, Mapping
from typing import Final

from rtbridge.transport.builtin import frames
from rtbridge.transport.builtin.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_SIZE,
    HEAD,
    HEADERS,
    PADDED,
    PRIORITISED,
    U32,
)
from rtbridge.transport.builtin.heads import TIMEOUT, Heads, Malformed, TooLarge, check, seconds
from rtbridge.transport.builtin.hpack import Decoder, Field, HpackError
from rtbridge.transport.builtin.limits import Limits
from rtbridge.transport.builtin.receiving import Receiving, Violation, unpadded
from rtbridge.transport.builtin.streams import Event, Stream, Writable

#: The PING between the two GOAWAYs of a drain.
_DRAIN_PING: Final = b"drain\0\0\0"

_HEAD: Final = HEAD.unpack_from
_LENGTH: Final = U32.unpack_from

#: The last stream of a GOAWAY that refuses none yet.
_ALL: Final = 2**31 - 1

#: Flags of HEADERS that want more than to be read on.
_SPECIAL: Final = END_HEADERS | PADDED | PRIORITISED

#: Bytes of a frame's payload that we send at most: a large frame keeps the others of its connection waiting.
_FRAME_MOST: Final = 2**16


class Connection(Receiving):
    """The server's side of a connection.

    Args:
        limits: Bounds of what its peer may ask.
        routes: The paths that are served → whether their callers may send several messages. Calls of other paths
            come out as if they had one.
        now: The time in seconds, from any start.

    Attributes:
        settled: Whether its peer has said that it speaks HTTP/2, and how.
        closed: Whether it is over: what is to be sent is sent, and nothing is read any more.
        why: Why it is, where the peer broke a rule; "" otherwise.

    """

    def __init__(
        self,
        limits: Limits | None = None,
        routes: Mapping[str, bool] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        limits = limits or Limits()
        super().__init__(limits, now)
        self.closed = False
        self.why = ""
        self._rest = b""
        self._rest_since = 0.0
        self._greeted = False
        self.settled = False
        self._decode = Decoder(TIMEOUT).decode
        self._most = limits.refusal_factor * limits.header_size
        self._heads = Heads(routes or {}, self._most)
        self._block: tuple[int, int, bytearray] | None = None
        self._parts = 0
        self._block_since = 0.0
        self._final = _ALL
        self._draining = False
        values = {
            frames.MAX_CONCURRENT_STREAMS: limits.streams,
            frames.INITIAL_WINDOW_SIZE: limits.stream_window,
            frames.MAX_HEADER_LIST_SIZE: self._most,
        }
        self._out.append(frames.settings(values))
        self._grant(limits.connection_window - frames.WINDOW)

    # What the front asks and says.

    def overdue(self, seconds: float) -> list[Stream]:
        """The calls that have not moved for so long: no part of a reply could be sent, or a request is not complete.

        Where it is the connection that does not move, it ends: its window does not open, or a frame or a header block
        is not completed.
        """
        now = self.now()
        before = now - seconds
        found = [stream for stream in (*self._blocked.values(), *self._shut.values()) if stream.since <= before]
        if self._blocked and found and self._window <= 0:
            self.end(frames.ENHANCE_YOUR_CALM, "a window that does not open")
        if (self._rest and self._rest_since <= before) or (self._block is not None and self._block_since <= before):
            self.end(frames.ENHANCE_YOUR_CALM, "a frame or a header block that does not end")
        for stream in self.calls.values():
            if stream.ended or stream.told or stream.head.streaming:
                continue
            if not stream.since:
                stream.since = now
            elif stream.since <= before:
                found.append(stream)
        return found

    def ping(self) -> None:
        """Ask the peer whether it is there."""
        self._out.append(frames.frame(frames.PING, 0, 0, b"alive\0\0\0"))

    def drain(self) -> None:
        """Take no new calls: the peer is told to open another connection, and those on their way still come in.

        The second GOAWAY, with the last call that is served, follows when the peer has seen the first one (RFC 9113,
        section 6.8); :meth:`close_door` does not wait for that.
        """
        if not self._draining and not self.closed:
            self._draining = True
            self._out.append(frames.goaway(_ALL, frames.NO_ERROR))
            self._out.append(frames.frame(frames.PING, 0, 0, _DRAIN_PING))

    def close_door(self) -> None:
        """From now on new calls are refused; the connection is over when those under way are."""
        self.drain()
        if self._final == _ALL and not self.closed:
            self._final = self._last
            self._out.append(frames.goaway(self._last, frames.NO_ERROR))

    @property
    def drained(self) -> bool:
        """Whether it was told to drain, and nothing is under way."""
        return self._final != _ALL and not self.calls

    def end(self, code: int, why: str) -> None:
        """End the connection with GOAWAY."""
        if not self.closed:
            self.closed = True
            self.why = why
            self._out.append(frames.goaway(self._last, code, why.encode()))

    # What the peer says.

    def receive(self, data: bytes) -> list[Event]:
        """What these bytes, after those before them, amount to.

        It raises nothing: a peer that breaks a rule finds its stream reset or its connection closed.
        """
        if self.closed:
            return []
        events: list[Event] = []
        buffer = self._rest + data if self._rest else data
        try:
            position = self._read(buffer, events)
        except Violation as exc:
            self.end(exc.code, str(exc))
            position = len(buffer)
        except HpackError as exc:
            self.end(frames.COMPRESSION_ERROR, str(exc))
            position = len(buffer)
        except TooLarge as exc:
            self.end(frames.ENHANCE_YOUR_CALM, str(exc))
            position = len(buffer)
        if position < len(buffer):
            if position or not self._rest:
                self._rest_since = self.now()
            self._rest = buffer[position:]
        else:
            self._rest = b""
        return events

    def _read(self, buffer: bytes, events: list[Event]) -> int:
        position, size = 0, len(buffer)
        if not self._greeted:
            if buffer[:24] != frames.PREFACE[: min(size, 24)]:
                raise Violation(frames.PROTOCOL_ERROR, "not the preface of HTTP/2")
            if size < 24:
                return 0
            self._greeted = True
            position = 24
        calls, whole = self.calls, self.limits.connection_window
        while size - position >= 9:
            word, flags, number = _HEAD(buffer, position)
            length, kind = word >> 8, word & 0xFF
            start = position + 9
            position = start + length
            if length > FRAME_SIZE:
                raise Violation(frames.FRAME_SIZE_ERROR, f"a frame of {length} bytes")
            if position > size:
                return start - 9
            number &= 0x7FFFFFFF
            if kind == DATA:
                stream = calls.get(number)
                self._credit -= length
                if (
                    flags == END_STREAM
                    and stream is not None
                    and stream.body is None
                    and stream.head.whole
                    and not stream.ended
                    and length >= 5
                    and buffer[start] == 0
                    and _LENGTH(buffer, start + 1)[0] == length - 5
                    and self._block is None
                ):  # a whole request, as nearly all of them come
                    stream.ended = True
                    stream.message = buffer[start + 5 : position]
                    events.append(stream)
                    if self._credit < whole >> 1:
                        self._grant(whole - self._credit)
                    continue
            elif (
                kind == HEADERS
                and flags & _SPECIAL == END_HEADERS
                and number > self._last
                and number & 1
                and self.settled
                and self._block is None
            ):  # a new call
                self._open(number, flags, buffer[start:position], events)
                continue
            self._frame(kind, flags, number, buffer[start:position], events)
        return position

    def _frame(self, kind: int, flags: int, number: int, payload: bytes, events: list[Event]) -> None:
        """Any frame."""
        if self._block is not None and kind != frames.CONTINUATION:
            raise Violation(frames.PROTOCOL_ERROR, "a frame amid a header block")
        if kind == DATA:
            self._data(number, flags, payload, events)
        elif kind == HEADERS:
            self._headers(number, flags, payload, events)
        else:
            self._control(kind, flags, number, payload, events)

    # Header blocks.

    def _headers(self, number: int, flags: int, payload: bytes, events: list[Event]) -> None:
        if not number:
            raise Violation(frames.PROTOCOL_ERROR, "headers of no stream")
        if flags & (PADDED | PRIORITISED):
            payload = unpadded(payload) if flags & PADDED else payload
            if flags & PRIORITISED:
                if len(payload) < 5:
                    raise Violation(frames.FRAME_SIZE_ERROR, "a priority that is cut off")
                if U32.unpack_from(payload)[0] & 0x7FFFFFFF == number:
                    raise Violation(frames.PROTOCOL_ERROR, "a stream that depends on itself")
                payload = payload[5:]
        if not self.settled:
            raise Violation(frames.PROTOCOL_ERROR, "headers before settings")
        if flags & END_HEADERS:
            self._list(number, flags, payload, events)
        else:
            self._block = number, flags, bytearray(payload)
            self._block_since = self.now()
            self._parts = 0

    def _continuation(self, number: int, flags: int, payload: bytes, events: list[Event]) -> None:
        if self._block is None or self._block[0] != number:
            raise Violation(frames.PROTOCOL_ERROR, "a continuation of nothing")
        _, first, block = self._block
        self._parts += 1
        if self._parts > self.limits.continuations or len(block) + len(payload) > self._most:
            raise Violation(frames.ENHANCE_YOUR_CALM, "a header block that does not end")
        block += payload
        if flags & END_HEADERS:
            self._block = None
            self._list(number, first, bytes(block), events)

    def _list(self, number: int, flags: int, block: bytes, events: list[Event]) -> None:
        """A header list that is complete: of a new call, or of the end of one."""
        if number <= self._last:
            self._trailers(number, bool(flags & END_STREAM), self._decode(block)[0], events)
        elif not number & 1:
            raise Violation(frames.PROTOCOL_ERROR, "a stream with an even number")
        else:
            self._open(number, flags, block, events)

    def _open(self, number: int, flags: int, block: bytes, events: list[Event]) -> None:
        fields, apart = self._decode(block)
        self._last = number
        limits = self.limits
        if number > self._final or len(self.calls) >= limits.streams or self._unsent > limits.unsent:
            self._refuse(number, frames.REFUSED_STREAM)
            return
        try:
            head = self._heads.kept.get(fields) or self._heads.read(fields)
            timeout = None if apart is None else apart.meaning or seconds(apart)
        except Malformed:
            self._refuse(number, frames.PROTOCOL_ERROR)
            return
        stream = Stream(number, head, timeout, limits.stream_window, self._stream_window)
        self.calls[number] = stream
        if not head.whole:
            stream.awaited = head.length
        if head.streaming and not head.http:
            events.append(stream)
        if flags & END_STREAM:
            self._finished(stream, events)

    def _trailers(self, number: int, ended: bool, fields: tuple[Field, ...], events: list[Event]) -> None:
        stream = self.calls.get(number)
        if stream is None:
            if number in self._gone:
                return
            raise Violation(frames.STREAM_CLOSED, "headers of a stream that is over")
        if stream.ended:
            raise Violation(frames.STREAM_CLOSED, "headers of a stream whose caller ended it")
        try:
            for field in fields:
                check(field.name, field.value)
            if not ended:
                raise Malformed("trailers that end nothing")
        except Malformed:
            self._break(stream, frames.PROTOCOL_ERROR, events)
            return
        self._finished(stream, events)

    # Everything else.

    def _control(self, kind: int, flags: int, number: int, payload: bytes, events: list[Event]) -> None:
        if kind == frames.CONTINUATION:
            self._continuation(number, flags, payload, events)
            return
        self._idled()
        if kind == frames.SETTINGS:
            self._settings(number, flags, payload, events)
        elif not self.settled:
            raise Violation(frames.PROTOCOL_ERROR, "a frame before settings")
        elif kind == frames.WINDOW_UPDATE:
            self._window_update(number, payload, events)
        elif kind == frames.PING:
            if number or len(payload) != 8:
                raise Violation(frames.FRAME_SIZE_ERROR if not number else frames.PROTOCOL_ERROR, "a broken ping")
            if not flags & frames.ACK:
                self._out.append(frames.frame(frames.PING, frames.ACK, 0, payload))
            elif payload == _DRAIN_PING and self._draining:
                self.close_door()
        elif kind == frames.RST_STREAM:
            if not number or number > self._last:
                raise Violation(frames.PROTOCOL_ERROR, "a reset of a stream that was not opened")
            if len(payload) != 4:
                raise Violation(frames.FRAME_SIZE_ERROR, "a reset of the wrong size")
            stream = self.calls.get(number)
            if stream is not None:
                self._charge()
                self._drop(stream, events)
        elif kind == frames.PRIORITY:
            if not number:
                raise Violation(frames.PROTOCOL_ERROR, "a priority of no stream")
            if len(payload) != 5:
                raise Violation(frames.FRAME_SIZE_ERROR, "a priority of the wrong size")
            if U32.unpack_from(payload)[0] & 0x7FFFFFFF == number:
                raise Violation(frames.PROTOCOL_ERROR, "a stream that depends on itself")
        elif kind == frames.GOAWAY:
            if number:
                raise Violation(frames.PROTOCOL_ERROR, "a farewell of one stream")
            if len(payload) < 8:
                raise Violation(frames.FRAME_SIZE_ERROR, "a farewell of the wrong size")
        elif kind == frames.PUSH_PROMISE:
            raise Violation(frames.PROTOCOL_ERROR, "a promise of a client")

    def _settings(self, number: int, flags: int, payload: bytes, events: list[Event]) -> None:
        if number:
            raise Violation(frames.PROTOCOL_ERROR, "settings of one stream")
        if flags & frames.ACK:
            if payload:
                raise Violation(frames.FRAME_SIZE_ERROR, "an acknowledgement with settings")
            return
        if len(payload) % 6:
            raise Violation(frames.FRAME_SIZE_ERROR, "settings of the wrong size")
        self.settled = True
        grown = False
        for offset in range(0, len(payload), 6):
            name = payload[offset] << 8 | payload[offset + 1]
            value = U32.unpack_from(payload, offset + 2)[0]
            if name == frames.HEADER_TABLE_SIZE:
                self._peer_table(value)
            elif name == frames.INITIAL_WINDOW_SIZE:
                if value > frames.WINDOW_MAX:
                    raise Violation(frames.FLOW_CONTROL_ERROR, "a window that is too large")
                change, self._stream_window = value - self._stream_window, value
                grown |= change > 0
                for stream in self.calls.values():
                    stream.window += change
                    if stream.window > frames.WINDOW_MAX:
                        raise Violation(frames.FLOW_CONTROL_ERROR, "a window that is too large")
            elif name == frames.MAX_FRAME_SIZE:
                if not frames.FRAME_SIZE <= value < 1 << 24:
                    raise Violation(frames.PROTOCOL_ERROR, "a frame size that none may have")
                self._frame_size = min(value, _FRAME_MOST)
                self._aim()
            elif name == frames.ENABLE_PUSH and value > 1:
                raise Violation(frames.PROTOCOL_ERROR, "push is on or off")
        self._out.append(frames.SETTINGS_ACK)
        if grown:
            self._blocked |= self._shut  # those whose window is still shut go back
            self._shut.clear()
            events += [Writable(each) for each in self._pump_all(self._blocked)]
