"""The application that ``http.app`` names: imported, and told apart."""

import importlib
import inspect
import os
import traceback
from difflib import get_close_matches
from typing import Any, Final

from starlette.types import ASGIApp

from rtbridge.errors import PluginError

#: Threads of a WSGI application; each holds one request.
_WSGI_THREADS: Final = 40


def load(name: str) -> ASGIApp:
    """The application, a WSGI one behind an adapter.

    Args:
        name: ``module:attribute``; the module is found where Python looks, the project's folder first.

    Raises:
        PluginError: It cannot be imported, is not there, is no application, or its adapter is not installed.

    """
    module, _, path = name.partition(":")
    importlib.invalidate_caches()
    try:
        found: Any = importlib.import_module(module)
    except Exception as exc:
        raise PluginError(f"http.app: {module} cannot be imported{_place(exc)}: {type(exc).__name__}: {exc}") from exc
    at = module
    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            close = get_close_matches(part, [each for each in dir(found) if not each.startswith("_")], 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise PluginError(f"http.app: {at} has no {part}{hint}") from None
        at += f"{'.' if ':' in at else ':'}{part}"
    match _kind(found):
        case "asgi":
            return found  # type: ignore[no-any-return]
        case "wsgi":
            return _adapted(found, name)
        case "factory":
            text = f"{name} makes an application and is none; write app = {path}() in its module, and name that"
        case _:
            text = f"{name} is no application but a {type(found).__name__}; allowed: an ASGI or a WSGI application"
    raise PluginError(f"http.app: {text}")


def _kind(found: Any) -> str:
    if not callable(found):
        return "nothing"
    if inspect.isclass(found):
        return "factory"
    call = found if inspect.isroutine(found) else found.__call__
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):  # some written in C do not tell; they are newer than WSGI
        return "asgi"
    if inspect.iscoroutinefunction(call) or _takes(signature, 3):
        return "asgi"
    if _takes(signature, 2):
        return "wsgi"
    return "factory" if _takes(signature, 0) else "nothing"


def _takes(signature: inspect.Signature, count: int) -> bool:
    try:
        signature.bind(*range(count))
    except TypeError:
        return False
    return True


def _adapted(app: Any, name: str) -> ASGIApp:
    try:
        adapter: Any = importlib.import_module("a2wsgi")
    except ImportError as exc:
        text = (
            f"http.app: {name} is a WSGI application, which needs a2wsgi; install it with pip install 'rtbridge[wsgi]'"
        )
        raise PluginError(text) from exc
    adapted: ASGIApp = adapter.WSGIMiddleware(app, workers=_WSGI_THREADS)
    return adapted


def _place(exc: BaseException) -> str:
    """Where the project's own code stood, for people."""
    here = os.path.dirname(__file__) + os.sep
    frames = [
        frame
        for frame in traceback.extract_tb(exc.__traceback__)
        if "importlib" not in frame.filename and not frame.filename.startswith(here)
    ]
    return f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
