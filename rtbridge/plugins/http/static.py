"""Files of a folder: which one a path names, and the answer for it."""

import asyncio
import errno
import mimetypes
import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, Response

from rtbridge.config import Static

#: Types that browsers act on; the machine's own table may lack them or call them something else.
_TYPES: Final = {
    ".css": "text/css",
    ".gif": "image/gif",
    ".htm": "text/html",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}

#: What the system says of a path that names nothing one may have.
_NOTHING: Final = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)

#: Asked of the server every time: it answers that nothing has changed.
_CACHE: Final = "no-cache"


class Found(NamedTuple):
    """A file that may be served."""

    path: str
    status: os.stat_result


class Files:
    """Serves the files of one folder.

    Args:
        settings: The folder, and which files of it.

    """

    def __init__(self, settings: Static) -> None:
        self._root = settings.dir
        self._allow = frozenset(settings.allow)
        self._forbid = frozenset(settings.forbid)

    async def answer(self, request: Request) -> Response:
        """The file that the request names, or that it has not changed.

        Raises:
            HTTPException: 404: there is none, or none that one may have.

        """
        found = await asyncio.to_thread(self.find, request.scope["path"])
        if found is None:
            raise HTTPException(404)
        ranges = request.headers.getlist("range")
        if len(ranges) > 1 or "," in "".join(ranges):
            # Several ranges in one answer help nobody here, and older versions of Starlette take long over many.
            headers = [(name, value) for name, value in request.scope["headers"] if name != b"range"]
            request.scope["headers"] = headers
        response = FileResponse(
            found.path,
            stat_result=found.status,
            media_type=media_type(found.path),
            headers={"cache-control": _CACHE},
        )
        etag = response.headers["etag"]
        if _is_known(etag, request.headers.get("if-none-match", "")):
            return Response(status_code=304, headers={"etag": etag, "cache-control": _CACHE})
        return response

    def find(self, path: str) -> Found | None:
        """The file of a decoded path that starts with a slash; it looks at the disk.

        A path that ends in a slash names the folder's ``index.html``. Names that start with a dot, names with ``\\``,
        ``:`` or control characters, and files outside the folder do not exist, be it by a link.
        """
        names = path.split("/")[1:]
        if names and not names[-1]:
            names[-1] = "index.html"
        if not names or not all(map(_is_plain, names)):
            return None
        try:
            root = os.path.realpath(self._root)
            real = os.path.realpath(os.path.join(root, *names), strict=True)
            inner = Path(real).relative_to(root)
            status = os.stat(real)
        except OSError as exc:
            if exc.errno in _NOTHING:
                return None
            raise
        except ValueError:  # elsewhere
            return None
        suffix = inner.suffix.lower()
        wanted = suffix not in self._forbid and (not self._allow or suffix in self._allow)
        if not wanted or not stat.S_ISREG(status.st_mode) or not all(map(_is_plain, inner.parts)):
            return None
        return Found(real, status) if os.access(real, os.R_OK) else None


def _is_plain(name: str) -> bool:
    return bool(name) and name[0] != "." and name.isprintable() and not any(mark in name for mark in '\\:"*<>|?')


def _is_known(etag: str, known: str) -> bool:
    """Whether If-None-Match lists the tag, or everything (RFC 9110, section 13.1.2: a weak comparison)."""
    tags = [tag.strip().removeprefix("W/") for tag in known.split(",")]
    return etag in tags or tags == ["*"]


def media_type(path: str) -> str:
    """The type of a file by its extension; what is unknown is bytes."""
    suffix = os.path.splitext(path)[1].lower()
    return _TYPES.get(suffix) or mimetypes.guess_type(path)[0] or "application/octet-stream"
