"""What hooks answered, read as Centrifugo reads it: from the messages of the proxy service."""

from typing import Any, Final

from rtbridge.codec.descriptors import message_class
from rtbridge.embedded.grants import ConnectGrant, Override, SubscribeOptions
from rtbridge.errors import ClientError, Disconnect

_PACKAGE: Final = "centrifugal.centrifugo.proxy"
_OVERRIDES: Final = ("presence", "join_leave", "force_recovery", "force_positioning", "force_push_join_leave")

#: The message that answers an event, by its kind.
RESPONSES: Final = {
    kind: message_class(f"{_PACKAGE}.{name}Response")
    for kind, name in (
        ("connect", "Connect"),
        ("refresh", "Refresh"),
        ("subscribe", "Subscribe"),
        ("publish", "Publish"),
        ("rpc", "RPC"),
        ("sub_refresh", "SubRefresh"),
        ("subscribe_unidirectional", "StreamSubscribe"),
        ("subscribe_bidirectional", "StreamSubscribe"),
    )
}


def check(answer: Any) -> Any:
    """The result in an answer; None where the hooks answered without one.

    Args:
        answer: A ``…Response`` message; None for a call that failed.

    Raises:
        Disconnect: The answer says so.
        ClientError: The answer says so, or the call failed: 100, temporary.

    """
    if answer is None:
        raise ClientError("INTERNAL")
    if answer.HasField("disconnect"):
        raise Disconnect(answer.disconnect.code, answer.disconnect.reason)
    if answer.HasField("error"):
        error = answer.error
        raise ClientError(error.code, error.message, temporary=error.temporary)
    return answer.result if answer.HasField("result") else None


def connect_grant(result: Any) -> ConnectGrant:
    """What a ``ConnectResult`` grants."""
    return ConnectGrant(
        user=result.user,
        expire_at=result.expire_at,
        info=result.info or None,
        data=result.data or None,
        meta=result.meta or None,
        channels=tuple(result.channels),
        subs={channel: _options(options) for channel, options in result.subs.items()},
    )


def subscribe_options(result: Any) -> SubscribeOptions:
    """What a ``SubscribeResult`` grants."""
    return SubscribeOptions(
        info=result.info or None,
        data=result.data or None,
        expire_at=result.expire_at,
        override=_override(result),
    )


def _options(options: Any) -> SubscribeOptions:
    # Centrifugo does not read the expiry here.
    return SubscribeOptions(
        info=options.info or None,
        data=options.data or None,
        override=_override(options),
        cache_recover=options.cache_recover,
    )


def _override(message: Any) -> Override | None:
    if not message.HasField("override"):
        return None
    given = message.override
    return Override(**{name: getattr(given, name).value for name in _OVERRIDES if given.HasField(name)})
