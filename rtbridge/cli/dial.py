"""Dials the proxy as Centrifugo does: one call over gRPC or HTTP, bytes in and bytes out."""

import asyncio
import http.client
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc
import grpc.aio

from rtbridge.config import Address
from rtbridge.errors import ConfigError
from rtbridge.events import METHODS

#: Statuses that say that the call did not reach an rtbridge, or not as Centrifugo.
_REFUSED: Final = {
    grpc.StatusCode.UNAVAILABLE: "is not reachable",
    grpc.StatusCode.UNAUTHENTICATED: "refuses the secret",
    grpc.StatusCode.UNIMPLEMENTED: "is no proxy of Centrifugo's",
}


class Unreached(Exception):
    """The call did not come through to hooks; the text goes on from the address."""


class Failed(Exception):
    """The call came through and failed as a call."""


class Trust(NamedTuple):
    """TLS of a caller.

    Attributes:
        authority: PEM file of whoever signed the server's certificate; None for the system's authorities.
        pinned: PEM file of the server's own certificate, trusted as it is, whatever name it has.
        cert: PEM file of the client certificate.
        key: PEM file of its key.
        insecure: Trust whatever certificate the server shows.

    """

    authority: Path | None = None
    pinned: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """The same for the standard library.

        Raises:
            ConfigError: A file cannot be used.

        """
        try:
            context = ssl.create_default_context(cafile=self.pinned or self.authority)
            if self.cert is not None:
                context.load_cert_chain(self.cert, self.key)
        except (OSError, ssl.SSLError) as exc:
            raise ConfigError(f"a TLS file cannot be used: {exc}") from exc
        if self.pinned is not None:
            context.check_hostname = False
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


class Peer(NamedTuple):
    """Whom to call, and how. Names and values of headers are such as both wires can carry."""

    address: Address
    trust: Trust | None
    headers: Sequence[tuple[str, str]]
    timeout: float


def over_grpc(peer: Peer, kind: str, request: bytes) -> bytes:
    """The reply's bytes.

    Raises:
        Unreached: Nobody is there, or the caller was not let in.
        Failed: The call failed, or took longer than the timeout.

    """
    return asyncio.run(_over_grpc(peer, kind, request))


async def _over_grpc(peer: Peer, kind: str, request: bytes) -> bytes:
    target = f"unix:{peer.address.path}" if peer.address.path else str(peer.address).removeprefix("tcp://")
    if peer.trust is None:
        channel = grpc.aio.insecure_channel(target)
    else:
        credentials, options = _credentials(peer, peer.trust)
        channel = grpc.aio.secure_channel(target, credentials, options)
    metadata = [
        (name.lower(), value.encode() if name.lower().endswith("-bin") else value) for name, value in peer.headers
    ]
    async with channel:
        call: Any = channel.unary_unary(METHODS[kind].path)
        try:
            return bytes(await call(request, timeout=peer.timeout, metadata=metadata))
        except grpc.aio.AioRpcError as exc:
            code, details = exc.code(), exc.details()
            if code in _REFUSED:
                raise Unreached(f"{_REFUSED[code]}: {details}") from exc
            if code is grpc.StatusCode.DEADLINE_EXCEEDED:
                if channel.get_state() is not grpc.ChannelConnectivity.READY:
                    raise Unreached(f"is not reachable: no connection within {peer.timeout:g} s") from exc
                raise Failed(f"no answer within {peer.timeout:g} s") from exc
            raise Failed(f"gRPC {code.name}: {details}") from exc


def _credentials(peer: Peer, trust: Trust) -> tuple[grpc.ChannelCredentials, list[tuple[str, str]]]:
    options: list[tuple[str, str]] = []
    try:
        root = trust.authority.read_bytes() if trust.authority is not None else None
        cert = trust.cert.read_bytes() if trust.cert is not None else None
        key = trust.key.read_bytes() if trust.key is not None else None
        if trust.insecure or trust.pinned is not None:
            shown = trust.pinned.read_text() if trust.pinned is not None and not trust.insecure else _shown(peer, trust)
            root = shown.encode()
            options = [("grpc.ssl_target_name_override", _name(peer, trust, shown))]
    except ssl.SSLError as exc:
        raise Unreached(f"does not come to terms over TLS: {exc}") from exc
    except OSError as exc:
        if exc.filename is not None:
            raise ConfigError(f"{exc.filename}: {exc.strerror}") from exc
        raise Unreached(f"is not reachable: {exc.strerror or exc}") from exc
    return grpc.ssl_channel_credentials(root, key, cert), options


def _shown(peer: Peer, trust: Trust) -> str:
    with _secured(peer, trust.context()) as connection:
        return ssl.DER_cert_to_PEM_cert(connection.getpeercert(binary_form=True) or b"")


def _name(peer: Peer, trust: Trust, certificate: str) -> str:
    # gRPC always wants the name in the certificate, so it is told the one that stands there. Only a connection that
    # has checked the certificate gives its names.
    context = Trust(cert=trust.cert, key=trust.key).context()
    context.load_verify_locations(cadata=certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    with _secured(peer, context) as connection:
        found: Any = connection.getpeercert() or {}
    names = [value for _, value in found.get("subjectAltName", ())]
    names += [value for part in found.get("subject", ()) for name, value in part if name == "commonName"]
    return str(names[0]).replace("*", "any") if names else peer.address.host


def _secured(peer: Peer, context: ssl.SSLContext) -> ssl.SSLSocket:
    context.set_alpn_protocols(["h2"])
    return context.wrap_socket(_connected(peer), server_hostname=peer.address.host or None)


def _connected(peer: Peer) -> socket.socket:
    if peer.address.path:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(peer.timeout)
        connection.connect(peer.address.path)
        return connection
    return socket.create_connection((peer.address.host, peer.address.port), peer.timeout)


def over_http(peer: Peer, path: str, body: bytes) -> bytes:
    """The reply's bytes.

    Raises:
        Unreached: Nobody is there, or the caller was not let in.
        Failed: The call failed, or took longer than the timeout.

    """
    connection = http.client.HTTPConnection(peer.address.host or "localhost", peer.address.port or 80)
    context = None if peer.trust is None else peer.trust.context()
    try:
        connection.sock = _connected(peer)
        if context is not None:
            connection.sock = context.wrap_socket(connection.sock, server_hostname=peer.address.host or None)
    except ssl.SSLError as exc:
        connection.close()
        raise Unreached(f"does not come to terms over TLS: {exc}") from exc
    except OSError as exc:
        raise Unreached(f"is not reachable: {exc.strerror or exc}") from exc
    try:
        connection.putrequest("POST", path)
        for name, value in (("Content-Type", "application/json"), ("Content-Length", str(len(body))), *peer.headers):
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        answer = response.read()
    except TimeoutError as exc:
        raise Failed(f"no answer within {peer.timeout:g} s") from exc
    except (OSError, http.client.HTTPException) as exc:
        # With TLS 1.3 the server looks at the client's certificate after the client has begun to speak.
        raise Unreached(f"closed the connection: {exc or type(exc).__name__}") from exc
    finally:
        connection.close()
    if response.status == 200:
        return answer
    text = f"HTTP {response.status}: {answer[:200].decode(errors='replace')}"
    if response.status == 401:
        raise Unreached(f"refuses the secret: {text}")
    if response.status in (404, 405):
        raise Unreached(f"is no proxy of Centrifugo's: {text}")
    raise Failed(text)
