"""One client connection, without its socket: messages in, framed bytes out through an outlet.

Commands of a connection are served in order, ``client.concurrency`` at a time; one that has to wait for hooks goes on
when their answer is there. Source: centrifugal.dev, "Client protocol"; codes in :mod:`rtbridge.errors`.
"""

import logging
import random
import secrets
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from msgspec import Raw

from rtbridge.embedded._client_generated import ClientInfo, Command, Error, Push, Refresh, Reply, Unsubscribe
from rtbridge.embedded._client_generated import Disconnect as DisconnectPush
from rtbridge.embedded.connection import (
    EMULATED,
    INBOX_LIMIT,
    INBOX_PAUSE,
    UNUSABLE_SECONDS,
    Outlet,
    Peer,
    Pending,
    Start,
    Unsubscribed,
    fits_close_frame,
)
from rtbridge.embedded.hub import Subscription
from rtbridge.embedded.timers import Timer
from rtbridge.embedded.wire import Wire, json_raw
from rtbridge.errors import ClientError, Disconnect, InvalidMessage

if TYPE_CHECKING:
    from rtbridge.embedded.node import Node

log = logging.getLogger("rtbridge.embedded")

_BAD_REQUEST: Final = Disconnect("BAD_REQUEST")
_EXPIRED: Final = Disconnect("EXPIRED")
_STALE: Final = Disconnect("STALE")
_NO_PONG: Final = Disconnect("NO_PONG")
_FLOOD: Final = Disconnect("TOO_MANY_REQUESTS")
_INTERNAL: Final = ClientError("INTERNAL")

#: What a unidirectional client is told in place of an error that answers its connect: error code → disconnect.
_UNIDIRECTIONAL: Final = {
    103: Disconnect("PERMISSION_DENIED"),
    109: _EXPIRED,
    110: _EXPIRED,
    111: Disconnect("TOO_MANY_REQUESTS"),
}


class Session:
    """A client connection.

    Args:
        node: The server that it belongs to.
        outlet: Takes what is for the client.
        wire: How the client is spoken to.
        peer: Who it is.
        pings: Whether the session pings; else the front does it in its own way.

    Attributes:
        id: The client id, as events and presence show it.
        session_id: Names the session in emulation requests; secret, and empty where there are none.
        user: The user's id, once connected; empty for an anonymous one.
        channels: Subscriptions by channel, those that are being decided among them.

    """

    __slots__ = (
        "_expire_timer",
        "_inbox",
        "_paused",
        "_ping_timer",
        "_pinged",
        "_pong_timer",
        "_pumping",
        "_running",
        "_stale_timer",
        "_tick_timer",
        "_waits",
        "authenticated",
        "channels",
        "client_refresh",
        "closed",
        "connecting",
        "expire_at",
        "headers",
        "id",
        "info",
        "meta",
        "node",
        "outlet",
        "peer",
        "ping_interval",
        "pong_timeout",
        "session_id",
        "unusable",
        "user",
        "wire",
    )

    def __init__(self, node: "Node", outlet: Outlet, wire: Wire, peer: Peer, *, pings: bool = True) -> None:
        self.node = node
        self.ping_interval = node.ping_interval if pings else 0.0
        self.pong_timeout = node.pong_timeout if self.ping_interval > 0 and not wire.unidirectional else 0.0
        self.outlet = outlet
        self.wire = wire
        self.peer = peer
        self.id = str(uuid4())
        self.session_id = ""
        self.user = ""
        self.info: Raw | None = None
        self.meta: bytes | None = None
        self.headers: dict[str, str] = {}  # those that the connect command emulates
        self.channels: dict[str, Subscription | Pending] = {}
        self.authenticated = False
        self.connecting = False
        self.unusable = False
        self.closed = False
        self.client_refresh = True
        self.expire_at = 0
        self._inbox: deque[Command] | None = None
        self._paused = False
        self._pumping = False
        self._running = 0
        self._waits: set[Callable[[], object]] | None = None
        self._pinged: bool | None = None  # None before the first ping, True until its pong
        self._ping_timer: Timer | None = None
        self._pong_timer: Timer | None = None
        self._expire_timer: Timer | None = None
        self._tick_timer: Timer | None = None
        if wire.unidirectional or peer.transport in EMULATED:
            self.session_id = secrets.token_urlsafe(24)
            if not wire.unidirectional:
                node.sessions[self.session_id] = self
        self._stale_timer: Timer | None = node.timers.after(node.config.client.stale_close_delay, self._close_stale)
        node.open.add(self)

    def __repr__(self) -> str:
        return f"<Session {self.id} {self.peer.transport}>"

    # What the client sends.

    def receive(self, data: bytes) -> None:
        """Serve one message of the client."""
        if not self._listens():
            return
        if self.wire.unidirectional:
            self._receive_start(data)
            return
        try:
            for command in self.wire.commands(data):
                if command.id == 0 and command.send is None:
                    self._pong()
                else:
                    self._enqueue(command)
                if not self._listens():
                    return
        except InvalidMessage as exc:
            log.info("client %s: %s", self.id, exc)
            self.disconnect(_BAD_REQUEST)

    def _listens(self) -> bool:
        return not self.closed and not self.unusable

    def _receive_start(self, data: bytes) -> None:
        if self.authenticated or self.connecting:
            return  # a unidirectional client has nothing more to say
        try:
            request = self.wire.connect_request(data)
        except InvalidMessage as exc:
            log.info("client %s: %s", self.id, exc)
            self.outlet.close(_BAD_REQUEST.code, _BAD_REQUEST.reason)
            self.disconnected()
            return
        self._enqueue(Command(id=1, connect=request))

    def _enqueue(self, command: Command) -> None:
        if not self._inbox and not self._pumping and self._ready():
            self._serve(command)
            return
        if self._inbox is None:
            self._inbox = deque()
        self._inbox.append(command)
        waiting = len(self._inbox)
        if waiting > INBOX_LIMIT:
            self.disconnect(_FLOOD)
        elif waiting > INBOX_PAUSE and not self._paused:
            self._paused = True
            self.outlet.pause()

    def _ready(self) -> bool:
        return not self.connecting and self._running < self.node.concurrency

    def _serve(self, command: Command) -> None:
        self._pumping = True
        try:
            self.guard(command.id, self.node.dispatch, self, command)
        finally:
            self._pumping = False
        if self._inbox:
            self._pump()

    def _pump(self) -> None:
        """Serve what waits, as far as it may be served now."""
        if self._pumping:
            return
        inbox = self._inbox
        self._pumping = True
        try:
            while inbox and self._ready() and self._listens():
                command = inbox.popleft()
                self.guard(command.id, self.node.dispatch, self, command)
        finally:
            self._pumping = False
        if self._paused and len(inbox or ()) <= INBOX_PAUSE // 2 and not self.closed:
            self._paused = False
            self.outlet.resume()

    def guard(self, reply_to: int, function: Callable[..., None], *args: Any) -> None:
        """Run a part of a command; what it raises becomes an error reply or a disconnect."""
        try:
            function(*args)
        except ClientError as exc:
            self.refuse(reply_to, exc)
        except Disconnect as exc:
            self.disconnect(exc)
        except Exception:
            log.exception("client %s: a command failed", self.id)
            self.refuse(reply_to, _INTERNAL)

    def wait(self, reply_to: int, then: Callable[[Any], None], start: Start) -> None:
        """Let a command wait for an answer.

        Args:
            reply_to: The command's id.
            then: Goes on with the answer, guarded.
            start: Gets the function that takes the answer, now or later; may give back one that calls the search off.

        """
        self._running += 1

        def answered(answer: Any) -> None:
            self._running -= 1
            if not self.closed:
                self.guard(reply_to, then, answer)
                self._pump()

        try:
            self._start(start, answered)
        except BaseException:
            self._running -= 1
            raise

    def ask(self, then: Callable[[Any], None], start: Start) -> None:
        """Wait for an answer that belongs to no command; an error closes the connection."""

        def answered(answer: Any) -> None:
            if self.closed:
                return
            try:
                then(answer)
            except Disconnect as exc:
                self.disconnect(exc)
            except Exception:
                log.exception("client %s: a renewal failed", self.id)
                self.disconnect(_SERVER)

        self._start(start, answered)

    def _start(self, start: Start, answered: Callable[[Any], None]) -> None:
        cancel: Callable[[], object] | None = None
        over = False

        def done(answer: Any) -> None:
            nonlocal over
            over = True
            if cancel is not None and self._waits is not None:
                self._waits.discard(cancel)
            answered(answer)

        given = start(done)
        if given is not None and not over:
            cancel = given
            if self._waits is None:
                self._waits = set()
            self._waits.add(given)

    def _pong(self) -> None:
        if not self._pinged:
            self.disconnect(_BAD_REQUEST)
        else:
            self._pinged = False

    # What the client gets.

    def reply(self, reply: Reply) -> None:
        """Answer a command."""
        self.outlet.write(self.wire.reply(reply))

    def push(self, push: Push) -> None:
        """Tell the client something that it did not ask for."""
        self.outlet.write(self.wire.push(push))

    def refuse(self, reply_to: int, error: ClientError) -> None:
        """Answer a command with an error. A connect that ends so leaves the connection unusable."""
        if self.closed:
            return
        connecting = not self.authenticated
        if self.wire.unidirectional:
            self.disconnect(self.node.unidirectional_disconnect(error.code) or _UNIDIRECTIONAL.get(error.code, _SERVER))
            return
        self.reply(Reply(id=reply_to, error=Error(error.code, error.message, error.temporary)))
        if connecting:
            self.unusable = True
            if self.peer.transport == "websocket":
                self.node.timers.after(UNUSABLE_SECONDS, self._drop)

    # Life.

    def connected(self) -> None:
        """The connect is answered: pings begin, and expiry counts."""
        self.authenticated = True
        self.node.timers.cancel(self._stale_timer)
        self._stale_timer = None
        interval = self.ping_interval
        if interval > 0:
            # Spread over half the interval, so that clients that came together are not pinged together.
            self._ping_timer = self.node.timers.after(interval * (0.5 + random.random() / 2), self._ping)  # noqa: S311
        self.schedule_expiry()

    def _ping(self) -> None:
        self._ping_timer = self.node.timers.after(self.ping_interval, self._ping)
        self._pinged = True
        self.outlet.write(self.wire.ping)
        if self.pong_timeout > 0:
            self._pong_timer = self.node.timers.after(self.pong_timeout, self._check_pong)

    def _check_pong(self) -> None:
        self._pong_timer = None
        if self._pinged and self._paused:  # its pong may be there, unread
            self._pong_timer = self.node.timers.after(self.pong_timeout, self._check_pong)
        elif self._pinged:
            self.disconnect(_NO_PONG)

    def _close_stale(self) -> None:
        self._stale_timer = None
        self.disconnect(_STALE)

    def _drop(self) -> None:
        if not self.closed:
            self.outlet.abort()
            self.disconnected()

    def schedule_expiry(self) -> None:
        """Look at the connection again when it expires."""
        self.node.timers.cancel(self._expire_timer)
        self._expire_timer = None
        if self.expire_at:
            # Whole seconds, as the client is told: who renews when they are over must not be late by a part of one.
            left: float = self.expire_at - int(self.node.clock.time())
            if self.client_refresh:
                left += self.node.config.client.expired_close_delay
            self._expire_timer = self.node.timers.after(max(0.0, left), self._expire)

    def _expire(self) -> None:
        self._expire_timer = None
        if self.client_refresh:
            if self.expire_at <= self.node.clock.time():
                self.disconnect(_EXPIRED)
            else:
                self.schedule_expiry()
        else:
            self.node.refresh(self)

    def start_ticking(self) -> None:
        """Look at the subscriptions' expiry from time to time, as long as there is one that expires."""
        if self._tick_timer is None and not self.closed:
            self._tick_timer = self.node.timers.after(self.node.config.client.presence_update_interval, self._tick)

    def _tick(self) -> None:
        self._tick_timer = None
        limit = int(self.node.clock.time()) - int(self.node.config.client.expired_sub_close_delay)  # whole seconds, too
        again = False
        for channel, sub in list(self.channels.items()):
            if isinstance(sub, Subscription) and sub.expire_at:
                again = True
                if sub.expire_at < limit:
                    self.node.subscription_expired(self, channel, sub)
        if again:
            self.start_ticking()

    def client_info(self, chan_info: bytes | None = None) -> ClientInfo:
        """How others see this client."""
        info = ClientInfo(user=self.user, client=self.id)
        if self.info is not None:
            info.conn_info = self.info
        if chan_info is not None:
            info.chan_info = as_info(chan_info)
        return info

    def renew_info(self, info: bytes) -> None:
        """Replace what others see of this client, in every channel that it is in.

        Raises:
            ClientError: 100, it is no JSON.

        """
        self.info = as_info(info)
        for channel, sub in self.channels.items():
            if isinstance(sub, Subscription):
                sub.info = ClientInfo(self.user, self.id, self.info, sub.info.chan_info)
                self.node.hub.update_info(channel, self, sub.info)

    def subscription(self, channel: str) -> Subscription | None:
        """The subscription to a channel; None where there is none yet."""
        found = self.channels.get(channel)
        return found if isinstance(found, Subscription) else None

    def unsubscribe(self, channel: str, why: Unsubscribed | None = None) -> None:
        """End a subscription; with a reason the client is told, even where there is none."""
        found = self.channels.get(channel)
        if isinstance(found, Pending) and not self.closed:
            found.then.append(lambda: self.unsubscribe(channel, why))
            return
        self.channels.pop(channel, None)
        if isinstance(found, Subscription):
            self.node.unsubscribed(self, channel)
        if why is not None:
            self.push(Push(channel=channel, unsubscribe=Unsubscribe(why.code, why.reason)))

    def push_refresh(self) -> None:
        """Tell the client that the server changed when its connection expires."""
        left = max(0, self.expire_at - int(self.node.clock.time())) if self.expire_at else 0
        self.push(Push(refresh=Refresh(expires=self.expire_at > 0, ttl=left)))

    def disconnect(self, disconnect: Disconnect) -> None:
        """Close with a code and its reason."""
        self.close(disconnect.code, disconnect.reason)

    def close(self, code: int, reason: str) -> None:
        """Close: leave all channels, tell the client, end the connection."""
        if self.closed:
            return
        self._end()
        if self.peer.transport != "websocket":
            self.outlet.write(self.wire.push(Push(disconnect=DisconnectPush(code, reason))))
        elif not fits_close_frame(code, reason):
            self.outlet.abort()
            return
        self.outlet.close(code, reason)

    def disconnected(self) -> None:
        """The connection is gone; later calls change nothing."""
        if not self.closed:
            self._end()

    def _end(self) -> None:
        self.closed = True
        timers = self.node.timers
        for timer in (self._stale_timer, self._ping_timer, self._pong_timer, self._expire_timer, self._tick_timer):
            timers.cancel(timer)
        self._inbox = None
        waits, self._waits = self._waits, None
        for cancel in waits or ():
            cancel()
        for channel in list(self.channels):
            self.unsubscribe(channel)
        self.node.ended(self)


_SERVER: Final = Disconnect("SERVER_ERROR")


def as_info(info: bytes) -> Raw:
    """Information about a client, as it stands in messages of either encoding.

    Raises:
        ClientError: 100, it is no JSON; the log says so.

    """
    raw = json_raw(info)
    if raw is None:
        log.error("information about a client is no JSON: a backend or a token has to send JSON there")
        raise _INTERNAL
    return raw
