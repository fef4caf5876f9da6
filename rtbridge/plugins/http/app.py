"""The ASGI application of the ``http`` section: layers around the user's application, the outermost first."""

import logging
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.config import Config, Http
from rtbridge.errors import ConfigError, PluginError
from rtbridge.plugins.http.bodies import Bodies
from rtbridge.plugins.http.current import SCOPE
from rtbridge.plugins.http.guard import Guard
from rtbridge.plugins.http.headers import Added, gzipped
from rtbridge.plugins.http.hosted import Hosted
from rtbridge.plugins.http.intime import Requests
from rtbridge.plugins.http.metrics import Measured
from rtbridge.plugins.http.own import READING, Own, refusal
from rtbridge.plugins.http.proxies import Proxies
from rtbridge.plugins.http.reports import Reports, Starting
from rtbridge.plugins.http.routes import Routes
from rtbridge.plugins.http.sendfile import Sent
from rtbridge.plugins.http.static import Files
from rtbridge.plugins.http.uploads import Extensions

log = logging.getLogger("rtbridge.http")


def http_app(
    config: Config,
    *,
    state: Mapping[str, Any] | None = None,
    routes: Sequence[Any] = (),
    boot: Callable[[], Awaitable[object]] | None = None,
    requests: Requests | None = None,
    reports: Reports | None = None,
    clock: Clock = SYSTEM_CLOCK,
) -> "Application":
    """The application of the ``http`` section, which any ASGI server can run.

    ``GET /config.json`` tells a page the application's name and the address of each transport of the realtime server:
    ``{"name": "chat", "websocket": "ws://127.0.0.1:8000/connection/websocket"}``; of the transports it has those that
    are served. Files of ``http.static`` come next where its middleware stands; every other request is for the routes
    of hooks, and then for the application that ``http.app`` names.

    Args:
        config: The configuration.
        state: What handlers find in ``request.state``: ``{"api": api, "kv": kv}``.
        routes: Those of hooks, on Starlette.
        boot: Boots the plugins, before the first request is answered by a route or the application.
        requests: Counts requests, and bounds their time.
        reports: Knows where unexpected exceptions are reported; None for nowhere.
        clock: Times requests and attempts to start.

    Raises:
        ConfigError: The configuration has no such section.
        PluginError: The application cannot be imported, an extra is missing, or a route is none.

    """
    if config.http is None:
        raise ConfigError("http: the section is missing")
    return Application(
        config,
        config.http,
        state=state or {},
        routes=routes,
        boot=boot,
        requests=requests or Requests(),
        reports=reports,
        clock=clock,
    )


class Application:
    """Everything that the ``http`` section asks for, as one ASGI application.

    Its layers are plain functions where they have nothing to wait for: each coroutine costs as much as what they do.

    Args:
        config: The configuration.
        settings: Its section ``http``.
        state: What handlers find in ``request.state``.
        routes: Those of hooks, on Starlette.
        boot: Boots the plugins; None where there are none.
        requests: Counts requests, and bounds their time.
        reports: Knows where unexpected exceptions are reported; None for nowhere.
        clock: Times requests and attempts to start.

    Attributes:
        state: What the state of each request's scope has.
        serve: Answers requests whose scopes have it, each in a context of its own.

    Raises:
        PluginError: The application cannot be imported, an extra is missing, or a route is none.

    """

    def __init__(
        self,
        config: Config,
        settings: Http,
        *,
        state: Mapping[str, Any],
        routes: Sequence[Any],
        boot: Callable[[], Awaitable[object]] | None,
        requests: Requests,
        reports: Reports | None,
        clock: Clock,
    ) -> None:
        self._settings = settings
        self.state = dict(state)
        self._ending: set[Callable[[], None]] = set()
        self._requests = requests
        own = Own(config)
        uploads = None if settings.uploads is None else Extensions(settings.uploads)
        self._hosted = (
            None
            if settings.app is None
            else Hosted(settings.app, lazy=settings.lazy_boot, reports=reports, clock=clock)
        )
        # Bound methods: to call an object that has __call__ costs as much as a layer does.
        inner: ASGIApp | None = None if self._hosted is None else self._hosted.__call__
        if routes:
            inner = Routes(routes, inner or Missing(own, files=settings.static is not None))
        app: ASGIApp = _Last(own, inner, boot, reports, files=settings.static is not None).__call__
        for name in reversed(settings.middleware):
            app = _layer(name, app, settings, own, requests, clock)
        checked = Bodies(app, settings, own, uploads)
        self.serve: ASGIApp = Guard(
            requests.timed(checked),
            requests.timed(app if uploads is None else checked),  # a form is asked for its boundary first
            settings,
            own,
            reports=reports,
            requests=requests,
            ending=self._on_end,
            clock=clock,
        )

    async def startup(self) -> None:
        """Start the application, unless it is one that starts with its first request.

        Raises:
            PluginError: It does not start.

        """
        folder = self._settings.uploads.dir if self._settings.uploads is not None else None
        if folder is not None:
            tempfile.tempdir = str(folder)  # frameworks put uploads where tempfile says, and ask nobody else
        if self._hosted is not None and not self._hosted.lazy:
            await self._hosted.startup()

    def end(self) -> None:
        """End the answers that would not end by themselves, later ones at once, and each connection with its answer."""
        self._requests.ending = True
        for finish in tuple(self._ending):
            finish()

    async def shutdown(self, timeout: float) -> None:
        """End the application; it has ``timeout`` seconds."""
        if self._hosted is not None:
            await self._hosted.shutdown(timeout)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or take part in the lifespan of another server."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] != "http":  # clients talk to the realtime server
            await send({"type": "websocket.close", "code": 1000})
        else:
            scope.setdefault("state", {}).update(self.state)
            current = SCOPE.set(None)  # of which each request of rtbridge's own server has a fresh one
            try:
                await self.serve(scope, receive, send)
            finally:
                SCOPE.reset(current)

    def _on_end(self, finish: Callable[[], None]) -> Callable[[], None]:
        if self._requests.ending:
            finish()
        self._ending.add(finish)
        return lambda: self._ending.discard(finish)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        try:
            await self.startup()
        except PluginError as exc:
            await send({"type": "lifespan.startup.failed", "message": str(exc)})
            return
        await send({"type": "lifespan.startup.complete"})
        await receive()
        self.end()
        await self.shutdown(10.0)
        await send({"type": "lifespan.shutdown.complete"})


class _Last:
    """What is behind all layers: ``/config.json``, the user's application, and what is not there."""

    def __init__(
        self,
        own: Own,
        app: ASGIApp | None,
        boot: Callable[[], Awaitable[object]] | None,
        reports: Reports | None,
        *,
        files: bool,
    ) -> None:
        self._own = own
        self._hosts = app is not None
        self._app: ASGIApp = Missing(own, files=files) if app is None else app
        self._booting = None if app is None or boot is None else Starting(boot, self._booted, reports)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if self._own.is_told(scope) and (not self._hosts or scope["method"] in READING):
            return self._own.send(self._own.told(scope), scope, receive, send)
        if self._booting is not None:
            return self._booting(scope, receive, send)  # a boot that fails raises, and the next request tries again
        return self._app(scope, receive, send)

    def _booted(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        self._booting = None
        return self._app(scope, receive, send)


class Missing:
    """The answer where there is none.

    Args:
        own: Sends it.
        files: Whether files are served, so that other methods than those that read are known to be wrong.

    """

    def __init__(self, own: Own, *, files: bool) -> None:
        self._own = own
        self._files = files

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        reads = scope["method"] in READING or not self._files
        await self._own.send(refusal(404 if reads else 405), scope, receive, send)


def _layer(name: str, app: ASGIApp, settings: Http, own: Own, requests: Requests, clock: Clock) -> ASGIApp:
    """One layer of ``http.middleware``; the configuration has checked that its section is there."""
    if name == "static" and settings.static is not None:
        return Files(app, settings.static, own)
    if name == "headers" and settings.headers is not None:
        return Added(app, settings.headers)
    if name == "sendfile" and settings.sendfile is not None:
        return Sent(app, settings.sendfile, own)
    if name == "http_metrics":
        return Measured(app, requests.counts, settings.internal_error_code, clock)
    if name == "proxy_ip_parser":
        return Proxies(app, settings.networks)
    return gzipped(app)
