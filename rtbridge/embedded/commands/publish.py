"""The publish, rpc and send commands."""

from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from rtbridge.embedded._client_generated import Command, PublishResult, Reply, RPCResult
from rtbridge.embedded.answers import check
from rtbridge.embedded.rules import Space
from rtbridge.embedded.session import Session
from rtbridge.errors import ClientError, Disconnect


def publish(session: Session, command: Command) -> None:
    """Serve a publish command.

    Raises:
        Disconnect: No channel is named, or hooks say so.
        ClientError: The client may not publish.

    """
    request = command.publish
    assert request is not None
    node, channel = session.node, request.channel
    if not channel:
        raise Disconnect("BAD_REQUEST")
    if request.type:
        raise ClientError("NOT_AVAILABLE")
    space = node.rules.check(channel)
    data = b"" if request.data is UNSET else bytes(request.data)
    if not well_formed(data, space.options.publication_data_format):
        raise ClientError("BAD_REQUEST")
    if space.options.publish_proxy_enabled:
        start = node.backend.publish(session, channel, data)
        session.wait(command.id, partial(_answered, session, command.id, channel, data, space), start)
    elif space.options.subscribe_stream_proxy_enabled:
        node.streams.publish(session, command.id, channel, data)
    elif node.rules.may_publish(space, session.user, subscribed=session.subscription(channel) is not None):
        info = sender(session, channel)
        node.hub.publish(channel, data, node.keep(space), info=info, delta=space.options.delta_publish)
        session.reply(Reply(id=command.id, publish=PublishResult()))
    else:
        raise ClientError("PERMISSION_DENIED")


def sender(session: Session, channel: str) -> Any:
    """How subscribers see the client that published."""
    sub = session.subscription(channel)
    return session.client_info() if sub is None else sub.info


def well_formed(data: bytes, form: str) -> bool:
    """Whether a payload fits ``publication_data_format``; without one, anything but nothing does."""
    if not data:
        return form == "binary"
    if form not in ("json", "json_object"):
        return True
    try:
        value = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return form == "json" or isinstance(value, dict)


def _answered(session: Session, reply_to: int, channel: str, data: bytes, space: Space, answer: Any) -> None:
    result = check(answer)
    node, keep = session.node, session.node.keep(space)
    info = sender(session, channel)
    if result is None:
        node.hub.publish(channel, data, keep, info=info)
    else:
        node.hub.publish(
            channel,
            result.data or data,
            keep._replace(size=0) if result.skip_history else keep,
            info=info,
            tags=result.tags,
            delta=result.delta,
            idempotency_key=result.idempotency_key,
            version=result.version,
            version_epoch=result.version_epoch,
        )
    session.reply(Reply(id=reply_to, publish=PublishResult()))


def rpc(session: Session, command: Command) -> None:
    """Serve an rpc command.

    Raises:
        ClientError: 104, 108, or what hooks answer.
        Disconnect: Hooks say so, or their answer is no JSON and the client speaks JSON.

    """
    request = command.rpc
    assert request is not None
    node = session.node
    if not node.rules.asks_rpc or not node.rules.rpc_enabled(request.method):
        raise ClientError("NOT_AVAILABLE")
    session.wait(command.id, partial(_called, session, command.id), node.backend.rpc(session, request))


def _called(session: Session, reply_to: int, answer: Any) -> None:
    result = check(answer)
    reply = RPCResult()
    if result is not None and result.data:
        reply.data = session.wire.payload(result.data)
    session.reply(Reply(id=reply_to, rpc=reply))


def send(session: Session, command: Command) -> None:
    """Refuse a send command: Centrifugo has nobody who takes such messages, and so have we.

    Raises:
        Disconnect: 3508, always.

    """
    raise Disconnect("NOT_AVAILABLE")
