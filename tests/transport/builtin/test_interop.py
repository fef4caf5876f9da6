"""Clients of HTTP/2 that know nothing of gRPC: curl, and h2load."""

import asyncio
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from rtbridge.codec.descriptors import message_class
from tests.real.conftest import find_tool
from tests.transport.builtin.h2 import RPC, message, rpc

pytestmark = [pytest.mark.real, pytest.mark.timeout(120)]

SHARED = True

GRPC: Final = ("-H", "content-type: application/grpc", "-H", "te: trailers")


async def output(command: Sequence[str | Path], within: float = 25) -> str:
    """What a program writes; it has to end well."""
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        async with asyncio.timeout(within):
            written, complaint = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, complaint.decode()
    return written.decode("latin-1")


@pytest.fixture
def curl(server: Any, tmp_path: Path) -> Any:
    """Posts a body to a path with curl: head, body and trailers of the response."""
    program = find_tool("curl", "the tests with curl")

    async def post(path: str, body: bytes, *arguments: str) -> tuple[str, bytes, str]:
        sent, received, head = (tmp_path / name for name in ("sent", "received", "head"))
        sent.write_bytes(body)
        received.write_bytes(b"")
        options = ["--http2-prior-knowledge", "-sS", "--max-time", "20", "--noproxy", "*"]
        command: list[str | Path] = [program, *options, *arguments]
        command += ["--data-binary", f"@{sent}", "-o", received, "-D", head, f"http://{server.address}{path}"]
        await output(command)
        # curl writes trailers behind the head, after the empty line.
        first, _, trailers = head.read_bytes().decode("latin-1").partition("\r\n\r\n")
        return first, received.read_bytes(), trailers

    return post


async def test_curl(curl: Any) -> None:
    """A unary call with a framed body, answered with a framed body and trailers."""
    head, body, trailers = await curl(RPC, message(rpc(b'{"a":1}')), *GRPC)
    assert head.startswith("HTTP/2 200")
    assert "content-type: application/grpc" in head
    reply = message_class("centrifugal.centrifugo.proxy.RPCResponse").FromString(body[5:])
    assert (body[:5], reply.result.data) == (b"\0" + (len(body) - 5).to_bytes(4, "big"), b'{"a":1}')
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
    reply = message_class("centrifugal.centrifugo.proxy.RPCResponse").FromString(body[5:])
    assert reply.result.data == data
    assert "grpc-status: 0" in trailers


@pytest.mark.parametrize(("clients", "streams"), [(1, 1), (1, 32), (8, 16)])
async def test_h2load(clients: int, streams: int, server: Any, bystander: Any, tmp_path: Path) -> None:
    """nghttp2's load generator has every call answered."""
    program = find_tool("h2load", "the tests with h2load")
    calls, body = 4_000, tmp_path / "body"
    body.write_bytes(message(rpc(b"x" * 200)))
    command: list[str | Path] = [program, "-n", str(calls), "-c", str(clients), "-m", str(streams), "-d", body]
    headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
    text = await output([*command, *headers, f"http://{server.address}{RPC}"], within=60)
    assert f"requests: {calls} total, {calls} started, {calls} done, {calls} succeeded, 0 failed, 0 errored" in text
    assert f"status codes: {calls} 2xx" in text
    sizes = re.search(r"\((\d+)\) data", text)
    assert sizes is not None
    reply = message_class("centrifugal.centrifugo.proxy.RPCResponse")()
    reply.result.data = b"x" * 200
    assert int(sizes[1]) == calls * len(message(reply.SerializeToString()))
