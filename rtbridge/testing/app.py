"""``App``: one's plugins behind the bridge, without a server."""

from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, Self

from rtbridge.app import UNHANDLED_EVENTS, Runtime
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.config import Config, parse_config
from rtbridge.events import (
    ConnectEvent,
    Event,
    Outcome,
    PublishEvent,
    RefreshEvent,
    RPCEvent,
    SubRefreshEvent,
    SubscribeEvent,
)
from rtbridge.events.values import encode_payload
from rtbridge.testing.api import ApiCalls
from rtbridge.transport.memory import MemoryTransport

_CLIENT: Final = "00000000-0000-4000-8000-000000000001"

Pairs = Mapping[str, str] | Iterable[tuple[str, str]]


class Stream:
    """A subscription stream under test.

    Attributes:
        outcome: What started it, or why it did not start.

    """

    def __init__(self, memory: MemoryTransport, event: Event, outcome: Outcome) -> None:
        self._memory = memory
        self._event = event
        self.outcome = outcome

    async def __aiter__(self) -> AsyncGenerator[Any, None]:
        """The publications of the stream, until it ends."""
        if self.outcome.stream is not None:
            async for item in self._memory.stream(self._event, self.outcome):
                yield item


class App:
    """One's plugins, booted, in the test's own process; use it as an async context manager.

    Each call gives the typed :class:`~rtbridge.events.Outcome`: ``.result``, ``.disconnect``, ``.error``, ``.failure``,
    ``.denied_by_default`` and, in words, ``.why``. Payloads are JSON values, or bytes as they are. Answers are written
    as they would be for Centrifugo, so one that cannot be written fails here, too.

    Args:
        plugins: Modules, objects with hooks, or module names. Installed plugins are not loaded.
        config: A Config, or the contents of a ``.rr.yaml`` as a mapping.
        clock: A :class:`~rtbridge.testing.VirtualClock`, where the test is about time.

    Attributes:
        api: What hooks asked of the server API, and what it answers them.

    """

    def __init__(
        self,
        plugins: Iterable[object] = (),
        *,
        config: Config | Mapping[str, Any] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        if not isinstance(config, Config):
            given: dict[str, Any] = {"version": "3", **(config or {})}
            given["rtbridge"] = {"entry_points": False, **given.get("rtbridge", {})}
            config = parse_config(given, known_events=UNHANDLED_EVENTS).config
        self.runtime = Runtime(config, plugins, clock)
        self.memory = MemoryTransport(self.runtime.bridge)
        self.api = ApiCalls()
        self.runtime.api.bind(self.api.serve)

    async def __aenter__(self) -> Self:
        await self.runtime.boot()
        await self.runtime.ready()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.runtime.shutdown()

    async def send(self, event: Event) -> Outcome:
        """The outcome of any event."""
        return await self.memory.send(event)

    async def stream(self, event: Event) -> Stream:
        """A subscription stream, started by ``SubscribeUnidirectionalEvent`` or ``SubscribeBidirectionalEvent``."""
        return Stream(self.memory, event, await self.memory.send(event))

    async def connect(
        self,
        *,
        data: object = None,
        channels: Sequence[str] = (),
        headers: Pairs = (),
        name: str = "",
        version: str = "",
        client: str = _CLIENT,
        deadline: float | None = None,
    ) -> Outcome:
        """The outcome of a client's connect; ``deadline`` in seconds from now."""
        return await self.send(
            ConnectEvent(
                call=self.memory.call(headers, deadline),
                **_client(client),
                raw_data=_raw(data),
                channels=tuple(channels),
                name=name,
                version=version,
            )
        )

    async def refresh(
        self,
        *,
        user: str = "",
        meta: object = None,
        headers: Pairs = (),
        client: str = _CLIENT,
        deadline: float | None = None,
    ) -> Outcome:
        """The outcome of an expired connection's refresh."""
        call = self.memory.call(headers, deadline)
        return await self.send(RefreshEvent(call=call, **_client(client), user=user, raw_meta=_raw(meta)))

    async def subscribe(
        self,
        channel: str,
        *,
        user: str = "",
        data: object = None,
        meta: object = None,
        token: str = "",
        headers: Pairs = (),
        client: str = _CLIENT,
        deadline: float | None = None,
    ) -> Outcome:
        """The outcome of a client's subscribe."""
        return await self.send(
            SubscribeEvent(
                call=self.memory.call(headers, deadline),
                **_client(client),
                user=user,
                channel=channel,
                token=token,
                raw_data=_raw(data),
                raw_meta=_raw(meta),
            )
        )

    async def publish(
        self,
        channel: str,
        data: object = None,
        *,
        user: str = "",
        meta: object = None,
        headers: Pairs = (),
        client: str = _CLIENT,
        deadline: float | None = None,
    ) -> Outcome:
        """The outcome of a client's publication."""
        return await self.send(
            PublishEvent(
                call=self.memory.call(headers, deadline),
                **_client(client),
                user=user,
                channel=channel,
                raw_data=_raw(data),
                raw_meta=_raw(meta),
            )
        )

    async def rpc(
        self,
        method: str,
        data: object = None,
        *,
        user: str = "",
        meta: object = None,
        headers: Pairs = (),
        client: str = _CLIENT,
        deadline: float | None = None,
    ) -> Outcome:
        """The outcome of a client's RPC."""
        return await self.send(
            RPCEvent(
                call=self.memory.call(headers, deadline),
                **_client(client),
                user=user,
                method=method,
                raw_data=_raw(data),
                raw_meta=_raw(meta),
            )
        )

    async def sub_refresh(
        self,
        channel: str,
        *,
        user: str = "",
        meta: object = None,
        headers: Pairs = (),
        client: str = _CLIENT,
        deadline: float | None = None,
    ) -> Outcome:
        """The outcome of an expired subscription's refresh."""
        call = self.memory.call(headers, deadline)
        return await self.send(
            SubRefreshEvent(call=call, **_client(client), user=user, channel=channel, raw_meta=_raw(meta))
        )


def _client(client: str) -> dict[str, Any]:
    return {"client": client, "transport": "websocket", "protocol": "json", "encoding": "json"}


def _raw(value: object) -> bytes | None:
    return None if value is None else encode_payload(value)
