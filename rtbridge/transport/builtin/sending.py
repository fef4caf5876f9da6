"""The sending half of a connection: replies to frames, within the windows that the peer grants."""

import zlib
from collections import deque
from collections.abc import Callable
from struct import Struct
from typing import Final
from urllib.parse import quote

from rtbridge.transport.builtin import frames
from rtbridge.transport.builtin.frames import END_HEADERS, END_STREAM, HEAD
from rtbridge.transport.builtin.hpack import TABLE_SIZE, indexed_literal, literal
from rtbridge.transport.builtin.limits import Limits
from rtbridge.transport.builtin.streams import BARE, OK, Stream

# Indices of the static table (RFC 7541, appendix A).
_STATUS_200: Final = b"\x88"
_CONTENT_TYPE: Final = 31

#: Indices of the newest two entries of the peer's dynamic table.
_NEWEST: Final = b"\xbe"
_SECOND: Final = b"\xbf"

_GRPC: Final = b"application/grpc"
_KIND: Final = literal(b"content-type", _GRPC)
_KIND_KEPT: Final = indexed_literal(_CONTENT_TYPE, _GRPC)
_GZIP: Final = literal(b"grpc-encoding", b"gzip")
_STATUS_OK: Final = literal(b"grpc-status", b"0")
_STATUS_OK_KEPT: Final = b"\x40" + _STATUS_OK[1:]

#: Characters of a status message, and those of them that travel as they are.
_TEXT: Final = 1024
_PRINTABLE: Final = bytes(each for each in range(0x20, 0x7F) if each != ord("%"))

#: Bytes of messages that may be ready to leave; a peer that does not read them has us make no more.
_AHEAD: Final = 2**20

#: The status of gRPC for what would take too much memory.
_RESOURCE_EXHAUSTED: Final = 8

#: No message is this large.
_NEVER: Final = 2**62

#: Streams whose late frames are ignored, because we ended them while their caller was still sending.
_GONE: Final = 1000

#: A reply's headers, and its message up to its first byte, where both blocks are in the peer's table; its trailers.
_REPLY: Final = Struct(">5sI2sIxIxI").pack
_REPLY_HEAD: Final = bytes((0, 0, 2, frames.HEADERS, END_HEADERS))
_TRAILERS: Final = Struct(">5sI1s").pack
_TRAILERS_HEAD: Final = bytes((0, 0, 1, frames.HEADERS, END_HEADERS | END_STREAM))

#: A message's prefix: whether it is compressed, and its length (gRPC over HTTP/2, Length-Prefixed-Message).
_PREFIX: Final = Struct(">BI")


class Sending:
    """What is to be sent, and what may be.

    Args:
        limits: Its bounds.
        now: The time in seconds, from any start.

    Attributes:
        calls: The calls under way, by their streams' numbers.
        paused: Whether the transport takes no more for now; only what is small is sent then.

    """

    def __init__(self, limits: Limits, now: Callable[[], float]) -> None:
        self.limits = limits
        self.now = now
        self.paused = False
        self._out: list[bytes | memoryview] = []
        self.calls: dict[int, Stream] = {}
        self._gone: dict[int, None] = {}
        self._window = frames.WINDOW
        self._stream_window = frames.WINDOW
        self._frame_size = frames.FRAME_SIZE
        self._blocked: dict[int, Stream] = {}  # wait for the connection's window, or for the transport
        self._shut: dict[int, Stream] = {}  # wait for a window of their own
        self._unsent = 0
        self._ready = 0
        self._full = False
        self._idle_frames = 0
        self._compress_from = _NEVER if limits.compress_from is None else limits.compress_from
        # What the next OK reply begins and ends with. The first one puts both blocks into the peer's table.
        self._head, self._tail = _STATUS_200 + _KIND_KEPT, _STATUS_OK_KEPT
        self._prefix = b""
        self._plain = False
        self._direct = -1

    @property
    def more(self) -> bool:
        """Whether more is to be sent as soon as what was ready has left: see :meth:`resume`."""
        return self._full and not self.paused

    @property
    def waiting(self) -> bool:
        """Whether there is something to send."""
        return bool(self._out)

    def data_to_send(self) -> bytes:
        """Everything that is to be sent by now; it is given out once."""
        found = b"".join(self._out)
        self._out.clear()
        self._ready = 0
        return found

    # Replies. Nothing happens where the call is over.

    def respond(self, stream: Stream, message: bytes) -> None:
        """Answer a call that has one answer."""
        size = len(message)
        framed = size + 5
        if (
            framed <= self._direct
            and framed <= self._window
            and framed <= stream.window
            and stream.ended
            and not self._blocked
            and self._ready < _AHEAD
        ):
            number = stream.id
            if self.calls.pop(number, None) is not None:
                self._window -= framed
                self._ready += framed
                self._idle_frames = 0
                self._out += (
                    _REPLY(_REPLY_HEAD, number, self._head, framed << 8, number, size),
                    message,
                    _TRAILERS(_TRAILERS_HEAD, number, self._tail),
                )
            return
        if self._unsent > self.limits.unsent:
            self.fail(stream, _RESOURCE_EXHAUSTED, "too many replies wait to be taken")
            return
        self._queue(stream, message)
        self.finish(stream)

    def send(self, stream: Stream, message: bytes) -> bool:
        """Send one of several answers.

        Returns:
            Whether all of it is on its way; otherwise ``Writable`` tells when it is.

        """
        self._queue(stream, message)
        return self._pump(stream)

    def finish(self, stream: Stream) -> None:
        """End a stream with the status OK, after everything that was sent."""
        if stream.id in self.calls:
            if not stream.started:
                self._begin(stream)
            stream.trailers = OK
            self._pump(stream)

    def fail(self, stream: Stream, status: int, text: str) -> None:
        """End a stream with another status, after everything that was sent.

        Source: gRPC over HTTP/2, Responses: a call without a message has trailers only; the text is percent-encoded.
        """
        if stream.id not in self.calls:
            return
        block = literal(b"grpc-status", b"%d" % status)
        if text:
            block += literal(b"grpc-message", percent_encoded(text))
        if not stream.started:
            block = _STATUS_200 + _KIND + block
            if stream.head.encoding not in ("", "gzip"):
                block += literal(b"grpc-accept-encoding", b"identity,gzip")
        stream.trailers = block
        self._pump(stream)

    def answer(self, stream: Stream, status: int, text: bytes) -> None:
        """Answer what is no call of gRPC, as any server of HTTP does."""
        if stream.id not in self.calls:
            return
        block = literal(b":status", b"%d" % status) + literal(b"content-type", b"text/plain; charset=utf-8")
        self._write_headers(stream.id, block + literal(b"content-length", b"%d" % len(text)), END_HEADERS)
        stream.started = True
        stream.outbox = deque([memoryview(text)])
        self._unsent += len(text)
        stream.trailers = BARE
        self._pump(stream)

    def reset(self, stream: Stream, code: int) -> None:
        """End a stream at once."""
        if self.calls.get(stream.id) is stream:
            self._out.append(frames.rst_stream(stream.id, code))
            self._forget(stream)
            self._leave(stream.id)

    def resume(self) -> list[Stream]:
        """The transport takes more, or what was to be sent has left.

        Returns:
            The streams whose senders waited, and need not any more.

        """
        self.paused = False
        return self._pump_all(self._blocked)

    # Below: frames and windows.

    def _queue(self, stream: Stream, message: bytes) -> None:
        if stream.id not in self.calls:
            return
        self._idle_frames = 0
        if not stream.started:
            self._begin(stream)
        packed = len(message) >= self._compress_from and stream.head.accepts_gzip
        if packed:
            packer = zlib.compressobj(wbits=31)
            message = packer.compress(message) + packer.flush()
        if stream.outbox is None:
            stream.outbox = deque()
        stream.outbox.append(memoryview(_PREFIX.pack(packed, len(message)) + message))
        self._unsent += len(message) + _PREFIX.size

    def _begin(self, stream: Stream) -> None:
        stream.started = True
        if self._compress_from < _NEVER and stream.head.accepts_gzip:
            self._write_headers(stream.id, _STATUS_200 + _KIND + _GZIP, END_HEADERS)
            return
        self._write_headers(stream.id, self._head, END_HEADERS)
        if len(self._head) > 2 and not self._plain:  # now it is in the peer's table
            self._head = _STATUS_200 + _NEWEST
            if len(self._tail) == 1:
                self._tail = _SECOND
            self._aim()

    def _aim(self) -> None:
        """How large a message may leave in one go, with its prefix; none before the peer's table has both blocks."""
        warm = len(self._head) == 2 and len(self._tail) == 1
        self._direct = min(self._frame_size, self._compress_from + 4) if warm else -1

    def _end(self, stream: Stream) -> None:
        """Write what ends a stream whose outbox is empty."""
        block, number = stream.trailers, stream.id
        if block is BARE:
            self._out.append(frames.frame(frames.DATA, END_STREAM, number))
        elif block is not OK and block is not None:
            self._write_headers(number, block, END_HEADERS | END_STREAM)
        else:
            self._write_headers(number, self._tail, END_HEADERS | END_STREAM)
            if len(self._tail) > 1 and not self._plain:
                self._tail = _NEWEST
                if len(self._head) == 2:
                    self._head = _STATUS_200 + _SECOND
                self._aim()
        self._forget(stream)
        if not stream.ended:
            # The caller need not send the rest (RFC 9113, section 8.1).
            self._out.append(frames.rst_stream(number, frames.NO_ERROR))
            self._leave(number)

    def _write_headers(self, number: int, block: bytes, flags: int) -> None:
        if self._prefix:
            block, self._prefix = self._prefix + block, b""
        self._out.append(frames.frame(frames.HEADERS, flags, number, block))

    def _pump(self, stream: Stream) -> bool:
        """Send what the windows allow; whether that is everything."""
        outbox, number = stream.outbox, stream.id
        if number not in self.calls:
            return True
        if outbox:
            before = self._unsent
            room = 0 if self.paused else min(self._window, stream.window, _AHEAD - self._ready)
            while outbox and room > 0:
                chunk = outbox[0]
                size = min(len(chunk), room, self._frame_size)
                self._out.append(HEAD.pack(size << 8, 0, number))
                self._out.append(chunk[:size])
                room -= size
                self._ready += size
                self._window -= size
                stream.window -= size
                self._unsent -= size
                if size == len(chunk):
                    outbox.popleft()
                else:
                    outbox[0] = chunk[size:]
            if outbox:
                self._full |= self._ready >= _AHEAD
                if self._unsent != before or (number not in self._blocked and number not in self._shut):
                    stream.since = self.now()
                self._blocked.pop(number, None)  # behind the others: they are next
                self._shut.pop(number, None)
                (self._blocked if stream.window > 0 else self._shut)[number] = stream
                return False
        self._blocked.pop(number, None)
        self._shut.pop(number, None)
        if stream.trailers is not None:
            self._end(stream)
        return True

    def _pump_all(self, waiting: dict[int, Stream]) -> list[Stream]:
        """Send what these may by now; those whose senders need not wait any more."""
        found = []
        self._full = False
        for stream in list(waiting.values()):
            if self._pump(stream) and stream.trailers is None:
                found.append(stream)
            if self._window <= 0 or self._full:
                break
        return found

    def _forget(self, stream: Stream) -> None:
        number = stream.id
        self.calls.pop(number, None)
        self._blocked.pop(number, None)
        self._shut.pop(number, None)
        if stream.outbox:
            self._unsent -= sum([len(chunk) for chunk in stream.outbox])
            stream.outbox.clear()

    def _leave(self, number: int) -> None:
        """Remember that late frames of a stream are to be ignored."""
        self._gone[number] = None
        if len(self._gone) > _GONE:
            del self._gone[next(iter(self._gone))]

    def _peer_table(self, size: int) -> None:
        """The peer keeps a smaller table: use none, and say so in the next block (RFC 7541, section 4.2)."""
        if size < TABLE_SIZE and not self._plain:
            self._plain = True
            self._prefix = b"\x20"
            self._head, self._tail = _STATUS_200 + _KIND, _STATUS_OK
            self._aim()


def percent_encoded(text: str) -> bytes:
    """A status message as it travels: printable ASCII, the rest and ``%`` as %XX, cut to a kilobyte."""
    return quote(text[:_TEXT], safe=_PRINTABLE).encode()
