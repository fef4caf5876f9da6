"""TLS from texts of the configuration: what is served with it, and what cannot be used."""

import datetime
import ipaddress
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from rtbridge import ListenError
from rtbridge.embedded.framing import text_frame
from rtbridge.embedded.fronts.endpoints import Settings
from rtbridge.embedded.fronts.tls import server_context
from tests.embedded.fronts.conftest import Site
from tests.embedded.fronts.raw import close, frame

EVERY_LOOP = True

Start = Callable[..., Awaitable[Site]]

Encryption = serialization.KeySerializationEncryption


class Pair(NamedTuple):
    """A certificate of its own authority and its key, in PEM."""

    cert: str
    key: str


def issue(encryption: Encryption | None = None) -> Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = encryption or serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    return Pair(cert.public_bytes(serialization.Encoding.PEM).decode(), pem.decode())


SERVER, CLIENT, STRANGER = issue(), issue(), issue()


def client_context(own: Pair | None, folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=SERVER.cert)
    if own is not None:
        (folder / "cert").write_text(own.cert)
        (folder / "key").write_text(own.key)
        context.load_cert_chain(folder / "cert", folder / "key")
    return context


async def test_tls(site: Start, tmp_path: Path) -> None:
    """WebSocket and HTTP travel encrypted, with all that they have without it."""
    served = await site(tls=server_context(SERVER.cert, SERVER.key), settings=Settings(message_size=1000))
    tls = client_context(None, tmp_path)
    client = await served.dial(tls=tls)
    await client.upgrade()
    session = served.sessions[0]
    client.send(frame("in"))
    await session.until(lambda s: s.messages)
    session.outlet.write(text_frame(b"out"))
    assert (await client.receive())[1] == b"out"
    client.send(close())
    assert await client.closing() == (1000, "")
    assert await client.end() == b""
    failing = await served.dial(tls=tls)
    await failing.upgrade()
    failing.send(frame(b"x" * 1001))
    assert await failing.closing() == (1009, "")
    http = await served.dial(tls=tls)
    http.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await http.answer())[2] == b"GET /a "
    http.send(b"GET /b HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (await http.answer())[2] == b"GET /b "


async def test_no_tls(site: Start) -> None:
    """A client without it gets nothing of the server."""
    served = await site(tls=server_context(SERVER.cert, SERVER.key))
    client = await served.dial()
    client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
    assert b"GET /a" not in await client.end()
    assert served.sessions == []


@pytest.mark.parametrize(("own", "admitted"), [(CLIENT, True), (STRANGER, False), (None, False)])
async def test_client_certificates(site: Start, tmp_path: Path, own: Pair | None, admitted: bool) -> None:
    """With an authority for clients, only those with a certificate of it are served."""
    served = await site(tls=server_context(SERVER.cert, SERVER.key, CLIENT.cert))
    try:
        client = await served.dial(tls=client_context(own, tmp_path))
        await client.upgrade()
    except (OSError, EOFError):
        assert not admitted
    else:
        assert admitted
    assert len(served.sessions) == admitted


@pytest.mark.parametrize(
    ("cert", "key", "authority", "said"),
    [
        (SERVER.cert, CLIENT.key, "", "cert_pem and key_pem cannot be used: KEY_VALUES_MISMATCH"),
        ("", SERVER.key, "", "cert_pem and key_pem cannot be used: "),
        (SERVER.cert, "", "", "cert_pem and key_pem cannot be used: "),
        ("nonsense", "nonsense", "", "cert_pem and key_pem cannot be used: "),
        ("\xe9", SERVER.key, "", "cert_pem and key_pem cannot be used: "),
        ("\ud800", SERVER.key, "", "cert_pem and key_pem cannot be used: no PEM"),
        (SERVER.cert, issue(serialization.BestAvailableEncryption(b"secret")).key, "", "the key has a passphrase"),
        (SERVER.cert, SERVER.key, "nonsense", "client_ca_pem cannot be used: "),
        (SERVER.cert, SERVER.key, "\xe9", "client_ca_pem cannot be used: "),
    ],
)
def test_what_cannot_be_used(
    cert: str, key: str, authority: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error at start that names the keys of the configuration, shows nothing of them and leaves no file."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(ListenError) as refused:
        server_context(cert, key, authority)
    assert str(refused.value).startswith("http_server.tls: ")
    assert said in str(refused.value)
    assert not any(line in str(refused.value) for line in key.splitlines() if line)
    assert list(tmp_path.iterdir()) == []


def test_text_around_the_blocks() -> None:
    """What tools write before a certificate does not matter, in any language."""
    server_context(f"Aussteller: é\n{SERVER.cert}", f"# Schlüssel\n{SERVER.key}", f"für alle\n{CLIENT.cert}")


def test_the_key_is_nobody_elses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While OpenSSL reads it from a file, no other user can, and afterwards there is none."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    modes: list[int] = []
    original = ssl.SSLContext.load_cert_chain

    def load(context: ssl.SSLContext, cert: Path, key: Path, password: Callable[[], str]) -> None:
        modes.extend(path.stat().st_mode & 0o077 for path in (key, key.parent))
        original(context, cert, key, password)

    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", load)
    server_context(SERVER.cert, SERVER.key)
    assert modes == [0, 0]
    assert list(tmp_path.iterdir()) == []
