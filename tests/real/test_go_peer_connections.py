"""Connections by grpc-go: TLS, gzip, size limits, load, health, and how a server leaves."""

import asyncio
import base64
import os
from pathlib import Path
from typing import Any, Final

import pytest

from rtbridge import PublishResult, RPCResult

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

#: Asks for every call of a test that makes many; it takes minutes.
LONG: Final = os.environ.get("RTBRIDGE_LONG_TESTS", "") not in ("", "0", "false")

SERVICE: Final = "centrifugal.centrifugo.proxy.CentrifugoProxy"
MIB: Final = 1024 * 1024


def b64(content: bytes) -> str:
    """Bytes as protobuf's JSON has them."""
    return base64.b64encode(content).decode()


def echo(event: Any) -> RPCResult:
    """Answers a call with its own data."""
    return RPCResult(data=event.raw_data)


async def test_gzip(backend: Any, serve: Any, go_peer: Any) -> None:
    """A proxy with `grpc.compression` sends gzip, and both sides understand each other."""
    backend.answer = echo
    connection = await go_peer.dial((await serve(backend)).address, compression=True)
    content = b"a" * 100_000
    answer = await connection.call("RPC", {"data": b64(content)})
    assert answer["reply"] == {"result": {"data": b64(content)}}
    assert backend.seen[0].raw_data == content
    traffic = await connection.do("traffic")
    assert traffic["sent"] > len(content)
    assert traffic["sent_compressed"] < 1000
    backend.answer = lambda event: None
    stream = await connection.open("SubscribeUnidirectional", {"channel": "a" * 1000})
    assert "disconnect" in (await stream.receive())["reply"]["subscribe_response"]
    assert backend.seen[1].channel == "a" * 1000


async def test_tls(backend: Any, serve: Any, go_peer: Any, certificates: Any) -> None:
    """TLS under a certificate authority of one's own; who trusts another one, or speaks plaintext, gets nowhere."""
    backend.answer = echo
    served = await serve(backend, tls={"cert": str(certificates.server_cert), "key": str(certificates.server_key)})
    host, port = served.address.split(":")
    for target in (served.address, f"dns:///localhost:{port}"):
        trusting = await go_peer.dial(target, tls={"ca": str(certificates.ca)})
        assert (host, (await trusting.call("RPC", {"data": b64(b"1")}))["code"]) == ("127.0.0.1", "OK")
    doubting = await go_peer.dial(served.address, tls={"ca": str(certificates.stranger_ca)})
    refused = await doubting.call("RPC")
    assert refused["code"] == "Unavailable"
    assert "certificate signed by unknown authority" in refused["text"]
    plain = await go_peer.dial(served.address)
    assert (await plain.call("RPC"))["code"] == "Unavailable"
    assert len(backend.seen) == 2


async def test_mutual_tls(backend: Any, serve: Any, go_peer: Any, certificates: Any) -> None:
    """With `client_ca`, only callers whose certificate it signed get in."""
    backend.answer = echo
    tls = {"cert": certificates.server_cert, "key": certificates.server_key, "client_ca": certificates.ca}
    served = await serve(backend, tls={name: str(path) for name, path in tls.items()})
    ca = str(certificates.ca)
    for pair in ({}, {"cert": str(certificates.stranger_cert), "key": str(certificates.stranger_key)}):
        stranger = await go_peer.dial(served.address, tls={"ca": ca, **pair})
        assert (await stranger.call("RPC"))["code"] == "Unavailable"
    assert backend.seen == []
    own = {"cert": str(certificates.client_cert), "key": str(certificates.client_key)}
    known = await go_peer.dial(served.address, tls={"ca": ca, **own}, compression=True)
    assert (await known.call("RPC", {"data": b64(b"1")}))["reply"] == {"result": {"data": b64(b"1")}}


async def test_message_size(backend: Any, serve: Any, go_peer: Any) -> None:
    """Requests up to the limit pass, larger ones are refused without a hook, and the connection goes on."""
    backend.answer = lambda event: RPCResult()
    connection = await go_peer.dial((await serve(backend)).address)
    at_limit = 4 * MIB - 5  # the field's tag and four bytes of length
    cases = [(at_limit, "OK"), (at_limit + 1, "InvalidArgument"), (17 * MIB, "ResourceExhausted"), (1, "OK")]
    for size, code in cases:
        answer = await connection.raw(f"/{SERVICE}/RPC", b"\x62" + varint(size) + bytes(size))
        assert (size, answer["code"]) == (size, code)
        if code == "InvalidArgument":
            assert answer["text"] == "4194305 bytes; rtbridge.limits.message_size is 4194304"
    assert [len(event.raw_data) for event in backend.seen] == [at_limit, 1]
    assert (await connection.do("traffic"))["connections"] == 1


def varint(number: int) -> bytes:
    """A length as protobuf writes it."""
    head, more = number & 0x7F, number >> 7
    return bytes([head | 0x80]) + varint(more) if more else bytes([head])


async def test_an_answer_that_is_too_large(backend: Any, serve: Any, go_peer: Any) -> None:
    """grpc-go takes 4 MiB; a larger answer fails that one call at the caller, as it does in Centrifugo."""
    connection = await go_peer.dial((await serve(backend)).address)
    for size, code in ((5 * MIB, "ResourceExhausted"), (4 * MIB - 100, "OK"), (1, "OK")):
        backend.answer = lambda event, size=size: RPCResult(data=bytes(size))
        assert (await connection.call("RPC"))["code"] == code
    assert (await connection.do("traffic"))["connections"] == 1


async def test_metadata_size(backend: Any, serve: Any, go_peer: Any) -> None:
    """Metadata over the limit is refused; far over it grpc-go does not send it, as the server announced a bound."""
    connection = await go_peer.dial((await serve(backend)).address)
    too_large = "header list size to send violates the maximum size (65536 bytes) set by server"
    for size, code in ((15_000, "OK"), (17_000, "InvalidArgument"), (100_000, "Internal"), (1, "OK")):
        answer = await connection.call("RPC", metadata=[("x-large", b"a" * size)])
        assert (size, answer["code"]) == (size, code)
        if code == "Internal":
            assert answer["text"] == too_large
    assert len(backend.seen) == 2


async def test_a_unix_socket(backend: Any, serve: Any, go_peer: Any, tmp_path: Path) -> None:
    """Centrifugo's `unix:///path` endpoints reach a server on that path."""
    backend.answer = echo
    path = tmp_path / "proxy.sock"
    served = await serve(backend, address=f"unix://{path}")
    connection = await go_peer.dial(f"unix://{path}")
    assert served.address == f"unix:{path}"
    assert (await connection.call("RPC", {"data": b64(b"1")}))["reply"] == {"result": {"data": b64(b"1")}}


async def test_many_calls_at_once(backend: Any, serve: Any, go_peer: Any) -> None:
    """2,000 calls, at most 128 in flight on one connection: each gets its own answer."""

    async def answer(event: Any) -> RPCResult:
        await asyncio.sleep(0)
        assert str(event.data["number"]) == event.user
        return RPCResult(data=event.raw_data)

    backend.answer = answer
    connection = await go_peer.dial((await serve(backend)).address)
    found = await connection.do("burst", count=2000, in_flight=128, timeout=15_000)
    assert (found["right"], found["wrong"], found["failed"], found["connections"]) == (2000, 0, {}, 1)


async def test_every_size(backend: Any, serve: Any, go_peer: Any) -> None:
    """Calls of 1 B to 1 MB, at most 256 in flight on one connection: each reply is its request."""
    backend.answer = echo
    backend.forgets = True
    connection = await go_peer.dial((await serve(backend)).address)
    calls = 100_000 if LONG else 5_000
    burst = connection.begin_other("burst", count=calls, in_flight=256, largest=MIB, timeout=60_000)
    found = await burst.answer(within=550)
    assert (found["right"], found["wrong"], found["failed"], found["connections"]) == (calls, 0, {}, 1)


async def test_more_calls_than_places(backend: Any, serve: Any, go_peer: Any) -> None:
    """As many calls as `limits.concurrency` are answered, as many wait, and the rest get a temporary error at once."""
    release = asyncio.Event()

    async def answer(event: Any) -> PublishResult:
        await release.wait()
        return PublishResult()

    backend.answer = answer
    connection = await go_peer.dial((await serve(backend, limits={"concurrency": 2})).address)
    calls = [connection.begin("Publish") for _ in range(12)]
    answers = []
    for each in asyncio.as_completed([call.answer() for call in calls]):
        answers.append((await each)["reply"])
        if len(answers) == 8:
            assert len(backend.seen) == 2
            release.set()
    shed = {"error": {"code": 100, "message": "internal server error", "temporary": True}}
    assert answers == [shed] * 8 + [{"result": {}}] * 4


async def test_drain(backend: Any, serve: Any, go_peer: Any) -> None:
    """A server that stops sends GOAWAY, finishes the calls under way, and takes no new ones."""
    started, release = asyncio.Event(), asyncio.Event()

    async def answer(event: Any) -> RPCResult:
        started.set()
        await release.wait()
        return RPCResult(data=event.raw_data)

    backend.answer = answer
    served = await serve(backend)
    connection = await go_peer.dial(served.address, frames=True)
    call = connection.begin("RPC", {"data": b64(b"1")})
    async with asyncio.timeout(10):
        await started.wait()
    stopping = asyncio.create_task(served.stop())
    await connection.do("state")
    goaways = (await connection.do("traffic"))["goaways"]
    assert {goaway["code"] for goaway in goaways} == {0}
    late = await connection.call("RPC")
    assert late["code"] == "Unavailable"
    assert not stopping.done()
    release.set()
    assert (await call.answer())["reply"] == {"result": {"data": b64(b"1")}}
    async with asyncio.timeout(10):
        await stopping
    assert len(backend.seen) == 1


async def test_connection_age(backend: Any, serve: Any, go_peer: Any) -> None:
    """Connections that are cycled under load lose no call."""
    backend.answer = echo
    served = await serve(backend, max_connection_age="300ms")
    connection = await go_peer.dial(served.address)
    found = await connection.do("burst", count=1_000_000, in_flight=16, timeout=15_000, connections=5)
    assert found["connections"] >= 5
    assert (found["wrong"], found["failed"]) == (0, {})
    assert found["right"] > 0


async def test_health(backend: Any, serve: Any, go_peer: Any) -> None:
    """grpc-go's health client sees SERVING, without the secret, and is told when the server leaves."""
    served = await serve(backend, secret={"values": ["s3cret"]})
    connection = await go_peer.dial(served.address)
    for service, status in (("", "SERVING"), (SERVICE, "SERVING"), ("other.Service", "UNKNOWN")):
        found = await connection.do("health", service=service, timeout=10_000)
        assert found["status"] == status
        assert found["code"] == ("NotFound" if status == "UNKNOWN" else "OK")
    watching = connection.begin_other("watch", service=SERVICE, until="NOT_SERVING", timeout=15_000)
    seen = await connection.do("watch", service=SERVICE, until="SERVING", timeout=10_000)
    assert seen["seen"] == ["SERVING"]
    await served.stop()
    assert (await watching.answer())["seen"] == ["SERVING", "NOT_SERVING"]
