"""Clients of HTTP/2 that know nothing of gRPC: curl, and h2load."""

import asyncio
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from rtbridge.codec.descriptors import message_class
from tests.certificates import Pair
from tests.contract.test_tls import certificates
from tests.real.conftest import find_tool
from tests.transport.builtin.conftest import Server
from tests.transport.builtin.h2 import RPC, message, rpc

__all__ = ["certificates"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

SHARED = True

#: What curl ends with where the other side refuses it: an end too early, a failed handshake, an empty reply, a broken
#: connection, an error of HTTP/2.
NOT_SERVED: Final = (16, 18, 35, 52, 55, 56, 92)

GRPC: Final = ("-H", "content-type: application/grpc", "-H", "te: trailers")


class Ran(NamedTuple):
    """A program that has ended."""

    code: int | None
    written: str
    complaint: str


async def ran(command: Sequence[str | Path], within: float = 25) -> Ran:
    """What a program does."""
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        async with asyncio.timeout(within):
            written, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return Ran(process.returncode, written.decode("latin-1"), complaint.decode())


class Curl:
    """Posts a body with curl.

    Args:
        folder: For what it sends and receives.

    """

    def __init__(self, folder: Path) -> None:
        self._program = find_tool("curl", "the tests with curl")
        self._sent, self._received, self._head = (folder / name for name in ("sent", "received", "head"))

    async def run(self, url: str, body: bytes, *arguments: str | Path) -> Ran:
        """Post it, well or not."""
        self._sent.write_bytes(body)
        for path in (self._received, self._head):
            path.write_bytes(b"")
        command = [self._program, "-sS", "--max-time", "20", "--noproxy", "*", *arguments]
        return await ran([*command, "--data-binary", f"@{self._sent}", "-o", self._received, "-D", self._head, url])

    async def post(self, url: str, body: bytes, *arguments: str | Path) -> tuple[str, bytes, str]:
        """Head, body and trailers of the response."""
        done = await self.run(url, body, *arguments)
        assert done.code == 0, done.complaint
        # curl writes trailers behind the head, after the empty line.
        first, _, trailers = self._head.read_bytes().decode("latin-1").partition("\r\n\r\n")
        return first, self._received.read_bytes(), trailers


@pytest.fixture
def curl(server: Any, tmp_path: Path) -> Any:
    """Posts a body to a path with curl, in plain text: head, body and trailers of the response."""
    client = Curl(tmp_path)

    async def post(path: str, body: bytes, *arguments: str) -> tuple[str, bytes, str]:
        return await client.post(f"http://{server.address}{path}", body, "--http2-prior-knowledge", *arguments)

    return post


def echoed(body: bytes) -> bytes:
    """The data of a reply in its frame."""
    assert body[:5] == b"\0" + (len(body) - 5).to_bytes(4, "big")
    return bytes(message_class("centrifugal.centrifugo.proxy.RPCResponse").FromString(body[5:]).result.data)


async def test_curl(curl: Any) -> None:
    """A unary call with a framed body, answered with a framed body and trailers."""
    head, body, trailers = await curl(RPC, message(rpc(b'{"a":1}')), *GRPC)
    assert head.startswith("HTTP/2 200")
    assert "content-type: application/grpc" in head
    assert echoed(body) == b'{"a":1}'
    assert "grpc-status: 0" in trailers


async def test_curl_and_errors(curl: Any) -> None:
    """Unknown methods and broken messages are gRPC errors; what is no gRPC is told so in HTTP."""
    cases = [("/other.Service/Call", message(b""), 12), (RPC, message(b"\xff\xff"), 3), (RPC, b"", None)]
    for path, sent, code in cases:
        head, body, trailers = await curl(path, sent, *GRPC)
        assert head.startswith("HTTP/2 200")
        assert body == b""
        found = re.search(r"grpc-status: (\d+)", head + trailers)
        assert found is not None
        assert int(found[1]) == code if code is not None else int(found[1]) != 0
    head, body, _ = await curl(RPC, b"a=1")
    assert head.startswith("HTTP/2 415")
    head, body, _ = await curl(RPC, message(rpc()), *GRPC, "-X", "PUT")
    assert head.startswith("HTTP/2 4")


async def test_curl_large(curl: Any) -> None:
    """A request and a reply of a megabyte, which take several windows each way."""
    data = bytes(range(256)) * 4096
    _, body, trailers = await curl(RPC, message(rpc(data)), *GRPC)
    assert echoed(body) == data
    assert "grpc-status: 0" in trailers


async def test_curl_over_tls(certificates: dict[str, Pair], tmp_path: Path) -> None:
    """HTTP/2 is agreed upon with ALPN; who asks for HTTP/1.1, or trusts somebody else, is not served."""
    curl, pair, ca = Curl(tmp_path), certificates["server"], certificates["ca"].cert
    server = Server(tls={"cert": str(pair.cert), "key": str(pair.key)})
    try:
        url, call = f"https://{server.address}{RPC}", message(rpc(b'{"a":1}'))
        head, body, trailers = await curl.post(url, call, "--http2", "--cacert", ca, *GRPC)
        assert head.startswith("HTTP/2 200")
        assert echoed(body) == b'{"a":1}'
        assert "grpc-status: 0" in trailers
        assert (await curl.run(url, call, "--http1.1", "--cacert", ca, *GRPC)).code in NOT_SERVED
        doubting = await curl.run(url, call, "--http2", "--cacert", certificates["other"].cert, *GRPC)
        assert doubting.code == 60  # "Peer certificate cannot be authenticated"
        plain = await curl.run(f"http://{server.address}{RPC}", call, "--http2-prior-knowledge", *GRPC)
        assert plain.code in NOT_SERVED
    finally:
        server.stop()


async def test_curl_with_a_certificate(certificates: dict[str, Pair], tmp_path: Path) -> None:
    """With `client_ca`, whose certificate it signed gets in; others get nothing, with TLS 1.2 and with 1.3."""
    curl, pair, ca = Curl(tmp_path), certificates["server"], certificates["ca"].cert
    server = Server(tls={"cert": str(pair.cert), "key": str(pair.key), "client_ca": str(ca)})
    try:
        url, call = f"https://{server.address}{RPC}", message(rpc(b'{"a":1}'))
        for version in ("1.2", "1.3"):
            asked = ("--http2", "--cacert", ca, "--tls-max", version, *GRPC)
            client, stranger = (
                (*asked, "--cert", certificates[name].cert, "--key", certificates[name].key)
                for name in ("client", "stranger")
            )
            head, body, trailers = await curl.post(url, call, *client)
            assert head.startswith("HTTP/2 200")
            assert echoed(body) == b'{"a":1}'
            assert "grpc-status: 0" in trailers
            for refused in (asked, stranger):
                assert (await curl.run(url, call, *refused)).code in NOT_SERVED
    finally:
        server.stop()


@pytest.mark.parametrize(("clients", "streams"), [(1, 1), (1, 32), (8, 16)])
async def test_h2load(clients: int, streams: int, server: Any, bystander: Any, tmp_path: Path) -> None:
    """nghttp2's load generator has every call answered."""
    program = find_tool("h2load", "the tests with h2load")
    calls, body = 4_000, tmp_path / "body"
    body.write_bytes(message(rpc(b"x" * 200)))
    command: list[str | Path] = [program, "-n", str(calls), "-c", str(clients), "-m", str(streams), "-d", body]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    done = await ran([*command, *headers, f"http://{server.address}{RPC}"], within=60)
    assert done.code == 0, done.complaint
    text = done.written
    assert f"requests: {calls} total, {calls} started, {calls} done, {calls} succeeded, 0 failed, 0 errored" in text
    assert f"status codes: {calls} 2xx" in text
    sizes = re.search(r"\((\d+)\) data", text)
    assert sizes is not None
    reply = message_class("centrifugal.centrifugo.proxy.RPCResponse")()
    reply.result.data = b"x" * 200
    assert int(sizes[1]) == calls * len(message(reply.SerializeToString()))
