"""Tokens of clients: JWT in, what it grants out.

The signature is checked with PyJWT's algorithms; the claims are read here, because Centrifugo reads some of them its
own way: a token that is not valid yet counts as expired, and ``expire_at`` is when the connection ends, beside the
``exp`` of the token itself. Sources: RFC 7519; centrifugal.dev, "Client JWT authentication" and "Channel JWT
authorization".
"""

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Final, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Raw

from rtbridge.clock import Clock
from rtbridge.config.embedded import Client, Token
from rtbridge.config.regex import compile_regex
from rtbridge.embedded.grants import ConnectGrant, Override, SubscribeGrant, SubscribeOptions
from rtbridge.embedded.jwks import KeySets, Spawn
from rtbridge.embedded.keys import ConfiguredKeys, Key, Source, require_cryptography
from rtbridge.errors import ConfigError

if TYPE_CHECKING:
    from jwt import PyJWS

T = TypeVar("T")
C = TypeVar("C", bound="_Claims")

#: How errors call the section.
_SECTION: Final = "rtbridge.embedded.client"

_FAULTS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class TokenExpired(Exception):
    """The token was good, or will be; the client has to come with another one (error 109)."""


class TokenInvalid(Exception):
    """The token is worth nothing. The text says why, for the log, and never repeats the token."""


class _Flag(msgspec.Struct):
    value: bool | None = None


class _Override(msgspec.Struct):
    presence: _Flag | None = None
    join_leave: _Flag | None = None
    force_recovery: _Flag | None = None
    force_positioning: _Flag | None = None
    force_push_join_leave: _Flag | None = None


class _Options(msgspec.Struct):
    info: Raw = Raw()
    b64info: str | None = None
    data: Raw = Raw()
    b64data: str | None = None
    override: _Override | None = None


# Wide enough for any date, and narrow enough to become an integer.
_Date = Annotated[float, Meta(ge=-(2**63), le=2**63)]
_Seconds = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]


class _Claims(_Options):
    sub: str | None = None
    iss: str | None = None
    aud: str | list[str] = []
    exp: _Date | None = None
    nbf: _Date | None = None
    iat: _Date | None = None
    jti: str | None = None
    expire_at: _Seconds | None = None
    channel: str | None = None

    @property
    def audiences(self) -> list[str]:
        return [self.aud] if isinstance(self.aud, str) else self.aud

    @property
    def ends(self) -> int:
        """Seconds since the epoch when what the token opened ends; 0 for never."""
        return int(self.exp or 0) if self.expire_at is None else max(self.expire_at, 0)


class _ConnectClaims(_Claims):
    channels: list[str] | None = None
    subs: dict[str, _Options | None] | None = None
    meta: Raw = Raw()


class _SubscribeClaims(_Claims):
    client: str | None = None


class Tokens:
    """Reads connection and subscription tokens with the keys of the configuration.

    Args:
        client: The section with ``token`` and ``subscription_token``.
        clock: Says what has expired.
        spawn: Runs a fetch of public keys beside everything else.

    Raises:
        ConfigError: A key, a pattern or an address cannot be used, or the cryptography package is missing.

    """

    def __init__(self, client: Client, clock: Clock, spawn: Spawn) -> None:
        self._connection = _Verifier(client.token, f"{_SECTION}.token", clock, spawn)
        self._subscription = self._connection
        if client.subscription_token.enabled:
            self._subscription = _Verifier(client.subscription_token, f"{_SECTION}.subscription_token", clock, spawn)

    def connection(self, token: str, then: Callable[[ConnectGrant | Exception], None]) -> None:
        """What a connection token grants.

        Args:
            token: The compact form.
            then: Called once; at once unless a public key has to be fetched. Gets the grant, :class:`TokenExpired`,
                :class:`TokenInvalid`, or another exception where the keys cannot be had.

        """
        self._connection.open(token, _ConnectClaims, _connect_grant, then)

    def subscription(self, token: str, then: Callable[[SubscribeGrant | Exception], None]) -> None:
        """What a subscription token grants, and to whom; whether that is the one who shows it, the caller checks.

        Args:
            token: The compact form.
            then: As for :meth:`connection`.

        """
        self._subscription.open(token, _SubscribeClaims, _subscribe_grant, then)


class _Parsed(NamedTuple):
    algorithm: str
    kid: str
    signed: bytes
    payload: bytes
    signature: bytes


class _Verifier:
    def __init__(self, section: Token, path: str, clock: Clock, spawn: Spawn) -> None:
        self._section, self._clock = section, clock
        self._issuer = _pattern(section.issuer_regex, f"{path}.issuer_regex")
        self._audience = _pattern(section.audience_regex, f"{path}.audience_regex")
        self._keys: Source
        self._names_first = False
        if section.jwks_public_endpoint:
            where = f"{path}.jwks_public_endpoint"
            require_cryptography(where)
            patterns = {"issuer_regex": section.issuer_regex, "audience_regex": section.audience_regex}
            sets = KeySets(section.jwks_public_endpoint, patterns, where, clock, spawn)
            self._keys, self._names_first = sets, sets.templated
        else:
            self._keys = ConfiguredKeys(section, path, clock)

    def open(
        self, token: str, shape: type[C], grant: Callable[[C, str], T], then: Callable[[T | Exception], None]
    ) -> None:
        try:
            parsed = _parse(token)
            # Nothing of the claims is looked at before the signature, unless they decide where its key is.
            names = self._names(_read(parsed.payload, _Claims)) if self._names_first else {}
        except TokenInvalid as exc:
            then(exc)
            return
        self._keys.find(parsed.kid, names, lambda key: then(self._judge(parsed, key, shape, grant)))

    def _judge(
        self, parsed: _Parsed, key: Key | Exception | None, shape: type[C], grant: Callable[[C, str], T]
    ) -> T | Exception:
        if isinstance(key, Exception):
            return key
        try:
            if key is None:
                raise TokenInvalid(f"no key is called {_shown(parsed.kid)}" if parsed.kid else "its header has no kid")
            check = key.get(parsed.algorithm)
            if check is None:
                raise TokenInvalid(f"no key for the algorithm {_shown(parsed.algorithm)}")
            if not check(parsed.signed, parsed.signature):
                raise TokenInvalid("the signature does not fit")
            claims = _read(parsed.payload, shape)
            self._validate(claims)
            return grant(claims, self._user(parsed, claims))
        except (TokenExpired, TokenInvalid) as exc:
            return exc

    def _validate(self, claims: _Claims) -> None:
        self._names(claims)
        if self._section.issuer and self._section.issuer != claims.iss:
            raise TokenInvalid("iss is not the configured issuer")
        if self._section.audience and self._section.audience not in claims.audiences:
            raise TokenInvalid("aud does not name the configured audience")
        now = self._clock.time()
        if claims.exp is not None and claims.exp <= now:
            raise TokenExpired("exp is past")
        if claims.nbf is not None and claims.nbf >= now:
            raise TokenExpired("nbf is to come")

    def _names(self, claims: _Claims) -> dict[str, str]:
        names: dict[str, str] = {}
        for pattern, texts, claim in (
            (self._issuer, (claims.iss or "",), "iss"),
            (self._audience, claims.audiences, "aud"),
        ):
            if pattern is None:
                continue
            found = next(filter(None, map(pattern.search, texts)), None)
            if found is None:
                raise TokenInvalid(f"{claim} does not fit the configured pattern")
            names |= found.groupdict("")
        return names

    def _user(self, parsed: _Parsed, claims: _Claims) -> str:
        name = self._section.user_id_claim
        if not name:
            return claims.sub or ""
        user = _read(parsed.payload, dict[str, Any]).get(name)
        if user is None:
            return ""
        if isinstance(user, str | int) and not isinstance(user, bool):
            return str(user)
        raise TokenInvalid(f"{name} is neither a string nor an integer")


@cache
def _jws() -> "PyJWS":
    # Imported with the first token, see the keys. It takes tokens apart; the verifier checks with the key that it has.
    from jwt import PyJWS

    return PyJWS(options={"verify_signature": False})


def _parse(token: str) -> _Parsed:
    from jwt import PyJWTError

    try:
        # PyJWT takes padding, which the compact form does not have (RFC 7515, section 2).
        if "=" in token:
            raise TokenInvalid("not a JWT: padded")
        found = _jws().decode_complete(token)
        algorithm, kid = found["header"].get("alg"), found["header"].get("kid", "")
    except (PyJWTError, ValueError, RecursionError) as exc:
        raise TokenInvalid("not a JWT, or one with a critical header that is unknown here") from exc
    if not isinstance(algorithm, str):
        raise TokenInvalid("its header has no alg")
    return _Parsed(algorithm, kid, token.rpartition(".")[0].encode(), found["payload"], found["signature"])


def _read(payload: bytes, shape: type[T]) -> T:
    try:
        return msgspec.json.decode(payload, type=shape)
    except _FAULTS as exc:
        # msgspec names the place and the types, never a value.
        raise TokenInvalid(f"claims: {exc}" if isinstance(exc, msgspec.ValidationError) else "claims: no JSON") from exc


def _connect_grant(claims: _ConnectClaims, user: str) -> ConnectGrant:
    if claims.channel:
        raise TokenInvalid("a subscription token, it has a channel claim")
    subs: Mapping[str, SubscribeOptions] = {
        channel: _options(options or _Options(), SubscribeOptions) for channel, options in (claims.subs or {}).items()
    }
    return ConnectGrant(
        user=user,
        expire_at=claims.ends,
        info=_payload(claims.info, claims.b64info, "b64info"),
        meta=bytes(claims.meta) or None,
        channels=() if subs else tuple(claims.channels or ()),
        subs=subs,
    )


def _subscribe_grant(claims: _SubscribeClaims, user: str) -> SubscribeGrant:
    if not claims.channel:
        raise TokenInvalid("no subscription token, it has no channel claim")
    return _options(
        claims,
        SubscribeGrant,
        user=user,
        channel=claims.channel,
        client=claims.client or "",
        expire_at=claims.ends,
    )


S = TypeVar("S", bound=SubscribeOptions)


def _options(claims: _Options, made: type[S], **more: Any) -> S:
    return made(
        info=_payload(claims.info, claims.b64info, "b64info"),
        data=_payload(claims.data, claims.b64data, "b64data"),
        override=_override(claims.override),
        **more,
    )


def _override(claim: _Override | None) -> Override | None:
    if claim is None:
        return None
    flags: dict[str, _Flag | None] = {name: getattr(claim, name) for name in _Override.__struct_fields__}
    return Override(**{name: bool(flag.value) for name, flag in flags.items() if flag is not None})


def _payload(raw: Raw, coded: str | None, name: str) -> bytes | None:
    if not coded:
        return bytes(raw) or None
    try:
        return base64.b64decode(coded, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise TokenInvalid(f"{name} is no base64") from exc


def _pattern(text: str, where: str) -> re.Pattern[str] | None:
    try:
        return compile_regex(text) if text else None
    except ValueError as exc:
        raise ConfigError(f"{where}: {exc}") from exc


def _shown(text: str) -> str:
    return repr(text if len(text) <= 64 else f"{text[:64]}…")
