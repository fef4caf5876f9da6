"""Every exception of rtbridge, sorted by who has to act.

.. code-block:: text

    RtbridgeError
    ├── Disconnect              an answer: close the client's connection
    ├── ClientError             an answer: an error reply to the client
    │   └── BadRequest          error 107: the client's payload does not fit
    ├── SetupError              the operator or plugin author has to act; found at start, shown without a traceback
    │   ├── ConfigError         .rr.yaml: file, line, key path, what was found, what is allowed
    │   ├── PluginError         a plugin: which hook, which argument
    │   └── ListenError         an address cannot be bound
    ├── HookError               a hook's bug, found while an event was being answered
    │   ├── WrongAnswer         it answered with something that does not belong to its event
    │   ├── BinaryPayload       it asked for JSON where the proxy delivers bytes
    │   └── MetaError           the connection's meta is absent or is not what the hook expects
    ├── ApiError                the server API refused a call
    │   └── ApiFailure          a call of the server API got no answer; says whether it may have happened
    ├── KvError                 a key-value store did not do what it was asked
    │   ├── KvLimit             a key, a value or the store is larger than it may be
    │   ├── KvUnavailable       its server or its file cannot be used now; later it may
    │   ├── KvUnreadable        what is stored cannot be read: another key, another serializer, damaged
    │   └── KvUnsupported       the driver has no such operation
    ├── InvalidMessage          the caller sent what cannot be decoded
    └── Overloaded              too many events at once; the caller is told to try again

:class:`Disconnect` and :class:`ClientError` check their arguments where they are made, because Centrifugo forwards any
code and a code it cannot carry reaches the browser as an abnormal closure (1006) that SDKs answer by reconnecting.
"""

from typing import ClassVar, Final

__all__ = [
    "ApiError",
    "ApiFailure",
    "BadRequest",
    "BinaryPayload",
    "ClientError",
    "ConfigError",
    "Disconnect",
    "HookError",
    "InvalidMessage",
    "KvError",
    "KvLimit",
    "KvUnavailable",
    "KvUnreadable",
    "KvUnsupported",
    "ListenError",
    "MetaError",
    "Overloaded",
    "PluginError",
    "RtbridgeError",
    "SetupError",
    "WrongAnswer",
]

#: A WebSocket close frame carries 125 bytes, two of them the code (RFC 6455, section 5.5).
MAX_REASON_BYTES: Final = 123

#: Centrifugo's own error codes: name → (code, message, temporary). Source: centrifugal.dev, client protocol codes.
ERROR_CODES: Final[dict[str, tuple[int, str, bool]]] = {
    "INTERNAL": (100, "internal server error", True),
    "UNAUTHORIZED": (101, "unauthorized", False),
    "UNKNOWN_CHANNEL": (102, "unknown channel", False),
    "PERMISSION_DENIED": (103, "permission denied", False),
    "METHOD_NOT_FOUND": (104, "method not found", False),
    "ALREADY_SUBSCRIBED": (105, "already subscribed", False),
    "LIMIT_EXCEEDED": (106, "limit exceeded", False),
    "BAD_REQUEST": (107, "bad request", False),
    "NOT_AVAILABLE": (108, "not available", False),
    "TOKEN_EXPIRED": (109, "token expired", False),
    "EXPIRED": (110, "expired", False),
    "TOO_MANY_REQUESTS": (111, "too many requests", True),
    "UNRECOVERABLE_POSITION": (112, "unrecoverable position", False),
    "CONCURRENT_PAGINATION": (113, "concurrent pagination", True),
}

#: Centrifugo's own disconnect codes: name → (code, reason). 3000 is never a close frame and is not offered.
DISCONNECT_CODES: Final[dict[str, tuple[int, str]]] = {
    "SHUTDOWN": (3001, "shutdown"),
    "SERVER_ERROR": (3004, "internal server error"),
    "EXPIRED": (3005, "connection expired"),
    "SUBSCRIPTION_EXPIRED": (3006, "subscription expired"),
    "SLOW": (3008, "slow"),
    "WRITE_ERROR": (3009, "write error"),
    "INSUFFICIENT_STATE": (3010, "insufficient state"),
    "FORCE_RECONNECT": (3011, "force reconnect"),
    "NO_PONG": (3012, "no pong"),
    "TOO_MANY_REQUESTS": (3013, "too many requests"),
    "STATE_INVALIDATED": (3014, "state invalidated"),
    "INVALID_TOKEN": (3500, "invalid token"),
    "BAD_REQUEST": (3501, "bad request"),
    "STALE": (3502, "stale"),
    "FORCE_NO_RECONNECT": (3503, "force disconnect"),
    "CONNECTION_LIMIT": (3504, "connection limit"),
    "CHANNEL_LIMIT": (3505, "channel limit"),
    "INAPPROPRIATE_PROTOCOL": (3506, "inappropriate protocol"),
    "PERMISSION_DENIED": (3507, "permission denied"),
    "NOT_AVAILABLE": (3508, "not available"),
    "TOO_MANY_ERRORS": (3509, "too many errors"),
}

#: What the server API answers when it refuses a call: code → message. Source: centrifugal.dev, "Server API".
API_ERRORS: Final[dict[int, str]] = {
    100: "internal server error",
    102: "unknown channel",
    104: "not found",
    107: "bad request",
    108: "not available",
    112: "unrecoverable position",
    113: "conflict",
}

_DISCONNECT_BY_CODE = dict(DISCONNECT_CODES.values())
_ERROR_BY_CODE = {code: (message, temporary) for code, message, temporary in ERROR_CODES.values()}


def _check_text(kind: str, text: str, limit: int | None) -> str:
    try:
        size = len(text.encode())
    except UnicodeEncodeError as exc:
        raise ValueError(f"{kind} holds a lone surrogate, which UTF-8 cannot carry") from exc
    if limit is not None and size > limit:
        raise ValueError(f"{kind} is {size} bytes of UTF-8; a WebSocket close frame carries {limit}")
    return text


class RtbridgeError(Exception):
    """Root of the tree."""


class Disconnect(RtbridgeError):
    """Raise it in a hook to close the client's connection.

    SDKs reconnect after codes 4000-4499 and give up after 4500-4999.

    Args:
        code: 4000-4999, one of Centrifugo's own codes, or the name of one (``"PERMISSION_DENIED"``).
        reason: At most 123 bytes of UTF-8; for Centrifugo's own codes its own text by default.

    Raises:
        ValueError: The code or the reason cannot reach a client as it is.

    """

    def __init__(self, code: int | str, reason: str | None = None) -> None:
        if isinstance(code, str):
            if code not in DISCONNECT_CODES:
                raise ValueError(f"no disconnect code is called {code!r}; names: {', '.join(DISCONNECT_CODES)}")
            code = DISCONNECT_CODES[code][0]
        if isinstance(code, bool) or not isinstance(code, int):
            raise ValueError(f"a disconnect code is an integer or a name, not {type(code).__name__}")
        if code not in _DISCONNECT_BY_CODE and not 4000 <= code <= 4999:
            raise ValueError(f"disconnect code {code}: use 4000-4499 (SDKs reconnect) or 4500-4999 (they stop)")
        self.code = code
        self.reason = _check_text(
            "reason", _DISCONNECT_BY_CODE.get(code, "") if reason is None else reason, MAX_REASON_BYTES
        )
        super().__init__(code, self.reason)

    def __str__(self) -> str:
        return f"disconnect {self.code}" + (f" ({self.reason})" if self.reason else "")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Disconnect) and (self.code, self.reason) == (other.code, other.reason)

    def __hash__(self) -> int:
        return hash((self.code, self.reason))


class ClientError(RtbridgeError):
    """Raise it in a hook to answer the client with an error; the connection stays.

    SDKs retry a connect or subscribe only after a ``temporary`` error or ``TOKEN_EXPIRED``; any other error ends it.

    Args:
        code: 400-1999, or one of Centrifugo's own 100-113, by number or by name (``"PERMISSION_DENIED"``).
        message: Text for the client; for Centrifugo's own codes its own text by default.
        temporary: Whether the client may try again; for Centrifugo's own codes their own by default, else False.

    Raises:
        ValueError: The code is outside the ranges Centrifugo leaves to applications.

    """

    def __init__(self, code: int | str, message: str | None = None, *, temporary: bool | None = None) -> None:
        if isinstance(code, str):
            if code not in ERROR_CODES:
                raise ValueError(f"no error code is called {code!r}; names: {', '.join(ERROR_CODES)}")
            code = ERROR_CODES[code][0]
        if isinstance(code, bool) or not isinstance(code, int):
            raise ValueError(f"an error code is an integer or a name, not {type(code).__name__}")
        own = _ERROR_BY_CODE.get(code)
        if own is None and not 400 <= code <= 1999:
            raise ValueError(f"error code {code}: use 400-1999, or one of Centrifugo's own 100-113")
        self.code = code
        self.message = _check_text("message", (own[0] if own else "") if message is None else message, None)
        self.temporary = (own is not None and own[1]) if temporary is None else bool(temporary)
        super().__init__(code, self.message)

    def __str__(self) -> str:
        return f"error {self.code}" + (f" ({self.message})" if self.message else "")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClientError) and (self.code, self.message, self.temporary) == (
            other.code,
            other.message,
            other.temporary,
        )

    def __hash__(self) -> int:
        return hash((self.code, self.message, self.temporary))


class BadRequest(ClientError):
    """Error 107: the client's payload is absent, malformed, or does not fit the model that a hook asked for.

    Its text goes to the client, so it names what is wrong and never repeats the payload.
    """

    def __init__(self, message: str = "bad request") -> None:
        super().__init__("BAD_REQUEST", message)
        self.args = (self.message,)  # what copy and pickle make it from


class SetupError(RtbridgeError):
    """Something is wrong before the first event; the text says what to do."""

    #: The process's exit code when this ends the command.
    exit_code: ClassVar[int] = 2


class ConfigError(SetupError):
    """``.rr.yaml`` cannot be used as it is."""


class PluginError(SetupError):
    """A plugin cannot be registered: unknown hook, unknown argument, unusable signature."""


class ListenError(SetupError):
    """An address cannot be bound, or its TLS files cannot be used."""


class HookError(RtbridgeError):
    """A bug of a hook, found while an event was being answered; handled as an unexpected exception."""


class WrongAnswer(HookError, TypeError):
    """A hook answered with a type that does not belong to its event."""


class BinaryPayload(HookError, TypeError):
    """A hook read ``event.data`` while the proxy is set to ``binary_encoding``; ``event.raw_data`` holds the bytes."""


class MetaError(HookError, ValueError):
    """The connection's ``meta`` is absent or does not fit; often ``include_connection_meta`` is off for the proxy."""


class ApiError(RtbridgeError):
    """The server API refused a call.

    Args:
        code: The API's error code.
        message: Its text; for codes that the API documents, their own by default.

    """

    def __init__(self, code: int, message: str = "") -> None:
        self.code = code
        self.message = message or API_ERRORS.get(code, "")
        super().__init__(code, self.message)

    def __str__(self) -> str:
        return f"API error {self.code}" + (f" ({self.message})" if self.message else "")


class KvError(RtbridgeError):
    """A key-value store did not do what it was asked. Texts name the store and never a key or a value."""


class KvLimit(KvError, ValueError):
    """A key, a value, a counter or the store itself is beyond its bound; nothing was written."""


class KvUnavailable(KvError):
    """The store's server or file cannot be used now; whether a write that was under way took place is unknown."""


class KvUnreadable(KvError):
    """What is stored cannot be read: it is damaged, or another key, serializer or program wrote it."""


class KvUnsupported(KvError, NotImplementedError):
    """The driver has no such operation; the text names both."""


class ApiFailure(ApiError):
    """A call of the server API got no answer: nobody is there, the key is refused, time is up. Its ``code`` is 0.

    Args:
        message: What is wrong, and what to do.
        may_have_happened: Whether the server may have done what was asked.
        temporary: Whether the same call may succeed later, with nothing changed here.

    """

    def __init__(self, message: str, may_have_happened: bool = True, temporary: bool = False) -> None:
        super().__init__(0, message)
        self.may_have_happened = may_have_happened
        self.temporary = temporary
        self.args = (message, may_have_happened, temporary)  # what copy and pickle make it from

    def __str__(self) -> str:
        return self.message


class InvalidMessage(RtbridgeError):
    """A request that cannot be decoded. The text names the field and the fault, never the bytes."""


class Overloaded(RtbridgeError):
    """``limits.concurrency`` events are being answered and no place came free in time."""
