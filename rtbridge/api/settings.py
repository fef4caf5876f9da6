"""Where the server API is and how it is called, one type for each wire. Keys are in no repr."""

import ssl
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rtbridge.errors import ConfigError

#: Seconds that a call may take where nobody says otherwise.
TIMEOUT: Final = 5.0


def seconds(given: float | None, configured: float) -> float:
    """How long a call may take.

    Args:
        given: What its caller says; None for nothing.
        configured: What counts then.

    Raises:
        ValueError: It is not above zero, or longer than this machine can wait.

    """
    if given is None:
        return configured
    if not 0 < given <= threading.TIMEOUT_MAX:
        raise ValueError(f"timeout={given!r}: seconds above zero are wanted, or None for the configured ones")
    return given


def _check(key: str | None, timeout: float) -> None:
    seconds(timeout, TIMEOUT)
    if key is not None and not (key and key.isascii() and key.isprintable() and key == key.strip()):
        raise ValueError(
            "the API key or token is empty, or holds what no header can carry: use visible ASCII characters"
        )


@dataclass(frozen=True, kw_only=True)
class Trust:
    """TLS of a caller.

    Attributes:
        authority: PEM file of whoever signed the server's certificate; None for well-known authorities.
        pinned: PEM text of the server's own certificate, trusted as it is, whatever name it has.
        server_name: The name in the certificate; None for the host that is called.
        cert: PEM file of the client certificate.
        key: PEM file of its key.

    """

    authority: Path | None = None
    pinned: str | None = field(default=None, repr=False)
    server_name: str | None = None
    cert: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext:
        """The same for the standard library.

        Raises:
            ConfigError: A file cannot be used.

        """
        try:
            context = ssl.create_default_context(cafile=self.authority, cadata=self.pinned or None)
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as exc:
            raise ConfigError(f"a TLS file for the server API cannot be used: {exc}") from exc
        if self.pinned is not None:
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context


@dataclass(frozen=True, kw_only=True)
class HttpSettings:
    """The server API over HTTP.

    Attributes:
        url: Its address with the path that methods follow: ``http://127.0.0.1:8000/api``.
        key: The API key; None for none.
        trust: TLS of ``https``.
        timeout: Seconds that a call may take, retries included.
        key_from: What an operator looks at when the key is refused.

    Raises:
        ValueError: The key cannot be sent, or the timeout is not above zero.

    """

    url: str
    key: str | None = field(default=None, repr=False)
    trust: Trust = Trust()
    timeout: float = TIMEOUT
    key_from: str = "the key"

    def __post_init__(self) -> None:
        _check(self.key, self.timeout)


@dataclass(frozen=True, kw_only=True)
class GrpcSettings:
    """The server API over gRPC.

    Attributes:
        target: ``host:port`` or ``unix:path``.
        key: The API key; None for none.
        trust: TLS; None for plaintext.
        compress: Whether requests are compressed with gzip.
        timeout: Seconds that a call may take, retries included.
        key_from: What an operator looks at when the key is refused.

    Raises:
        ValueError: The key cannot be sent, or the timeout is not above zero.

    """

    target: str
    key: str | None = field(default=None, repr=False)
    trust: Trust | None = None
    compress: bool = False
    timeout: float = TIMEOUT
    key_from: str = "the key"

    def __post_init__(self) -> None:
        _check(self.key, self.timeout)


@dataclass(frozen=True, kw_only=True)
class ControlSettings:
    """The server API over the control RPC of an ``rtbridge serve`` with the embedded server.

    Attributes:
        target: ``host:port`` or ``unix:path``.
        token: ``rtbridge.rpc_token``; None for none.
        timeout: Seconds that a call may take, retries included.

    Raises:
        ValueError: The token cannot be sent, or the timeout is not above zero.

    """

    target: str
    token: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        _check(self.token, self.timeout)
