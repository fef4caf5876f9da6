"""Runs a coroutine at once up to where it first waits, so that one which never waits costs neither task nor timer.

Most calls are answered without waiting for anything. A task for each costs more than some of them take to answer, and
so does a deadline that cannot strike before the event loop runs again.
"""

import asyncio
import sys
import types
import weakref
from asyncio.tasks import _enter_task, _leave_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")

#: Who holds a task, and who does so weakly; where an interpreter does not count, nobody is seen.
_held: Callable[[object], int] = getattr(sys, "getrefcount", lambda _: 0)
_watched: Callable[[object], int] = weakref.getweakrefcount


@types.coroutine
def resumed(work: Coroutine[Any, Any, T], waited: Any) -> Generator[Any, Any, T]:
    """Go on with a coroutine whose first ``send(None)`` gave back ``waited``, as ``await`` does from there on."""
    while True:
        try:
            yield waited
        except GeneratorExit:
            work.close()
            raise
        except BaseException as exc:
            try:
                waited = work.throw(exc)
            except StopIteration as stop:
                answer: T = stop.value
                return answer
        else:
            rest: T = yield from work
            return rest


class Eager:
    """Starts the work of one event loop.

    While a coroutine runs up to where it first waits, the current task is one that stands by; it becomes the
    coroutine's own task if it does wait, and stands by for the next one otherwise. So ``asyncio.timeout``, task groups
    and whatever else asks for the current task work as in any task. Where something of a coroutine that never waited
    still has that task, as a session or a lock may that goes by task, the task ends and another one stands by.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._standby: _Standby | None = None
        self._closed = False

    def start(self, work: Coroutine[Any, Any, None], context: Context) -> "asyncio.Task[None] | None":
        """Run a coroutine in a context that is its own.

        What it raises is told to the loop's exception handler; cancellation ends it, as it ends a task.

        Returns:
            The task that goes on with it; None where it has ended.

        """
        loop, standby = self._loop, self._standby
        if loop is None:
            loop = self._loop = asyncio.get_running_loop()
        if standby is None or not standby.ready or standby.gate.done() or asyncio.current_task(loop) is not None:
            if standby is None or standby.gate.done():
                self._replace(loop)
            return loop.create_task(work, context=context)
        task = standby.task
        held, watched = _held(task), _watched(task)
        _enter_task(loop, task)
        try:
            waited = context.run(work.send, None)
        except (StopIteration, asyncio.CancelledError):
            pass
        except (SystemExit, KeyboardInterrupt) as exc:
            # Out of a callback of its own: who starts this reads a connection, and uvloop takes it for a fault of that.
            loop.call_soon(_raise, exc)
        except BaseException as exc:
            text = "a coroutine that was started at once raised an exception"
            loop.call_exception_handler({"message": text, "exception": exc})
        else:
            standby.take(work, context, waited)
            self._replace(loop)
            return task
        finally:
            _leave_task(loop, task)
        if _held(task) != held or _watched(task) != watched or task._callbacks:
            standby.dismiss()
            self._replace(loop)
        return None

    def _replace(self, loop: asyncio.AbstractEventLoop) -> None:
        self._standby = None if self._closed else _Standby(loop)

    def close(self) -> None:
        """Let go of the task that stands by; what was started goes on."""
        self._closed = True
        standby, self._standby = self._standby, None
        if standby is not None:
            standby.task.cancel()


class _Standby:
    """A task that waits for a coroutine to go on with.

    Attributes:
        task: The task.
        ready: Whether it has begun: one that has not would, if it is cancelled, never come to what it took over.
        gate: What it waits for; done when it stands by no more.

    """

    __slots__ = ("_awaits", "_work", "gate", "ready", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._work: tuple[Coroutine[Any, Any, None], Context, Any] | None = None
        self._awaits = False
        self.gate: asyncio.Future[None] = loop.create_future()
        self.ready = False
        self.task: asyncio.Task[None] = loop.create_task(self._run(), context=Context())
        self._matters(False)

    def take(self, work: Coroutine[Any, Any, None], context: Context, waited: Any) -> None:
        """Go on with a coroutine that waits for a future, or with None for the loop to come round."""
        self._work = work, context, waited
        self._matters(True)
        self._awaits = getattr(waited, "_asyncio_future_blocking", None) is True
        self.dismiss()

    def dismiss(self) -> None:
        """Stand by no more."""
        if not self.gate.done():  # else the coroutine has cancelled its own task
            self.gate.set_result(None)

    def _matters(self, whether: bool) -> None:
        """Whether asyncio complains where the task is forgotten before its end."""
        task: Any = self.task
        task._log_destroy_pending = whether

    async def _run(self) -> None:
        self.ready = True
        cancelled: asyncio.CancelledError | None = None
        try:
            await self.gate
        except asyncio.CancelledError as exc:
            if self._work is None:
                raise
            cancelled = exc
        if self._work is None:
            return
        (work, context, waited), self._work = self._work, None
        # Anything else than a future that is awaited is for the task to complain of. Whoever awaited the same future
        # meanwhile has taken its mark off.
        future = waited if self._awaits else None
        del self  # the task keeps what it was cancelled with, and that keeps this frame
        try:
            if cancelled is not None and (future is None or not future.cancel(*cancelled.args)):
                waited = context.run(work.throw, cancelled)
            elif future is not None:
                future._asyncio_future_blocking = True
        except StopIteration:
            return
        finally:
            cancelled = None  # it has this frame in its traceback
        await _driven(work, context, waited)


@types.coroutine
def _driven(work: Coroutine[Any, Any, None], context: Context, waited: Any) -> Generator[Any, Any, None]:
    """As :func:`resumed`, in a context that is not the task's."""
    while True:
        error: BaseException | None = None
        try:
            yield waited
        except GeneratorExit:
            context.run(work.close)
            raise
        except BaseException as exc:
            error = exc
        try:
            waited = context.run(work.send, None) if error is None else context.run(work.throw, error)
        except StopIteration:
            return
        finally:
            error = None  # it has this frame in its traceback


def _raise(exc: BaseException) -> None:
    raise exc
