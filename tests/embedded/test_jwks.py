"""Public keys from an address: found, kept, fetched again, and what a bad endpoint cannot do."""

import asyncio
import base64
import datetime
import ipaddress
import json
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import jwt
import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from rtbridge.config.embedded import Client
from rtbridge.embedded import jwks
from rtbridge.embedded.grants import ConnectGrant, SubscribeGrant
from rtbridge.embedded.tokens import TokenExpired, TokenInvalid, Tokens
from rtbridge.errors import ConfigError
from rtbridge.testing import VirtualClock

RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP384R1())
ED = ed25519.Ed25519PrivateKey.generate()
OTHER = ec.generate_private_key(ec.SECP384R1())


def jwk(key: Any, algorithm: str, kid: object = "one", *, secret: bool = False, **more: Any) -> dict[str, Any]:
    """A JSON Web Key; with its private half where `secret` says so."""
    made = get_default_algorithms()[algorithm].to_jwk(key if secret else key.public_key(), as_dict=True)
    return {name: value for name, value in {**made, "kid": kid, "use": "sig", **more}.items() if value is not None}


def token(key: Any = EC, algorithm: str = "ES384", kid: str = "one", **claims: Any) -> str:
    """A token that names its key."""
    return jwt.encode({"sub": "42", **claims}, key, algorithm, headers={"kid": kid} if kid else None)


class Endpoint:
    """A web server on the loopback that answers what the test says, and counts how often it was asked."""

    _server: asyncio.Server

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.asked: list[str] = []
        self.body = b""
        self.head = "HTTP/1.1 200 OK"
        self.headers: str | None = None
        #: What the answer waits for.
        self.gate = asyncio.Event()
        self.gate.set()
        #: Sent in place of an answer, piece by piece, until the peer is gone.
        self.instead: Callable[[asyncio.StreamWriter], Awaitable[None]] | None = None
        self.url = ""
        self._tls = tls
        self._open: set[asyncio.StreamWriter] = set()

    def keys(self, *keys: dict[str, Any]) -> None:
        """Answer with these keys from now on."""
        self.body = json.dumps({"keys": keys}).encode()

    async def __aenter__(self) -> "Endpoint":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.gate.set()
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()
        async with asyncio.timeout(10):
            while self._open:
                await asyncio.sleep(0)
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            self.asked.append((await reader.readuntil(b"\r\n\r\n")).decode())
            await self.gate.wait()
            if self.instead is not None:
                await self.instead(writer)
            else:
                headers = f"Content-Length: {len(self.body)}" if self.headers is None else self.headers
                writer.write(f"{self.head}\r\n{headers}\r\n\r\n".encode() + self.body)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the peer went away, or never said anything
        finally:
            self._open.discard(writer)
            writer.close()


class Stand:
    """Tokens with the keys of an endpoint, on a clock of their own."""

    def __init__(self, client: Client) -> None:
        self.clock = VirtualClock()
        self.fetches: set[asyncio.Task[None]] = set()
        self.tokens = Tokens(client, self.clock, self._spawn)

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.fetches.add(task)
        task.add_done_callback(self.fetches.discard)

    def ask(self, text: str) -> list[Any]:
        """Where the answer will be; it may be there already."""
        found: list[Any] = []
        self.tokens.connection(text, found.append)
        return found

    async def done(self) -> None:
        """Wait until no fetch is under way."""
        async with asyncio.timeout(10):
            while self.fetches:
                await asyncio.wait(self.fetches)

    async def read(self, text: str) -> Any:
        """What comes of a token."""
        found = self.ask(text)
        await self.done()
        assert len(found) == 1
        return found[0]


def section(url: str, **more: Any) -> Client:
    """The section of clients with this address."""
    return msgspec.convert({"token": {"jwks_public_endpoint": url, **more}}, Client)


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    """An endpoint with one key."""
    async with Endpoint() as made:
        made.keys(jwk(EC, "ES384"))
        yield made


@pytest.fixture
def stand(endpoint: Endpoint) -> Stand:
    """Tokens with the keys of that endpoint."""
    return Stand(section(f"{endpoint.url}/keys.json?a=b"))


GRANT = ConnectGrant(user="42")


def why(found: Any) -> str:
    """Why a token is refused."""
    assert isinstance(found, TokenInvalid)
    return str(found)


def outage(found: Any) -> str:
    """Why nobody knows what a token is worth."""
    assert isinstance(found, jwks.FetchFailed)
    return str(found)


async def test_a_key_is_fetched_once(stand: Stand, endpoint: Endpoint) -> None:
    """The first token waits for the keys, later ones get their answer at once."""
    found = stand.ask(token())
    assert found == []
    await stand.done()
    assert found == [GRANT]
    assert stand.ask(token()) == [GRANT]

    subscription: list[Any] = []
    stand.tokens.subscription(token(channel="c"), subscription.append)
    assert subscription == [SubscribeGrant(user="42", channel="c")]
    assert len(endpoint.asked) == 1
    host = endpoint.url.removeprefix("http://")
    assert endpoint.asked[0].startswith(f"GET /keys.json?a=b HTTP/1.1\r\nHost: {host}\r\n")


async def test_tokens_wait_for_one_fetch(stand: Stand, endpoint: Endpoint) -> None:
    """However many come meanwhile, and each gets its own answer; one whose answer cannot be dealt with is alone."""
    endpoint.gate.clear()
    found: list[Any] = []

    def broken(_: Any) -> None:
        raise RuntimeError("a bug")

    stand.tokens.connection(token(), broken)
    for text in (token(), token(OTHER), token(kid="two"), token(exp=1)):
        stand.tokens.connection(text, found.append)
    endpoint.gate.set()
    await stand.done()

    assert found[0] == GRANT
    assert [str(each) for each in found[1:]] == ["the signature does not fit", "no key is called 'two'", "exp is past"]
    assert isinstance(found[3], TokenExpired)
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize(
    ("key", "algorithm", "more"),
    [
        (RSA, "RS256", {}),
        (RSA, "RS384", {}),
        (RSA, "RS512", {}),
        (RSA, "RS384", {"alg": "RS384"}),
        (RSA, "RS256", {"use": None, "key_ops": None, "x5t": 5}),
        (EC, "ES384", {"alg": "ES384"}),
        (EC, "ES384", {"secret": True}),
        (RSA, "RS256", {"secret": True}),
        (ED, "EdDSA", {}),
        (ED, "EdDSA", {"alg": "Ed25519"}),
    ],
)
async def test_keys_of_each_kind(stand: Stand, endpoint: Endpoint, key: Any, algorithm: str, more: Any) -> None:
    """RSA, ECDSA and Ed25519; of a key with its private half only the public one is taken."""
    endpoint.keys({"kty": "new", "kid": "zero"}, jwk(key, algorithm, **more))

    assert await stand.read(token(key, algorithm)) == GRANT


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (jwk(RSA, "RS256", alg="RS384"), token(RSA, "RS256")),
        (jwk(RSA, "RS256"), token(RSA, "PS256")),
        (jwk(EC, "ES384"), token(ec.generate_private_key(ec.SECP256R1()), "ES256")),
        (jwk(ED, "EdDSA"), token(RSA, "RS256")),
        (jwk(RSA, "RS256"), token("a secret of thirty-two bytes, which is no public key", "HS256")),
    ],
)
async def test_a_key_has_its_algorithms(stand: Stand, endpoint: Endpoint, key: Any, text: str) -> None:
    """The key says which algorithms it is for, not the token."""
    endpoint.keys(key)

    assert why(await stand.read(text)).startswith("no key for the algorithm ")


SECRET = "a secret of thirty-two bytes, which everybody can read there"


@pytest.mark.parametrize(
    "key",
    [
        jwk(RSA, "RS256", use="enc"),
        jwk(RSA, "RS256", alg="PS256"),
        jwk(RSA, "RS256", kid=None),
        jwk(RSA, "RS256", kid=1),
        jwk(RSA, "RS256", n=None),
        jwk(RSA, "RS256", n="A"),
        jwk(RSA, "RS256", e="AA"),
        jwk(EC, "ES384", crv="P-256"),
        jwk(EC, "ES384", crv="secp256k1"),
        jwk(EC, "ES384", alg="ES256"),
        jwk(EC, "ES384", x="AAAA"),
        jwk(ED, "EdDSA", x="AAAA"),
        jwk(ed448.Ed448PrivateKey.generate(), "EdDSA"),
        jwk(EC, "ES384", kty="oct"),
        {"kty": "oct", "kid": "one", "use": "sig", "k": base64.urlsafe_b64encode(SECRET.encode()).decode()},
        {"kid": "one"},
        [],
    ],
)
async def test_keys_that_are_of_no_use(stand: Stand, endpoint: Endpoint, key: Any) -> None:
    """They are passed over, the others of the set are not; a secret that everybody can read is no key."""
    endpoint.keys(key, jwk(EC, "ES384", "two"))

    assert why(await stand.read(token(SECRET, "HS256"))) == "no key is called 'one'"
    assert stand.ask(token(kid="two")) == [GRANT]


async def test_a_token_has_to_name_its_key(stand: Stand, endpoint: Endpoint) -> None:
    """Without `kid` nothing is fetched."""
    assert [why(found) for found in stand.ask(token(kid=""))] == ["its header has no kid"]
    assert endpoint.asked == []


async def test_a_new_key(stand: Stand, endpoint: Endpoint) -> None:
    """A key id that is unknown is looked for, at most once in a few seconds; the old key is gone with its set."""
    assert await stand.read(token()) == GRANT
    endpoint.keys(jwk(RSA, "RS256", "two"))
    new = token(RSA, "RS256", "two")

    assert [why(found) for found in stand.ask(new)] == ["no key is called 'two'"]
    stand.clock.advance(jwks.PAUSE - 0.1)
    assert [why(found) for found in stand.ask(new)] == ["no key is called 'two'"]
    assert len(endpoint.asked) == 1
    stand.clock.advance(0.1)
    assert await stand.read(new) == GRANT
    assert [why(found) for found in stand.ask(token())] == ["no key is called 'one'"]
    assert len(endpoint.asked) == 2


async def test_invented_key_ids_make_few_fetches(stand: Stand, endpoint: Endpoint) -> None:
    """A thousand tokens with a thousand ids, over a minute."""
    for number in range(1000):
        stand.clock.advance(0.06)
        await stand.read(token(kid=f"invented {number}"))

    assert len(endpoint.asked) <= 60 / jwks.PAUSE + 1


async def test_known_keys_are_looked_at_again(stand: Stand, endpoint: Endpoint) -> None:
    """After some minutes a key still answers at once, and a fetch beside it finds out whether it still holds."""
    assert await stand.read(token()) == GRANT
    endpoint.keys(jwk(OTHER, "ES384"))
    stand.clock.advance(jwks.FRESH - 0.1)
    assert stand.ask(token()) == [GRANT]
    assert stand.fetches == set()
    stand.clock.advance(0.1)
    assert stand.ask(token()) == [GRANT]
    await stand.done()

    assert [why(found) for found in stand.ask(token())] == ["the signature does not fit"]
    assert len(endpoint.asked) == 2


async def test_an_outage(stand: Stand, endpoint: Endpoint, caplog: pytest.LogCaptureFixture) -> None:
    """Known keys hold for an hour without their endpoint, unknown ones are no fault of the token."""
    assert await stand.read(token()) == GRANT
    endpoint.head = "HTTP/1.1 503 Service Unavailable"
    stand.clock.advance(jwks.KEPT - 0.1)
    with caplog.at_level(logging.WARNING, "rtbridge.embedded"):
        assert await stand.read(token()) == GRANT
    host = endpoint.url.removeprefix("http://")
    assert caplog.messages == [f"keys of {host}/keys.json: answered with status 503"]
    assert [outage(found) for found in stand.ask(token(kid="two"))] == ["answered with status 503"]

    stand.clock.advance(jwks.RETRY)
    assert outage(await stand.read(token())) == "answered with status 503"
    assert [outage(found) for found in stand.ask(token())] == ["answered with status 503"]
    endpoint.head = "HTTP/1.1 200 OK"
    stand.clock.advance(jwks.RETRY)
    assert await stand.read(token()) == GRANT
    assert len(endpoint.asked) == 4


@pytest.mark.parametrize(
    ("head", "headers", "body", "reason"),
    [
        ("HTTP/1.1 404 Not Found", None, b"", "answered with status 404"),
        ("HTTP/1.1 302 Found", "Location: /other\r\nContent-Length: 0", b"", "answered with status 302"),
        ("HTTP/1.1 200 OK", None, b"", "the answer is no JWK set"),
        ("HTTP/1.1 200 OK", None, b"<html>", "the answer is no JWK set"),
        ("HTTP/1.1 200 OK", None, b'{"keys": {}}', "the answer is no JWK set"),
        ("HTTP/1.1 200 OK", None, b'{"keys": [\xff]}', "the answer is no JWK set"),
        ("HTTP/1.1 200 OK", None, b"[" * 100_000, "the answer is no JWK set"),
        ("HTTP/1.1 200 OK", "Content-Length: 100", b'{"keys":[]}', "RemoteProtocolError: "),
        ("HTTP/1.1 200 OK", "X: " + "x" * 100_000, b"", "RemoteProtocolError: "),
        ("SSH-2.0-OpenSSH_9.2", "", b"", "RemoteProtocolError: "),
        ("HTTP/1.1 200 OK", None, b" " * (jwks.SIZE + 1), f"the answer is larger than {jwks.SIZE} bytes"),
    ],
)
async def test_answers_that_hold_no_keys(
    stand: Stand, endpoint: Endpoint, head: str, headers: str | None, body: bytes, reason: str
) -> None:
    """Nobody knows what the token is worth then, which is not the same as a bad one."""
    endpoint.head, endpoint.headers, endpoint.body = head, headers, body

    assert outage(await stand.read(token())).startswith(reason)
    assert len(endpoint.asked) == 1


@pytest.mark.parametrize("headers", ["Transfer-Encoding: chunked", "Connection: close"])
async def test_answers_of_unknown_length(stand: Stand, endpoint: Endpoint, headers: str) -> None:
    """In chunks, or until the connection ends."""
    if headers.startswith("Transfer"):
        endpoint.body = f"{len(endpoint.body):x}\r\n".encode() + endpoint.body + b"\r\n0\r\n\r\n"
    endpoint.head, endpoint.headers = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK", headers

    assert await stand.read(token()) == GRANT


async def test_an_endless_answer_ends(stand: Stand, endpoint: Endpoint) -> None:
    """What is too large is not read to its end."""

    async def flood(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b" " * 65536)
            await writer.drain()

    endpoint.instead = flood

    assert outage(await stand.read(token())) == f"the answer is larger than {jwks.SIZE} bytes"


async def test_a_slow_answer_ends(stand: Stand, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is on the whole fetch: a byte now and then does not lengthen it."""

    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await asyncio.sleep(0.01)

    monkeypatch.setattr(jwks, "TIMEOUT", 0.1)
    endpoint.instead = drip

    assert outage(await stand.read(token())) == "no answer within 0.1 s"


async def test_nobody_listens(stand: Stand, endpoint: Endpoint) -> None:
    """A refused connection is an outage, too."""
    async with Endpoint() as gone:
        url = gone.url
    stand = Stand(section(url))

    assert outage(await stand.read(token())).startswith("ConnectionRefusedError: ")


async def test_a_host_that_cannot_be_a_name() -> None:
    """Found when it is looked for."""
    stand = Stand(section(f"http://{'x' * 70}.example/"))

    assert outage(await stand.read(token())).startswith(("UnicodeError: ", "UnicodeEncodeError: "))


async def test_a_cancelled_fetch_answers(stand: Stand, endpoint: Endpoint) -> None:
    """Whoever waited is told, and the next one fetches anew."""
    endpoint.gate.clear()
    found = stand.ask(token())
    while not endpoint.asked:
        await asyncio.sleep(0)
    for task in list(stand.fetches):
        task.cancel()
    await stand.done()

    assert [outage(each) for each in found] == ["the fetch of the keys was cancelled"]
    endpoint.gate.set()
    stand.clock.advance(jwks.RETRY)
    assert await stand.read(token()) == GRANT


def certificate(path: Path) -> ssl.SSLContext:
    """A server's side of TLS for 127.0.0.1, vouched for by itself, in that file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "keys")])
    hour = datetime.timedelta(hours=1)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now - hour, now + hour)
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    form, unlocked = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, unlocked))
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(path, path.with_suffix(".key"))
    return tls


async def test_the_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over https a server that nobody vouches for gives no keys."""
    authority = tmp_path / "keys.pem"
    tls = certificate(authority)
    async with Endpoint(tls) as endpoint:
        endpoint.keys(jwk(EC, "ES384"))
        assert outage(await Stand(section(endpoint.url)).read(token())).startswith("SSLCertVerificationError: ")
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        assert await Stand(section(endpoint.url)).read(token()) == GRANT
        elsewhere = section(endpoint.url.replace("127.0.0.1", "localhost"))
        assert outage(await Stand(elsewhere).read(token())).startswith("SSLCertVerificationError: ")


TENANTS = r"^https://(?P<tenant>one|t\.wo)\.example$"


async def test_an_address_for_each_issuer(endpoint: Endpoint) -> None:
    """The keys of one issuer do not count for another, though they are called the same."""
    stand = Stand(section(f"{endpoint.url}/{{{{tenant}}}}/keys.json", issuer_regex=TENANTS))

    assert await stand.read(token(iss="https://one.example")) == GRANT
    endpoint.keys(jwk(OTHER, "ES384"))
    assert why(await stand.read(token(iss="https://t.wo.example"))) == "the signature does not fit"
    assert await stand.read(token(OTHER, iss="https://t.wo.example")) == GRANT
    assert stand.ask(token(iss="https://one.example")) == [GRANT]
    assert [text.split()[1] for text in endpoint.asked] == ["/one/keys.json", "/t.wo/keys.json"]


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"iss": "https://three.example"}, "iss does not fit the configured pattern"),
        ({"iss": "https://ONE.example"}, "no key is called 'one'"),
        ({"iss": 1}, "claims: Expected `str | null`, got `int` - at `$.iss`"),
    ],
)
async def test_issuers_without_an_address(endpoint: Endpoint, claims: dict[str, Any], reason: str) -> None:
    """What the pattern does not list is fetched from nowhere, whatever else the pattern takes."""
    stand = Stand(section(f"{endpoint.url}/{{{{tenant}}}}", issuer_regex=f"(?i){TENANTS}"))
    found: list[Any] = []
    payload = msgspec.json.encode(claims)
    stand.tokens.connection(jwt.PyJWS().encode(payload, EC, "ES384", headers={"kid": "one"}), found.append)

    assert [why(each) for each in found] == [reason]
    assert endpoint.asked == []


async def test_a_part_of_the_address_from_the_audience(endpoint: Endpoint) -> None:
    """The first audience that fits decides."""
    stand = Stand(section(f"{endpoint.url}/{{{{app}}}}", audience_regex="^app-(?<app>a|b)$"))

    assert await stand.read(token(aud=["x", "app-b", "app-a"])) == GRANT
    assert endpoint.asked[0].startswith("GET /b HTTP")


@pytest.mark.parametrize(
    ("url", "patterns", "reason"),
    [
        ("file:///etc/passwd", {}, "has to be an address that begins with https:// or http://"),
        ("https:///keys", {}, "has to be an address that begins with https:// or http://"),
        ("keys.example", {}, "has to be an address that begins with https:// or http://"),
        ("https://keys.example:0/", {}, "has to be an address that begins with https:// or http://"),
        ("https://keys.example:70000/", {}, "is no address: "),
        ("https://[::1/", {}, "is no address: "),
        ("https://user:secret@keys.example/", {}, "without a user"),
        ("https://keys.example/#a", {}, "without a user, a #fragment"),
        ("https://keys.example/a b", {}, "blanks"),
        ("https://keys.example/é", {}, "letters outside ASCII"),
        ("https://{{tenant}}.example/", {}, "issuer_regex or audience_regex has to have a group"),
        ("https://{{tenant}}.example/", {"issuer_regex": "(?P<tenant>.*)"}, "(?P<tenant>one|two)"),
        ("https://{{tenant}}.example/", {"issuer_regex": "(?P<tenant>a|b.c)"}, "(?P<tenant>one|two)"),
        ("https://{{tenant}}.example/", {"issuer_regex": r"(?P<tenant>\w)"}, "(?P<tenant>one|two)"),
        ("https://{{tenant}}.example/", {"audience_regex": "(?P<tenant>[ab])"}, "(?P<tenant>one|two)"),
        ("https://{{tenant}}.example/", {"issuer_regex": "(?P<other>a)"}, "(?P<tenant>one|two)"),
    ],
)
def test_addresses_that_cannot_be_used(url: str, patterns: dict[str, str], reason: str) -> None:
    """Found at start; an address that a token could choose freely is none."""
    with pytest.raises(ConfigError) as found:
        Stand(section(url, **patterns))

    assert str(found.value).startswith("rtbridge.embedded.client.token.jwks_public_endpoint ")
    assert reason in str(found.value)
    assert "secret" not in str(found.value)
