"""The presence, presence_stats and history commands."""

from rtbridge.embedded._client_generated import (
    Command,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
    Reply,
)
from rtbridge.embedded.commands.subscribe import whole
from rtbridge.embedded.history import Position
from rtbridge.embedded.session import Session
from rtbridge.errors import ClientError, Disconnect


def presence(session: Session, command: Command) -> None:
    """Serve a presence command.

    Raises:
        Disconnect: No channel is named.
        ClientError: There is no presence, or the client may not see it.

    """
    request = command.presence
    assert request is not None
    _check_presence(session, request.channel)
    found = session.node.hub.presence(request.channel)
    session.reply(Reply(id=command.id, presence=PresenceResult(presence=found)))


def presence_stats(session: Session, command: Command) -> None:
    """Serve a presence_stats command; raises as :func:`presence`."""
    request = command.presence_stats
    assert request is not None
    _check_presence(session, request.channel)
    clients, users = session.node.hub.presence_stats(request.channel)
    session.reply(Reply(id=command.id, presence_stats=PresenceStatsResult(clients, users)))


def _check_presence(session: Session, channel: str) -> None:
    if not channel:
        raise Disconnect("BAD_REQUEST")
    rules = session.node.rules
    space = rules.check(channel)
    if not space.options.presence:
        raise ClientError("NOT_AVAILABLE")
    subscribed = session.subscription(channel) is not None
    if not rules.may_read_presence(space, session.user, subscribed=subscribed):
        raise ClientError("PERMISSION_DENIED")


def history(session: Session, command: Command) -> None:
    """Serve a history command.

    Raises:
        Disconnect: No channel is named.
        ClientError: There is no history, the client may not read it, or the position is of another stream.

    """
    request = command.history
    assert request is not None
    node, channel = session.node, request.channel
    if not channel:
        raise Disconnect("BAD_REQUEST")
    space = node.rules.check(channel)
    if not space.history:
        raise ClientError("NOT_AVAILABLE")
    subscribed = session.subscription(channel) is not None
    if not node.rules.may_read_history(space, session.user, subscribed=subscribed):
        raise ClientError("PERMISSION_DENIED")
    most, limit = node.config.client.history_max_publication_limit, request.limit
    if most and (limit < 0 or limit > most):
        limit = most
    stream = node.hub.stream(channel, node.keep(space).meta_ttl)
    since = None if request.since is None else Position(request.since.offset, request.since.epoch)
    pubs = whole(stream.read(since, limit, reverse=request.reverse), session.wire)
    session.reply(Reply(id=command.id, history=HistoryResult(pubs, stream.epoch, stream.top)))
