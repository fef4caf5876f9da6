"""Tokens: what they grant, what is refused and why, with keys of every kind."""

import base64
import datetime
import hashlib
import hmac
import json
import logging
import sys
import warnings
from typing import Any

import jwt
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa

from rtbridge.config.embedded import Client
from rtbridge.embedded.grants import ConnectGrant, Override, SubscribeGrant, SubscribeOptions
from rtbridge.embedded.tokens import TokenExpired, TokenInvalid, Tokens
from rtbridge.errors import ConfigError
from rtbridge.testing import VirtualClock

SECRET = "a secret of thirty-two bytes and a few more, for all three hashes"
OLDER = "an older secret of thirty-two bytes and a few more, for all of them"

#: Where the clock stands.
NOW = 1_767_225_600

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
CURVES = {name: ec.generate_private_key(curve()) for name, curve in (
    ("ES256", ec.SECP256R1), ("ES384", ec.SECP384R1), ("ES512", ec.SECP521R1),
)}  # fmt: skip


def public(key: Any) -> str:
    """A private key's other half in PEM."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return str(key.public_key().public_bytes(serialization.Encoding.PEM, form), "ascii")


def private(key: Any) -> str:
    """A private key in PEM."""
    form, unlocked = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return str(key.private_bytes(serialization.Encoding.PEM, form, unlocked), "ascii")


def section(**keys: Any) -> Client:
    """The section of clients with these keys."""
    return msgspec.convert(keys, Client)


def mint(claims: Any, key: Any = SECRET, algorithm: str = "HS256", **headers: Any) -> str:
    """A token as PyJWT makes it."""
    return jwt.encode(claims, key, algorithm, headers=headers or None)


def signed(payload: bytes) -> str:
    """A token with a payload that PyJWT would not make."""
    return jwt.PyJWS().encode(payload, SECRET, "HS256")


def never(coroutine: Any) -> None:
    """Spawns nothing, since keys of the configuration need no fetch."""
    coroutine.close()
    raise AssertionError("a fetch was started")


def read(client: Client, token: str, clock: VirtualClock | None = None, *, subscription: bool = False) -> Any:
    """What comes of a token, which has to come at once."""
    tokens, found = Tokens(client, clock or VirtualClock(), never), list[Any]()
    (tokens.subscription if subscription else tokens.connection)(token, found.append)
    assert len(found) == 1
    return found[0]


HMAC = section(token={"hmac_secret_key": SECRET})


@pytest.mark.parametrize(
    ("claims", "grant"),
    [
        ({}, ConnectGrant(user="")),
        ({"sub": None}, ConnectGrant(user="")),
        ({"sub": "42"}, ConnectGrant(user="42")),
        ({"sub": "42", "iat": NOW - 5, "jti": "x", "unknown": [1]}, ConnectGrant(user="42")),
        ({"sub": "42", "exp": NOW + 60}, ConnectGrant(user="42", expire_at=NOW + 60)),
        ({"sub": "42", "exp": NOW + 60.5}, ConnectGrant(user="42", expire_at=NOW + 60)),
        ({"sub": "42", "exp": 2**63}, ConnectGrant(user="42", expire_at=2**63)),
        ({"sub": "42", "nbf": NOW - 1}, ConnectGrant(user="42")),
        ({"sub": "42", "exp": NOW + 60, "expire_at": 0}, ConnectGrant(user="42")),
        ({"sub": "42", "exp": NOW + 60, "expire_at": -1}, ConnectGrant(user="42")),
        ({"sub": "42", "exp": NOW + 60, "expire_at": None}, ConnectGrant(user="42", expire_at=NOW + 60)),
        ({"sub": "42", "exp": NOW + 60, "expire_at": NOW + 5}, ConnectGrant(user="42", expire_at=NOW + 5)),
        ({"expire_at": 1_500_000_000}, ConnectGrant(user="", expire_at=1_500_000_000)),
        ({"info": {"n": 1}}, ConnectGrant(user="", info=b'{"n":1}')),
        ({"info": {"n": 1}, "b64info": ""}, ConnectGrant(user="", info=b'{"n":1}')),
        ({"info": {"n": 1}, "b64info": "AP8="}, ConnectGrant(user="", info=b"\x00\xff")),
        ({"meta": {"m": 1}}, ConnectGrant(user="", meta=b'{"m":1}')),
        ({"channel": ""}, ConnectGrant(user="")),
        ({"channels": ["a", "b"]}, ConnectGrant(user="", channels=("a", "b"))),
        ({"channels": ["a"], "subs": {}}, ConnectGrant(user="", channels=("a",))),
        (
            {"channels": ["a"], "subs": {"b": {}, "c": None}},
            ConnectGrant(user="", subs={"b": SubscribeOptions(), "c": SubscribeOptions()}),
        ),
        (
            {"subs": {"b": {"info": 1, "data": [2], "override": {"presence": {"value": True}, "join_leave": {}}}}},
            ConnectGrant(
                user="",
                subs={
                    "b": SubscribeOptions(info=b"1", data=b"[2]", override=Override(presence=True, join_leave=False))
                },
            ),
        ),
        (
            {"subs": {"b": {"info": 1, "b64info": "AA==", "data": 1, "b64data": "/w==", "override": {}}}},
            ConnectGrant(user="", subs={"b": SubscribeOptions(info=b"\x00", data=b"\xff", override=Override())}),
        ),
    ],
)
def test_connection_claims(claims: dict[str, Any], grant: ConnectGrant) -> None:
    """Each claim has its place in the grant."""
    assert read(HMAC, signed(msgspec.json.encode(claims))) == grant


@pytest.mark.parametrize(
    ("claims", "grant"),
    [
        ({"channel": "c"}, SubscribeGrant(channel="c")),
        ({"channel": "c", "sub": "42", "client": "id"}, SubscribeGrant(channel="c", user="42", client="id")),
        ({"channel": "c", "exp": NOW + 60}, SubscribeGrant(channel="c", expire_at=NOW + 60)),
        ({"channel": "c", "exp": NOW + 60, "expire_at": 0}, SubscribeGrant(channel="c")),
        ({"channel": "c", "expire_at": NOW - 60}, SubscribeGrant(channel="c", expire_at=NOW - 60)),
        ({"channel": "c", "info": {"n": 1}, "data": "x"}, SubscribeGrant(channel="c", info=b'{"n":1}', data=b'"x"')),
        (
            {"channel": "c", "info": 1, "b64info": "AA==", "data": 1, "b64data": "/w=="},
            SubscribeGrant(channel="c", info=b"\x00", data=b"\xff"),
        ),
        (
            {
                "channel": "c",
                "override": {
                    "force_recovery": {"value": True},
                    "force_positioning": {"value": False},
                    "force_push_join_leave": {"value": True},
                    "presence": None,
                },
            },
            SubscribeGrant(
                channel="c", override=Override(force_recovery=True, force_positioning=False, force_push_join_leave=True)
            ),
        ),
    ],
)
def test_subscription_claims(claims: dict[str, Any], grant: SubscribeGrant) -> None:
    """Each claim has its place in the grant."""
    assert read(HMAC, mint(claims), subscription=True) == grant


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"exp": NOW}, "exp is past"),
        ({"exp": NOW - 0.5}, "exp is past"),
        ({"exp": 0}, "exp is past"),
        ({"exp": NOW - 1, "expire_at": 0}, "exp is past"),
        ({"nbf": NOW}, "nbf is to come"),
        ({"nbf": NOW + 600}, "nbf is to come"),
    ],
)
@pytest.mark.parametrize("subscription", [False, True])
def test_tokens_out_of_their_time(claims: dict[str, Any], why: str, subscription: bool) -> None:
    """The second that `exp` names is too late, and the one that `nbf` names too early."""
    found = read(HMAC, mint(claims | ({"channel": "c"} if subscription else {})), subscription=subscription)

    assert isinstance(found, TokenExpired)
    assert str(found) == why


def test_tokens_expire_with_the_clock() -> None:
    """Time is the clock's."""
    clock = VirtualClock()
    token = mint({"sub": "42", "exp": NOW + 60})

    assert read(HMAC, token, clock) == ConnectGrant(user="42", expire_at=NOW + 60)
    clock.advance(60)
    assert isinstance(read(HMAC, token, clock), TokenExpired)


def invalid(client: Client, token: str, *, subscription: bool = False) -> str:
    """Why a token is refused."""
    found = read(client, token, subscription=subscription)
    assert isinstance(found, TokenInvalid)
    assert not token or token not in str(found)
    return str(found)


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"sub": 42}, "claims: Expected `str | null`, got `int` - at `$.sub`"),
        ({"sub": "42", "channel": "c"}, "a subscription token, it has a channel claim"),
        ({"exp": "soon"}, "claims: Expected `float | null`, got `str` - at `$.exp`"),
        ({"exp": True}, "claims: Expected `float | null`, got `bool` - at `$.exp`"),
        ({"exp": 10**300}, None),
        ({"expire_at": 1.5}, "claims: Expected `int | null`, got `float` - at `$.expire_at`"),
        ({"expire_at": 2**63}, None),
        ({"iat": []}, "claims: Expected `float | null`, got `array` - at `$.iat`"),
        ({"aud": None}, "claims: Expected `str | array`, got `null` - at `$.aud`"),
        ({"jti": 1}, "claims: Expected `str | null`, got `int` - at `$.jti`"),
        ({"channels": "c"}, None),
        ({"subs": {"c": {"override": {"presence": True}}}}, None),
        ({"b64info": "?"}, "b64info is no base64"),
        ({"b64info": "é"}, "b64info is no base64"),
        ({"subs": {"c": {"b64data": "AAA"}}}, "b64data is no base64"),
    ],
)
def test_claims_that_do_not_fit(claims: dict[str, Any], why: str | None) -> None:
    """A signature is not enough."""
    found = invalid(HMAC, mint(claims))

    assert found == why or (why is None and found.startswith("claims: "))


@pytest.mark.parametrize("payload", [b"", b"[]", b"7", b"{", b'{"sub":"\xff"}', b"[" * 100_000])
def test_payloads_that_are_no_claims(payload: bytes) -> None:
    """What is signed has to be a JSON object."""
    assert invalid(HMAC, signed(payload)).startswith("claims: ")


@pytest.mark.parametrize("claims", [{}, {"channel": ""}, {"channel": None}])
def test_a_subscription_token_has_a_channel(claims: dict[str, Any]) -> None:
    """A connection token opens no channel."""
    assert invalid(HMAC, mint(claims), subscription=True) == "no subscription token, it has no channel claim"


def forged(header: Any, payload: bytes = b"{}", signature: bytes = b"") -> str:
    """Three parts, whatever they are."""
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in (head, payload, signature))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "garbage",
        "a.b",
        "a.b.c",
        "é.é.é",
        "..",
        mint({}) + "=",
        mint({})[:-1] + "!",
        mint({}).rpartition(".")[0] + ".",
        mint({}).rpartition(".")[0],
        forged(b"[]"),
        forged(b"{"),
        forged({}),
        forged({"alg": ["HS256"]}),
        forged({"alg": "none"}),
        forged({"alg": "NONE"}),
        forged({"alg": ""}),
        forged({"alg": "HS256"}),
        forged({"alg": "HS256", "kid": 1}),
        forged({"alg": "x" * 1000}),
        forged({"alg": "HS256", "crit": ["exp"], "exp": 1}),
        forged({"alg": "HS256", "crit": ["b64"], "b64": False}, b""),
        forged(b"[" * 100_000),
        forged(b'{"alg":' + b"9" * 10_000 + b"}"),
    ],
)
def test_what_is_no_token_of_ours(token: str) -> None:
    """Garbage, missing signatures and invented headers are refused, in a few words."""
    assert len(invalid(HMAC, token)) < 150


@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_a_secret_checks_its_three_algorithms(algorithm: str) -> None:
    """Any of the hashes, with the right secret only."""
    assert read(HMAC, mint({"sub": "42"}, SECRET, algorithm)) == ConnectGrant(user="42")
    assert invalid(HMAC, mint({"sub": "42"}, OLDER, algorithm)) == "the signature does not fit"


def test_a_changed_payload_does_not_fit() -> None:
    """The signature is over the claims."""
    head, _, signature = mint({"sub": "42"}).split(".")
    other = mint({"sub": "admin"}).split(".")[1]

    assert invalid(HMAC, f"{head}.{other}.{signature}") == "the signature does not fit"


@pytest.mark.parametrize("algorithm", ["RS256", "RS384", "RS512"])
def test_an_rsa_key_checks_its_three_algorithms(algorithm: str) -> None:
    """PKCS #1 signatures with any of the hashes, of that key only."""
    client = section(token={"rsa_public_key": public(RSA)})
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    assert read(client, mint({"sub": "42"}, RSA, algorithm)) == ConnectGrant(user="42")
    assert invalid(client, mint({"sub": "42"}, other, algorithm)) == "the signature does not fit"


@pytest.mark.parametrize("algorithm", CURVES)
def test_an_elliptic_key_checks_the_algorithm_of_its_curve(algorithm: str) -> None:
    """One curve, one algorithm."""
    client = section(token={"ecdsa_public_key": public(CURVES[algorithm])})
    other = ec.generate_private_key(CURVES[algorithm].curve)

    assert read(client, mint({"sub": "42"}, CURVES[algorithm], algorithm)) == ConnectGrant(user="42")
    assert invalid(client, mint({"sub": "42"}, other, algorithm)) == "the signature does not fit"
    for name in {*CURVES, "HS256", "RS256"} - {algorithm}:
        token = forged({"alg": name}, b"{}", b"x" * 64)
        assert invalid(client, token) == f"no key for the algorithm {name!r}"


def test_every_kind_of_key_at_once() -> None:
    """The three families stand beside one another."""
    keys = {
        "hmac_secret_key": SECRET,
        "rsa_public_key": f"\n  {public(RSA)}\n",
        "ecdsa_public_key": public(CURVES["ES256"]),
    }
    client = section(token=keys)

    for key, algorithm in ((SECRET, "HS512"), (RSA, "RS384"), (CURVES["ES256"], "ES256")):
        assert read(client, mint({"sub": algorithm}, key, algorithm)) == ConnectGrant(user=algorithm)


@pytest.mark.parametrize("key", [RSA, CURVES["ES256"]])
def test_a_public_key_is_no_secret(key: Any) -> None:
    """A token that is signed with the text of the public key, as if it were a secret, is refused."""
    name = "rsa_public_key" if key is RSA else "ecdsa_public_key"
    head = base64.urlsafe_b64encode(b'{"alg":"HS256"}').decode().rstrip("=")
    body = base64.urlsafe_b64encode(b'{"sub":"admin"}').decode().rstrip("=")
    for text in (public(key), public(key).strip()):
        mac = hmac.new(text.encode(), f"{head}.{body}".encode(), hashlib.sha256).digest()
        token = f"{head}.{body}.{base64.urlsafe_b64encode(mac).decode().rstrip('=')}"
        assert invalid(section(token={name: text}), token) == "no key for the algorithm 'HS256'"
        both = section(token={name: text, "hmac_secret_key": SECRET})
        assert invalid(both, token) == "the signature does not fit"


@pytest.mark.parametrize("algorithm", ["PS256", "EdDSA", "ES256K", "HS256 "])
def test_algorithms_that_nobody_configured(algorithm: str) -> None:
    """What PyJWT could check is not checked unless a key of the configuration is for it."""
    client = section(token={"rsa_public_key": public(RSA), "hmac_secret_key": SECRET})
    token = mint({}, RSA, "PS256") if algorithm == "PS256" else forged({"alg": algorithm})

    assert invalid(client, token) == f"no key for the algorithm {algorithm!r}"


def test_without_a_key_every_token_is_refused() -> None:
    """Nothing is taken on trust."""
    assert invalid(section(), mint({})) == "no key for the algorithm 'HS256'"


def test_a_certificate_holds_a_key() -> None:
    """Where Centrifugo takes a certificate, so do we."""
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tokens")])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    made = x509.CertificateBuilder(name, name, RSA.public_key(), 1, start, start + datetime.timedelta(days=1))
    pem = made.sign(RSA, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()

    assert read(section(token={"rsa_public_key": pem}), mint({"sub": "1"}, RSA, "RS256")) == ConnectGrant(user="1")


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"rsa_public_key": "nonsense"}, "client.token.rsa_public_key is no public key in PEM"),
        ({"rsa_public_key": private(RSA)}, "is a private key; the server wants the public one"),
        ({"rsa_public_key": public(CURVES["ES256"])}, "client.token.rsa_public_key is a key for ES256"),
        ({"ecdsa_public_key": public(RSA)}, "client.token.ecdsa_public_key is a key for RS256, RS384, RS512"),
        (
            {"ecdsa_public_key": public(ec.generate_private_key(ec.SECP256K1()))},
            "neither an RSA key nor one of the curves P-256, P-384, P-521",
        ),
        ({"rsa_public_key": public(ed25519.Ed25519PrivateKey.generate())}, "neither an RSA key nor one of"),
        ({"rsa_public_key": public(dsa.generate_private_key(1024))}, "neither an RSA key nor one of"),
        ({"rsa_public_key": "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----"}, "no public key in PEM"),
        ({"hmac_secret_key": public(RSA)}, "client.token.hmac_secret_key is no secret: "),
        ({"hmac_previous_secret_key": '{"kty":"oct","k":"AA"}'}, "client.token.hmac_previous_secret_key is no secret"),
        ({"issuer_regex": "("}, "client.token.issuer_regex: "),
    ],
)
def test_settings_that_cannot_be_used(keys: dict[str, str], why: str) -> None:
    """Found at start, with the key that is wrong."""
    with pytest.raises(ConfigError) as found:
        Tokens(section(token=keys), VirtualClock(), never)

    assert why in str(found.value)
    assert "BEGIN" not in str(found.value)


@pytest.mark.parametrize("key", ["rsa_public_key", "ecdsa_public_key", "jwks_public_endpoint"])
def test_public_keys_need_a_package(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever lacks it learns at start what to install."""
    monkeypatch.setitem(sys.modules, "cryptography", None)

    with pytest.raises(ConfigError, match=rf"client\.token\.{key} needs .*pip install 'rtbridge\[tokens\]'"):
        Tokens(section(token={key: "https://keys.example/jwks.json"}), VirtualClock(), never)


def test_secrets_need_no_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """HMAC works with Python alone."""
    monkeypatch.setitem(sys.modules, "cryptography", None)

    assert read(HMAC, mint({"sub": "42"})) == ConnectGrant(user="42")


def test_a_short_secret_is_taken_and_spoken_about(caplog: pytest.LogCaptureFixture) -> None:
    """Centrifugo takes any secret; the log says that short ones are guessed, and no warning of Python's does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        token = mint({"sub": "42"}, "secret")
    with caplog.at_level(logging.WARNING, "rtbridge.embedded"):
        assert read(section(token={"hmac_secret_key": "secret"}), token) == ConnectGrant(user="42")

    assert caplog.messages == [
        "rtbridge.embedded.client.token.hmac_secret_key has 6 bytes; use 32 random ones, short ones are guessed",
    ]


@pytest.mark.parametrize(
    ("until", "seconds", "good"), [(0, 10**9, True), (NOW + 60, 60.9, True), (NOW + 60, 61, False)]
)
@pytest.mark.parametrize("current", [SECRET, ""])
def test_rotation(until: int, seconds: float, good: bool, current: str) -> None:
    """The previous secret counts beside the current one, or alone, until the end of its last second."""
    clock = VirtualClock()
    keys = {
        "hmac_secret_key": current,
        "hmac_previous_secret_key": OLDER,
        "hmac_previous_secret_key_valid_until": until,
    }
    client = section(token=keys)
    tokens = Tokens(client, clock, never)
    clock.advance(seconds)
    found: list[Any] = []
    for secret in (OLDER, SECRET):
        tokens.connection(mint({"sub": secret}, secret), found.append)

    assert isinstance(found[0], ConnectGrant) is good
    assert isinstance(found[1], ConnectGrant) is bool(current)


@pytest.mark.parametrize(
    ("keys", "claims", "why"),
    [
        ({"audience": "app"}, {"aud": "app"}, ""),
        ({"audience": "app"}, {"aud": ["x", "app"]}, ""),
        ({"audience": "app"}, {"aud": "other"}, "aud does not name the configured audience"),
        ({"audience": "app"}, {"aud": []}, "aud does not name the configured audience"),
        ({"audience": "app"}, {}, "aud does not name the configured audience"),
        ({"audience_regex": "^app[0-9]$"}, {"aud": ["x", "app1"]}, ""),
        ({"audience_regex": "^app[0-9]$"}, {"aud": "app1\n"}, "aud does not fit the configured pattern"),
        ({"audience_regex": "^app[0-9]$"}, {"aud": "app"}, "aud does not fit the configured pattern"),
        ({"audience_regex": "^app[0-9]$"}, {}, "aud does not fit the configured pattern"),
        ({"issuer": "me"}, {"iss": "me"}, ""),
        ({"issuer": "me"}, {"iss": "you"}, "iss is not the configured issuer"),
        ({"issuer": "me"}, {"iss": None}, "iss is not the configured issuer"),
        ({"issuer": "me"}, {}, "iss is not the configured issuer"),
        ({"issuer_regex": "^m(e|y)"}, {"iss": "myself"}, ""),
        ({"issuer_regex": "^m(e|y)"}, {"iss": "you"}, "iss does not fit the configured pattern"),
        ({"issuer_regex": "^m(e|y)"}, {}, "iss does not fit the configured pattern"),
        ({"issuer": "me", "audience": "app"}, {"iss": "me", "aud": "app", "exp": NOW - 1}, "exp is past"),
        (
            {"issuer": "me", "audience": "app"},
            {"iss": "me", "exp": NOW - 1},
            "aud does not name the configured audience",
        ),
    ],
)
def test_issuer_and_audience(keys: dict[str, str], claims: dict[str, Any], why: str) -> None:
    """Both are wanted where they are configured, before anybody asks for the time."""
    found = read(section(token={"hmac_secret_key": SECRET, **keys}), signed(msgspec.json.encode(claims)))

    assert (str(found) if isinstance(found, Exception) else "") == why


@pytest.mark.parametrize(
    ("claims", "user"),
    [
        ({"user_id": "42", "sub": "other"}, "42"),
        ({"user_id": 42}, "42"),
        ({"user_id": None, "sub": "other"}, ""),
        ({"sub": "other"}, ""),
        ({"user_id": True}, None),
        ({"user_id": 1.5}, None),
        ({"user_id": {"a": 1}}, None),
    ],
)
def test_another_claim_for_the_user(claims: dict[str, Any], user: str | None) -> None:
    """`user_id_claim` replaces `sub`, for both kinds of tokens."""
    client = section(token={"hmac_secret_key": SECRET, "user_id_claim": "user_id"})
    found = read(client, mint(claims))
    subscription = read(client, mint(claims | {"channel": "c"}), subscription=True)

    if user is None:
        assert str(found) == str(subscription) == "user_id is neither a string nor an integer"
    else:
        assert found == ConnectGrant(user=user)
        assert subscription == SubscribeGrant(channel="c", user=user)


def test_keys_of_their_own_for_subscriptions() -> None:
    """`subscription_token` counts where it is enabled, with every setting of its own."""
    own = {"hmac_secret_key": OLDER, "audience": "channels"}
    separate = section(token={"hmac_secret_key": SECRET}, subscription_token={"enabled": True, **own})
    shared = section(token={"hmac_secret_key": SECRET}, subscription_token={"enabled": False, **own})
    claims = {"channel": "c", "aud": "channels"}

    assert read(separate, mint(claims, OLDER), subscription=True) == SubscribeGrant(channel="c")
    assert invalid(separate, mint(claims), subscription=True) == "the signature does not fit"
    assert invalid(separate, mint({}, OLDER)) == "the signature does not fit"
    assert read(shared, mint({"channel": "c"}), subscription=True) == SubscribeGrant(channel="c")
    assert invalid(shared, mint(claims, OLDER), subscription=True) == "the signature does not fit"


def test_an_error_of_the_caller_is_the_callers() -> None:
    """What `then` raises is not taken for a bad token, and it is not called a second time."""
    calls: list[Any] = []

    def then(found: Any) -> None:
        calls.append(found)
        raise TokenInvalid("of the caller")

    for token in (mint({}), "garbage"):
        with pytest.raises(TokenInvalid, match="of the caller"):
            Tokens(HMAC, VirtualClock(), never).connection(token, then)

    assert len(calls) == 2
