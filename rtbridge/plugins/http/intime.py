"""What a worker process knows of its requests: how many there are, and which take too long."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Final

from anyio import CancelScope
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtbridge.plugins.http.current import place
from rtbridge.plugins.http.metrics import Counts

log = logging.getLogger("rtbridge.http")

#: Seconds that the handler of a request which was answered for it has to end.
_GRACE: Final = 1.0


def _ignore(_: str) -> None:
    return None


class Late(Exception):
    """A request that was not answered in time."""


class Requests:
    """The requests of one process.

    Args:
        max_jobs: Requests after which the process should be replaced; 0 for never.
        exec_ttl: Seconds from the end of a request to the beginning of its answer; 0 for any.
        retire: Is told why the process should be replaced.

    Attributes:
        jobs: How many there were.
        held: How many are under way.
        ending: Whether a connection is to end with the answer that begins on it.
        counts: Those that ``http_metrics`` has counted.

    """

    def __init__(self, *, max_jobs: int = 0, exec_ttl: float = 0.0, retire: Callable[[str], None] = _ignore) -> None:
        self.jobs = 0
        self.held = 0
        self.ending = False
        self.counts = Counts()
        self._max_jobs = max_jobs
        self._exec_ttl = exec_ttl
        self._retire = retire

    def begin(self) -> None:
        """One more came."""
        self.jobs += 1
        self.held += 1
        if self.jobs == self._max_jobs:
            self._retire(f"max_jobs ({self._max_jobs}) is reached")

    def end(self) -> None:
        """One of them is over."""
        self.held -= 1

    def reset_failed(self) -> None:
        """What belongs to one request may be in the next."""
        self._retire("a reset() failed")

    def timed(self, app: ASGIApp) -> ASGIApp:
        """The application, with a bound on the time that it takes to answer."""
        return InTime(app, self._exec_ttl, self._retire) if self._exec_ttl else app


class InTime:
    """Gives up on requests that are not answered in time.

    The time runs from the last part of the request that the application has read, not while it waits for the next one,
    until its answer begins. A stream may take as long as it takes.

    Args:
        app: What answers requests.
        limit: Seconds.
        retire: Is told of a handler that heeds no cancellation.

    """

    def __init__(self, app: ASGIApp, limit: float, retire: Callable[[str], None]) -> None:
        self._app = app
        self._limit = limit
        self._retire = retire

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request.

        Raises:
            Late: The application does not.

        """
        watch = _Watch(self._limit, receive, send)
        # anyio's way to cancel, which waits for the thread of a handler that blocks, so that it is seen here.
        cancellable = CancelScope()

        async def run() -> None:
            with cancellable:
                await self._app(scope, watch.receive, watch.send)

        task = asyncio.ensure_future(run())
        task.add_done_callback(_forget)
        try:
            await asyncio.wait((task, watch.expired), return_when=asyncio.FIRST_COMPLETED)
        finally:
            watch.stop()
            if not task.done():
                cancellable.cancel()
        if task.done():
            return task.result()
        watch.over = True
        task.add_done_callback(partial(_failed, scope))
        asyncio.get_running_loop().call_later(_GRACE, self._still, task)
        raise Late(f"no answer within exec_ttl ({self._limit:g} s)")

    def _still(self, task: "asyncio.Future[None]") -> None:
        if not task.done():
            self._retire(f"a request goes on {_GRACE:.0f} s after exec_ttl ({self._limit:g} s)")


def _forget(task: "asyncio.Future[None]") -> None:
    """What a handler raises is not asyncio's to complain about: it is looked at elsewhere, or was cancelled."""
    if not task.cancelled():
        task.exception()


def _failed(scope: Scope, task: "asyncio.Future[None]") -> None:
    """Tell of what a handler raised after its request was answered for it."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, ClientDisconnect):
        log.error("%s %s failed after exec_ttl", *place(scope), exc_info=error)


class _Watch:
    """The time of one request."""

    def __init__(self, limit: float, receive: Receive, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._receive = receive
        self._send = send
        self._body = True  # whether more of it may come
        self._answered = False
        self.over = False
        self.expired: asyncio.Future[None] = self._loop.create_future()
        self._timer: asyncio.TimerHandle | None = self._loop.call_later(limit, self._expire)

    def _expire(self) -> None:
        if not self.expired.done():
            self.expired.set_result(None)

    def stop(self) -> None:
        """No bound any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def receive(self) -> Message:
        """The next part of the request; who waits for that is not late."""
        if not self._body or self._answered:
            return await self._receive()
        self.stop()
        message = await self._receive()
        self._body = message["type"] == "http.request" and bool(message.get("more_body"))
        if not (self._answered or self.over):
            self._timer = self._loop.call_later(self._limit, self._expire)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer, unless another one was given."""
        if self.over:
            return
        if message["type"] == "http.response.start":
            self._answered = True
            self.stop()
        await self._send(message)
