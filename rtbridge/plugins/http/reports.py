"""Where unexpected exceptions are reported."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from rtbridge.errors import PluginError
from rtbridge.isolation import Scope as Inside


class Reporter(Protocol):
    """Whoever reports them."""

    def request_scope(self, scope: Scope) -> Inside:
        """What is entered around everything that runs for a request."""
        ...

    def request_failed(self, error: Exception) -> None:
        """Report what the handler of a request raised."""
        ...

    def boot_failed(self, error: PluginError) -> None:
        """Report what keeps an application from answering."""
        ...


class Reports(Protocol):
    """Knows who reports them; an application may make a client while it is imported or starts."""

    @property
    def reporter(self) -> Reporter | None:
        """Whoever was there when it was last looked for one."""
        ...

    def look(self) -> Reporter | None:
        """Whoever is there by now."""
        ...


class Starting:
    """Answers requests with what has to be started first, which may make a client.

    A request that came before there was one began without its scope, and gets it here.

    Args:
        start: Starts it.
        app: Answers requests from then on.
        reports: Knows where exceptions are reported; None for nowhere.

    """

    def __init__(self, start: Callable[[], Awaitable[object]], app: ASGIApp, reports: Reports | None) -> None:
        self._start = start
        self._app = app
        self._reports = reports

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, once it is started."""
        reports = self._reports
        before = None if reports is None else reports.reporter
        await self._start()
        reporter = None if reports is None else reports.reporter
        if reporter is before or reporter is None:
            await self._app(scope, receive, send)
            return
        with reporter.request_scope(scope)():
            try:
                await self._app(scope, receive, send)
            except ClientDisconnect:
                raise
            except Exception as exc:
                reporter.request_failed(exc)
                raise
