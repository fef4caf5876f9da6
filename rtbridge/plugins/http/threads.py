"""Sync generators on the event loop's side: pulled and closed in one thread, which a bounded queue holds back."""

import asyncio
import contextvars
import logging
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

from rtbridge.plugins.http.relay import BYTES, PARTS

log = logging.getLogger("rtbridge.http")

T = TypeVar("T")

#: Threads at once; who comes then waits for one of them to end.
THREADS: Final = 64

_free: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


class Stopped(Exception):
    """Nobody wants more."""


class Puller:
    """Pulls an iterator in a thread of its own.

    Args:
        source: The iterator; a generator is closed in that thread, too.
        encode: Makes bytes of each item, in that thread.
        ended: Called on the event loop when the thread has ended.

    """

    def __init__(self, source: Iterator[T], encode: Callable[[T], bytes], ended: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._then = ended
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._lock = threading.Condition()
        self._parts: deque[bytes] = deque()
        self._size = 0
        self._woken = False
        self._stopped = False
        self._done = False
        self._error: Exception | None = None
        context = contextvars.copy_context()
        # It must not keep the process: nobody can interrupt a generator that blocks.
        thread = threading.Thread(
            target=context.run, args=(self._run, source, encode), name="rtbridge-pull", daemon=True
        )
        thread.start()

    def _run(self, source: Iterator[T], encode: Callable[[T], bytes]) -> None:
        error: Exception | None = None
        try:
            try:
                for item in source:
                    self._put(encode(item))
            finally:
                close = getattr(source, "close", None)
                if callable(close):
                    close()
        except Stopped:
            pass
        except Exception as exc:
            error = exc
        except BaseException as exc:  # sys.exit() in a thread ends the thread
            error = RuntimeError(f"the generator raised {type(exc).__name__}")
        with self._lock:
            self._done, self._error, lost = True, error, self._stopped
        if error is not None and lost:
            log.warning("a generator failed when nobody read it any more", exc_info=error)
        with suppress(RuntimeError):  # the loop is closed, and nobody waits
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        self._changed.set()
        self._ended.set()
        self._then()

    def _put(self, data: bytes) -> None:
        with self._lock:
            while (len(self._parts) >= PARTS or self._size >= BYTES) and not self._stopped:
                self._lock.wait()
            if self._stopped:
                raise Stopped
            if not data:
                return
            self._parts.append(data)
            self._size += len(data)
            if self._woken:
                return
            self._woken = True
        try:
            self._loop.call_soon_threadsafe(self._changed.set)
        except RuntimeError:
            raise Stopped from None

    async def take(self) -> bytes | None:
        """All that waits; None at the end.

        Raises:
            Exception: The iterator's, after the parts before it.

        """
        while True:
            with self._lock:
                if self._parts:
                    data = b"".join(self._parts)
                    self._parts.clear()
                    self._size = 0
                    self._lock.notify()
                    return data
                if self._done:
                    break
                self._woken = False
                self._changed.clear()
            await self._changed.wait()
        if self._error is not None:
            raise self._error
        return None

    async def stop(self) -> None:
        """Have the thread close the iterator, and wait for it: until the next item, if it is on its way to one."""
        with self._lock:
            self._stopped = True
            self._lock.notify()
        await self._ended.wait()


async def pulled(
    source: Iterator[T], encode: Callable[[T], bytes], interrupt: Callable[[], None] | None = None
) -> AsyncGenerator[bytes]:
    """The iterator's items as bytes, several in one where they come fast.

    Args:
        source: The iterator.
        encode: Makes bytes of each item.
        interrupt: Called before the thread is waited for in the end: has whatever the iterator waits for end with
            :class:`Stopped`.

    Yields:
        Bytes.

    """
    free = _free.setdefault(asyncio.get_running_loop(), asyncio.Semaphore(THREADS))
    await free.acquire()
    puller = Puller(source, encode, free.release)
    try:
        while (data := await puller.take()) is not None:
            yield data
    finally:
        if interrupt is not None:
            interrupt()
        await puller.stop()
