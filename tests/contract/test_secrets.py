"""The shared secret of proxy calls, in metadata or header."""

import hmac
from typing import Any

import grpc
import grpc.aio
import pytest

from rtbridge import RPCEvent, RPCResult, hookimpl
from rtbridge.transport.base import Secret

SECRET = {"key": "X-Proxy-Key", "values": ["s3cret", "n3xt"]}


class Plugin:
    def __init__(self) -> None:
        self.calls = 0

    @hookimpl
    async def on_rpc(self, event: RPCEvent) -> RPCResult:
        self.calls += 1
        return RPCResult(data="in")


@pytest.mark.parametrize(
    "headers",
    [
        [("x-proxy-key", "s3cret")],
        [("x-proxy-key", "n3xt")],
        [("x-proxy-key", "wrong"), ("x-proxy-key", "s3cret")],
        [("x-other", "1"), ("x-proxy-key", "n3xt"), ("x-proxy-key", "")],
    ],
    ids=["first value", "rotated value", "last of two headers", "first of two headers"],
)
async def test_admitted(wire_peer: Any, headers: list[tuple[str, str]]) -> None:
    """Each configured value admits, wherever it stands among several headers of the name."""
    await wire_peer.start(Plugin(), secret=SECRET)
    assert await wire_peer.call("rpc", headers=headers) == {"result": {"data": "in"}}


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("x-proxy-key", "")],
        [("x-proxy-key", "s3cre")],
        [("x-proxy-key", "S3CRET")],
        [("x-proxy-key", "s3cret,n3xt")],
        [("x-proxy-keys", "s3cret")],
        [("x-proxy-key", "wrong"), ("x-proxy-key", "also wrong")],
    ],
    ids=["missing", "empty", "shorter", "another case", "both in one", "another header", "two wrong"],
)
async def test_refused(wire_peer: Any, headers: list[tuple[str, str]], caplog: pytest.LogCaptureFixture) -> None:
    """Without one of the values no hook runs; the reply and the log name the key and never a value."""
    plugin = Plugin()
    await wire_peer.start(plugin, secret=SECRET)
    for _ in range(3):
        assert await wire_peer.call("rpc", headers=headers) == {"failure": "unauthenticated"}
    assert plugin.calls == 0
    assert "x-proxy-key: missing or wrong" in wire_peer.details
    (record,) = [r for r in caplog.records if "refused a call from" in r.getMessage()]  # the rest is held back
    assert "x-proxy-key" in record.getMessage()
    assert "s3cret" not in wire_peer.details + caplog.text
    assert await wire_peer.call("rpc", headers=[("x-proxy-key", "s3cret")]) == {"result": {"data": "in"}}


async def test_refused_before_anything_else_is_looked_at(grpc_peer: Any) -> None:
    """Unknown methods, streams and undecodable bytes tell a stranger nothing either."""
    await grpc_peer.start(Plugin(), secret=SECRET)
    assert (await grpc_peer.raw("/some.Service/Method", b""))[0] == "unauthenticated"
    assert (await grpc_peer.raw("rpc", b"\xff"))[0] == "unauthenticated"
    for kind in ("subscribe_unidirectional", "subscribe_bidirectional"):
        assert (await grpc_peer.subscribe(kind)).first == {"failure": "unauthenticated"}


async def test_a_path_tells_a_stranger_nothing(http_peer: Any) -> None:
    """Without the secret an unknown path and an undecodable body look like any other call."""
    await http_peer.start(Plugin(), secret=SECRET)
    assert (await http_peer.raw("nowhere", b""))[0] == "unauthenticated"
    assert (await http_peer.raw("rpc", b"{"))[0] == "unauthenticated"


async def test_reflection_wants_the_secret_and_health_does_not(grpc_peer: Any) -> None:
    """A load balancer asks for health without knowing the secret; reflection is for those who may call."""
    await grpc_peer.start(secret=SECRET, grpc_reflection=True)
    check: Any = grpc_peer.channel.unary_unary("/grpc.health.v1.Health/Check")
    assert await check(b"", timeout=10) == b"\x08\x01"
    info: Any = grpc_peer.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await info(iter([b"\x3a\x00"]), timeout=10).read()
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    allowed = info(iter([b"\x3a\x00"]), timeout=10, metadata=(("x-proxy-key", "n3xt"),))
    assert b"CentrifugoProxy" in await allowed.read()


def test_every_value_is_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each given value meets each known one through `hmac.compare_digest`, also after a match."""
    compared: list[tuple[bytes, bytes]] = []
    real = hmac.compare_digest

    def compare(a: Any, b: Any) -> bool:
        compared.append((a, b))
        return real(a, b)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    assert Secret("K", ["one", "two"]).admits(["one", b"x"])
    assert compared == [(b"one", b"one"), (b"one", b"two"), (b"x", b"one"), (b"x", b"two")]
    assert not Secret("k", ["é"]).admits([])
    assert Secret("k", ["é"]).admits(["é".encode()])
