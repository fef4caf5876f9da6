"""Asks the hooks: makes the event that Centrifugo would have sent, and hands its answer back."""

import asyncio
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from msgspec import UNSET, Raw, UnsetType

from rtbridge.clock import Clock
from rtbridge.config import Embedded
from rtbridge.config.embedded import Proxy
from rtbridge.embedded._client_generated import ConnectRequest, RPCRequest, SubscribeRequest
from rtbridge.embedded.answers import RESPONSES
from rtbridge.embedded.connection import Start
from rtbridge.embedded.session import Session
from rtbridge.events import (
    Call,
    ConnectEvent,
    Event,
    Headers,
    PublishEvent,
    RefreshEvent,
    RPCEvent,
    SubRefreshEvent,
    SubscribeEvent,
)
from rtbridge.handler import Handler

log = logging.getLogger("rtbridge.embedded")

#: As ``event.via`` shows it.
VIA: Final = "embedded"

Done = Callable[[Any], None]


class Backend:
    """The hooks, as the embedded server sees them.

    Args:
        handler: Answers events.
        config: The section ``rtbridge.embedded``: which headers and which meta an event carries, how long it may take.
        clock: Measures deadlines.

    """

    def __init__(self, handler: Handler, config: Embedded, clock: Clock) -> None:
        self.handler = handler
        self._clock = clock
        self._connect: Proxy = config.client.proxy.connect
        self._refresh: Proxy = config.client.proxy.refresh
        self._subscribe = config.channel.proxy.subscribe
        self._publish = config.channel.proxy.publish
        self._sub_refresh = config.channel.proxy.sub_refresh
        self.stream_proxy = config.channel.proxy.subscribe_stream
        self._rpc = config.rpc.proxy
        proxies = (self._connect, self._refresh, self._subscribe, self._publish, self._sub_refresh, self._rpc)
        #: Whether any event carries headers of the connect command, so that they have to be kept.
        self.emulates_headers = any(proxy.emulated_headers for proxy in (*proxies, self.stream_proxy))

    def call(self, session: Session, proxy: Proxy, *, deadline: bool = True) -> Call:
        """What comes with an event of this client."""
        until = self._clock.monotonic() + proxy.timeout if deadline else None
        return Call(_headers(session, proxy), VIA, until, self._clock)

    def common(self, session: Session, proxy: Proxy) -> dict[str, Any]:
        """The fields that every event of a client has."""
        return {
            "client": session.id,
            "transport": session.peer.transport,
            "protocol": session.wire.protocol,
            "encoding": "binary" if proxy.binary_encoding else "json",
        }

    def of_user(self, session: Session, proxy: Proxy) -> dict[str, Any]:
        """The same for events of a client that is connected."""
        meta = session.meta if proxy.include_connection_meta else None
        return {**self.common(session, proxy), "user": session.user, "raw_meta": meta}

    def connect(self, session: Session, request: ConnectRequest) -> Start:
        """Ask whether a client may connect."""
        event = ConnectEvent(
            call=self.call(session, self._connect),
            **self.common(session, self._connect),
            raw_data=payload(request.data),
            name=request.name,
            version=request.version,
            channels=tuple(request.subs),
        )
        return self._ask(event)

    def refresh(self, session: Session) -> Start:
        """Ask whether a connection that expires goes on."""
        event = RefreshEvent(call=self.call(session, self._refresh), **self.of_user(session, self._refresh))
        return self._ask(event)

    def subscribe(self, session: Session, request: SubscribeRequest) -> Start:
        """Ask whether a client may subscribe."""
        event = SubscribeEvent(
            call=self.call(session, self._subscribe),
            **self.of_user(session, self._subscribe),
            channel=request.channel,
            token=request.token,
            raw_data=payload(request.data),
        )
        return self._ask(event)

    def publish(self, session: Session, channel: str, data: bytes) -> Start:
        """Ask whether, and as what, a client's publication goes out."""
        event = PublishEvent(
            call=self.call(session, self._publish),
            **self.of_user(session, self._publish),
            channel=channel,
            raw_data=data or None,
        )
        return self._ask(event)

    def rpc(self, session: Session, request: RPCRequest) -> Start:
        """Have an RPC answered."""
        event = RPCEvent(
            call=self.call(session, self._rpc),
            **self.of_user(session, self._rpc),
            method=request.method,
            raw_data=payload(request.data),
        )
        return self._ask(event)

    def sub_refresh(self, session: Session, channel: str) -> Start:
        """Ask whether a subscription that expires goes on."""
        event = SubRefreshEvent(
            call=self.call(session, self._sub_refresh), **self.of_user(session, self._sub_refresh), channel=channel
        )
        return self._ask(event)

    def _ask(self, event: Event) -> Start:
        return partial(self._begin, event)

    def _begin(self, event: Event, done: Done) -> Callable[[], object]:
        return asyncio.get_running_loop().create_task(self._run(event, done)).cancel

    async def _run(self, event: Event, done: Done) -> None:
        answer = None
        try:
            reply = await self.handler.event(event)
            if reply.outcome.failure is None:
                answer = RESPONSES[event.kind].FromString(reply.payload)
        except Exception:
            log.exception("%s could not be asked for", event.kind)
        done(answer)


def payload(raw: Raw | UnsetType) -> bytes | None:
    """The bytes of a client's payload; None where it sent none."""
    return None if raw is UNSET else bytes(raw)


def _headers(session: Session, proxy: Proxy) -> Headers:
    """What the proxy forwards of the client: headers of its request, before those of its connect command."""
    if not proxy.http_headers and not proxy.emulated_headers:
        return Headers()
    pairs: list[tuple[str, str]] = []
    for name in proxy.http_headers:
        pairs += [(name.lower(), value) for value in session.peer.headers.getall(name)]
    given = {name for name, _ in pairs}
    emulated = {name.lower(): value for name, value in session.headers.items()}
    for name in map(str.lower, proxy.emulated_headers):
        if name in emulated and name not in given:
            pairs.append((name, emulated[name]))
    return Headers(pairs)
