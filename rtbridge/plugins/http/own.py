"""Answers that are this server's own: errors, files, /config.json; and the headers that they have."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from rtbridge.config import Config
from rtbridge.plugins.http.realtime import Realtime

#: Where a page learns of the realtime server.
CONFIG_PATH: Final = "/config.json"

#: Stands in a header's value for the sources that a page's connections to the realtime server need.
_REALTIME: Final = "{realtime}"

#: Methods for which there is something to read.
READING: Final = ("GET", "HEAD")

#: Sent with every answer unless ``http.static.response`` says otherwise.
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": (
        f"default-src 'self'; connect-src 'self' {_REALTIME}; img-src 'self' data:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class Own:
    """Sends this server's own answers.

    Args:
        config: The configuration.

    """

    def __init__(self, config: Config) -> None:
        assert config.http is not None
        static = config.http.static
        more = {} if static is None else static.response
        self._headers = dict(HEADERS) | {name.lower(): value for name, value in more.items()}
        self._name = config.centrifuge.name
        self._realtime = Realtime.of(config)
        #: Whether there is something to tell pages in :data:`CONFIG_PATH`; without an application there always is.
        self.tells = config.http.app is None or self._realtime is not None

    async def send(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        """Send an answer with the headers of every one."""
        page = Headers(scope=scope).get("host", "")
        sources = "" if self._realtime is None else self._realtime.sources(page)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value.replace(_REALTIME, sources)
            await send(message)

        await response(scope, receive, send_with_headers)

    def told(self, scope: Scope) -> Response:
        """``/config.json``: the application's name and the address of each transport."""
        if scope["method"] not in READING:
            return refusal(405)
        addresses = {} if self._realtime is None else self._realtime.at(Headers(scope=scope).get("host", ""))
        return JSONResponse({"name": self._name, **addresses}, headers={"cache-control": "no-store"})

    def is_told(self, scope: Scope) -> bool:
        """Whether the request asks for :data:`CONFIG_PATH`, and it is there."""
        return scope["path"] == CONFIG_PATH and self.tells


def refusal(status: int, text: str | None = None) -> Response:
    """A short answer in words: why there is no other one.

    Args:
        status: The status.
        text: The words; None for those that belong to the status.

    """
    if text is None:
        try:
            text = HTTPStatus(status).phrase
        except ValueError:
            text = "Error"
    headers = {"allow": ", ".join(READING)} if status == 405 else None
    return PlainTextResponse(text, status, headers)
