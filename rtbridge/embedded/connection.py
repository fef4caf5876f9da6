"""What a session and its front know of one another, and the numbers that bound a connection."""

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from rtbridge.errors import MAX_REASON_BYTES
from rtbridge.events.call import Headers

#: Longest time to an expiry; Centrifugo cuts longer ones.
MAX_TTL: Final = 31_536_000

#: Commands that wait for their turn: above the first number the front stops reading, above the second the client goes.
INBOX_PAUSE: Final = 64
INBOX_LIMIT: Final = 10_000

#: Seconds that a WebSocket client has to leave by itself after its connect was answered with an error.
UNUSABLE_SECONDS: Final = 5.0

#: Transports whose commands come through the emulation endpoint.
EMULATED: Final = ("sse", "http_stream")


#: Begins to look for an answer: gets the function that takes it, may give back one that calls the search off.
Start = Callable[[Callable[[Any], None]], Callable[[], object] | None]


class Peer(NamedTuple):
    """Who is at the other end.

    Attributes:
        transport: As events name it: ``websocket``, ``sse``, ``http_stream`` or ``uni_*``.
        headers: Of the request that opened the connection.
        address: The client's IP address.

    """

    transport: str
    headers: Headers
    address: str


class Outlet(Protocol):
    """The front's side of one connection."""

    def write(self, frame: bytes) -> None:
        """Queue framed bytes; what a tick of the loop queued leaves together."""
        ...

    def close(self, code: int, reason: str) -> None:
        """Send what is queued and close; where there are no close codes the stream just ends."""
        ...

    def abort(self) -> None:
        """Drop the connection without a word."""
        ...

    def pause(self) -> None:
        """Read nothing more from this client for now."""
        ...

    def resume(self) -> None:
        """Read again."""
        ...


class Pending:
    """A subscription that is being decided; what has to wait for that."""

    __slots__ = ("then",)

    def __init__(self) -> None:
        self.then: list[Callable[[], None]] = []


class Unsubscribed(NamedTuple):
    """Why a subscription ended: codes below 2500 are final, at the others SDKs subscribe again."""

    code: int
    reason: str


SERVER_UNSUBSCRIBE: Final = Unsubscribed(2000, "server unsubscribe")
INSUFFICIENT_STATE: Final = Unsubscribed(2500, "insufficient state")
SUBSCRIPTION_EXPIRED: Final = Unsubscribed(2501, "subscription expired")


def fits_close_frame(code: int, reason: str) -> bool:
    """Whether a WebSocket can carry code and reason (RFC 6455, sections 5.5 and 7.4)."""
    return 1000 <= code <= 4999 and len(reason.encode()) <= MAX_REASON_BYTES
