"""How calls reach the bridge. A transport carries and decides nothing: one file each, one contract suite for all."""

import hmac
import logging
from collections.abc import Iterable
from typing import Protocol

from rtbridge.bridge import Bridge, Reply, describe
from rtbridge.clock import Clock
from rtbridge.codec import Codec
from rtbridge.events import Call, Failure, InvalidEvent, Method, Outcome

log = logging.getLogger("rtbridge.events")


class Transport(Protocol):
    """Something that listens for calls and answers them through a bridge."""

    @property
    def name(self) -> str:
        """As ``event.via`` shows it."""
        ...

    @property
    def address(self) -> str:
        """Where it listens, once started: ``127.0.0.1:30000``."""
        ...

    async def start(self) -> None:
        """Bind and begin to take calls.

        Raises:
            ListenError: The address cannot be bound, or the TLS files cannot be used.

        """
        ...

    async def stop(self, timeout: float) -> None:
        """Take no new calls, wait up to ``timeout`` seconds for those under way, then end."""
        ...


class Secret:
    """The shared secret that proxy calls carry; several values while one is being replaced by another.

    Args:
        key: The header's or metadata's name, lowercase.
        values: The values that are accepted.

    """

    __slots__ = ("_values", "key")

    def __init__(self, key: str, values: Iterable[str]) -> None:
        self.key = key.lower()
        self._values = [value.encode() for value in values]

    def admits(self, given: Iterable[str | bytes]) -> bool:
        """Whether one of the given values is accepted; the time it takes tells nothing about which, or how nearly."""
        accepted = False
        for value in given:
            raw = value.encode() if isinstance(value, str) else value
            for known in self._values:
                accepted |= hmac.compare_digest(raw, known)
        return accepted


async def refuse(
    bridge: Bridge, call: Call, error: Exception, *, name: str, raw: bytes, method: Method | None, codec: Codec | None
) -> Reply:
    """The reply to a call that cannot be decoded, or whose kind is unknown (``method`` is None).

    ``on_invalid`` may answer in its place where the kind is known and its answer can carry an error.
    """

    carries = method is not None and codec is not None and method.silence == "disconnect"

    def encode(outcome: Outcome, clock: Clock) -> bytes:
        return codec.encode(outcome, clock) if carries and codec is not None else b""

    event = InvalidEvent(call=call, method=name, raw=raw, error=error)
    reply = await bridge.handle(event, encode)
    if (carries and reply.outcome.failure is None) or reply.outcome.failure == "internal":
        return reply
    if reply.outcome.failure is None:
        log.warning("%s: on_invalid answered a call that cannot carry the answer", describe(event))
    failure: Failure = "unimplemented" if method is None else "invalid"
    return Reply(Outcome(failure=failure, denied_by_default=True, why=str(error)), b"")
