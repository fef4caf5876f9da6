"""What transports are told: address, TLS, secret, limits. Made from the configuration, or by hand in tests."""

from pathlib import Path
from typing import NamedTuple

from rtbridge.errors import ListenError
from rtbridge.transport.base import Secret


class Tls(NamedTuple):
    """Files of a TLS server, in PEM.

    Attributes:
        cert: The certificate chain.
        key: The private key.
        client_ca: Callers have to show a certificate signed by one of these; None to ask for none.

    """

    cert: Path
    key: Path
    client_ca: Path | None = None

    def read(self) -> tuple[bytes, bytes, bytes | None]:
        """The three files' contents.

        Raises:
            ListenError: A file cannot be read.

        """
        try:
            ca = self.client_ca.read_bytes() if self.client_ca is not None else None
            return self.cert.read_bytes(), self.key.read_bytes(), ca
        except OSError as exc:
            raise ListenError(f"rtbridge.tls: {exc.filename}: {exc.strerror}") from exc


class Limits(NamedTuple):
    """Bounds on one call, in bytes."""

    message_size: int = 4 * 1024 * 1024
    header_size: int = 16 * 1024


class GrpcSettings(NamedTuple):
    """Settings of a gRPC server; durations in seconds, 0 for never."""

    address: str
    tls: Tls | None = None
    secret: Secret | None = None
    message_size: int = Limits().message_size
    header_size: int = Limits().header_size
    keepalive: float = 60.0
    max_connection_age: float = 0.0
    drain_timeout: float = 30.0
    reflection: bool = False
