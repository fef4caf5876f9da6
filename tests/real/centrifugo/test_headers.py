"""What comes with a call: the client's headers, the operator's secret, TLS."""

from pathlib import Path
from typing import Any, Final

import pytest

from rtbridge import RPCResult, SubscribeResult

pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

TEMPORARY: Final = {"error": {"code": 100, "message": "internal server error", "temporary": True}}
SECRET: Final = {"key": "x-proxy-key", "values": ["old", "s3cret"]}


def own(wire: str, **options: Any) -> dict[str, Any]:
    """The part of a proxy's options that belongs to one wire."""
    return {"grpc" if wire == "grpc" else "http": options}


def static(wire: str, pairs: dict[str, str]) -> dict[str, Any]:
    """Options of a proxy that sends these with each call."""
    return own(wire, **{"static_metadata" if wire == "grpc" else "static_headers": pairs})


async def test_headers(wire: str, stand: Any, hooks: Any) -> None:
    """Headers of the client's request, emulated ones of its connect command and static ones arrive, whatever their
    case; later events carry those of the connect, and a header that nobody listed stays away."""
    plugin = hooks(subscribe=SubscribeResult(), rpc=RPCResult())
    proxies = {
        "http_headers": ["Cookie", "Origin", "X-Real-Ip"],
        "emulated_headers": ["Authorization", "X-Trace"],
        **static(wire, {"x-env": "test"}),
        "rpc": {"http_headers": [], "emulated_headers": []},
    }
    running = await stand(wire, plugin, proxies=proxies)
    client = await running.frames(Cookie="sid=1; b=2", X_Real_Ip="192.0.2.1", X_Unlisted="no", X_Trace="transport")
    reply = await client.send(connect={"headers": {"Authorization": "Bearer t", "x-trace": "abc", "X-Real-Ip": "fake"}})
    assert "connect" in reply, reply
    await client.send(subscribe={"channel": "room"})
    for kind in ("connect", "subscribe"):
        headers = (await plugin.heard(kind)).headers
        assert headers["COOKIE"] == "sid=1; b=2"
        assert headers["authorization"] == "Bearer t"
        assert headers["X-Env"] == "test"
        assert headers["x-real-ip"] == "192.0.2.1"
        assert headers["X-Trace"] == "abc"
        assert "x-unlisted" not in headers
        assert "origin" not in headers
    await client.send(rpc={"method": "m"})
    headers = (await plugin.heard("rpc")).headers
    assert headers["x-env"] == "test"
    assert not {"cookie", "authorization", "x-trace"} & {name.lower() for name in headers}


async def test_secret(wire: str, stand: Any, hooks: Any) -> None:
    """With the secret calls are answered; each wrong or missing one is refused before a hook hears of it, and the
    client sees a temporary error."""
    plugin = hooks()
    proxies = {"connect": static(wire, {"X-Proxy-Key": "s3cret"})}
    running = await stand(wire, plugin, proxies=proxies, secret=SECRET)
    client = await running.client()
    assert await client.send(rpc={"method": "m"}) == TEMPORARY
    assert plugin.seen["rpc"].empty()
    wrong = await stand(wire, hooks(), proxies={"connect": static(wire, {"X-Proxy-Key": "guess"})}, secret=SECRET)
    assert await (await wrong.frames()).send(connect={}) == TEMPORARY


async def test_a_client_cannot_send_the_secret(wire: str, stand: Any, hooks: Any) -> None:
    """Headers of the client do not get through unless they are listed, so it cannot pose as Centrifugo."""
    running = await stand(wire, hooks(), secret=SECRET)
    client = await running.frames(X_Proxy_Key="s3cret")
    assert await client.send(connect={"headers": {"x-proxy-key": "s3cret"}}) == TEMPORARY


async def test_grpc_credentials(stand: Any, hooks: Any) -> None:
    """Centrifugo's own credentials of gRPC proxies serve as the secret."""
    credentials = {"grpc": {"credentials_key": "x-proxy-key", "credentials_value": "s3cret"}}
    plugin = hooks()
    await (await stand("grpc", plugin, proxies=credentials, secret=SECRET)).client()
    assert (await plugin.heard("connect")).headers["x-proxy-key"] == "s3cret"


async def test_grpc_compression(stand: Any, hooks: Any) -> None:
    """Calls that Centrifugo compresses are read, and answered."""
    plugin = hooks(rpc=lambda event: RPCResult(data=event.data))
    client = await (await stand("grpc", plugin, proxies={"grpc": {"compression": True}})).client()
    data = {"text": "a" * 20_000}
    assert await client.send(rpc={"method": "m", "data": data}) == {"rpc": {"data": data}}


@pytest.mark.parametrize("mutual", [False, True], ids=["tls", "mtls"])
async def test_tls(mutual: bool, wire: str, stand: Any, hooks: Any, certificates: Any) -> None:
    """Centrifugo calls over TLS and shows its certificate where one is wanted."""
    settings: dict[str, Any] = {"cert": str(certificates.server_cert), "key": str(certificates.server_key)}
    tls = {"enabled": True, "server_ca_pem": str(certificates.ca)}
    if mutual:
        settings["client_ca"] = str(certificates.ca)
        tls |= {"cert_pem": str(certificates.client_cert), "key_pem": str(certificates.client_key)}
    scheme = "grpc" if wire == "grpc" else "https"
    plugin = hooks(rpc=RPCResult(data=1))
    client = await (await stand(scheme, plugin, proxies=own(wire, tls=tls), tls=settings)).client()
    assert await client.send(rpc={"method": "m"}) == {"rpc": {"data": 1}}


@pytest.mark.parametrize("shown", ["none", "stranger"])
async def test_mtls_refuses(shown: str, wire: str, stand: Any, hooks: Any, certificates: Any) -> None:
    """Without the certificate that is wanted no call gets in: the client sees a temporary error."""
    settings = {
        "cert": str(certificates.server_cert),
        "key": str(certificates.server_key),
        "client_ca": str(certificates.ca),
    }
    tls: dict[str, Any] = {"enabled": True, "server_ca_pem": str(certificates.ca)}
    if shown == "stranger":
        stranger: tuple[Path, Path] = certificates.stranger_cert, certificates.stranger_key
        tls |= {"cert_pem": str(stranger[0]), "key_pem": str(stranger[1])}
    plugin = hooks()
    scheme = "grpc" if wire == "grpc" else "https"
    running = await stand(scheme, plugin, proxies=own(wire, tls=tls), tls=settings)
    assert await (await running.frames()).send(connect={}) == TEMPORARY
    assert plugin.seen["connect"].empty()
