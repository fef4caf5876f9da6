"""The subscribe and unsubscribe commands, and entering a channel by whatever way."""

import logging
from functools import partial
from typing import Any, Final

from msgspec import Raw

from rtbridge.embedded._client_generated import (
    Command,
    Publication,
    Push,
    Reply,
    Subscribe,
    SubscribeRequest,
    SubscribeResult,
    UnsubscribeResult,
)
from rtbridge.embedded.answers import check, subscribe_options
from rtbridge.embedded.commands.granting import granted
from rtbridge.embedded.connection import MAX_TTL, Pending
from rtbridge.embedded.delta import delta_or_full
from rtbridge.embedded.grants import SubscribeGrant
from rtbridge.embedded.history import Match, Position, Pub, Recovered, recover, recover_newest
from rtbridge.embedded.hub import Subscription
from rtbridge.embedded.rules import Plan, Space
from rtbridge.embedded.session import Session
from rtbridge.embedded.tagfilter import compile_filter
from rtbridge.embedded.tokens import TokenExpired, TokenInvalid
from rtbridge.embedded.wire import Wire
from rtbridge.errors import ClientError, Disconnect

log = logging.getLogger("rtbridge.embedded")

#: Bit of ``flag``: answer with an error in place of a subscription that lacks publications.
REJECT_UNRECOVERED: Final = 2

_DELTAS: Final = ("", "fossil")


def subscribe(session: Session, command: Command) -> None:
    """Serve a subscribe command.

    Raises:
        Disconnect: The request makes no sense, or hooks or a token say so.
        ClientError: The client may not subscribe.

    """
    request = command.subscribe
    assert request is not None
    channel, client = request.channel, session.node.config.client
    if not channel:
        raise Disconnect("BAD_REQUEST")
    if request.type:
        raise ClientError("NOT_AVAILABLE")
    if request.delta not in _DELTAS:
        raise Disconnect("BAD_REQUEST")
    longest = session.node.config.channel.max_length
    if longest and len(channel.encode()) > longest:
        raise ClientError("BAD_REQUEST")
    if channel in session.channels:
        raise ClientError("ALREADY_SUBSCRIBED")
    if client.channel_limit and len(session.channels) >= client.channel_limit:
        raise ClientError("LIMIT_EXCEEDED")
    session.channels[channel] = Pending()
    guarded(session, channel, _decide, session, command.id, request)


def guarded(session: Session, channel: str, function: Any, *args: Any) -> None:
    """Run a part of a subscription; where it fails, the channel is free again."""
    try:
        function(*args)
    except Exception:
        pending = session.channels.pop(channel, None)
        if isinstance(pending, Pending):
            session.node.soon(pending.then)
        raise


def _decide(session: Session, reply_to: int, request: SubscribeRequest) -> None:
    channel, rules = request.channel, session.node.rules
    space = rules.check(channel)
    options = space.options
    limited = rules.user_limited(space, channel)
    if request.token:
        then = partial(guarded, session, channel, _verified, session, reply_to, request, space)
        session.wait(reply_to, then, partial(session.node.tokens.subscription, request.token))
    elif rules.private(channel):
        raise ClientError("PERMISSION_DENIED")
    elif limited and rules.user_allowed(channel, session.user):
        _wish(session, reply_to, request, rules.plan(space))
    elif options.subscribe_proxy_enabled and not limited:
        then = partial(guarded, session, channel, _answered, session, reply_to, request, space)
        session.wait(reply_to, then, session.node.backend.subscribe(session, request))
    elif options.subscribe_stream_proxy_enabled and not limited:
        session.node.streams.subscribe(session, reply_to, request, space)
    elif rules.may_subscribe(space, channel, session.user):
        _wish(session, reply_to, request, rules.plan(space))
    else:
        raise ClientError("PERMISSION_DENIED")


def _verified(
    session: Session,
    reply_to: int,
    request: SubscribeRequest,
    space: Space,
    found: SubscribeGrant | TokenExpired | TokenInvalid | Exception,
) -> None:
    grant = granted(
        session, "subscription", found, expired=ClientError("TOKEN_EXPIRED"), invalid=ClientError("PERMISSION_DENIED")
    )
    check_subscription_token(session, request.channel, grant)
    _wish(session, reply_to, request, session.node.rules.plan(space, grant))


def check_subscription_token(session: Session, channel: str, grant: SubscribeGrant) -> None:
    """Whether a token was made for this client and channel.

    Raises:
        Disconnect: 3500, it was not.

    """
    if grant.channel != channel or grant.user != session.user or grant.client not in ("", session.id):
        log.info("client %s: the subscription token is for another channel, user or client", session.id)
        raise Disconnect("INVALID_TOKEN")


def _answered(session: Session, reply_to: int, request: SubscribeRequest, space: Space, answer: Any) -> None:
    result = check(answer)
    plan = session.node.rules.plan(space, None if result is None else subscribe_options(result))
    plan.client_refresh = not space.options.sub_refresh_proxy_enabled
    finish(session, reply_to, request, plan)


def _wish(session: Session, reply_to: int, request: SubscribeRequest, plan: Plan) -> None:
    """Add what the client asks for and may have, where no hook decided."""
    rules, options = session.node.rules, plan.space.options
    reads = rules.may_read_history(plan.space, session.user, subscribed=True)
    if request.positioned and (options.allow_positioning or reads):
        plan.positioning = True
    if request.recoverable and (options.allow_recovery or reads):
        plan.recovery = True
        plan.auto_cache = plan.space.cache and options.auto_cache_recover
    sees = rules.may_read_presence(plan.space, session.user, subscribed=True)
    if request.join_leave and options.join_leave and sees:
        plan.push_join_leave = True
    plan.client_refresh = not options.sub_refresh_proxy_enabled
    finish(session, reply_to, request, plan)


def finish(session: Session, reply_to: int, request: SubscribeRequest, plan: Plan) -> None:
    """Enter the channel and answer the command."""
    pending = session.channels.get(request.channel)
    result, sub = enter(session, request.channel, plan, request, server_side=False)
    session.reply(Reply(id=reply_to, subscribe=result))
    entered(session, request.channel, sub)
    if isinstance(pending, Pending):
        session.node.soon(pending.then)


def enter(
    session: Session, channel: str, plan: Plan, request: SubscribeRequest, *, server_side: bool
) -> tuple[SubscribeResult, Subscription]:
    """Subscribe a client to a channel; :func:`entered` follows when the client has been told.

    Raises:
        ClientError: 110, 107, 112.
        Disconnect: 3506, what has to be sent is no JSON and the client speaks JSON.

    """
    node, wire, result = session.node, session.wire, SubscribeResult()
    sub = Subscription(session.client_info(plan.info))
    if plan.expire_at > 0:
        now = int(node.clock.time())
        sub.expire_at = min(plan.expire_at, now + MAX_TTL)
        if sub.expire_at <= now:
            raise ClientError("EXPIRED")
        if plan.client_refresh:
            result.expires, result.ttl = True, sub.expire_at - now
    if plan.data is not None:
        result.data = wire.payload(plan.data)
    if request.tf is not None:
        if not plan.space.options.allow_tags_filter:
            raise ClientError("BAD_REQUEST")
        try:
            sub.match = compile_filter(request.tf)
        except ValueError as exc:
            raise ClientError("BAD_REQUEST") from exc
    if request.delta and request.delta in plan.space.options.allowed_delta_types:
        sub.delta = result.delta = True
    if plan.positioning or plan.recovery:
        _position(session, channel, plan, request, sub, result)
    result.was_recovering = request.recover or (plan.recovery and plan.auto_cache)
    sub.join_leave, sub.presence, sub.push_join_leave = plan.join_leave, plan.presence, plan.push_join_leave
    sub.server_side, sub.client_refresh, sub.from_token = server_side, plan.client_refresh, plan.from_token
    session.channels[channel] = sub
    node.hub.subscribe(channel, session, sub)
    if sub.expire_at:
        session.start_ticking()
    return result, sub


def entered(session: Session, channel: str, sub: Subscription) -> None:
    """Tell the others, now that the client knows of its subscription."""
    if sub.join_leave and not session.closed:
        session.node.hub.join(channel, sub.info)


def _position(
    session: Session, channel: str, plan: Plan, request: SubscribeRequest, sub: Subscription, result: SubscribeResult
) -> None:
    node = session.node
    stream = node.hub.stream(channel, node.keep(plan.space).meta_ttl)
    result.positioned, result.recoverable = True, plan.recovery
    sub.positioned = True
    result.epoch, result.offset = stream.epoch, stream.top
    if not plan.recovery or not (request.recover or plan.auto_cache):
        return
    limit = node.config.client.recovery_max_publication_limit or -1
    way = recover_newest if plan.space.cache else recover
    found: Recovered = way(stream, Position(request.offset, request.epoch), limit, _match(sub))
    if not found.complete:
        if request.flag & REJECT_UNRECOVERED and not plan.space.cache:
            raise ClientError("UNRECOVERABLE_POSITION")
        return
    result.recovered = True
    result.publications = _patched(found.pubs, session.wire) if sub.delta else whole(found.pubs, session.wire)
    result.offset = request.offset
    sub.delta_ready = sub.delta


def _match(sub: Subscription) -> Match | None:
    return sub.match


def whole(pubs: list[Pub], wire: Wire) -> list[Publication]:
    """Publications as they stand in a reply.

    Raises:
        Disconnect: 3506, one of them cannot stand in JSON.

    """
    found: list[Publication] = []
    for pub in pubs:
        raw = pub.json if wire.json else Raw(pub.data)
        if raw is None:
            raise Disconnect("INAPPROPRIATE_PROTOCOL")
        found.append(pub.message(raw))
    return found


def _patched(pubs: list[Pub], wire: Wire) -> list[Publication]:
    """The same for a delta subscriber: the first whole, each later one as a patch where that is shorter."""
    found: list[Publication] = []
    for index, pub in enumerate(pubs):
        patch, shorter = delta_or_full(pubs[index - 1].data, pub.data) if index else (b"", False)
        given = patch if shorter else None
        if wire.json:
            message = pub.text(given)
            if message is None:
                raise Disconnect("INAPPROPRIATE_PROTOCOL")
        else:
            message = pub.message(Raw(pub.data if given is None else given), delta=shorter)
        found.append(message)
    return found


def push_subscribe(session: Session, channel: str, result: SubscribeResult) -> None:
    """Tell a client that the server subscribed it."""
    told = Subscribe(
        recoverable=result.recoverable,
        epoch=result.epoch,
        offset=result.offset,
        positioned=result.positioned,
        data=result.data,
    )
    session.push(Push(channel=channel, subscribe=told))


def unsubscribe(session: Session, command: Command) -> None:
    """Serve an unsubscribe command; it succeeds where there is nothing to leave, too.

    Raises:
        Disconnect: No channel is named.

    """
    request = command.unsubscribe
    assert request is not None
    if not request.channel:
        raise Disconnect("BAD_REQUEST")
    pending = session.channels.get(request.channel)
    if isinstance(pending, Pending):
        pending.then.append(partial(unsubscribe, session, command))
        return
    session.unsubscribe(request.channel)
    session.reply(Reply(id=command.id, unsubscribe=UnsubscribeResult()))
