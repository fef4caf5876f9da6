"""The embedded server without its sockets: what all connections share."""

import asyncio
import logging
import platform
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Final, Protocol
from uuid import uuid4

import rtbridge
from rtbridge.clock import SYSTEM_CLOCK, Clock
from rtbridge.config import Embedded
from rtbridge.embedded._client_generated import Command
from rtbridge.embedded.backend import Backend
from rtbridge.embedded.commands.connect import connect
from rtbridge.embedded.commands.publish import publish, rpc, send
from rtbridge.embedded.commands.read import history, presence, presence_stats
from rtbridge.embedded.commands.refresh import refresh, refresh_by_hooks, sub_refresh, subscription_expired
from rtbridge.embedded.commands.subscribe import subscribe, unsubscribe
from rtbridge.embedded.feeds import Feeds
from rtbridge.embedded.hub import Hub, Keep, Subscription
from rtbridge.embedded.rules import Rules, Space
from rtbridge.embedded.session import Session
from rtbridge.embedded.timers import Timers
from rtbridge.embedded.tokens import Tokens
from rtbridge.errors import Disconnect
from rtbridge.handler import Handler

log = logging.getLogger("rtbridge.embedded")

#: Command → what serves it, in the order in which Centrifugo looks.
_COMMANDS: Final[tuple[tuple[str, Callable[[Session, Command], None]], ...]] = (
    ("connect", connect),
    ("subscribe", subscribe),
    ("unsubscribe", unsubscribe),
    ("publish", publish),
    ("presence", presence),
    ("presence_stats", presence_stats),
    ("history", history),
    ("rpc", rpc),
    ("send", send),
    ("refresh", refresh),
    ("sub_refresh", sub_refresh),
)

_PING_INTERVAL: Final = 25.0
_PONG_TIMEOUT: Final = 8.0

_SHUTDOWN: Final = Disconnect("SHUTDOWN")


class TokenSource(Protocol):
    """Verifies tokens; see :class:`rtbridge.embedded.tokens.Tokens`."""

    def connection(self, token: str, then: Callable[[Any], None]) -> None:
        """Verify a connection token."""
        ...

    def subscription(self, token: str, then: Callable[[Any], None]) -> None:
        """Verify a subscription token."""
        ...


class Node:
    """Options, channels and connections of one server.

    Args:
        handler: Answers events.
        config: The section ``rtbridge.embedded``.
        clock: Every duration and expiry asks it.
        name: The node's name in ``info``; the machine's by default.

    Attributes:
        open: Every connection, authenticated or not.
        sessions: Connections that take commands through the emulation endpoint, by session id.
        clients: Connections that are authenticated, by client id.

    """

    def __init__(self, handler: Handler, config: Embedded, *, clock: Clock = SYSTEM_CLOCK, name: str = "") -> None:
        self.config = config
        self.clock = clock
        self.uid = str(uuid4())
        self.name = name or f"{platform.node()}_{config.http_server.port}"
        self.version = f"{rtbridge.__version__} OSS"
        self.timers = Timers(clock)
        self.rules = Rules(config)
        self.hub = Hub(clock, self.timers)
        self.backend = Backend(handler, config, clock)
        self.streams = Feeds(self.backend)
        self._tasks: set[asyncio.Task[None]] = set()
        self.tokens: TokenSource = Tokens(config.client, clock, self._spawn)
        self.open: set[Session] = set()
        self.sessions: dict[str, Session] = {}
        self.clients: dict[str, Session] = {}
        self._users: dict[str, dict[Session, None]] = {}
        client = config.client
        self.concurrency = max(1, client.concurrency)
        # Centrifugo takes 0s for the default, and less for never.
        self.ping_interval = max(0.0, client.ping_interval or _PING_INTERVAL)
        self.pong_timeout = max(0.0, client.pong_timeout or _PONG_TIMEOUT)
        self._rate = client.connection_rate_limit
        self._tokens = float(self._rate)
        self._refilled = clock.monotonic()
        self.started_at = clock.monotonic()
        self.stopping = False
        self._keeps: dict[str, Keep] = {}
        self._unidirectional = (
            {each.code: Disconnect(each.to.code, each.to.reason) for each in transforms.transforms}
            if (transforms := client.connect_code_to_unidirectional_disconnect).enabled
            else {}
        )

    def dispatch(self, session: Session, command: Command) -> None:
        """Serve one command.

        Raises:
            Disconnect: It is none, it needs a connect before it, or it says so.
            ClientError: As the client is to be told.

        """
        if not session.authenticated and command.connect is None:
            raise Disconnect("BAD_REQUEST")
        for name, serve in _COMMANDS:
            if getattr(command, name) is not None:
                serve(session, command)
                return
        raise Disconnect("BAD_REQUEST")

    def soon(self, functions: Iterable[Callable[[], None]]) -> None:
        """Run functions that waited for a subscription to be decided, once the command at hand is through."""
        loop = asyncio.get_running_loop()
        for function in functions:
            loop.call_soon(function)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def keep(self, space: Space) -> Keep:
        """How publications of a namespace are kept."""
        keep = self._keeps.get(space.name)
        if keep is None:
            options = space.options
            meta = options.history_meta_ttl or self.config.channel.history_meta_ttl
            keep = self._keeps[space.name] = Keep(options.history_size, options.history_ttl, meta)
        return keep

    def asks_sub_refresh(self, channel: str) -> bool:
        """Whether hooks decide if a subscription to this channel goes on."""
        space = self.rules.space(channel)
        return space is not None and space.options.sub_refresh_proxy_enabled

    def unidirectional_disconnect(self, code: int) -> Disconnect | None:
        """What the configuration makes of an error that answers a unidirectional connect; None for nothing."""
        return self._unidirectional.get(code)

    # Connections.

    def admits_connection(self) -> bool:
        """Whether one more connection may be opened now."""
        limit = self.config.client.connection_limit
        if self.stopping or (limit and len(self.open) >= limit):
            return False
        if not self._rate:
            return True
        now = self.clock.monotonic()
        self._tokens = min(self._rate, self._tokens + (now - self._refilled) * self._rate)
        self._refilled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def of_user(self, user: str) -> list[Session]:
        """The connections of a user."""
        return list(self._users.get(user, ()))

    @property
    def users(self) -> int:
        """How many users are connected."""
        return len(self._users)

    def admitted(self, session: Session) -> None:
        """A connection is authenticated."""
        self.clients[session.id] = session
        self._users.setdefault(session.user, {})[session] = None

    def ended(self, session: Session) -> None:
        """A connection is over."""
        self.open.discard(session)
        self.sessions.pop(session.session_id, None)
        if self.clients.pop(session.id, None) is not None:
            mine = self._users.get(session.user)
            if mine is not None:
                mine.pop(session, None)
                if not mine:
                    del self._users[session.user]

    def unsubscribed(self, session: Session, channel: str) -> None:
        """A subscription is over: leave the channel and tell the others."""
        sub = self.hub.unsubscribe(channel, session)
        if sub is None:
            return
        if sub.stop is not None:
            sub.stop()
        if sub.join_leave:
            self.hub.leave(channel, sub.info)

    def refresh(self, session: Session) -> None:
        """Ask the hooks whether a connection that expires goes on."""
        refresh_by_hooks(session)

    def subscription_expired(self, session: Session, channel: str, sub: Subscription) -> None:
        """End a subscription whose time is over, unless the hooks prolong it."""
        subscription_expired(session, channel, sub)

    def shut(self) -> None:
        """Take no new connections and send everybody away with 3001, at which SDKs reconnect."""
        self.stopping = True
        for session in list(self.open):
            session.disconnect(_SHUTDOWN)

    def close(self) -> None:
        """Call off what runs in the background."""
        for task in list(self._tasks):
            task.cancel()
