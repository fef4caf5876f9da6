"""What is around every request: what becomes of an exception, what is reset afterwards, and the access log."""

import asyncio
import logging
import traceback
from collections.abc import Awaitable
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.config import Http
from rtbridge.errors import PluginError, SetupError
from rtbridge.isolation import LAST_DUMP, RESETTABLE, reset_all
from rtbridge.plugins.http.current import SCOPE, place
from rtbridge.plugins.http.intime import Late, Requests
from rtbridge.plugins.http.own import Own, refusal
from rtbridge.plugins.http.relay import ENDING, Ending
from rtbridge.plugins.http.reports import Reports
from rtbridge.transport.uvicorn_protocol import Progress, cut, progress_of

log = logging.getLogger("rtbridge.http")
access = logging.getLogger("rtbridge.http.access")

#: The page of Starlette's ServerErrorMiddleware, which FastAPI has, too.
_BARE: Final = b"Internal Server Error"

#: Seconds that a connection which was cut has to be gone.
_GONE: Final = 1.0


class Guard:
    """Answers for an application that fails, and cuts the connection where an answer was already under way.

    Args:
        app: What answers requests.
        bodiless: What answers those that are known to have no body; there is nothing to look at in it.
        settings: The section ``http``.
        own: Sends the answers.
        requests: Counts requests, and is told when something that is ``resettable`` could not be reset.
        reports: Knows where exceptions are reported; None for nowhere.
        ending: What streams find in the extension :data:`~rtbridge.plugins.http.relay.ENDING`.
        clock: Times requests.

    """

    def __init__(
        self,
        app: ASGIApp,
        bodiless: ASGIApp,
        settings: Http,
        own: Own,
        *,
        reports: Reports | None = None,
        requests: Requests | None = None,
        ending: Ending = lambda _: lambda: None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        self._app = app
        self._bodiless = bodiless
        self._reports = reports
        self._requests = requests or Requests()
        self._ending = ending
        self._status = settings.internal_error_code
        self._debug = settings.debug
        self._exchange = Shown if settings.debug else Exchange
        self._plain = not (settings.debug or settings.access_logs)
        self._own = own
        self._access = settings.access_logs
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, in one way or another."""
        requests, reports = self._requests, self._reports
        reporter = None if reports is None else reports.reporter
        app, exchange = self._app, None
        # uvicorn knows how far an answer is; to count its messages once more costs as much as all the rest here.
        progress = progress_of(send) if self._plain and not requests.ending else None
        if progress is None:
            exchange = self._exchange(receive, send, requests)
        elif not progress.more_body and not progress.body:
            app = self._bodiless
        requests.begin()
        SCOPE.set(scope)
        if "extensions" in scope:
            scope["extensions"][ENDING] = self._ending
        else:
            scope["extensions"] = {ENDING: self._ending}
        dumped = LAST_DUMP.set([]) if self._debug else None
        inside = None if reporter is None else reporter.request_scope(scope)()
        began = self._clock.monotonic() if self._access else 0.0
        try:
            if inside is not None:
                inside.__enter__()
            try:
                if exchange is None:
                    await app(scope, receive, send)
                else:
                    await app(scope, exchange.receive, exchange.send)
            except ClientDisconnect:
                pass
            except Exception as exc:
                if reporter is not None and not isinstance(exc, PluginError):  # that one is reported
                    reporter.request_failed(exc)
                await self._failed(exc, exchange or Exchange(receive, send, requests, progress), scope)
            else:
                if exchange is not None:
                    await exchange.settle()
                    await self._ended(exchange, scope)
                elif progress is not None and not progress.response_complete:
                    await self._ended(Exchange(receive, send, requests, progress), scope)
        finally:
            if inside is not None:
                inside.__exit__(None, None, None)
            if exchange is not None and self._access:
                _tell(scope, exchange, self._clock.monotonic() - began)
            if RESETTABLE and not await reset_all():
                requests.reset_failed()
            if dumped is not None:
                LAST_DUMP.reset(dumped)
            requests.end()

    async def _failed(self, exc: Exception, exchange: "Exchange", scope: Scope) -> None:
        where = _words(scope)
        if isinstance(exc, SetupError | Late):  # it says who has to do what, and the traceback would not
            log.error("%s: %s", where, exc)
        else:
            log.error("%s failed", where, exc_info=exc)
        exchange.drop()
        if not exchange.started:
            await self._answer(refusal(self._status, _explained(exc) if self._debug else None), exchange, scope)
        elif not exchange.complete and not await exchange.cut():
            raise exc

    async def _ended(self, exchange: "Exchange", scope: Scope) -> None:
        if exchange.complete or exchange.gone:
            return
        if not exchange.started:
            log.error("%s: the application did not answer", _words(scope))
            await self._answer(refusal(self._status), exchange, scope)
        else:
            log.error("%s: the application did not end its answer", _words(scope))
            await exchange.cut()

    async def _answer(self, page: Response, exchange: "Exchange", scope: Scope) -> None:
        await self._own.send(page, scope, exchange.receive, exchange.send)
        await exchange.settle()


class Exchange:
    """A request and its answer, counted. It is in the way of every message, so it adds as little as it can."""

    __slots__ = ("_receive", "_requests", "_send", "complete", "gone", "size", "started", "status")

    def __init__(self, receive: Receive, send: Send, requests: Requests, progress: Progress | None = None) -> None:
        self._receive = receive
        self._send = send
        self._requests = requests
        self.started = progress is not None and progress.response_started
        self.complete = progress is not None and progress.response_complete
        self.gone = progress is not None and progress.disconnected
        self.status = 0
        self.size = 0

    async def receive(self) -> Message:
        """The next part of the request."""
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self.complete:
            self.gone = True
        return message

    def send(self, message: Message) -> Awaitable[None]:
        """Send the next part of the answer."""
        kind = message["type"]
        if kind == "http.response.body":
            self.size += len(message.get("body", b""))
            self.complete = not message.get("more_body", False)
        elif kind == "http.response.start":
            if self._requests.ending:
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
            self.started, self.status = True, message["status"]
        return self._send(message)

    async def cut(self) -> bool:
        """End the connection in the middle of the answer; False where the server has no way to."""
        if not cut(self._send):
            return False
        try:  # the server learns of it in the next turn of the loop, and is not to wonder before that
            async with asyncio.timeout(_GONE):
                while not self.gone:
                    await self.receive()
        except TimeoutError:
            return False
        return True

    async def settle(self) -> None:
        """Send what was held back."""

    def drop(self) -> None:
        """Forget what was held back."""


class Shown(Exchange):
    """An answer that is to show the exception, where the framework has sent a bare page and raises it then."""

    __slots__ = ("_held",)

    def __init__(self, receive: Receive, send: Send, requests: Requests) -> None:
        super().__init__(receive, send, requests)
        self._held: list[Message] = []

    def send(self, message: Message) -> Awaitable[None]:
        """Send the next part of the answer, or hold a page back that may be replaced."""
        return self._sorted(message)

    async def _sorted(self, message: Message) -> None:
        if message["type"] == "http.response.start" and message["status"] == 500 and not self._held:
            self._held.append(message)
            return
        if len(self._held) == 1 and message.get("body") == _BARE and not message.get("more_body"):
            self._held.append(message)
            return
        await self.settle()
        await super().send(message)

    async def settle(self) -> None:
        """Send what was held back."""
        held, self._held = self._held, []
        for message in held:
            await super().send(message)

    def drop(self) -> None:
        """Forget what was held back."""
        self._held.clear()


def _explained(exc: Exception) -> str:
    """What a developer wants to see: the traceback, and the last dump."""
    text = "".join(traceback.format_exception(exc))
    dumped = LAST_DUMP.get()
    return f"{text}\nlast dump, {dumped[0]}\n" if dumped else text


def _words(scope: Scope) -> str:
    return " ".join(place(scope))


def _tell(scope: Scope, exchange: Exchange, seconds: float) -> None:
    client = scope.get("client")
    method, path = place(scope)
    fields = {
        "client": client[0] if client else "",
        "method": method,
        "path": path,
        "status": exchange.status,
        "bytes": exchange.size,
        "duration_ms": round(seconds * 1000, 3),
        "complete": exchange.complete,
    }
    cut = "" if exchange.complete else ", not to its end"
    access.info(
        "%s %s %s %d, %d bytes%s, %.1f ms",
        fields["client"] or "-",
        fields["method"],
        fields["path"],
        fields["status"],
        fields["bytes"],
        cut,
        fields["duration_ms"],
        extra={"event": fields},
    )
