"""JSON web tokens as an application would mint them, without the library under test."""

import base64
import hashlib
import hmac
import json
from typing import Any, Final

_DIGESTS: Final = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}


def sign(claims: Any, key: str = "secret", alg: str = "HS256") -> str:
    """A token with these claims.

    Args:
        claims: Usually a mapping; written without spaces.
        key: Of the HMAC.
        alg: ``none`` leaves the signature empty. Where it names a key pair, the signature is one that cannot be right.

    """
    parts = (json.dumps(part, separators=(",", ":")) for part in ({"alg": alg, "typ": "JWT"}, claims))
    signed = ".".join(_base64url(part.encode()) for part in parts)
    if alg == "none":
        return f"{signed}."
    return f"{signed}.{_base64url(hmac.digest(key.encode(), signed.encode(), _DIGESTS.get(alg, hashlib.sha256)))}"


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
