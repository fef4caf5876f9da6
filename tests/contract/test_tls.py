"""TLS and mutual TLS on the transports that listen."""

import ssl
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from rtbridge import ListenError, RPCResult, hookimpl
from rtbridge.transport.settings import Tls
from tests.certificates import LOOPBACK, Authority, Pair


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Pair]:
    """An authority, a server and a client of it, and a client of another authority."""
    folder = tmp_path_factory.mktemp("certificates")
    ca, other = Authority(folder, "ca"), Authority(folder, "other")
    return {
        "ca": ca.own,
        "other": other.own,
        "server": ca.issue("server", *LOOPBACK),
        "client": ca.issue("client"),
        "stranger": other.issue("stranger"),
    }


class Plugin:
    @hookimpl
    async def on_rpc(self) -> RPCResult:
        return RPCResult(data="in")


async def start(peer: Any, certificates: dict[str, Pair], *, client: str | None, mutual: bool) -> None:
    server, ca = certificates["server"], certificates["ca"]
    tls = {"cert": str(server.cert), "key": str(server.key)}
    if mutual:
        tls["client_ca"] = str(ca.cert)
    own = certificates[client] if client is not None else None
    if peer.over_grpc:
        peer.credentials = grpc.ssl_channel_credentials(
            ca.cert.read_bytes(),
            None if own is None else own.key.read_bytes(),
            None if own is None else own.cert.read_bytes(),
        )
    else:
        peer.verify = ssl.create_default_context(cafile=str(ca.cert))
        if own is not None:
            peer.verify.load_cert_chain(own.cert, own.key)
    await peer.start(Plugin(), tls=tls)


async def test_tls(socket_peer: Any, certificates: dict[str, Pair]) -> None:
    """With a certificate and a key, calls travel encrypted."""
    await start(socket_peer, certificates, client=None, mutual=False)
    assert await socket_peer.call("rpc") == {"result": {"data": "in"}}


async def test_plaintext_is_refused(socket_peer: Any, certificates: dict[str, Pair]) -> None:
    """A caller without TLS gets no answer from a server with it."""
    await start(socket_peer, certificates, client=None, mutual=False)
    if socket_peer.over_grpc:
        await socket_peer.channel.close()
        socket_peer.credentials = None
        socket_peer.channel = socket_peer.dial()
        assert await socket_peer.call("rpc", deadline=5) == {"failure": "UNAVAILABLE"}
    else:
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.TransportError):
                await client.post(f"http://{socket_peer.transport.address}/rpc", content=b"{}")


async def test_mutual_tls(socket_peer: Any, certificates: dict[str, Pair]) -> None:
    """With `client_ca`, a caller that shows a certificate of that authority is let in."""
    await start(socket_peer, certificates, client="client", mutual=True)
    assert await socket_peer.call("rpc") == {"result": {"data": "in"}}


@pytest.mark.parametrize("client", [None, "stranger"], ids=["no certificate", "another authority's"])
async def test_mutual_tls_refuses(socket_peer: Any, certificates: dict[str, Pair], client: str | None) -> None:
    """A caller without a certificate of that authority gets no answer."""
    await start(socket_peer, certificates, client=client, mutual=True)
    if socket_peer.over_grpc:
        assert await socket_peer.call("rpc", deadline=5) == {"failure": "UNAVAILABLE"}
    else:
        with pytest.raises(httpx.TransportError):
            await socket_peer.call("rpc")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"cert": "ca", "key": "server"}, "the TLS files do not fit|the files cannot be used: "),
        ({"cert": "server", "key": "missing"}, "missing.key"),
        ({"cert": "server", "key": "server", "client_ca": "missing"}, "missing.pem"),
    ],
    ids=["another's key", "no key", "no authority"],
)
async def test_files_that_cannot_be_used(
    socket_peer: Any, certificates: dict[str, Pair], tmp_path: Path, files: dict[str, str], said: str
) -> None:
    """TLS files that are absent or do not fit each other are an error at start that says so."""
    known = {**certificates, "missing": Pair(tmp_path / "missing.pem", tmp_path / "missing.key")}
    usable = certificates["server"]
    peer = socket_peer
    await peer.start(Plugin())
    tls = Tls(
        known[files["cert"]].cert,
        known[files["key"]].key,
        known[files["client_ca"]].cert if "client_ca" in files else None,
    )
    assert usable.cert.exists()
    again = peer.runtime.transports()[0]
    if peer.over_grpc:
        again._settings = again._settings._replace(tls=tls)
    else:
        again._tls = tls
    with pytest.raises(ListenError, match=said):
        await again.start()
    await again.stop(0)
