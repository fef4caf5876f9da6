"""Calls of the server API that one process of rtbridge makes and another one answers, in JSON.

The side with the embedded server calls :func:`answered`; what comes back is read by :func:`result_of`.
"""

import inspect
import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import msgspec

from rtbridge.api._generated import METHODS
from rtbridge.codec.messages import json_decoder
from rtbridge.errors import ApiError

log = logging.getLogger("rtbridge.api")

#: The request of a call in JSON.
encode: Final = msgspec.json.Encoder().encode

_REQUESTS: Final = {name: json_decoder(request) for name, (request, _) in METHODS.items()}
_RESULTS: Final = {name: json_decoder(result) for name, (_, result) in METHODS.items()}


class Answered(NamedTuple):
    """What became of a call.

    Attributes:
        result: The result in JSON; empty where there is an error.
        code: The error's code; 0 for none.
        message: The error's message.

    """

    result: bytes
    code: int = 0
    message: str = ""


def answered(serve: Callable[[str, Any], Any] | None, method: str, request: bytes) -> Answered:
    """Answer a call of another process.

    Args:
        serve: Answers calls, at once; None where the process has no server.
        method: The name in the API.
        request: In JSON.

    """
    try:
        if serve is None:
            raise ApiError(108, "no server API in this process: rtbridge.embedded is not configured")
        if method not in _REQUESTS:
            raise ApiError(107)
        result = serve(method, _REQUESTS[method](request))
        assert not inspect.isawaitable(result)
        return Answered(encode(result))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Answered(b"", 107, "bad request")
    except ApiError as exc:
        return Answered(b"", exc.code, exc.message.encode("utf-8", "backslashreplace").decode())
    except Exception:
        log.exception("the server API failed: %s", method)
        return Answered(b"", 100, "internal server error")


def result_of(method: str, done: Answered) -> Any:
    """The result of a call.

    Raises:
        ApiError: It was refused.
        msgspec.MsgspecError: The other side writes other results than this one reads.

    """
    if done.code:
        raise ApiError(done.code, done.message)
    return _RESULTS[method](done.result)
