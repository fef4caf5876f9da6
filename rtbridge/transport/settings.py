"""What transports are told: address, TLS, secret, limits. Made from the configuration, or by hand in tests."""

import socket
from pathlib import Path
from typing import Final, NamedTuple

from rtbridge.config import Rtbridge
from rtbridge.errors import ListenError
from rtbridge.transport.base import Secret

#: Where the configuration says nothing; its model is the one place for defaults.
_DEFAULTS: Final = Rtbridge()


class Tls(NamedTuple):
    """Files of a TLS server, in PEM.

    Attributes:
        cert: The certificate chain.
        key: The private key.
        client_ca: Callers have to show a certificate signed by one of these; None to ask for none.
        optional: Whether callers may do without one.
        section: Of the configuration, for errors.

    """

    cert: Path
    key: Path
    client_ca: Path | None = None
    optional: bool = False
    section: str = "rtbridge.tls"

    def read(self) -> tuple[bytes, bytes, bytes | None]:
        """The three files' contents.

        Raises:
            ListenError: A file cannot be read.

        """
        try:
            ca = self.client_ca.read_bytes() if self.client_ca is not None else None
            return self.cert.read_bytes(), self.key.read_bytes(), ca
        except OSError as exc:
            raise ListenError(f"{self.section}: {exc.filename}: {exc.strerror}") from exc


def clear_socket(address: str, what: str) -> None:
    """Remove the file of a unix socket that nobody serves any more, as a process leaves it that was killed.

    Args:
        address: ``unix:path``; anything else is left alone.
        what: Who wants to listen, for the error's text.

    Raises:
        ListenError: Somebody serves it.

    """
    path = Path(address.removeprefix("unix:"))
    if not address.startswith("unix:") or not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError:
            pass  # a full line of callers, or somebody else's socket: served, as far as we can tell
    raise ListenError(f"{what} cannot listen on {address}: it is in use")


def remove_socket(address: str) -> None:
    """Remove the file of ``unix:path``, which nobody serves any more; anything else is left alone."""
    if address.startswith("unix:"):
        Path(address.removeprefix("unix:")).unlink(missing_ok=True)


class GrpcSettings(NamedTuple):
    """Settings of a gRPC server; durations in seconds, 0 for never; sizes in bytes.

    Attributes:
        connections: How many may be open at once.
        compress_from: Replies of this size and more are compressed where the caller accepts gzip; None for none. Read
            by the built-in server only.

    """

    address: str
    tls: Tls | None = None
    secret: Secret | None = None
    message_size: int = _DEFAULTS.limits.message_size
    header_size: int = _DEFAULTS.limits.header_size
    connections: int = _DEFAULTS.limits.connections
    keepalive: float = _DEFAULTS.keepalive_time
    max_connection_age: float = _DEFAULTS.max_connection_age
    drain_timeout: float = _DEFAULTS.drain_timeout
    reflection: bool = _DEFAULTS.grpc_reflection
    compress_from: int | None = _DEFAULTS.grpc_compress_from


def bind(address: str, name: str) -> socket.socket:
    """A socket bound to ``host:port`` or ``unix:path``, not yet listening.

    Raises:
        ListenError: It cannot be bound; ``name`` says for what.

    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    unix = address.startswith("unix:")
    family = socket.AF_UNIX if unix else socket.AF_INET6 if ":" in host else socket.AF_INET
    # asyncio turns Nagle's algorithm off only where the socket says that it is TCP.
    listener = socket.socket(family, socket.SOCK_STREAM, 0 if unix else socket.IPPROTO_TCP)
    try:
        if unix:
            listener.bind(address.removeprefix("unix:"))
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, int(port)))
    except OSError as exc:
        listener.close()
        raise ListenError(f"{name} cannot listen on {address}: {exc.strerror}") from exc
    listener.setblocking(False)
    return listener
