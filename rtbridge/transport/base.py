"""How calls reach the hooks. A transport carries and decides nothing: one file each, one contract suite for all."""

import asyncio
import hmac
import logging
from collections.abc import Iterable, Mapping
from typing import Protocol

log = logging.getLogger("rtbridge.listening")


class Transport(Protocol):
    """Something that listens for calls and has a handler answer them."""

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


async def close(transports: Iterable[Transport], timeout: float) -> None:
    """Stop all of them together; one that does not stop as it should is logged, and keeps none of the others."""
    for result in await asyncio.gather(*(each.stop(timeout) for each in transports), return_exceptions=True):
        if isinstance(result, BaseException):
            log.error("a listener did not close: %s", result, exc_info=result)


def places(transport: Transport) -> Mapping[str, str]:
    """Name and address of everything that a transport listens on; most have one."""
    several: Mapping[str, str] | None = getattr(transport, "places", None)
    return {transport.name: transport.address} if several is None else several


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
