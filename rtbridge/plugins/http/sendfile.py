"""``sendfile``: files that the application names and the server sends, below one folder."""

import asyncio
import logging
import os

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rtbridge.config import Sendfile
from rtbridge.plugins.http.files import FileResponse
from rtbridge.plugins.http.own import Own, refusal
from rtbridge.plugins.http.static import within

log = logging.getLogger("rtbridge.http")

#: What told of the application's own body.
_OF_THE_BODY = ("x-sendfile", "content-length", "content-range", "transfer-encoding")


class Sent:
    """Sends the file that an answer names in ``X-Sendfile``, in place of its body.

    Status, type and headers are the application's; conditions and ranges of the request count where the status is 200.
    A file that is not there, or not below the folder, is answered with 404. Answers without the header pass untouched.

    Args:
        app: What is behind it.
        settings: The section ``http.sendfile``.
        own: Sends the 404.

    """

    def __init__(self, app: ASGIApp, settings: Sendfile, own: Own) -> None:
        self._app = app
        self._root = settings.root
        self._own = own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and send the file that is named in its answer."""
        named: tuple[str, int, MutableHeaders] | None = None
        passed = False

        async def held(message: Message) -> None:
            nonlocal named, passed
            if message["type"] == "http.response.start" and not passed:
                headers = MutableHeaders(raw=list(message.get("headers", [])))
                path = headers.get("x-sendfile")
                if path is not None:
                    named = os.fsdecode(path.encode("latin-1")), message["status"], headers
                    return
            if named is None:
                passed = True
                await send(message)

        await self._app(scope, receive, held)
        if named is not None:
            await self._send(*named, scope, receive, send)

    async def _send(
        self, path: str, status: int, headers: MutableHeaders, scope: Scope, receive: Receive, send: Send
    ) -> None:
        found = await asyncio.to_thread(within, self._root, path)
        if found is None:
            log.warning("http.sendfile: %r is no file below %s that can be read", path, self._root)
            await self._own.send(refusal(404), scope, receive, send)
            return
        for name in _OF_THE_BODY:
            del headers[name]
        response = FileResponse(found.path, status)
        response.raw_headers = [
            (name, value) for name, value in response.raw_headers if name.decode("latin-1") not in headers
        ] + headers.raw
        await response(scope, receive, send)
