"""Files of a folder: which one a path names, and the answer for it."""

import asyncio
import errno
import os
import stat
from pathlib import Path
from typing import Final, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from rtbridge.config import Static
from rtbridge.plugins.http.files import FileResponse
from rtbridge.plugins.http.own import READING, Own

#: What the system says of a path that names nothing one may have.
_NOTHING: Final = (errno.ENOENT, errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP)

#: Asked of the server every time: it answers that nothing has changed.
_CACHE: Final = "no-cache"


class Found(NamedTuple):
    """A file that may be served: where it is, and where below its folder."""

    path: str
    inner: Path


class Files:
    """Serves the files of one folder, and passes on what is none.

    Args:
        app: What is behind it.
        settings: The folder, and which files of it.
        own: Sends the answers.

    """

    def __init__(self, app: ASGIApp, settings: Static, own: Own) -> None:
        self._app = app
        self._own = own
        self._root = settings.dir
        self._allow = frozenset(settings.allow)
        self._forbid = frozenset(settings.forbid)
        self._weak = settings.weak

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request for a file; pass any other on."""
        if scope["method"] in READING and not self._own.is_told(scope):
            found = await asyncio.to_thread(self.find, scope["path"])
            if found is not None:
                response = FileResponse(found.path, headers={"cache-control": _CACHE}, weak=self._weak)
                await self._own.send(response, scope, receive, send)
                return
        await self._app(scope, receive, send)

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
        found = within(self._root, os.path.join(*names))
        if found is None:
            return None
        suffix = found.inner.suffix.lower()
        wanted = suffix not in self._forbid and (not self._allow or suffix in self._allow)
        return found if wanted and all(map(_is_plain, found.inner.parts)) else None


def within(folder: Path, path: str) -> Found | None:
    """The file of a path below a folder, links followed; None if there is none, or not below it, or it cannot be read.

    Args:
        folder: The folder.
        path: From the folder on, or absolute.

    """
    try:
        root = os.path.realpath(folder)
        real = os.path.realpath(os.path.join(root, path), strict=True)
        inner = Path(real).relative_to(root)
        status = os.stat(real)
    except OSError as exc:
        if exc.errno in _NOTHING:
            return None
        raise
    except ValueError:  # elsewhere, or a NUL
        return None
    return Found(real, inner) if stat.S_ISREG(status.st_mode) and os.access(real, os.R_OK) else None


def _is_plain(name: str) -> bool:
    return bool(name) and name[0] != "." and name.isprintable() and not any(mark in name for mark in '\\:"*<>|?')
