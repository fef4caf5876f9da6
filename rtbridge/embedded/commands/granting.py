"""What a client's token gives, or how the client is told that it gives nothing."""

import logging
from typing import TypeVar

from rtbridge.embedded.session import Session
from rtbridge.embedded.tokens import TokenExpired, TokenInvalid
from rtbridge.errors import ClientError, Disconnect

T = TypeVar("T")

log = logging.getLogger("rtbridge.embedded")


def granted(
    session: Session,
    what: str,
    found: T | TokenExpired | TokenInvalid | Exception,
    *,
    expired: ClientError | Disconnect,
    invalid: ClientError | Disconnect,
) -> T:
    """What a token gives.

    Args:
        session: Of the client that sent it.
        what: ``connection`` or ``subscription``.
        found: By whoever verified it; any other exception is a key that cannot be had.
        expired: Raised for a token that is too old.
        invalid: Raised for one that is none.

    Raises:
        ClientError: 100, it cannot be verified; or as given.
        Disconnect: As given.

    """
    if isinstance(found, TokenExpired):
        raise expired
    if isinstance(found, TokenInvalid):
        log.info("client %s: %s token refused: %s", session.id, what, found)
        raise invalid
    if isinstance(found, Exception):
        log.error("client %s: the %s token cannot be verified: %s", session.id, what, found)
        raise ClientError("INTERNAL")
    return found
