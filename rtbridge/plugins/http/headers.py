"""``headers`` and ``gzip``: what is added to requests and answers."""

from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtbridge.config import Cors, HttpHeaders


class Added:
    """Adds headers to requests, and sets those of answers.

    Args:
        app: What is behind it.
        settings: The section ``http.headers``.

    """

    def __init__(self, app: ASGIApp, settings: HttpHeaders) -> None:
        self._app = app if settings.cors is None else _Preflight(_cors(app, settings.cors), settings.cors)
        self._request = [(name.lower().encode(), value.encode()) for name, value in settings.request.items()]
        self._response = dict(settings.response)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if self._request:
            scope["headers"] = [*scope["headers"], *self._request]

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._response.items():
                    headers[name] = value
            await send(message)

        await self._app(scope, receive, with_headers if self._response else send)


class _Preflight:
    """The status of an answer to a preflight, where another one than 200 is wanted."""

    def __init__(self, app: ASGIApp, settings: Cors) -> None:
        self._app = app
        self._status = settings.options_success_status

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = {name for name, _ in scope["headers"]}
        preflight = scope["method"] == "OPTIONS" and {b"origin", b"access-control-request-method"} <= asked
        if not preflight or self._status == 200:
            await self._app(scope, receive, send)
            return
        bodiless = False

        async def with_status(message: Message) -> None:
            nonlocal bodiless
            if message["type"] == "http.response.start" and message["status"] == 200:
                message = {**message, "status": self._status}
                bodiless = self._status == 204
                if bodiless:
                    del MutableHeaders(scope=message)["content-length"]
                    del MutableHeaders(scope=message)["content-type"]
            elif bodiless and message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app(scope, receive, with_status)


def _cors(app: ASGIApp, cors: Cors) -> ASGIApp:
    return CORSMiddleware(
        app,
        allow_origins=_words(cors.allowed_origin),
        allow_origin_regex=cors.allowed_origin_regex,
        allow_headers=_words(cors.allowed_headers),
        allow_methods=[method.upper() for method in _words(cors.allowed_methods)],
        allow_credentials=cors.allow_credentials,
        expose_headers=_words(cors.exposed_headers),
        max_age=cors.max_age,
    )


def _words(text: str | None) -> list[str]:
    return [] if text is None else text.split(",")


def gzipped(app: ASGIApp) -> ASGIApp:
    """The application with its answers compressed for those who take that.

    A compressed answer is another one, byte by byte, so its strong ETag becomes a weak one (RFC 9110, section 8.8.3):
    nobody is to put ranges of the two together.
    """
    inner = GZipMiddleware(app)

    async def weakened(scope: Scope, receive: Receive, send: Send) -> None:
        async def with_weak_tag(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: Any = MutableHeaders(scope=message)
                tag = headers.get("etag", "")
                if tag.startswith('"') and headers.get("content-encoding") == "gzip":
                    headers["etag"] = f"W/{tag}"
            await send(message)

        await inner(scope, receive, with_weak_tag)

    return weakened
