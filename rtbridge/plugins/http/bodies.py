"""Bodies of requests: ``max_request_size`` and ``uploads``, looked at while the application reads them."""

import logging
from collections.abc import Awaitable
from typing import Final, Protocol

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtbridge.config import Http
from rtbridge.config.http import MEGABYTE
from rtbridge.plugins.http.current import place
from rtbridge.plugins.http.own import Own, refusal

log = logging.getLogger("rtbridge.http")

#: Digits of a length; a longer number is beyond every limit.
_DIGITS: Final = 15

#: Exceptions in a chain that are looked at for the one that it began with.
_CHAINED: Final = 20

#: Versions of HTTP whose bodies cannot come without a header that tells of them.
_FRAMED: Final = ("1.0", "1.1")


class Check(Protocol):
    """Looks at the parts of a body, in order."""

    def feed(self, data: bytes) -> None:
        """Look at a part.

        Raises:
            HTTPException: It is refused.

        """
        ...


class Checks(Protocol):
    """Makes what looks at a body."""

    def begin(self, scope: Scope) -> Check | None:
        """What looks at the body of this request; None if nothing does.

        Raises:
            HTTPException: The request is refused.

        """
        ...


class Bodies:
    """Refuses bodies that are too large, and files that are not wanted.

    What is not read is not looked at; what is beyond a limit never reaches the application: its reading raises
    Starlette's ``HTTPException``, and whatever it answers to that is replaced.

    Args:
        app: What is behind it.
        settings: The section ``http``.
        own: Sends refusals.
        checks: What else looks at bodies.

    """

    def __init__(self, app: ASGIApp, settings: Http, own: Own, checks: Checks | None) -> None:
        self._app = app
        self._limit = settings.max_request_size * MEGABYTE
        self._own = own
        self._checks = checks

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass a request on, or refuse it."""
        length: bytes | None = None
        bodiless = True
        for name, value in scope["headers"]:
            if name == b"content-length":
                length, bodiless = value, False
            elif name == b"transfer-encoding":
                bodiless = False
        if bodiless and scope["http_version"] in _FRAMED:  # neither header: there is no body (RFC 9112, section 6.3)
            return self._app(scope, receive, send)
        return self._checked(length, scope, receive, send)

    async def _checked(self, length: bytes | None, scope: Scope, receive: Receive, send: Send) -> None:
        digits = (length or b"").lstrip(b"0")
        try:
            if digits.isdigit() and (len(digits) > _DIGITS or int(digits) > self._limit):
                raise too_large()
            check = None if self._checks is None else self._checks.begin(scope)
        except HTTPException as exc:
            await self._own.send(_answer(exc), scope, receive, send)
            return
        body = _Body(receive, send, self._limit, check)
        try:
            await self._app(scope, body.receive, body.send)
        except Exception as exc:
            if body.refused is None or body.started:
                raise
            if not _comes_of(exc, body.refused):
                log.error("%s %s failed when its body was refused", *place(scope), exc_info=exc)
        if body.refused is not None and not body.started:
            await self._own.send(_answer(body.refused), scope, receive, send)


class _Body:
    """The body of one request, and whether an answer has begun."""

    def __init__(self, receive: Receive, send: Send, limit: int, check: Check | None) -> None:
        self._receive = receive
        self._send = send
        self._left = limit
        self._check = check
        self.refused: HTTPException | None = None
        self.started = False

    async def receive(self) -> Message:
        if self.refused is not None:
            raise self.refused
        message = await self._receive()
        if message["type"] == "http.request":
            data = message.get("body", b"")
            self._left -= len(data)
            try:
                if self._left < 0:
                    raise too_large()
                if self._check is not None:
                    self._check.feed(data)
            except HTTPException as exc:
                self.refused = exc
                raise
        return message

    async def send(self, message: Message) -> None:
        if self.refused is not None and not self.started:
            return
        self.started = True
        await self._send(message)


def too_large() -> HTTPException:
    """The refusal of a body that is too large (RFC 9110, section 15.5.14)."""
    return HTTPException(413, "the body of the request is too large")


def _comes_of(exc: BaseException, refused: HTTPException) -> bool:
    """Whether it is the refusal, or what a framework made of it."""
    found: BaseException | None = exc
    for _ in range(_CHAINED):
        if found is None or found is refused:
            break
        found = found.__cause__ or found.__context__
    return found is refused


def _answer(exc: HTTPException) -> Response:
    return refusal(exc.status_code, exc.detail)
