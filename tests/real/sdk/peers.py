"""One way to drive every official client, so that a test is written once.

Payloads are JSON values in both protocols, and what handlers are told is a mapping with the same keys for all clients:
snake case, without what is absent, empty or zero.
"""

import asyncio
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final

from tests.centrifugo import BOUND

#: A position, a token, or None for a user who is turned away.
Given = Sequence[Any]

#: Keys whose values are payloads.
_PAYLOADS: Final = ("data", "conn_info", "chan_info")


class Peer(ABC):
    """An official client; it can be several connections at once, each with a name.

    Attributes:
        sdk: ``js`` or ``python``.
        transport: ``websocket``, ``http_stream`` or ``sse``.
        protobuf: Which protocol it speaks, else JSON.

    """

    def __init__(self, sdk: str, transport: str, protobuf: bool) -> None:
        self.sdk = sdk
        self.transport = transport
        self.protobuf = protobuf
        self._events: dict[tuple[str, str, str], asyncio.Queue[dict[str, Any]]] = {}

    def _queue(self, client: str, channel: str, event: str) -> asyncio.Queue[dict[str, Any]]:
        return self._events.setdefault((client, channel, event), asyncio.Queue())

    def _packed(self, value: Any) -> Any:
        return json.dumps(value).encode() if self.protobuf else value

    def _plain(self, value: Any) -> Any:
        """A context or result in the common form; its keys are in snake case already."""
        if isinstance(value, Mapping):
            found = {}
            for key, each in value.items():
                if key in _PAYLOADS and isinstance(each, bytes):
                    each = json.loads(each) if each else None
                elif key not in _PAYLOADS:
                    each = self._plain(each)
                if each is not None and not (key in ("offset", "tags") and not each):
                    found[key] = each
            return found
        if isinstance(value, list):
            return [self._plain(each) for each in value]
        return value

    async def told(self, event: str, channel: str = "", *, client: str = "a") -> dict[str, Any]:
        """What the next call of a handler was given; handlers of a connection have no channel."""
        try:
            async with asyncio.timeout(BOUND):
                return await self._queue(client, channel, event).get()
        except TimeoutError:
            waiting = {key: queue.qsize() for key, queue in self._events.items() if queue.qsize()}
            raise AssertionError(f"no {event} of {channel or client}; not asked for: {waiting}") from None

    def untold(self, event: str, channel: str = "", *, client: str = "a") -> int:
        """How many calls of a handler no test has asked for."""
        return self._queue(client, channel, event).qsize()

    @abstractmethod
    async def connect(
        self,
        address: str,
        *,
        client: str = "a",
        token: str = "",
        tokens: Given | None = None,
        data: Any = None,
        headers: Mapping[str, str] | None = None,
        version: str = "",
        ping_delay: float = 10.0,
    ) -> None:
        """Make a client and let it connect; what comes of it is told.

        Args:
            address: ``host:port``.
            client: Its name in the test.
            token: What it has at first.
            tokens: What it is given when it asks for one, which is told as ``token``; None turns the user away.
            data: Payload of the connect command.
            headers: For the connect command.
            version: Of the application.
            ping_delay: Seconds that a ping may be late.

        """

    @abstractmethod
    async def subscribe(
        self,
        channel: str,
        *,
        client: str = "a",
        token: str = "",
        tokens: Given | None = None,
        states: Given | None = None,
        data: Any = None,
        positioned: bool = False,
        recoverable: bool = False,
        join_leave: bool = False,
        delta: bool = False,
        tags_filter: Mapping[str, Any] | None = None,
    ) -> None:
        """Make a subscription and let it subscribe; ``states`` are positions that it asks the application for."""

    @abstractmethod
    async def do(self, call: str, *, client: str = "a", **given: Any) -> dict[str, Any]:
        """What a call came to: its result, or the error as a mapping of code and message.

        Calls: ``publish(channel, data)``, ``rpc(method, data)``, ``presence(channel)``, ``presence_stats(channel)``,
        ``history(channel, limit, since, reverse)``, ``unsubscribe(channel)``, ``resubscribe(channel)``,
        ``disconnect()``.
        """

    async def connected(self, address: str, **options: Any) -> dict[str, Any]:
        """Connect, and what the client was told then."""
        await self.connect(address, **options)
        return await self.told("connected", client=options.get("client", "a"))

    async def subscribed(self, channel: str, **options: Any) -> dict[str, Any]:
        """Subscribe, and what the client was told then."""
        await self.subscribe(channel, **options)
        return await self.told("subscribed", channel, client=options.get("client", "a"))

    async def publications(self, channel: str, number: int, **options: Any) -> list[Any]:
        """The payloads of the next publications."""
        return [(await self.told("publication", channel, **options))["data"] for _ in range(number)]
