"""The connect command: a token, the hooks, or neither lets a client in."""

import logging
from functools import partial
from typing import Any, Final

from rtbridge.embedded._client_generated import (
    Command,
    Connect,
    ConnectRequest,
    ConnectResult,
    Push,
    Reply,
    SubscribeRequest,
    SubscribeResult,
)
from rtbridge.embedded.answers import check, connect_grant
from rtbridge.embedded.commands.granting import granted
from rtbridge.embedded.commands.subscribe import enter, entered
from rtbridge.embedded.connection import EMULATED, MAX_TTL
from rtbridge.embedded.grants import ConnectGrant
from rtbridge.embedded.hub import Subscription
from rtbridge.embedded.rules import Plan
from rtbridge.embedded.session import Session, as_info
from rtbridge.embedded.tokens import TokenExpired, TokenInvalid
from rtbridge.errors import ClientError, Disconnect

log = logging.getLogger("rtbridge.embedded")

_NO_REQUEST: Final = SubscribeRequest()


def connect(session: Session, command: Command) -> None:
    """Serve a connect command.

    Raises:
        Disconnect: The client may not connect, or is connected.
        ClientError: As the client is to be told.

    """
    request = command.connect
    if session.authenticated or session.connecting or request is None:
        raise Disconnect("BAD_REQUEST")
    node = session.node
    session.connecting = True
    if node.backend.emulates_headers:
        session.headers = request.headers
    if request.token:
        start: Any = partial(node.tokens.connection, request.token)
        session.wait(command.id, partial(_verified, session, command.id, request), start)
    elif node.config.client.proxy.connect.enabled:
        start = node.backend.connect(session, request)
        session.wait(command.id, partial(_answered, session, command.id, request), start)
    else:
        _admit(session, command.id, request, None, from_token=False)


def _verified(
    session: Session,
    reply_to: int,
    request: ConnectRequest,
    found: ConnectGrant | TokenExpired | TokenInvalid | Exception,
) -> None:
    grant = granted(
        session, "connection", found, expired=ClientError("TOKEN_EXPIRED"), invalid=Disconnect("INVALID_TOKEN")
    )
    if not grant.user and session.node.config.client.disallow_anonymous_connection_tokens:
        raise Disconnect("PERMISSION_DENIED")
    _admit(session, reply_to, request, grant, from_token=True)


def _answered(session: Session, reply_to: int, request: ConnectRequest, answer: Any) -> None:
    result = check(answer)
    _admit(session, reply_to, request, None if result is None else connect_grant(result), from_token=False)


def _admit(
    session: Session, reply_to: int, request: ConnectRequest, grant: ConnectGrant | None, *, from_token: bool
) -> None:
    client = session.node.config.client
    open_to_all = grant is None and (client.allow_anonymous_connect_without_token or client.insecure)
    if grant is None and client.user_id_http_header:
        user = session.peer.headers.get(client.user_id_http_header, "")
        grant = ConnectGrant(user=user) if user and not open_to_all else None
    if open_to_all:
        grant = ConnectGrant(user="")
    if grant is None:
        raise Disconnect("BAD_REQUEST")
    plans = _plans(session, request, grant, from_token=from_token, wishes=from_token or open_to_all)
    if client.channel_limit and len(plans) > client.channel_limit:
        raise Disconnect("CHANNEL_LIMIT")
    most = client.user_connection_limit
    if most and grant.user and len(session.node.of_user(grant.user)) >= most:
        raise Disconnect("CONNECTION_LIMIT")
    _welcome(session, reply_to, request, grant, plans, 0 if client.insecure and from_token else grant.expire_at)


def _plans(
    session: Session, request: ConnectRequest, grant: ConnectGrant, *, from_token: bool, wishes: bool
) -> dict[str, Plan]:
    """The server-side subscriptions that the client starts with."""
    node, rules = session.node, session.node.rules
    plans: dict[str, Plan] = {}
    for channel in grant.channels:
        if channel:
            plans[channel] = rules.plan(rules.known(channel))
    for channel, options in grant.subs.items():
        if channel:
            plans[channel] = rules.plan(rules.known(channel), options)
    for plan in plans.values():
        plan.from_token = from_token
    personal = node.config.client.subscribe_to_user_personal_channel
    if personal.enabled and grant.user:
        channel = rules.personal_channel(grant.user)
        if personal.single_connection:
            for other in node.of_user(grant.user):
                other.disconnect(Disconnect("CONNECTION_LIMIT"))
        plans[channel] = rules.plan(rules.known(channel))
    if wishes:
        for channel in request.subs:
            if channel not in plans and _may_wish(session, channel, grant.user):
                plans[channel] = rules.plan(rules.known(channel))
    for plan in plans.values():
        plan.client_refresh = False
    return plans


def _may_wish(session: Session, channel: str, user: str) -> bool:
    """Whether a client that names a channel in connect gets it: where it could subscribe by itself, without hooks."""
    rules = session.node.rules
    space = rules.space(channel)
    if space is None:
        raise Disconnect("BAD_REQUEST")
    if rules.private(channel) or space.options.subscribe_proxy_enabled or not rules.well_named(space, channel):
        return False
    if rules.user_limited(space, channel) and user and rules.user_allowed(channel, user):
        return True
    return rules.may_subscribe(space, channel, user)


def _welcome(
    session: Session,
    reply_to: int,
    request: ConnectRequest,
    grant: ConnectGrant,
    plans: dict[str, Plan],
    expire_at: int,
) -> None:
    node = session.node
    now = int(node.clock.time())
    expire_at = min(expire_at, now + MAX_TTL)
    if 0 < expire_at < now:
        raise ClientError("EXPIRED")
    info = None if grant.info is None else as_info(grant.info)
    data = None if grant.data is None else session.wire.payload(grant.data)
    session.user, session.info, session.meta = grant.user, info, grant.meta
    session.expire_at = expire_at
    session.client_refresh = not node.config.client.proxy.refresh.enabled
    joined: list[tuple[str, Subscription]] = []
    results: dict[str, SubscribeResult] = {}
    try:
        for channel, plan in plans.items():
            wish = request.subs.get(channel, _NO_REQUEST)
            wish = SubscribeRequest(recover=wish.recover, offset=wish.offset, epoch=wish.epoch, delta=wish.delta)
            results[channel], sub = enter(session, channel, plan, wish, server_side=True)
            joined.append((channel, sub))
    except (ClientError, Disconnect):
        for channel, _ in joined:
            session.unsubscribe(channel)
        raise
    session.connecting = False
    node.admitted(session)
    result = ConnectResult(client=session.id, version=node.version, subs=results)
    if data is not None:
        result.data = data
    if expire_at and session.client_refresh:
        result.expires, result.ttl = True, expire_at - now
    result.ping = int(session.ping_interval)
    result.pong = session.pong_timeout > 0
    result.session = session.session_id
    if session.peer.transport in EMULATED:
        result.node = node.uid
    if node.config.client.connect_include_server_time:
        result.time = int(node.clock.time() * 1000)
    if session.wire.unidirectional:
        session.push(Push(connect=_as_push(result)))
    else:
        session.reply(Reply(id=reply_to, connect=result))
    session.connected()
    for channel, sub in joined:
        entered(session, channel, sub)


def _as_push(result: ConnectResult) -> Connect:
    return Connect(
        client=result.client,
        version=result.version,
        data=result.data,
        subs=result.subs,
        expires=result.expires,
        ttl=result.ttl,
        ping=result.ping,
        pong=result.pong,
        session=result.session,
        node=result.node,
        time=result.time,
    )
