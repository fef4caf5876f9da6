"""Where transports listen: ports, addresses that are taken, unix sockets."""

import contextlib
import socket
from pathlib import Path
from typing import Any

import pytest

from rtbridge import ListenError, RPCResult, hookimpl
from rtbridge.transport.settings import GrpcSettings
from rtbridge.transport.uvicorn import UvicornTransport


class Plugin:
    @hookimpl
    async def on_rpc(self) -> RPCResult:
        return RPCResult(data="in")


def another(peer: Any, address: str) -> Any:
    """A second transport of the same kind."""
    if peer.over_grpc:
        return type(peer.transport)(peer.runtime.handler, GrpcSettings(address=address))
    return UvicornTransport(peer.runtime.http_app(), address, tls=None, header_size=16384)


def said(peer: Any, address: str) -> str:
    """The start of the text that an operator reads."""
    return f"{'gRPC' if peer.over_grpc else 'HTTP'} cannot listen on {address}: "


async def test_any_free_port(socket_peer: Any) -> None:
    """Port 0 takes a free one, which `address` tells."""
    await socket_peer.start(Plugin())
    host, _, port = socket_peer.transport.address.rpartition(":")
    assert host == "127.0.0.1"
    assert int(port) > 0


async def test_a_port_in_use(socket_peer: Any) -> None:
    """A port that is taken is an error that names the address, and what listens there goes on."""
    await socket_peer.start(Plugin())
    address = socket_peer.transport.address
    second = another(socket_peer, address)
    with pytest.raises(ListenError) as refused:
        await second.start()
    await second.stop(0)
    assert str(refused.value).startswith(said(socket_peer, address))
    assert "in use" in str(refused.value).lower()
    assert await socket_peer.call("rpc") == {"result": {"data": "in"}}


@pytest.mark.parametrize("address", ["192.0.2.1:0", "no.such.host.invalid:0"])
async def test_an_address_that_is_not_here(socket_peer: Any, address: str) -> None:
    """An address of another machine is an error that names it."""
    await socket_peer.start(Plugin())
    second = another(socket_peer, address)
    with pytest.raises(ListenError) as refused:
        await second.start()
    await second.stop(0)
    assert str(refused.value).startswith(said(socket_peer, address))


async def test_a_unix_socket(socket_peer: Any, tmp_path: Path) -> None:
    """Both listen on a unix socket, and leave no file behind."""
    path = tmp_path / "s"
    address = f"unix://{path}"
    if socket_peer.over_grpc:
        socket_peer.sections = {"centrifuge": {"proxy_address": address}}
    else:
        socket_peer.section = {"http_proxy": {"address": address}}
    await socket_peer.start(Plugin())
    assert socket_peer.transport.address == f"unix:{path}"
    assert path.is_socket()
    assert await socket_peer.call("rpc") == {"result": {"data": "in"}}
    await socket_peer.runtime.stop([socket_peer.transport])
    assert not path.exists()


async def test_a_unix_socket_in_use(socket_peer: Any, tmp_path: Path) -> None:
    """A unix socket that another process serves is an error, and stays that process's."""
    path = tmp_path / "s"
    await socket_peer.start(Plugin())
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(path))
        taken.listen()
        second = another(socket_peer, f"unix:{path}")
        with pytest.raises(ListenError) as refused:
            await second.start()
        await second.stop(0)
        assert str(refused.value).startswith(said(socket_peer, f"unix:{path}"))
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


async def test_a_busy_unix_socket(socket_peer: Any, tmp_path: Path) -> None:
    """A process that takes no more callers at the moment still serves its socket."""
    path = tmp_path / "s"
    await socket_peer.start(Plugin())
    with contextlib.ExitStack() as stack:
        busy = stack.enter_context(socket.socket(socket.AF_UNIX))
        busy.bind(str(path))
        busy.listen(0)
        for _ in range(16):
            caller = stack.enter_context(socket.socket(socket.AF_UNIX))
            caller.setblocking(False)
            with contextlib.suppress(OSError):
                caller.connect(str(path))
        second = another(socket_peer, f"unix:{path}")
        with pytest.raises(ListenError) as refused:
            await second.start()
        assert str(refused.value) == said(socket_peer, f"unix:{path}") + "it is in use"
        await second.stop(0)
        assert path.is_socket()


async def test_a_unix_socket_left_behind(socket_peer: Any, tmp_path: Path) -> None:
    """The file of a process that died does not keep the next one from listening."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as died:
        died.bind(str(path))
    await socket_peer.start(Plugin())
    second = another(socket_peer, f"unix:{path}")
    await second.start()
    assert path.is_socket()
    await second.stop(1)


async def test_stop_without_start(socket_peer: Any) -> None:
    """A transport that never listened can be stopped."""
    await socket_peer.start(Plugin())
    await another(socket_peer, "127.0.0.1:0").stop(1)


async def test_ipv6(socket_peer: Any) -> None:
    """An IPv6 address is written in brackets."""
    await socket_peer.start(Plugin())
    second = another(socket_peer, "[::1]:0")
    try:
        await second.start()
    except ListenError:
        pytest.skip("this machine has no IPv6 loopback")
    assert second.address.startswith("[::1]:")
    assert not second.address.endswith(":0")
    await second.stop(1)
