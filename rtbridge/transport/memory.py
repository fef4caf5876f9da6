"""Calls from the same process: for tests of hooks, and for servers that make events themselves."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any, Literal

from rtbridge.bridge import Bridge, Reply
from rtbridge.codec import JSON, PROTO
from rtbridge.errors import InvalidMessage
from rtbridge.events import METHODS, Call, Event, Headers, Outcome
from rtbridge.transport.base import refuse


class MemoryTransport:
    """Hands events, or the bytes of calls, to a bridge without a wire in between.

    Args:
        bridge: Answers them.

    """

    name = "memory"
    address = "memory"

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    async def start(self) -> None:
        """There is nothing to bind."""

    async def stop(self, timeout: float) -> None:
        """There is nothing to close."""

    def call(self, headers: Mapping[str, str] | Iterable[tuple[str, str]] = (), deadline: float | None = None) -> Call:
        """A call to make an event with; ``deadline`` in seconds from now."""
        clock = self._bridge.clock
        items: Any = headers.items() if isinstance(headers, Mapping) else headers
        until = None if deadline is None else clock.monotonic() + deadline
        return Call(Headers(list(items)), self.name, until, clock)

    async def send(self, event: Event) -> Outcome:
        """The outcome of an event. Its answer is written in protobuf and thrown away, so what no wire could carry fails
        here, too."""
        return (await self._bridge.handle(event, PROTO[event.kind].encode)).outcome

    async def request(
        self,
        kind: str,
        body: bytes,
        *,
        wire: Literal["proto", "json"] = "proto",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        deadline: float | None = None,
    ) -> Reply:
        """The reply to a call as Centrifugo writes it: the request's bytes in, the answer's bytes out."""
        codec = (PROTO if wire == "proto" else JSON).get(kind)
        call = self.call(headers, deadline)
        if codec is None:
            error = InvalidMessage(f"{kind!r} is no event of this wire")
            return await refuse(self._bridge, call, error, name=kind, raw=body, method=None, codec=None)
        try:
            event = codec.decode(body, call)
        except InvalidMessage as exc:
            method = METHODS[kind]
            return await refuse(self._bridge, call, exc, name=method.name, raw=body, method=method, codec=codec)
        return await self._bridge.handle(event, codec.encode)

    async def stream(self, event: Event, outcome: Outcome) -> AsyncGenerator[Any, None]:
        """What a stream yields after the outcome that started it.

        Raises:
            StreamFailed: The stream ended with an error.

        """
        encode = PROTO[event.kind].encode_item
        assert encode is not None

        def written(item: Any) -> Any:
            encode(item)
            return item

        async with aclosing(self._bridge.items(event, outcome, written)) as items:
            async for item in items:
                yield item
