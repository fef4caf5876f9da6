"""Answers that are files, or parts of one."""

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar
from urllib.parse import quote

from starlette.background import BackgroundTask
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from rtbridge.plugins.http import media
from rtbridge.plugins.http.ranges import Span, Validators, parse_range
from rtbridge.plugins.http.relay import relay

T = TypeVar("T")

#: Bytes that are read from the disk at once.
_PIECE: Final = 512 * 1024

#: Conditions of a request (RFC 9110, section 13.1).
_CONDITIONS: Final = ("if-match", "if-none-match", "if-modified-since", "if-unmodified-since")


class FileResponse(Response):
    """Sends a file, or a part of it, with ETag, Last-Modified, conditions and ranges (RFC 9110, sections 13 and 14).

    It is read in pieces, off the event loop, as fast as the reader takes them. One range is served; several, which a
    server need not serve, get the whole. The file is opened when the answer begins: one that is swapped meanwhile is
    sent as it was. A file that shrinks meanwhile ends in a cut connection.

    Args:
        path: The file.
        status_code: The status; conditions and ranges count for 200 only.
        headers: Headers beside and in place of those that are made.
        media_type: The type; None for what the extension says.
        filename: The name under which browsers save it; None to have them show it.
        offset: Where in the file the answer begins, in bytes.
        max_length: How many bytes it has at most; None for all of them.
        delete_after: Remove the file in the end, also when the reader goes or there is nothing to send.
        weak: Whether the ETag is a weak one.
        background: Runs after the answer.

    Raises:
        ValueError: ``offset`` or ``max_length`` is negative.

    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
        *,
        filename: str | None = None,
        offset: int = 0,
        max_length: int | None = None,
        delete_after: bool = False,
        weak: bool = False,
        background: BackgroundTask | None = None,
    ) -> None:
        if offset < 0 or (max_length is not None and max_length < 0):
            raise ValueError("offset and max_length count bytes; they are not negative")
        self.path = os.fspath(path)
        self.status_code = status_code
        self.media_type = media_type or media.media_type(self.path)
        self.background = background
        self._offset = offset
        self._max_length = max_length
        self._delete = delete_after
        self._weak = weak
        self.init_headers(headers)
        if filename is not None:
            self.headers.setdefault("content-disposition", _attachment(filename))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer.

        Raises:
            OSError: The file cannot be opened or read.

        """
        try:
            file = await asyncio.to_thread(_open, self.path)
            try:
                await self._answer(file, scope, receive, send)
            finally:
                await asyncio.shield(asyncio.to_thread(file.close))
        finally:
            if self._delete:
                await asyncio.shield(asyncio.to_thread(_remove, self.path))
        if self.background is not None:
            await self.background()

    async def _answer(self, file: BinaryIO, scope: Scope, receive: Receive, send: Send) -> None:
        status = os.fstat(file.fileno())
        size = max(0, status.st_size - self._offset)
        if self._max_length is not None:
            size = min(size, self._max_length)
        validators = self._validators(status, size)
        self.headers.setdefault("accept-ranges", "bytes")
        self.headers.setdefault("etag", validators.tag)
        self.headers.setdefault("last-modified", validators.last_modified)
        asked = _joined(scope)
        code, span = self.status_code, Span(0, size)
        if code == 200:
            given = Validators(self.headers["etag"], validators.modified)
            refused = given.precondition(scope["method"], asked)
            if refused is not None:
                await self._empty(refused, send)
                return
            # Ranges are for GET only (section 14.2).
            if scope["method"] == "GET" and "range" in asked and given.continues(asked.get("if-range")):
                match parse_range(asked["range"], size):
                    case Span() as wanted:
                        code, span = 206, wanted
                        self.headers["content-range"] = f"bytes {span.start}-{span.end - 1}/{size}"
                    case "beyond":
                        self.headers["content-range"] = f"bytes */{size}"
                        await self._empty(416, send)
                        return
                    case _:
                        pass
        self.headers["content-length"] = str(span.end - span.start)
        start: Message = {"type": "http.response.start", "status": code, "headers": self.raw_headers}
        if scope["method"] == "HEAD":
            await send(start)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
            return
        pieces = _pieces(file, self._offset + span.start, span.end - span.start)
        await relay(pieces, start, scope, receive, send)

    def _validators(self, status: os.stat_result, size: int) -> Validators:
        tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}'
        if self._offset or size != status.st_size:
            tag += f"-{self._offset:x}-{size:x}"
        tag = f'W/{tag}"' if self._weak else f'{tag}"'
        return Validators(tag, datetime.fromtimestamp(int(status.st_mtime), UTC))

    async def _empty(self, code: int, send: Send) -> None:
        """An answer without a body; 304 keeps the headers that the whole would have (section 15.4.5)."""
        for name in ("content-type", "content-length", "content-disposition") if code == 304 else ("content-type",):
            if name in self.headers:
                del self.headers[name]
        if code != 304:
            self.headers["content-length"] = "0"
        await send({"type": "http.response.start", "status": code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _pieces(file: BinaryIO, start: int, length: int) -> AsyncIterator[bytes]:
    await _in_thread(file.seek, start)
    while length > 0:
        piece = await _in_thread(file.read, min(length, _PIECE))
        if not piece:
            raise OSError("the file has become shorter while it was sent")
        length -= len(piece)
        yield piece


async def _in_thread(call: Callable[[int], T], argument: int) -> T:
    """Call it in a thread, which has ended when this does: a file must not be closed while it is read."""
    calling = asyncio.ensure_future(asyncio.to_thread(call, argument))
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        await asyncio.wait((calling,))
        raise


def _open(path: str) -> BinaryIO:
    # A pipe would wait for its other end to be opened.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(f"{path} is no file")
    return os.fdopen(descriptor, "rb", buffering=0)


def _remove(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        Path(path).unlink()


def _joined(scope: Scope) -> dict[str, str]:
    """Range and conditions of a request; several of one name are a list (section 5.3)."""
    found: dict[str, Any] = {}
    for name, value in scope["headers"]:
        key = name.decode("latin-1")
        if key in ("range", "if-range") or key in _CONDITIONS:
            found.setdefault(key, []).append(value.decode("latin-1"))
    return {key: ",".join(values) for key, values in found.items()}


def _attachment(filename: str) -> str:
    """The header that has browsers save a file under a name (RFC 6266)."""
    plain = "".join(char if " " <= char <= "~" and char not in '"\\' else "_" for char in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"
