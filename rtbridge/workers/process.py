"""One worker process, as its parent sees it."""

import asyncio
import itertools
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final, Literal

from rtbridge.deadlines import Deadlines
from rtbridge.errors import InvalidMessage
from rtbridge.events import Call
from rtbridge.handler import Refused
from rtbridge.workers.frames import (
    MAX_PAYLOAD,
    TO_PARENT,
    Answer,
    ApiCall,
    AskOut,
    Cancel,
    Credit,
    Drain,
    Ended,
    EndStreams,
    Failed,
    Item,
    Load,
    Mode,
    Ping,
    Pong,
    Ready,
    Refuse,
    Retire,
    Serving,
    Start,
    StoreCall,
    StreamEnd,
    ToParent,
    Unpacker,
    listed_headers,
    pack_headers,
)
from rtbridge.workers.held import Deliver, Held, PoolStream
from rtbridge.workers.link import Link

log = logging.getLogger("rtbridge.workers")

#: Mode → what its workers are called.
LABELS: Final[Mapping[Mode, str]] = {"centrifuge": "worker", "http": "http worker"}

State = Literal["starting", "ready", "blocked", "retiring", "ended"]

#: What the process runs.
_PROGRAM: Final = Path(__file__).with_name("__main__.py")

#: Part of the caller's time that the parent keeps for an answer of its own to travel in, and its bound in seconds. The
#: worker's bridge keeps more, so that it is heard first.
_MARGIN_SHARE: Final = 0.04
_MARGIN_MAX: Final = 0.02
_MARGIN_FROM: Final = _MARGIN_MAX / _MARGIN_SHARE

#: Seconds that a cancelled call has to end before its worker is given up.
_GRACE: Final = 1.0

#: Seconds that an exited process's last words have to arrive, and that one has to exit that closed its link unasked.
_LAST_WORDS: Final = 1.0
_LINGER: Final = 3.0


class Watcher:
    """What the pool and its supervisor want to know of a worker; each called on the loop."""

    def __init__(self) -> None:
        self.freed: Callable[[Worker], None] = _ignore
        self.state: Callable[[Worker], None] = _ignore
        self.retire: Callable[[Worker, str], None] = _ignore
        self.hung: Callable[[Worker, str], None] = _ignore
        self.ended: Callable[[Worker], None] = _ignore
        self.api: Callable[[Worker, ApiCall], None] = _ignore
        self.store: Callable[[Worker, StoreCall], None] = _ignore
        self.counted: Callable[[list[Any]], None] = _ignore


def _ignore(*_: Any) -> None:
    return None


class Worker:
    """A worker process from its start to its end.

    Args:
        number: Which of the workers it is, from 1 on.
        watcher: Is told what happens.
        deadlines: Of all calls of the pool.
        exec_ttl: Seconds that one call may take; 0 for no bound.
        mode: What it does.

    Attributes:
        load: Calls that it holds, and those promised to it.
        jobs: Calls that it was given.
        process: The process, once started.
        why: What ended it, in words; "" before.
        failed: What the worker itself says that keeps it from starting; "" where it says nothing.
        wanted: Whether it is to be replaced.
        hung: Whether it gets no calls any more, because those that it has do not end.
        emptied: Set when a retiring worker holds nothing any more.
        gone: Done when the process has ended.
        started: Whether it is ready, once that is known.

    """

    def __init__(
        self, number: int, watcher: Watcher, deadlines: Deadlines, exec_ttl: float, mode: Mode = "centrifuge"
    ) -> None:
        self.number = number
        self.mode: Mode = mode
        self.load = 0
        self.jobs = 0
        self.since = time.monotonic()
        self.ready_at: float | None = None
        self.last_call: float | None = None
        self.listing: Ready | None = None
        self.why = ""
        self.failed = ""
        self.state: State = "starting"
        self.wanted = False
        self.hung = False
        self.emptied = asyncio.Event()
        self.held: dict[int, Held] = {}
        self.process: subprocess.Popen[bytes] | None = None
        self._watcher = watcher
        self._freed = watcher.freed
        self._deadlines = deadlines
        self._exec_ttl = exec_ttl
        self._streams: dict[int, PoolStream] = {}
        self._link: Link
        self._ids = itertools.count(1)
        self._heard = True
        self._pinged: float | None = None
        self._exited = False
        self._told_to_end = False
        self._lost = False
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self.started: asyncio.Future[bool] = self._loop.create_future()

    async def start(self, start: Start, environment: Mapping[str, str]) -> None:
        """Start the process; :attr:`started` says later whether it is ready."""
        ours, theirs = socket.socketpair()
        await self.attach(ours)
        with theirs:
            # A session of its own: Ctrl-C in a terminal is for the parent, which ends its workers in order.
            given = (theirs.fileno(), *start.listeners.values())
            self.process = subprocess.Popen(  # noqa: ASYNC220, S603  # a few ms; ourselves, with numbers
                [sys.executable, "-P", str(_PROGRAM), str(theirs.fileno()), str(start.number)],
                pass_fds=given,
                stdin=subprocess.DEVNULL,
                env=dict(environment),
                start_new_session=True,
            )
        self._watch_exit(self.process)
        self._link.send(start)

    async def attach(self, end: socket.socket) -> None:
        """Talk over this end of a socketpair; the other end is the worker's."""
        self._link = await Link.over(end, Unpacker(TO_PARENT), self._received, self._parted)

    @property
    def pid(self) -> int:
        """Of the process; 0 before it is started."""
        return 0 if self.process is None else self.process.pid

    @property
    def busy(self) -> bool:
        """Whether there is something that it has to end; one that takes connections says so itself."""
        return self.load > 0 or self.mode == "http"

    @property
    def streams(self) -> int:
        """Streams that it feeds."""
        return len(self._streams)

    def __repr__(self) -> str:
        return f"{LABELS[self.mode]} {self.number} (process {self.pid})"

    # Calls.

    def ask(self, route: int, body: bytes, call: Call, deliver: Deliver) -> Held:
        """Send a call; ``deliver`` is given the answer, or words that say why there is none."""
        held = self._hold(call, len(body), deliver)
        headers = listed_headers(call.headers.pairs())
        self._link.send(AskOut(held.id, route, call.via, call.deadline, headers, body), len(body))
        return held

    def refuse(self, refused: Refused, call: Call, deliver: Deliver) -> Held:
        """The same for a call that no event can be made of."""
        headers = pack_headers(call.headers.pairs())
        held = self._hold(call, len(refused.raw), deliver)
        kind, wire, name, raw, why = refused
        self._link.send(Refuse(held.id, kind, wire, call.via, call.deadline, headers, name, raw, why), len(raw))
        return held

    def open(
        self, route: int, body: bytes, call: Call, incoming: AsyncIterator[bytes] | None, deliver: Deliver
    ) -> Held:
        """The same for one that starts a stream, which the result has, too."""
        held = self._hold(call, len(body), deliver)
        held.stream = PoolStream(held.id, self._link, incoming, self._stream_over)
        headers = listed_headers(call.headers.pairs())
        frame = AskOut(held.id, route, call.via, call.deadline, headers, body, incoming is not None)
        self._link.send(frame, len(body))
        return held

    def _hold(self, call: Call, size: int, deliver: Deliver) -> Held:
        if size > MAX_PAYLOAD:
            raise InvalidMessage(f"{size:,} bytes; to a worker at most {MAX_PAYLOAD:,} travel")
        now = call.clock.monotonic()
        held = Held(next(self._ids), deliver, now, self._late)
        self.held[held.id] = held
        self.jobs += 1
        self.last_call = now
        limit, until = self._exec_ttl, call.deadline
        if until is not None:
            remaining = until - now
            if remaining >= _MARGIN_FROM:
                remaining -= _MARGIN_MAX
            else:
                remaining = max(0.0, remaining - remaining * _MARGIN_SHARE)
            if not limit or remaining < limit:
                limit = remaining
        elif not limit:
            return held
        self._deadlines.add(held, limit)
        return held

    def _late(self, held: Held) -> None:
        took = time.monotonic() - held.since
        held.answer(f"no answer from {self!r} after {took:.2f} s")
        self._link.send(Cancel(held.id))
        if self._exec_ttl:
            self._loop.call_later(max(0.0, self._exec_ttl - took) + _GRACE, self._still, held)

    def _still(self, held: Held) -> None:
        if held.id in self.held:
            self._watcher.hung(self, f"a call goes on {_GRACE:.0f} s after exec_ttl ({self._exec_ttl:g} s)")

    def cancel(self, held: Held) -> None:
        """The caller went away."""
        held.done()
        held.deliver = None
        if held.stream is not None:
            held.stream.abandon()
        else:
            self._link.send(Cancel(held.id))

    def _release(self, id: int) -> Held | None:
        held = self.held.pop(id, None)
        if held is not None:
            held.done()
            self.load -= 1
            self._freed(self)
        return held

    # Frames.

    def _received(self, frames: list[ToParent]) -> None:
        self._heard = True
        if self._pinged is not None:
            self._answered()
        for frame in frames:
            if isinstance(frame, Answer):
                self._answer(frame)
            else:
                self._told(frame)

    def _answer(self, answer: Answer) -> None:
        held = self._release(answer.id)
        if held is None:
            return
        stream = held.stream
        if stream is not None:
            if not answer.stream:
                stream.end("")
            elif held.deliver is None:
                stream.abandon()  # too late: its caller was told otherwise
            else:
                self._streams[answer.id] = stream
        held.answer(answer)

    def _told(self, frame: ToParent) -> None:
        match frame:
            case Item(id, body):
                if (stream := self._streams.get(id)) is not None:
                    stream.item(body)
            case StreamEnd(id, error):
                if (stream := self._streams.get(id)) is not None:
                    stream.end(error)
            case Credit(id, count):
                stream = self._streams.get(id)
                if stream is None and id in self.held:
                    stream = self.held[id].stream
                if stream is not None:
                    stream.credit(count)
            case Ended(id):
                held = self._release(id)
                if held is not None:
                    if held.stream is not None:
                        held.stream.end("cancelled")
                    held.answer("it was cancelled")
            case StoreCall():
                self._watcher.store(self, frame)
            case ApiCall():
                self._watcher.api(self, frame)
            case Ready():
                self.listing = frame
                self.ready_at = time.monotonic()
                self._become("ready")
                self._say_started(True)
            case Failed(why):
                self.failed = why
            case Load(jobs, held, over, counted):
                self._watcher.counted(counted)
                if jobs != self.jobs:
                    self.last_call = time.monotonic()
                self.jobs, self.load = jobs, held
                if over:
                    self.emptied.set()
            case Retire(why):
                self._watcher.retire(self, why)
            case Pong() | Answer():
                pass

    def _stream_over(self, id: int) -> None:
        self._streams.pop(id, None)

    def send(self, frame: Any, size: int = 0) -> None:
        """Write a frame."""
        self._link.send(frame, size)

    # Life.

    def ping(self) -> float:
        """Ask whether its loop runs, unless it said something lately; how long it has owed an answer, in seconds."""
        now = time.monotonic()
        if self._pinged is None:
            if self._heard:
                self._heard = False
                return 0.0
            self._pinged = now
            self._link.send(Ping())
            return 0.0
        owed = now - self._pinged
        if owed >= 1.0 and self.state == "ready":
            log.warning("%r does not answer: something blocks its event loop; it gets no new calls", self)
            self._become("blocked")
        return owed

    @property
    def asked(self) -> bool:
        """Whether it owes an answer to :meth:`ping`."""
        return self._pinged is not None

    def excuse(self, seconds: float) -> None:
        """So long nobody could have heard its answer."""
        if self._pinged is not None:
            self._pinged += seconds

    def _answered(self) -> None:
        self._pinged = None
        if self.state == "blocked":
            log.info("%r answers again", self)
            self._become("ready")

    def serving(self) -> None:
        """Everything listens."""
        self._link.send(Serving())

    def retire(self) -> None:
        """Give it no new calls; it ends when those that it holds have ended. Its streams end now."""
        if self.state in ("retiring", "ended"):
            return
        self._become("retiring")
        self._link.send(EndStreams())

    def end_streams(self) -> None:
        """End its streams, so that clients subscribe again somewhere else."""
        self._link.send(EndStreams())

    def drain(self) -> None:
        """Have it shut down and exit."""
        self._told_to_end = True
        self._become("retiring")
        self._link.send(Drain())

    def kill(self, why: str) -> None:
        """End the process at once."""
        if self._exited or self.process is None:
            return
        self.why = self.why or why
        self._become("retiring")
        self.process.kill()

    def _become(self, state: State) -> None:
        if self.state not in ("ended", state) and (self.state != "retiring" or state == "ended"):
            self.state = state
            self._watcher.state(self)

    def _say_started(self, ready: bool) -> None:
        if not self.started.done():
            self.started.set_result(ready)

    def _watch_exit(self, process: "subprocess.Popen[bytes]") -> None:
        """Hear of the end of the process without asking again and again."""
        if hasattr(os, "pidfd_open"):
            try:
                descriptor = os.pidfd_open(process.pid)
            except OSError:  # a kernel without it, or a filter that forbids it
                pass
            else:

                def exited() -> None:
                    self._loop.remove_reader(descriptor)
                    os.close(descriptor)
                    self._has_exited()

                self._loop.add_reader(descriptor, exited)
                return

        def wait() -> None:
            process.wait()
            self._loop.call_soon_threadsafe(self._has_exited)

        threading.Thread(target=wait, name=f"rtbridge-worker-{self.number}", daemon=True).start()

    def _has_exited(self) -> None:
        assert self.process is not None
        code = self.process.wait()
        self._exited = True
        self.why = self.why or self.failed or _words(code)
        if self._lost:
            self._end()
        else:
            # What it sent before it ended is still to be read. A process that it started itself may keep the link.
            self._loop.call_later(_LAST_WORDS, self._link.abort)

    def _parted(self) -> None:
        self._lost = True
        if self._exited:
            self._end()
            return
        self._fail("it closed its link")
        self._become("retiring")
        if not self._told_to_end:  # else whoever told it bounds what it still does: its interpreter has an end, too
            self._loop.call_later(_LINGER, self.kill, "it closed its link and did not exit")

    def _fail(self, why: str) -> None:
        for id in list(self.held):
            held = self._release(id)
            if held is not None:
                if held.stream is not None:
                    held.stream.end(why)
                held.answer(f"{self!r} ended: {why}")
        for stream in list(self._streams.values()):
            stream.end(f"{self!r} ended")

    def _end(self) -> None:
        self._become("ended")
        self._fail(self.why)
        self._say_started(False)
        if not self.gone.done():
            self.gone.set_result(None)
            self._watcher.ended(self)


def _words(code: int) -> str:
    if code >= 0:
        return f"it exited with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    return f"it was ended by signal {name}"
