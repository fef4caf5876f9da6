"""Files in forms: which extensions are taken, read from the parts of a multipart body as it passes."""

import importlib
import re
from typing import Any, Final
from urllib.parse import unquote

from starlette.exceptions import HTTPException
from starlette.types import Scope

from rtbridge.config import Uploads
from rtbridge.errors import PluginError

#: Parts of one form; more are no form that anybody fills in.
_PARTS: Final = 10_000
#: Headers of one part, and bytes of one of them.
_HEADERS: Final = 16
_HEADER_SIZE: Final = 8192

#: Every way to write a file's name: quoted, bare, and encoded (RFC 7578 forbids the last one, which stops nobody).
_NAMES: Final = re.compile(r'filename[*0-9]*\s*=\s*(?:"((?:\\.|[^"\\])*)"?|([^;]*))', re.IGNORECASE)


class Extensions:
    """Decides over the files of forms by the extensions of their names.

    Args:
        settings: The section ``http.uploads``.

    Raises:
        PluginError: What reads forms is not installed.

    """

    def __init__(self, settings: Uploads) -> None:
        self._forbid = frozenset(settings.forbid)
        self._allow = frozenset(settings.allow)
        try:
            self._multipart: Any = importlib.import_module("python_multipart.multipart")
            self._errors: Any = importlib.import_module("python_multipart.exceptions")
        except ImportError as exc:
            text = "http.uploads: forms are read with python-multipart; install it with pip install 'rtbridge[uploads]'"
            raise PluginError(text) from exc

    def begin(self, scope: Scope) -> "Form | None":
        """What looks at the body, if it is a form with parts.

        Raises:
            HTTPException: 400: nobody can tell where its parts begin; 415: it is compressed.

        """
        types = [value for name, value in scope["headers"] if name == b"content-type"]
        if not any(value.lstrip().lower().startswith(b"multipart/") for value in types):
            return None
        _, options = self._multipart.parse_options_header(types[0])
        boundary = options.get(b"boundary", b"")
        if len(types) > 1 or not 0 < len(boundary) <= 70:  # RFC 2046, section 5.1.1
            raise HTTPException(400, "the form has no proper boundary")
        if any(name == b"content-encoding" for name, _ in scope["headers"]):
            raise HTTPException(415, "a form may not be compressed")
        return Form(self, boundary)

    def parser(self, boundary: bytes, callbacks: dict[str, Any]) -> Any:
        """What takes a form apart."""
        return self._multipart.MultipartParser(boundary, callbacks)

    @property
    def error(self) -> type[Exception]:
        """What the parser raises."""
        found: type[Exception] = self._errors.FormParserError
        return found

    def admits(self, disposition: bytes) -> bool:
        """Whether a part with this Content-Disposition may come; one that is no file may."""
        text = disposition.decode("utf-8", "replace")
        return all(self._wanted(bare if quoted is None else quoted) for quoted, bare in _found(text))

    def _wanted(self, name: str) -> bool:
        name = unquote(name).replace("\\", "/").rpartition("/")[2].rstrip(" .").lower()
        if not name:  # a field for a file, in which nobody has chosen one
            return True
        if "\0" in name:
            return False
        dot, suffix = name.rpartition(".")[1:]
        extension = dot + suffix if dot else ""
        return extension not in self._forbid and (not self._allow or extension in self._allow)


def _found(text: str) -> list[tuple[str | None, str]]:
    return [(found[1], found[2] or "") for found in _NAMES.finditer(text)]


class Form:
    """Looks at one form.

    Args:
        extensions: Decides over its files.
        boundary: What stands between its parts.

    """

    def __init__(self, extensions: Extensions, boundary: bytes) -> None:
        self._extensions = extensions
        self._parts = 0
        self._headers = 0
        self._name = bytearray()
        self._value = bytearray()
        self._dispositions = 0
        callbacks = {
            "on_part_begin": self._part,
            "on_header_field": self._add_name,
            "on_header_value": self._add_value,
            "on_header_end": self._header,
        }
        self._parser = extensions.parser(boundary, callbacks)

    def feed(self, data: bytes) -> None:
        """Look at the next part of the body.

        Raises:
            HTTPException: 400: it is no form, or one beyond the limits; 415: a file's extension is not taken.

        """
        try:
            self._parser.write(data)
        except self._extensions.error as exc:
            raise HTTPException(400, "the form cannot be read") from exc

    def _part(self) -> None:
        self._parts += 1
        self._headers = self._dispositions = 0
        if self._parts > _PARTS:
            raise HTTPException(400, "the form has too many parts")

    def _add_name(self, data: bytes, start: int, end: int) -> None:
        self._add(self._name, data[start:end])

    def _add_value(self, data: bytes, start: int, end: int) -> None:
        self._add(self._value, data[start:end])

    def _add(self, to: bytearray, data: bytes) -> None:
        to += data
        if len(to) > _HEADER_SIZE:
            raise HTTPException(400, "a header of the form is too long")

    def _header(self) -> None:
        name, value = bytes(self._name).strip().lower(), bytes(self._value)
        self._name.clear()
        self._value.clear()
        self._headers += 1
        if self._headers > _HEADERS:
            raise HTTPException(400, "a part of the form has too many headers")
        if name == b"content-disposition":
            self._dispositions += 1
            if self._dispositions > 1:
                raise HTTPException(400, "a part of the form has two names")
            if not self._extensions.admits(value):
                raise HTTPException(415, "a file of this kind is not taken")
