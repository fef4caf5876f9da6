"""Keys that tokens are checked with: each knows the algorithms of its own family and no other.

Which key a token is checked with follows from the configuration, and which algorithms are possible follows from the
key, so that neither ``none`` nor a public key taken for a secret can come about. Sources: RFC 7517 (JSON Web Key),
RFC 7518 (algorithms); centrifugal.dev, "Client JWT authentication".
"""

import logging
from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import msgspec

from rtbridge.clock import Clock
from rtbridge.config.embedded import Token
from rtbridge.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
    from jwt.algorithms import Algorithm

log = logging.getLogger("rtbridge.embedded")

#: Whether a signature belongs to what was signed: signed bytes, signature.
Check: TypeAlias = Callable[[bytes, bytes], bool]
#: Algorithm → check. What is not in here is refused.
Key: TypeAlias = Mapping[str, Check]

HMAC: Final = ("HS256", "HS384", "HS512")
RSA: Final = ("RS256", "RS384", "RS512")
#: Each algorithm has one curve, by the curve's name in a JWK (RFC 7518, sections 3.4 and 6.2.1.1).
CURVES: Final = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_CRYPTOGRAPHY_CURVES: Final = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}

#: RFC 7518, section 3.2: a secret has at least the size of the hash.
_SECRET_SIZE: Final = 32


class Source(Protocol):
    """Where the key of a token comes from."""

    def find(self, kid: str, names: Mapping[str, str], then: Callable[[Key | Exception | None], None]) -> None:
        """Pass on the key of this id.

        Args:
            kid: What the token's header says; may be empty.
            names: What the patterns of issuer and audience found, by the name of the group.
            then: Called once, at once or later: with the key, with None where there is no such key, with an exception
                where nobody knows.

        """
        ...


def require_cryptography(key: str) -> None:
    """Make sure of the package that public keys need.

    Raises:
        ConfigError: It is not installed; the text says what to install.

    """
    try:
        import_module("cryptography")
    except ImportError as exc:
        raise ConfigError(f"{key} needs the cryptography package: pip install 'rtbridge[tokens]'") from exc


@cache
def _algorithms() -> "Mapping[str, Algorithm]":
    # Imported when a key is: together with cryptography it takes longer than all of rtbridge.
    from jwt.algorithms import get_default_algorithms

    return get_default_algorithms()


def _key(names: tuple[str, ...], key: Any) -> Key:
    return {name: partial(_check, _algorithms()[name], key) for name in names}


def _check(algorithm: "Algorithm", key: Any, signed: bytes, signature: bytes) -> bool:
    return algorithm.verify(signed, key, signature)


def secret_key(secret: str, where: str) -> Key:
    """The key of an HMAC secret.

    Raises:
        ConfigError: It is a public key, a certificate or a JWK, which everybody may know.

    """
    from jwt import InvalidKeyError

    try:
        prepared = _algorithms()["HS256"].prepare_key(secret)
    except InvalidKeyError as exc:
        raise ConfigError(f"{where} is no secret: {exc}") from exc
    if len(prepared) < _SECRET_SIZE:
        log.warning("%s has %d bytes; use %d random ones, short ones are guessed", where, len(prepared), _SECRET_SIZE)
    return _key(HMAC, prepared)


def public_key(pem: str, where: str) -> Key:
    """The key in a PEM text: a public key of RSA or ECDSA, or a certificate with one.

    Raises:
        ConfigError: It cannot be read, or is of another kind; or the cryptography package is missing.

    """
    require_cryptography(where)
    from cryptography.hazmat.primitives.asymmetric import ec, rsa

    found = _load_pem(pem, where)
    if isinstance(found, rsa.RSAPublicKey):
        return _key(RSA, found)
    if isinstance(found, ec.EllipticCurvePublicKey):
        curve = _CRYPTOGRAPHY_CURVES.get(found.curve.name)
        if curve is not None:
            return _key((CURVES[curve],), found)
    raise ConfigError(f"{where} is neither an RSA key nor one of the curves {', '.join(CURVES)}")


def _load_pem(pem: str, where: str) -> "PublicKeyTypes":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key
    from cryptography.x509 import load_pem_x509_certificate

    text = pem.strip().encode()
    if b"PRIVATE KEY" in text:
        raise ConfigError(f"{where} is a private key; the server wants the public one")
    try:
        if b"BEGIN CERTIFICATE" in text:
            return load_pem_x509_certificate(text).public_key()
        return load_pem_public_key(text)
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ConfigError(f"{where} is no public key in PEM") from exc


class Jwk(msgspec.Struct):
    """What a JSON Web Key says about a public key; private members and symmetric keys have no place here."""

    kty: str = ""
    kid: str = ""
    use: str | None = None
    alg: str | None = None
    crv: str = ""
    x: str = ""
    y: str = ""
    n: str = ""
    e: str = ""

    def key(self) -> Key:
        """The key with its algorithms; without any where it is of no use here."""
        from jwt import InvalidKeyError

        names = self._names()
        if not names:
            return {}
        members = {name: getattr(self, name) for name in ("kty", "crv", "x", "y", "n", "e") if getattr(self, name)}
        try:
            return _key(names, _algorithms()[names[0]].from_jwk(members))
        except (InvalidKeyError, ValueError):
            return {}

    def _names(self) -> tuple[str, ...]:
        if self.use not in (None, "sig"):
            return ()
        names: tuple[str, ...] = ()
        if self.kty == "RSA":
            names = RSA
        elif self.kty == "EC" and self.crv in CURVES:
            names = (CURVES[self.crv],)
        elif self.kty == "OKP" and self.crv == "Ed25519":
            return ("EdDSA",)  # its "alg" may carry either of two names (RFC 9864)
        return names if not self.alg else tuple(name for name in names if name == self.alg)


class ConfiguredKeys:
    """The keys of a ``token`` section; the token's ``kid`` means nothing here.

    Args:
        section: The section.
        path: How it is called in the configuration.
        clock: Says when the previous secret ends.

    Raises:
        ConfigError: A key cannot be used.

    """

    def __init__(self, section: Token, path: str, clock: Clock) -> None:
        key: dict[str, Check] = {}
        if section.rsa_public_key:
            key |= _of(RSA, section.rsa_public_key, f"{path}.rsa_public_key")
        if section.ecdsa_public_key:
            key |= _of(tuple(CURVES.values()), section.ecdsa_public_key, f"{path}.ecdsa_public_key")
        if section.hmac_secret_key:
            key |= secret_key(section.hmac_secret_key, f"{path}.hmac_secret_key")
        if section.hmac_previous_secret_key:
            previous = secret_key(section.hmac_previous_secret_key, f"{path}.hmac_previous_secret_key")
            until = section.hmac_previous_secret_key_valid_until
            key |= {name: _either(key.get(name), check, until, clock) for name, check in previous.items()}
        self._key: Key = key

    def find(self, kid: str, names: Mapping[str, str], then: Callable[[Key | Exception | None], None]) -> None:
        """Pass on the one key that there is."""
        then(self._key)


def _of(family: tuple[str, ...], pem: str, where: str) -> Key:
    key = public_key(pem, where)
    if not set(key) <= set(family):
        raise ConfigError(f"{where} is a key for {', '.join(key)}")
    return key


def _either(current: Check | None, previous: Check, until: int, clock: Clock) -> Check:
    def check(signed: bytes, signature: bytes) -> bool:
        if current is not None and current(signed, signature):
            return True
        # The second that the time names still counts; 0 is no end.
        return (until <= 0 or int(clock.time()) <= until) and previous(signed, signature)

    return check
