"""Threads for hooks that block: one event keeps one thread, so that what belongs to a thread stays on it."""

import asyncio
import contextvars
import queue
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any, Final

_STOP: Final = object()


class _Thread:
    """One thread and its jobs, done in the order they came."""

    __slots__ = ("busy", "jobs", "thread")

    def __init__(self, name: str) -> None:
        self.jobs: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.busy = 0
        # A hook that never returns must not keep the process from ending.
        self.thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while (job := self.jobs.get()) is not _STOP:
            loop, future, context, function = job
            try:
                result, error = context.run(function), None
            except BaseException as exc:
                result, error = None, exc
            try:
                loop.call_soon_threadsafe(self._done, future, result, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return
            del loop, future, context, function, job, result, error

    def _done(self, future: "asyncio.Future[Any]", result: Any, error: BaseException | None) -> None:
        self.busy -= 1
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        elif isinstance(error, StopIteration):  # a future refuses it
            future.set_exception(RuntimeError("a blocking hook raised StopIteration"))
        else:
            future.set_exception(error)

    def put(self, context: contextvars.Context, function: Callable[[], Any]) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self.busy += 1
        self.jobs.put((loop, future, context, function))
        return future

    def stack(self) -> str:
        frame = sys._current_frames().get(self.thread.ident or 0)
        return "" if frame is None else "".join(traceback.format_stack(frame))


class Lease:
    """A thread, and a copy of the event's context, for as long as the event lasts."""

    __slots__ = ("_context", "_pool", "_thread")

    def __init__(self, pool: "Threads", thread: _Thread) -> None:
        self._pool = pool
        self._thread = thread
        self._context = contextvars.copy_context()

    async def run(self, function: Callable[[], Any]) -> Any:
        """What ``function`` returns or raises, run on the thread. Cancelled, it still runs to its end."""
        if self._pool.around:
            function = partial(self._pool.surrounded, function)
        return await self._thread.put(self._context, function)

    @property
    def busy(self) -> bool:
        """Whether something of this event still runs."""
        return self._thread.busy > 0

    def stack(self) -> str:
        """Where the thread is, as a traceback: files, lines and names, no values."""
        return self._thread.stack()

    def release(self) -> None:
        """Give the thread back, once everything that was put on it has ended."""
        if self._thread.busy:
            self._pool.overdue[self._thread] = time.monotonic()
            self._thread.put(self._context, _nothing).add_done_callback(lambda _: self._pool._give_back(self._thread))
        else:
            self._pool._give_back(self._thread)


def _nothing() -> None:
    return None


class Threads:
    """At most ``size`` threads, made when they are first needed; who finds none free waits in line.

    Args:
        size: Threads at most.
        around: Each makes a context manager that is entered on the thread around whatever a lease runs there; the first
            is the outermost.

    """

    def __init__(self, size: int, around: tuple[Callable[[], AbstractContextManager[object]], ...] = ()) -> None:
        self.size = size
        self.around = around
        self._made: list[_Thread] = []
        #: Threads that are busy with events that are over, and since when.
        self.overdue: dict[_Thread, float] = {}
        self._free: list[_Thread] = []
        self._waiting: deque[asyncio.Future[_Thread]] = deque()

    async def lease(self) -> Lease:
        """A thread of one's own until :meth:`Lease.release`."""
        if self._free:
            return Lease(self, self._free.pop())
        if len(self._made) < self.size:
            thread = _Thread(f"rtbridge-hook-{len(self._made) + 1}")
            self._made.append(thread)
            return Lease(self, thread)
        future: asyncio.Future[_Thread] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            return Lease(self, await future)
        except asyncio.CancelledError:
            if future.done() and not future.cancelled():
                self._give_back(future.result())
            elif future in self._waiting:  # whoever gave a thread back meanwhile has passed it over
                self._waiting.remove(future)
            raise

    def surrounded(self, function: Callable[[], Any]) -> Any:
        """What ``function`` returns or raises, run inside the context managers."""
        stack = ExitStack()
        try:
            for make in self.around:
                stack.enter_context(make())
            result = function()
        except BaseException as exc:
            stack.__exit__(type(exc), exc, exc.__traceback__)
            raise  # also where one of them swallows it: it may be a denial, which is not theirs to lift
        stack.close()
        return result

    def _give_back(self, thread: _Thread) -> None:
        self.overdue.pop(thread, None)
        while self._waiting:
            future = self._waiting.popleft()
            if not future.done():
                future.set_result(thread)
                return
        self._free.append(thread)

    @property
    def in_use(self) -> int:
        """Threads that are leased, those that outlived their event included."""
        return len(self._made) - len(self._free)

    def close(self) -> None:
        """Let idle threads end now and busy ones when their hook returns."""
        for thread in self._made:
            thread.jobs.put(_STOP)
        self._made.clear()
        self._free.clear()
