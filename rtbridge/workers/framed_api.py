"""The server API of the embedded server, called from a worker: the parent has the server."""

import asyncio
import itertools
from typing import Any, Final

from rtbridge.api.remote import Answered, encode, result_of
from rtbridge.api.settings import seconds
from rtbridge.deadlines import Deadlines
from rtbridge.errors import ApiError, ApiFailure
from rtbridge.workers.frames import MAX_PAYLOAD, ApiCall, ApiReply
from rtbridge.workers.link import Link

_GONE: Final = "the parent process is gone, and with it the server"


class FramedApi:
    """Calls that travel to the parent and their results.

    Args:
        link: To the parent.
        timeout: Seconds that a call may take where its caller does not say.

    """

    def __init__(self, link: Link, timeout: float) -> None:
        self._link = link
        self._timeout = timeout
        self._deadlines = Deadlines()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[ApiReply | None]] = {}

    async def call(self, method: str, request: Any, *, timeout: float | None = None) -> Any:
        """See :meth:`rtbridge.Api.call`."""
        bound = seconds(timeout, self._timeout)
        body = encode(request)
        if len(body) > MAX_PAYLOAD:
            raise ApiError(107, f"a request of {len(body):,} bytes; from a worker at most {MAX_PAYLOAD:,} travel")
        if self._link.closed:
            raise ApiFailure(_GONE, False)
        id = next(self._numbers)
        future = self._waiting[id] = asyncio.get_running_loop().create_future()
        deadline, sent = self._deadlines.watch(bound), False
        try:
            await self._link.drain()
            self._link.send(ApiCall(id, method, body), len(body))
            sent = True
            reply = await future
        except asyncio.CancelledError:
            if not deadline.caught():
                raise
            raise ApiFailure(f"the parent process did not answer within {bound:g} s", sent, True) from None
        finally:
            deadline.done()
            del self._waiting[id]
        if reply is None:
            raise ApiFailure(_GONE)
        return result_of(method, Answered(reply.result, reply.code, reply.message))

    def reply(self, frame: ApiReply) -> None:
        """The parent answered."""
        future = self._waiting.get(frame.id)
        if future is not None and not future.done():
            future.set_result(frame)

    def lost(self) -> None:
        """The parent is gone."""
        for future in self._waiting.values():
            if not future.done():
                future.set_result(None)
