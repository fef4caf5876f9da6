"""What the server API says over HTTP, without sockets: requests to bytes, bytes to answers, answers to results."""

from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import h11
import msgspec
from msgspec import Raw

from rtbridge.api._generated import METHODS, Error
from rtbridge.api.settings import HttpSettings
from rtbridge.codec.messages import json_decoder
from rtbridge.errors import ApiError, ApiFailure

#: Largest answer that is read, in bytes.
MAX_ANSWER: Final = 64 * 1024 * 1024

#: Seconds after which an idle connection is not used again: servers and what stands before them close theirs later.
MAX_IDLE: Final = 30.0

_FAULTS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _Answer(msgspec.Struct):
    error: Error | None = None
    result: Raw = Raw(b"{}")


_ANSWER: Final = msgspec.json.Decoder(_Answer).decode
_ERROR: Final = msgspec.json.Decoder(Error).decode
_RESULTS: Final = {method: json_decoder(result) for method, (_, result) in METHODS.items()}


class Site(NamedTuple):
    """Where requests go.

    Attributes:
        host: To connect to.
        port: To connect to.
        secure: Whether over TLS.
        authority: The Host header.
        path: What methods follow.

    """

    host: str
    port: int
    secure: bool
    authority: str
    path: str

    @classmethod
    def of(cls, url: str) -> "Site":
        """The site of a URL."""
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        return cls(
            parts.hostname or "", parts.port or (443 if secure else 80), secure, parts.netloc, parts.path.rstrip("/")
        )


class Reply(NamedTuple):
    """An answer as it came."""

    status: int
    body: bytes


class Wire:
    """One connection.

    Args:
        site: Where it leads.
        key: The API key.

    """

    def __init__(self, site: Site, key: str | None) -> None:
        self._site = site
        self._key = key
        self._http = h11.Connection(h11.CLIENT)
        self._status = 0
        self._parts: list[bytes] = []
        self._size = 0

    def request(self, method: str, body: bytes) -> bytes:
        """The bytes of a call."""
        headers = [
            ("Host", self._site.authority),
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
        ]
        if self._key is not None:
            headers.append(("X-API-Key", self._key))
        request = h11.Request(method="POST", target=f"{self._site.path}/{method}", headers=headers)
        parts = [self._http.send(event) for event in (request, h11.Data(data=body), h11.EndOfMessage())]
        return b"".join(part for part in parts if part)

    def receive(self, data: bytes) -> Reply | None:
        """The answer, once it is complete.

        Args:
            data: What came; nothing when the server closed.

        Raises:
            ApiFailure: The connection ended in the middle, or this is not HTTP.

        """
        try:
            self._http.receive_data(data)
            while True:
                event = self._http.next_event()
                if event is h11.NEED_DATA:
                    return None
                if isinstance(event, h11.Response):
                    self._status = event.status_code
                elif isinstance(event, h11.Data):
                    self._parts.append(bytes(event.data))
                    self._size += len(event.data)
                    if self._size > MAX_ANSWER:
                        raise ApiFailure(f"the answer of the server API is larger than {MAX_ANSWER:,} bytes")
                elif isinstance(event, h11.EndOfMessage):
                    return Reply(self._status, b"".join(self._parts))
                elif isinstance(event, h11.ConnectionClosed):
                    raise ApiFailure("the connection was closed before an answer came", True, True)
        except h11.RemoteProtocolError as exc:
            if not data:
                raise ApiFailure("the connection was closed in the middle of an answer", True, True) from exc
            raise ApiFailure(f"what answers is not HTTP/1.1: {exc}") from exc

    def again(self) -> bool:
        """Make ready for the next call; whether that is possible."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        self._status, self._parts, self._size = 0, [], 0
        return not self._http.trailing_data[0]


def result_of(settings: HttpSettings, method: str, reply: Reply) -> Any:
    """The result in an answer.

    Raises:
        ApiError: The server refused the call.
        ApiFailure: The answer is none of the server API's.

    """
    if reply.status == 200:
        try:
            if method == "batch":
                return _RESULTS[method](reply.body)
            answer = _ANSWER(reply.body)
            if answer.error is not None:
                raise ApiError(answer.error.code, answer.error.message)
            return _RESULTS[method](b"{}" if bytes(answer.result) == b"null" else bytes(answer.result))
        except _FAULTS as exc:
            raise ApiFailure(f"{settings.url}/{method} answers something else than the server API does") from exc
    raise _refusal(settings, method, reply)


def _refusal(settings: HttpSettings, method: str, reply: Reply) -> ApiError:
    """What a status other than 200 means; in its transport error mode Centrifugo tells errors by it."""
    try:
        error = _ERROR(reply.body)
    except _FAULTS:
        error = Error()
    where = f"{settings.url}/{method}"
    if error.code:
        return ApiError(error.code, error.message)
    if reply.status == 401:
        return ApiFailure(f"{where} refuses the API key: check {settings.key_from}", False)
    if reply.status == 400:
        return ApiError(107)
    if reply.status in (404, 405):
        return ApiFailure(
            f"there is no server API at {where}: check the URL, and that the server has this method", False
        )
    if reply.status == 413:
        return ApiFailure(f"{where} takes no request as large as this one", False)
    if reply.status < 500:
        return ApiFailure(f"{where} answers HTTP {reply.status}", False, reply.status == 429)
    return ApiFailure(f"{where} answers HTTP {reply.status}", True, reply.status in (502, 503, 504))
