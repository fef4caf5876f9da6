"""Answers the calls that come over a link, with the hooks of a runtime."""

import asyncio
import contextvars
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeVar

from rtbridge.app import Runtime
from rtbridge.bridge import Reply
from rtbridge.clock import SYSTEM_CLOCK
from rtbridge.eager import Eager
from rtbridge.events import METHODS, Call
from rtbridge.handler import Refused
from rtbridge.workers.duty import Duty
from rtbridge.workers.framed_api import FramedApi
from rtbridge.workers.framed_stores import FramedStores
from rtbridge.workers.frames import (
    MAX_PAYLOAD,
    ROUTES,
    Answer,
    Ask,
    Cancel,
    Credit,
    Ended,
    EndStreams,
    Incoming,
    PackedHeaders,
    Refuse,
    StreamEnd,
    ToWorker,
    clean,
)
from rtbridge.workers.link import Link
from rtbridge.workers.outgoing import Outgoing

log = logging.getLogger("rtbridge.workers")

T = TypeVar("T")

#: Seconds between two looks at a thread that runs on after its call was cancelled.
_LOOK: Final = 0.05


class Answerer(Duty):
    """The calls of one link; made of what a :class:`Duty` is."""

    def __init__(
        self, runtime: Runtime, link: Link, api: FramedApi | None = None, stores: FramedStores | None = None
    ) -> None:
        super().__init__(runtime, link, api, stores)
        self._eager = Eager()
        self._context = contextvars.copy_context()
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._streams: dict[int, Outgoing] = {}
        unary = runtime.handler.unary
        #: By route; None for streams.
        self._answers: list[Callable[[bytes, Call], Awaitable[Reply]] | None] = [
            None if METHODS[kind].stream else unary(kind, wire) for kind, wire in ROUTES
        ]

    def received(self, frame: ToWorker) -> None:
        """Do what a frame asks for."""
        if isinstance(frame, Ask):
            self._asked(frame)
            return
        match frame:
            case Cancel(id):
                self._cancel(id)
            case Credit(id, count):
                if (stream := self._streams.get(id)) is not None:
                    stream.credit(count)
            case Incoming(id, body):
                if (stream := self._streams.get(id)) is not None:
                    stream.incoming(body)
            case Refuse():
                self._refused(frame)
            case EndStreams():
                self._runtime.bridge.end_streams()
            case _:
                super().received(frame)

    def abandon(self) -> None:
        """The parent is gone: nobody waits for anything."""
        for task in list(self._tasks.values()):
            task.cancel()
        self._eager.close()
        super().abandon()

    def _asked(self, frame: Ask) -> None:
        id = frame.id
        call = Call(PackedHeaders(frame.headers), frame.via, frame.deadline, SYSTEM_CLOCK)
        answer = self._answers[frame.route]
        if answer is not None:
            task = self._eager.start(self._answer(id, call, answer, frame.body), self._context.copy())
            if task is not None:
                self._tasks[id] = task
            return
        stream = self._streams[id] = Outgoing(id, self._link)
        self._tasks[id] = self._loop.create_task(self._stream(frame, call, stream))

    def _refused(self, frame: Refuse) -> None:
        id = frame.id
        call = Call(PackedHeaders(frame.headers), frame.via, frame.deadline, SYSTEM_CLOCK)
        refused = Refused(frame.kind, frame.wire, frame.name, frame.raw, frame.why)
        self._tasks[id] = self._loop.create_task(self._answer(id, call, self._runtime.handler.refuse, refused))

    async def _answer(self, id: int, call: Call, answer: Callable[[T, Call], Awaitable[Reply]], given: T) -> None:
        cancelled = False
        try:
            reply = await answer(given, call)
        except asyncio.CancelledError:
            cancelled = True
        except BaseException as exc:
            self._lost(id, exc)
        else:
            outcome, payload = reply.outcome, reply.payload
            if outcome.failure is not None:
                self._link.send(Answer(id, b"", outcome.failure, clean(outcome.why)))
            elif len(payload) > MAX_PAYLOAD:
                why = f"an answer of {len(payload):,} bytes; a worker's have at most {MAX_PAYLOAD:,}"
                log.error("%s", why)
                self._link.send(Answer(id, b"", "lost", why))
            else:
                self._link.send(Answer(id, payload), len(payload))
        finally:
            self._tasks.pop(id, None)
        if cancelled:
            self._ended(id, call)

    def _lost(self, id: int, exc: BaseException) -> None:
        """A call whose hooks ended in what no hook raises by accident: ``sys.exit``, or a fault of our own."""
        why = f"its hooks ended with {type(exc).__name__}"
        log.error("%s; this worker asks to be replaced", why, exc_info=exc)
        self._link.send(Answer(id, b"", "lost", why))
        self.retire(why)

    async def _stream(self, frame: Ask, call: Call, stream: Outgoing) -> None:
        id, cancelled = frame.id, False
        start = self._runtime.handler.stream(ROUTES[frame.route][0])
        try:
            opened = await start(frame.body, call, stream.later() if frame.incoming else None)
            outcome = opened.reply.outcome
            why, more = clean(outcome.why), opened.stream is not None
            self._link.send(Answer(id, opened.reply.payload, outcome.failure or "", why, more))
            if opened.stream is not None:
                call.deadline = None
                await stream.send(opened.stream.items())
        except asyncio.CancelledError:
            cancelled = True
        except BaseException as exc:
            self._lost(id, exc)
            self._link.send(StreamEnd(id, "its hook ended"))
        finally:
            del self._tasks[id], self._streams[id]
        if cancelled:
            self._ended(id, call)

    def _cancel(self, id: int) -> None:
        task = self._tasks.get(id)
        if task is not None:  # else its answer is on the way, which ends the call, too
            task.cancel()
            task.add_done_callback(partial(self._unbegun, id))

    def _unbegun(self, id: int, task: "asyncio.Task[None]") -> None:
        """Say the end of a call whose task was cancelled before it began: such a task runs nothing."""
        if self._tasks.pop(id, None) is not None:
            self._streams.pop(id, None)
            self._link.send(Ended(id))

    def _ended(self, id: int, call: Call) -> None:
        lease = call.lease
        if lease is None or not lease.busy:
            self._link.send(Ended(id))
        else:
            self.keep(self._thread_ends(id, lease))

    async def _thread_ends(self, id: int, lease: Any) -> None:
        while lease.busy:  # noqa: ASYNC110  # a thread that may never end tells nobody
            await asyncio.sleep(_LOOK)
        self._link.send(Ended(id))
