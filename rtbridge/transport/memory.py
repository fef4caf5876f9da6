"""Calls from the same process: for tests of hooks, and for servers that make events themselves."""

from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import aclosing
from typing import Any

from rtbridge.bridge import Bridge, Reply
from rtbridge.codec import JSON, PROTO
from rtbridge.events import Call, Event, Headers, Outcome
from rtbridge.handler import LocalHandler, Refused, Unary, Wire


class MemoryTransport:
    """Hands events, or the bytes of calls, to a bridge without a wire in between.

    Args:
        bridge: Answers them.

    """

    name = "memory"
    address = "memory"

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._handler = LocalHandler(bridge)
        self._answers: dict[tuple[str, Wire], Unary] = {}

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
        wire: Wire = "proto",
        headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        deadline: float | None = None,
    ) -> Reply:
        """The reply to a call as Centrifugo writes it: the request's bytes in, the answer's bytes out."""
        call = self.call(headers, deadline)
        if kind not in (PROTO if wire == "proto" else JSON):
            return await self._handler.refuse(Refused("", "", kind, body, f"{kind!r} is no event of this wire"), call)
        answer = self._answers.get((kind, wire))
        if answer is None:
            answer = self._answers[kind, wire] = self._handler.unary(kind, wire)
        return await answer(body, call)

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
