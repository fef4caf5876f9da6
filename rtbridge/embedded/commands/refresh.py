"""Prolonging connections and subscriptions: by the client with a token, or by asking the hooks."""

import logging
from functools import partial
from typing import Any

from rtbridge.embedded._client_generated import Command, RefreshResult, Reply, SubRefreshResult
from rtbridge.embedded.commands.granting import granted
from rtbridge.embedded.commands.subscribe import check_subscription_token
from rtbridge.embedded.connection import MAX_TTL, SUBSCRIPTION_EXPIRED
from rtbridge.embedded.grants import ConnectGrant, SubscribeGrant
from rtbridge.embedded.hub import Subscription
from rtbridge.embedded.session import Session
from rtbridge.embedded.tokens import TokenExpired, TokenInvalid
from rtbridge.errors import ClientError, Disconnect

log = logging.getLogger("rtbridge.embedded")

#: Seconds that a session goes on when its renewal could not be asked for, as Centrifugo has it.
GRACE = 60


def refresh(session: Session, command: Command) -> None:
    """Serve a refresh command.

    Raises:
        Disconnect: The token is refused, or this connection is not the client's to prolong.
        ClientError: The new expiry has passed.

    """
    request = command.refresh
    assert request is not None
    if not request.token or not session.client_refresh:
        raise Disconnect("BAD_REQUEST")
    start = partial(session.node.tokens.connection, request.token)
    session.wait(command.id, partial(_verified, session, command.id), start)


def _verified(session: Session, reply_to: int, found: ConnectGrant | TokenExpired | TokenInvalid | Exception) -> None:
    grant = granted(session, "connection", found, expired=Disconnect("EXPIRED"), invalid=Disconnect("INVALID_TOKEN"))
    if grant.user != session.user:
        log.info("client %s: the connection token is of another user", session.id)
        raise Disconnect("INVALID_TOKEN")
    if _channels_changed(session, {*grant.channels, *grant.subs}):
        raise Disconnect("INSUFFICIENT_STATE")
    if grant.meta is not None:
        session.meta = grant.meta
    now = int(session.node.clock.time())
    result = RefreshResult()
    if grant.expire_at:
        expire_at = min(grant.expire_at, now + MAX_TTL)
        if expire_at <= now:
            raise ClientError("EXPIRED")
        if grant.info is not None:
            session.renew_info(grant.info)
        session.expire_at = expire_at
        session.schedule_expiry()
        result.expires, result.ttl = True, expire_at - now
    session.reply(Reply(id=reply_to, refresh=result))


def _channels_changed(session: Session, wanted: set[str]) -> bool:
    """Whether the server-side subscriptions of a new token are not those that the client has."""
    granted = {name for name, sub in session.channels.items() if isinstance(sub, Subscription) and sub.from_token}
    return not wanted <= session.channels.keys() or not granted <= wanted


def refresh_by_hooks(session: Session) -> None:
    """Ask the hooks whether a connection that expires goes on."""
    session.ask(partial(_refreshed, session), session.node.backend.refresh(session))


def _refreshed(session: Session, answer: Any) -> None:
    now = int(session.node.clock.time())
    if answer is None:
        session.expire_at = now + GRACE
        session.schedule_expiry()
        return
    result = answer.result
    expire_at = min(result.expire_at, now + MAX_TTL)
    if not answer.HasField("result") or result.expired or expire_at <= now:
        raise Disconnect("EXPIRED")
    if result.info:
        session.renew_info(result.info)
    if result.meta:
        session.meta = result.meta
    session.expire_at = expire_at
    session.schedule_expiry()


def sub_refresh(session: Session, command: Command) -> None:
    """Serve a sub_refresh command.

    Raises:
        Disconnect: The token is refused, or this subscription is not the client's to prolong.
        ClientError: 103 without a subscription, 107 without a token, 110 where the new expiry has passed.

    """
    request = command.sub_refresh
    assert request is not None
    if not request.channel:
        raise Disconnect("BAD_REQUEST")
    sub = session.subscription(request.channel)
    if sub is None:
        raise ClientError("PERMISSION_DENIED")
    if not sub.client_refresh:
        raise Disconnect("BAD_REQUEST")
    if not request.token:
        raise ClientError("BAD_REQUEST")
    start = partial(session.node.tokens.subscription, request.token)
    session.wait(command.id, partial(_sub_verified, session, command.id, request.channel, sub), start)


def _sub_verified(
    session: Session,
    reply_to: int,
    channel: str,
    sub: Subscription,
    found: SubscribeGrant | TokenExpired | TokenInvalid | Exception,
) -> None:
    if isinstance(found, TokenExpired):
        expire_at, info = 0, None  # so does Centrifugo: the subscription stays, and does not expire any more
    else:
        invalid = Disconnect("INVALID_TOKEN")
        grant = granted(session, "subscription", found, expired=invalid, invalid=invalid)
        check_subscription_token(session, channel, grant)
        expire_at, info = grant.expire_at, grant.info
    now = int(session.node.clock.time())
    expire_at = min(expire_at, now + MAX_TTL)
    if 0 < expire_at < now:
        raise ClientError("EXPIRED")
    sub.expire_at = expire_at
    _update_info(session, channel, sub, info)
    if expire_at:
        session.start_ticking()
    result = SubRefreshResult(expires=expire_at > 0, ttl=expire_at - now if expire_at else 0)
    session.reply(Reply(id=reply_to, sub_refresh=result))


def _update_info(session: Session, channel: str, sub: Subscription, info: bytes | None) -> None:
    if info is not None:
        sub.info = session.client_info(info)
        session.node.hub.update_info(channel, session, sub.info)


def subscription_expired(session: Session, channel: str, sub: Subscription) -> None:
    """End a subscription whose time is over, unless the hooks prolong it."""
    if sub.client_refresh or not session.node.asks_sub_refresh(channel):
        _end(session, channel, sub)
        return
    session.ask(partial(_sub_refreshed, session, channel, sub), session.node.backend.sub_refresh(session, channel))


def _end(session: Session, channel: str, sub: Subscription) -> None:
    if sub.server_side:
        # An SDK cannot subscribe again by itself to what the server subscribed it to.
        session.disconnect(Disconnect("SUBSCRIPTION_EXPIRED"))
    else:
        session.unsubscribe(channel, SUBSCRIPTION_EXPIRED)


def _sub_refreshed(session: Session, channel: str, sub: Subscription, answer: Any) -> None:
    if session.subscription(channel) is not sub:
        return
    now = int(session.node.clock.time())
    if answer is None:
        sub.expire_at = now + GRACE
        return
    result = answer.result
    if not answer.HasField("result") or result.expired or 0 < result.expire_at < now:
        _end(session, channel, sub)
        return
    sub.expire_at = min(result.expire_at, now + MAX_TTL)
    _update_info(session, channel, sub, result.info or None)
