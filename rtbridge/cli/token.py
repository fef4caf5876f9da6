"""``rtbridge token``: a token for the embedded server, or for a Centrifugo with the same keys."""

import asyncio
import json
import time
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

import click

from rtbridge.cli.project import Chosen, enter, project_options
from rtbridge.clock import SYSTEM_CLOCK
from rtbridge.config.embedded import Client, Token
from rtbridge.config.values import parse_duration
from rtbridge.errors import ConfigError

#: Curve as the cryptography package calls it → algorithm.
_CURVES: Final = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}


class Signer(NamedTuple):
    """What signs, and how the token's header calls it."""

    algorithm: str
    key: Any


@click.command()
@click.option("--user", default="", metavar="ID", help="The user's id; without it the token is an anonymous user's.")
@click.option("--expire", default="1h", show_default=True, help="How long the token is good; 0 = for ever.")
@click.option("--channel", "channels", metavar="NAME", multiple=True, help="Subscribe to it on connect; repeatable.")
@click.option("--info", metavar="JSON", help="What others see of the client.")
@click.option("--meta", metavar="JSON", help="What hooks are told and no client sees.")
@click.option("--subscribe", metavar="CHANNEL", help="Make a subscription token, which opens this channel.")
@click.option("--claim", "claims", metavar="NAME=JSON", multiple=True, help="Set any other claim; repeatable.")
@click.option("--private-key", metavar="FILE", help="Sign with this key in PEM (RSA, ECDSA, Ed25519), not the secret.")
@click.option("--kid", metavar="ID", help="The key's id for the token's header, as JWKS needs it.")
@project_options
@click.pass_context
def token(
    ctx: click.Context,
    /,
    chosen: Chosen,
    user: str,
    expire: str,
    channels: tuple[str, ...],
    info: str | None,
    meta: str | None,
    subscribe: str | None,
    claims: tuple[str, ...],
    private_key: str | None,
    kid: str | None,
) -> None:
    """Make a connection token, or with --subscribe a subscription token.

    The token goes to standard output, what it is to standard error. It is signed with the secret of the configuration,
    rtbridge.embedded.client.token.hmac_secret_key, or that of subscription_token where this is enabled; issuer and
    audience are those of the configuration, too. Exit code 1: this configuration refuses the token.
    """
    if subscribe is not None and (channels or meta is not None):
        raise click.UsageError("--channel and --meta are for connection tokens, --subscribe makes a subscription token")
    if subscribe == "":
        raise click.UsageError("--subscribe wants a channel")
    seconds, now = _seconds(expire), int(time.time())
    made: dict[str, Any] = {"iat": now} | ({"sub": user} if user else {}) | ({"exp": now + seconds} if seconds else {})
    made |= {"channel": subscribe} if subscribe is not None else {}
    made |= {"channels": list(channels)} if channels else {}
    made |= {name: _json(f"--{name}", text) for name, text in (("info", info), ("meta", meta)) if text is not None}
    extra = dict(_claim(text) for text in claims)
    # Taken as it is now: -w changes where relative paths start.
    file = Path(private_key).absolute() if private_key is not None else None
    client, section, path = _section(chosen, subscription=subscribe is not None)
    made |= _configured(section, user) | extra
    signer = _secret(section, path) if file is None else _private(file)
    text = _encode(made, signer, kid)
    # Keys behind an address are not fetched for this.
    refused = None if section.jwks_public_endpoint else _refusal(client, text, subscription=subscribe is not None)
    click.echo(text)
    click.echo(_sentence(made, signer), err=True)
    if refused is not None:
        click.echo(f"This configuration refuses it: {refused}.", err=True)
        ctx.exit(1)


def _section(chosen: Chosen, *, subscription: bool) -> tuple[Client, Token, str]:
    embedded = enter(chosen).config.rtbridge.embedded
    if embedded is None:
        raise ConfigError("rtbridge.embedded is not in the configuration; its client.token section has the keys")
    client, path = embedded.client, "rtbridge.embedded.client"
    if subscription and client.subscription_token.enabled:
        return client, client.subscription_token, f"{path}.subscription_token"
    return client, client.token, f"{path}.token"


def _configured(section: Token, user: str) -> dict[str, Any]:
    claims = {"iss": section.issuer, "aud": section.audience}
    if section.user_id_claim:
        claims[section.user_id_claim] = user
    return {name: value for name, value in claims.items() if value}


def _secret(section: Token, path: str) -> Signer:
    if not section.hmac_secret_key or section.jwks_public_endpoint:
        key = "jwks_public_endpoint is set" if section.jwks_public_endpoint else "hmac_secret_key is not set"
        raise ConfigError(f"{path}.{key}; give --private-key")
    return Signer("HS256", section.hmac_secret_key)


def _private(file: Path) -> Signer:
    from rtbridge.embedded.keys import require_cryptography

    require_cryptography("--private-key")
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(file.read_bytes(), password=None)
    except OSError as exc:
        raise ConfigError(f"--private-key {file}: {exc.strerror}") from exc
    except TypeError as exc:
        raise ConfigError(f"--private-key {file}: it is encrypted") from exc
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ConfigError(f"--private-key {file}: no private key in PEM") from exc
    match key:
        case rsa.RSAPrivateKey():
            return Signer("RS256", key)
        case ec.EllipticCurvePrivateKey() if key.curve.name in _CURVES:
            return Signer(_CURVES[key.curve.name], key)
        case ed25519.Ed25519PrivateKey():
            return Signer("EdDSA", key)
        case _:
            raise ConfigError(f"--private-key {file}: neither RSA nor P-256, P-384, P-521 nor Ed25519")


def _encode(claims: dict[str, Any], signer: Signer, kid: str | None) -> str:
    # These take longer to import than the other commands need to run.
    import jwt
    from jwt.warnings import InsecureKeyLengthWarning

    with warnings.catch_warnings():
        # The secret is the configuration's, and the server speaks about its length.
        warnings.simplefilter("ignore", InsecureKeyLengthWarning)
        try:
            return jwt.encode(claims, signer.key, signer.algorithm, headers={"kid": kid} if kid else None)
        except (jwt.PyJWTError, TypeError) as exc:
            raise ConfigError(f"the token cannot be made: {exc}") from exc


def _refusal(client: Client, text: str, *, subscription: bool) -> str | None:
    from rtbridge.embedded.tokens import Tokens

    found: list[object] = []
    tokens = Tokens(client, SYSTEM_CLOCK, asyncio.ensure_future)
    (tokens.subscription if subscription else tokens.connection)(text, found.append)
    return str(found[0]) if isinstance(found[0], Exception) else None


def _sentence(claims: dict[str, Any], signer: Signer) -> str:
    who = f"user {claims['sub']!r}" if claims.get("sub") else "an anonymous user"
    what = f"Subscription token for {claims['channel']!r}" if "channel" in claims else "Connection token"
    exp = claims.get("exp")
    try:
        ends = f"until {datetime.fromtimestamp(exp, UTC):%Y-%m-%d %H:%M:%S} UTC" if exp is not None else "for ever"
    except (TypeError, ValueError, OverflowError, OSError):
        ends = "with an exp that is no date"
    return f"{what} of {who}, good {ends}, signed with {signer.algorithm}."


def _seconds(text: str) -> int:
    try:
        return int(parse_duration(text))
    except ValueError as exc:
        raise click.UsageError(
            f"--expire {text}: a duration is wanted, such as 30m, 12h or 720h; 0 is for ever"
        ) from exc


def _claim(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"--claim {text!r} is not NAME=JSON")
    return name, _json(f"--claim {name}", value)


def _json(option: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise click.UsageError(f"{option} is no JSON: {exc}; a string stands in double quotes: '\"text\"'") from exc
