"""The TLS side of a server whose certificate and key are texts of its configuration."""

import ssl
import tempfile
from pathlib import Path

from rtbridge.errors import ListenError


def server_context(cert_pem: str, key_pem: str, client_ca_pem: str = "") -> ssl.SSLContext:
    """A context for a server, TLS 1.2 and later.

    Args:
        cert_pem: The certificate, and those between it and its authority, in PEM.
        key_pem: Its key in PEM, without a passphrase.
        client_ca_pem: Authority of the clients' certificates in PEM; with it, clients have to show one.

    Raises:
        ListenError: One of them is not what it should be, or certificate and key do not fit.

    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # OpenSSL's Python binding reads certificate and key from files only: this folder is nobody else's and goes at once.
    with tempfile.TemporaryDirectory(prefix="rtbridge-") as folder:
        cert, key = Path(folder, "cert"), Path(folder, "key")
        try:
            cert.write_text(cert_pem, encoding="utf-8")
            key.touch(0o600)
            key.write_text(key_pem, encoding="utf-8")
            context.load_cert_chain(cert, key, password=_no_passphrase)
        except (OSError, ValueError, _Passphrase) as exc:  # ssl.SSLError is an OSError
            raise ListenError(f"http_server.tls: cert_pem and key_pem cannot be used: {_why(exc)}") from exc
    if client_ca_pem:
        try:
            # Between its blocks a PEM text may hold anything, here only ASCII.
            context.load_verify_locations(cadata=client_ca_pem.encode("ascii", "replace").decode("ascii"))
        except (OSError, ValueError) as exc:
            raise ListenError(f"http_server.tls: client_ca_pem cannot be used: {_why(exc)}") from exc
        context.verify_mode = ssl.CERT_REQUIRED
    return context


class _Passphrase(Exception):
    pass


def _no_passphrase() -> str:
    raise _Passphrase("the key has a passphrase")  # otherwise OpenSSL asks for it on the terminal


def _why(error: Exception) -> str:
    # The texts of other errors could hold a part of the key.
    if isinstance(error, ssl.SSLError):
        return error.reason or "no PEM"
    return str(error) if isinstance(error, _Passphrase) else "no PEM"
