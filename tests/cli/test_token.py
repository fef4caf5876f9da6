"""`rtbridge token`: what it makes, what signs it, and what it says when the configuration would not take it."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

SECRET = "a secret of thirty-two bytes and a few more"
OTHER = "the secret of subscriptions, which is another"

Invoke = Callable[..., Any]

KEYS: dict[str, Any] = {
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "ES512": ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def configure(project: Any, *sections: str, **token: str) -> None:
    """Write a configuration with these keys of `client.token`."""
    client = {"token": token, **dict(map(_pair, sections))}
    project.config("rtbridge: " + json.dumps({"embedded": {"client": client}}))


def _pair(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    return name, json.loads(value)


def pem(key: Any, *, password: bytes | None = None) -> str:
    """A private key in PEM."""
    lock: Any = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    form = serialization.PrivateFormat.PKCS8
    return str(key.private_bytes(serialization.Encoding.PEM, form, lock), "ascii")


def public(key: Any) -> str:
    """Its public half."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(serialization.Encoding.PEM, form), "ascii")


def opened(found: Any, key: Any = SECRET, algorithm: str = "HS256") -> dict[str, Any]:
    """The claims of the token that was printed, once PyJWT has found it good."""
    assert found.exit_code == 0, found.stderr
    (line,) = found.stdout.splitlines()
    claims: dict[str, Any] = jwt.decode(line, key, [algorithm], options={"verify_aud": False})
    return claims


@pytest.fixture
def plain(project: Any) -> None:
    """A configuration with a secret."""
    configure(project, hmac_secret_key=SECRET)


@pytest.mark.usefixtures("plain")
def test_a_connection_token(invoke: Invoke) -> None:
    """It lasts an hour by default, and a sentence on standard error says what it is."""
    before = int(time.time())
    found = invoke("token", "--user", "42")
    claims = opened(found)

    assert before <= claims["iat"] <= time.time()
    assert claims == {"sub": "42", "iat": claims["iat"], "exp": claims["iat"] + 3600}
    assert jwt.get_unverified_header(found.stdout.strip()) == {"alg": "HS256", "typ": "JWT"}
    assert found.stderr.startswith("Connection token of user '42', good until 20")
    assert found.stderr.endswith(" UTC, signed with HS256.\n")


@pytest.mark.usefixtures("plain")
def test_everything_that_a_connection_token_can_hold(invoke: Invoke) -> None:
    """Each option has its claim."""
    options = ["--channel", "a", "--channel", "b", "--info", '{"n": 1}', "--meta", "[2]", "--claim", 'jti="x"']
    claims = opened(invoke("token", "--user", "42", "--expire", "1h30m", *options, "--kid", "k"))

    assert claims.pop("exp") == claims.pop("iat") + 5400
    assert claims == {"sub": "42", "channels": ["a", "b"], "info": {"n": 1}, "meta": [2], "jti": "x"}


@pytest.mark.usefixtures("plain")
def test_an_anonymous_token_for_ever(invoke: Invoke) -> None:
    """Without a user and without an end."""
    found = invoke("token", "--expire", "0")

    assert opened(found).keys() == {"iat"}
    assert found.stderr == "Connection token of an anonymous user, good for ever, signed with HS256.\n"


@pytest.mark.usefixtures("plain")
def test_a_subscription_token(invoke: Invoke) -> None:
    """It names its channel."""
    found = invoke("token", "--user", "42", "--subscribe", "chat:1", "--info", "1", "--claim", 'client="c"')
    claims = opened(found)

    assert (claims["sub"], claims["channel"], claims["info"], claims["client"]) == ("42", "chat:1", 1, "c")
    assert found.stderr.startswith("Subscription token for 'chat:1' of user '42', good until ")


def test_a_subscription_token_with_a_secret_of_its_own(project: Any, invoke: Invoke) -> None:
    """Where `subscription_token` is enabled, its secret signs."""
    own = json.dumps({"enabled": True, "hmac_secret_key": OTHER})
    configure(project, f"subscription_token={own}", hmac_secret_key=SECRET)

    assert opened(invoke("token", "--subscribe", "c"), OTHER)["channel"] == "c"
    assert "channel" not in opened(invoke("token"))


def test_claims_that_the_configuration_wants(project: Any, invoke: Invoke) -> None:
    """Issuer, audience and the user's own claim come from the configuration; `--claim` replaces them."""
    configure(project, hmac_secret_key=SECRET, issuer="me", audience="app", user_id_claim="user_id")
    claims = opened(invoke("token", "--user", "42", "--expire", "0"))
    found = invoke("token", "--user", "42", "--claim", 'aud="other"')

    assert {**claims, "iat": 0} == {"sub": "42", "iat": 0, "iss": "me", "aud": "app", "user_id": "42"}
    assert found.exit_code == 1
    assert len(found.stdout.splitlines()) == 1
    assert found.stderr.endswith("This configuration refuses it: aud does not name the configured audience.\n")


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    ("claim", "why"),
    [
        ("exp=1", "exp is past"),
        ("sub=42", "claims: Expected `str | null`, got `int` - at `$.sub`"),
        ('exp="x"', "claims: Expected `float | null`, got `str` - at `$.exp`"),
        ('channel="c"', "a subscription token, it has a channel claim"),
    ],
)
def test_a_token_that_is_good_for_nothing(invoke: Invoke, claim: str, why: str) -> None:
    """It is printed, for tests want such ones, and the exit code is 1."""
    found = invoke("token", "--claim", claim)

    assert found.exit_code == 1
    assert found.stdout.count(".") == 2
    assert found.stderr.splitlines()[-1] == f"This configuration refuses it: {why}."


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "ES384", "ES512"])
def test_a_private_key(project: Any, invoke: Invoke, algorithm: str) -> None:
    """The key says which algorithm; the path starts from where the command was started."""
    key = KEYS[algorithm]
    project.write("keys/private.pem", pem(key))
    configure(project, **{"rsa_public_key" if algorithm == "RS256" else "ecdsa_public_key": public(key)})
    found = invoke("token", "--user", "42", "--private-key", "keys/private.pem", "-w", str(project.folder))

    assert opened(found, key.public_key(), algorithm)["sub"] == "42"
    assert found.stderr.endswith(f", signed with {algorithm}.\n")


@pytest.mark.usefixtures("plain")
def test_a_private_key_that_nobody_has_the_other_half_of(project: Any, invoke: Invoke) -> None:
    """The configuration would not take it, and says which algorithm it lacks."""
    project.write("private.pem", pem(KEYS["RS256"]))
    found = invoke("token", "--private-key", "private.pem")

    assert found.exit_code == 1
    assert found.stderr.endswith("This configuration refuses it: no key for the algorithm 'RS256'.\n")


def test_a_token_for_jwks(project: Any, invoke: Invoke) -> None:
    """It names its key; the endpoint is not asked."""
    project.write("private.pem", pem(KEYS["EdDSA"]))
    configure(project, jwks_public_endpoint="https://keys.invalid/jwks.json")
    found = invoke("token", "--user", "42", "--private-key", "private.pem", "--kid", "one")

    assert opened(found, KEYS["EdDSA"].public_key(), "EdDSA")["sub"] == "42"
    assert jwt.get_unverified_header(found.stdout.strip())["kid"] == "one"


def test_a_short_secret_is_no_matter(project: Any, invoke: Invoke) -> None:
    """The server speaks about it, in its log; the token is made."""
    configure(project, hmac_secret_key="secret")
    found = invoke("token", "--user", "42")

    assert found.exit_code == 0
    assert found.stdout.count(".") == 2


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--subscribe", "c", "--channel", "d"], "--channel and --meta are for connection tokens"),
        (["--subscribe", "c", "--meta", "1"], "--channel and --meta are for connection tokens"),
        (["--subscribe", ""], "--subscribe wants a channel"),
        (["--expire", "soon"], "--expire soon: a duration is wanted"),
        (["--info", "x"], "--info is no JSON"),
        (["--claim", "x"], "--claim 'x' is not NAME=JSON"),
        (["--claim", "=1"], "--claim '=1' is not NAME=JSON"),
        (["--claim", "jti=x"], "--claim jti is no JSON: "),
    ],
)
def test_options_that_do_not_fit(invoke: Invoke, options: list[str], why: str) -> None:
    """Said before anything is made."""
    found = invoke("token", *options)

    assert found.exit_code == 2
    assert why in found.stderr
    assert found.stdout == ""


@pytest.mark.parametrize(
    ("token", "options", "why"),
    [
        (None, [], "rtbridge: rtbridge.embedded is not in the configuration"),
        ({}, [], "rtbridge: rtbridge.embedded.client.token.hmac_secret_key is not set; give --private-key"),
        (
            {"hmac_secret_key": SECRET, "jwks_public_endpoint": "https://keys.invalid/"},
            [],
            "rtbridge: rtbridge.embedded.client.token.jwks_public_endpoint is set; give --private-key",
        ),
        ({"hmac_secret_key": '{"kty":"oct"}'}, [], "rtbridge: the token cannot be made: "),
        ({}, ["--private-key", "missing.pem"], "missing.pem: No such file or directory"),
        ({}, ["--private-key", "."], ": Is a directory"),
        ({}, ["--private-key", "locked.pem"], "locked.pem: it is encrypted"),
        ({}, ["--private-key", "public.pem"], "public.pem: no private key in PEM"),
        ({}, ["--private-key", "dsa.pem"], "dsa.pem: neither RSA nor P-256, P-384, P-521 nor Ed25519"),
        ({}, ["--private-key", "k1.pem"], "k1.pem: neither RSA nor P-256, P-384, P-521 nor Ed25519"),
    ],
)
def test_keys_that_cannot_be_used(
    project: Any, invoke: Invoke, token: dict[str, str] | None, options: list[str], why: str
) -> None:
    """One message, without a traceback."""
    project.config("rtbridge: {plugins: []}") if token is None else configure(project, **token)
    project.write("locked.pem", pem(KEYS["ES256"], password=b"x"))
    project.write("public.pem", public(KEYS["ES256"]))
    project.write("dsa.pem", pem(dsa.generate_private_key(1024)))
    project.write("k1.pem", pem(ec.generate_private_key(ec.SECP256K1())))
    found = invoke("token", *options)

    assert found.exit_code == 2
    assert why in found.stderr
    assert found.stdout == ""
    assert SECRET not in found.stderr


@pytest.mark.usefixtures("plain")
def test_private_keys_need_a_package(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lacks it learns what to install."""
    monkeypatch.setitem(sys.modules, "cryptography", None)
    found = invoke("token", "--private-key", "private.pem")

    assert found.exit_code == 2
    assert found.stderr == ("rtbridge: --private-key needs the cryptography package: pip install 'rtbridge[tokens]'\n")


def test_every_option_is_documented() -> None:
    """The page of tokens knows what the command takes."""
    from rtbridge.cli import cli

    page = (Path(__file__).parents[2] / "docs" / "tokens.md").read_text(encoding="utf-8")
    options = [option.opts for option in cli.commands["token"].params]

    assert len(options) > 12
    assert [names for names in options if not any(f"`{name}" in page for name in names)] == []
