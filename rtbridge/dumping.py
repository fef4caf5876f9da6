"""``rtbridge.dump``: shows a value from inside any hook, in the log and to ``rtbridge dumps``."""

import logging
import os
import socket
import sys
import threading
from collections import deque
from contextlib import suppress
from typing import Final, TypeVar

import msgspec

from rtbridge.clock import SYSTEM_CLOCK
from rtbridge.config import Address
from rtbridge.events.words import in_words, short
from rtbridge.isolation import LAST_DUMP, at_hand
from rtbridge.pretty import pretty

log = logging.getLogger("rtbridge.dump")

T = TypeVar("T")

#: Dumps that wait to be sent; what comes on top of them is counted and left out.
_QUEUE: Final = 1000

#: Seconds: between two attempts to connect, for one attempt or one line, and for what is left at the end.
_BACKOFF: Final = (0.1, 5.0)
_PATIENCE: Final = 2.0
_FLUSH: Final = 1.0


class Dump(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One dump on its way, a JSON object on a line.

    Attributes:
        time: Seconds since the epoch.
        file: The file that called ``dump``.
        line: The line in it.
        event: Kind, channel, method, user and client of the event, as far as it has them; of an HTTP request the kind
            ``http``, its method and its path, without the query. None outside of both.
        value: The value, as text.
        pid: The process.
        dropped: Dumps before this one that found the queue full.

    """

    time: float
    file: str
    line: int
    event: dict[str, str] | None
    value: str
    pid: int
    dropped: int = 0


def dump(value: T, *more: object) -> T:
    """Show a value, and give it back: in the log, and to ``rtbridge dumps`` where ``rtbridge.dump_server`` is set.

    It can stand anywhere, also in blocking hooks and inside an expression. The record of the logger ``rtbridge.dump``
    has the file, the line and the event, or the HTTP request. It never fails and never waits. A value that is larger
    than 64 KiB as text is cut off.

    Args:
        value: What to show.
        more: Further values to show beside it.

    """
    sender, last = _sender, LAST_DUMP.get()
    if sender is None and last is None and not log.isEnabledFor(logging.INFO):
        return value
    caller = sys._getframe(1)
    file, line = _encodable(caller.f_code.co_filename), caller.f_lineno
    try:
        found = at_hand()
        told = None if found is None else {name: _encodable(each) for name, each in short(found).items()}
        words = "outside of an event" if found is None else in_words(found)
        text = pretty(value, *more)
        if last is not None:
            last[:] = [f"{file}:{line}\n{text}"]
        log.info("%s:%d, %s\n%s", file, line, words, text, extra={"event": told}, stacklevel=2)
        if sender is not None:
            sender.put(Dump(time=SYSTEM_CLOCK.time(), file=file, line=line, event=told, value=text, pid=os.getpid()))
    except Exception:  # a hook that is looked at answers as it would unseen
        log.exception("%s:%d: dump() failed", file, line)
    return value


def _encodable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


class Sender:
    """Sends dumps from a thread of its own, which is started by the first one.

    Args:
        address: Where ``rtbridge dumps`` listens.

    """

    def __init__(self, address: Address) -> None:
        self._address = address
        self._waiting: deque[Dump] = deque()
        self._dropped = 0
        self._closing = False
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._peer: socket.socket | None = None

    def put(self, record: Dump) -> None:
        """Have a dump sent, unless too many are waiting."""
        with self._changed:
            if self._closing or len(self._waiting) >= _QUEUE:
                self._dropped += 1
                return
            if self._dropped:
                record = msgspec.structs.replace(record, dropped=self._dropped)
                self._dropped = 0
            self._waiting.append(record)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="rtbridge-dumps", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Send what is left, for a second at most, and end."""
        _forget(self)
        with self._changed:
            self._closing = True
            self._changed.notify()
            thread, self._thread = self._thread, None
        if thread is None:
            return
        thread.join(_FLUSH)
        peer = self._peer
        if thread.is_alive() and peer is not None:  # who does not read keeps the thread in the middle of a line
            with suppress(OSError):
                peer.shutdown(socket.SHUT_RDWR)
            thread.join(_FLUSH)

    def _run(self) -> None:
        pause = _BACKOFF[0]
        while (record := self._next()) is not None:
            try:
                self._send(msgspec.json.encode(record) + b"\n")
            except OSError:
                self._hang_up()
                with self._changed:
                    self._changed.wait_for(lambda: self._closing, pause)
                    if self._closing:
                        break
                pause = min(pause * 2, _BACKOFF[1])
            else:
                pause = _BACKOFF[0]
                self._waiting.popleft()
        self._hang_up()

    def _next(self) -> Dump | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            return self._waiting[0] if self._waiting else None

    def _send(self, line: bytes) -> None:
        if self._peer is not None and _gone(self._peer):
            self._hang_up()
        if self._peer is None:
            self._peer = _connected(self._address)
        self._peer.sendall(line)

    def _hang_up(self) -> None:
        peer, self._peer = self._peer, None
        if peer is not None:
            peer.close()


def _connected(address: Address) -> socket.socket:
    if not address.path:
        return socket.create_connection((address.host, address.port), _PATIENCE)
    peer = socket.socket(socket.AF_UNIX)
    try:
        peer.settimeout(_PATIENCE)
        peer.connect(address.path)
    except OSError:
        peer.close()
        raise
    return peer


def _gone(peer: socket.socket) -> bool:
    """Whether the other end has closed: the first line after that would be lost without an error."""
    peer.setblocking(False)
    try:
        return peer.recv(1) == b""  # the other end has nothing to say
    except BlockingIOError:
        return False
    finally:
        peer.settimeout(_PATIENCE)


_sender: Sender | None = None


def use(address: Address | None) -> Sender | None:
    """Send dumps there from now on, and give back what does; without an address nothing changes."""
    global _sender
    if address is None:
        return None
    _sender = Sender(address)
    return _sender


def _forget(sender: Sender) -> None:
    global _sender
    if _sender is sender:
        _sender = None


def decoded(line: bytes) -> Dump:
    """The dump on a line.

    Raises:
        msgspec.MsgspecError: There is none on it.

    """
    return msgspec.json.decode(line, type=Dump)
