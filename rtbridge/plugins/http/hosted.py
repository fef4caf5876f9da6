"""The user's application as this server holds it: started with it, or with its first request."""

import asyncio
from collections.abc import Awaitable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.errors import PluginError
from rtbridge.plugins.http.lifespan import Lifespan
from rtbridge.plugins.http.loading import load
from rtbridge.plugins.http.reports import Reports, Starting

#: Seconds between two attempts to start an application that did not.
_PAUSE: Final = 1.0


class Hosted:
    """The application that ``http.app`` names.

    Args:
        name: ``module:attribute``.
        lazy: Import and start it with its first request.
        reports: Knows where a start that fails is reported, and is asked again after each; None for nowhere.
        clock: Times the attempts.

    Raises:
        PluginError: It cannot be imported; not where ``lazy``.

    """

    def __init__(self, name: str, *, lazy: bool, reports: Reports | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self.name = name
        self.lazy = lazy
        self._clock = clock
        self._reports = reports
        self._app: ASGIApp | None = None if lazy else load(name)
        if reports is not None:
            reports.look()
        self._lifespan: Lifespan | None = None
        self._starting: asyncio.Task[Lifespan] | None = None
        self._failed: tuple[float, PluginError] | None = None

    async def startup(self) -> Lifespan:
        """Start the application, once; those who come meanwhile wait for the same attempt.

        It is imported on the event loop's own thread, as libraries expect.

        Raises:
            PluginError: It cannot be imported or does not start. For a second nobody tries again.

        """
        if self._lifespan is not None:
            return self._lifespan
        if self._failed is not None:
            when, error = self._failed
            if self._clock.monotonic() - when < _PAUSE:
                raise PluginError(str(error)) from error.__cause__
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        return await asyncio.shield(self._starting)

    async def _start(self) -> Lifespan:
        try:
            if self._app is None:
                self._app = load(self.name)
            lifespan = Lifespan(self._app, self.name)
            await lifespan.startup()
        except PluginError as exc:
            before, self._failed = self._failed, (self._clock.monotonic(), exc)
            reporter = None if self._reports is None else self._reports.look()
            if reporter is not None and (before is None or str(before[1]) != str(exc)):
                reporter.boot_failed(exc)
            raise
        else:
            if self._reports is not None:
                self._reports.look()
            self._lifespan = lifespan
            return lifespan
        finally:
            self._starting = None

    async def shutdown(self, timeout: float) -> None:
        """End the application, if it was started; it has ``timeout`` seconds."""
        if self._starting is not None:
            self._starting.cancel()
            await asyncio.wait((self._starting,))
        lifespan, self._lifespan = self._lifespan, None
        if lifespan is not None:
            await lifespan.shutdown(timeout)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer a request.

        Raises:
            PluginError: The application could not be started.

        """
        lifespan = self._lifespan
        if lifespan is None or self._app is None:
            return Starting(self.startup, self, self._reports)(scope, receive, send)
        if lifespan.state:
            scope.setdefault("state", {}).update(lifespan.state)
        return self._app(scope, receive, send)
