"""Real calls and real nasty bytes."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rtbridge.codec.descriptors import message_class

TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def recordings() -> list[dict[str, Any]]:
    """Every proxy call that a real Centrifugo 6.9.1 was seen to make, as it left it."""
    return [json.loads(line) for line in (TESTS / "recordings/calls.jsonl").read_text().splitlines()]


@pytest.fixture(scope="session")
def answer() -> Callable[[str, bytes], Any]:
    """Reads an answer with stock protobuf: the method's name and bytes give a message."""

    def read(name: str, data: bytes) -> Any:
        return message_class(f"centrifugal.centrifugo.proxy.{name}").FromString(data)

    return read


@pytest.fixture(scope="session")
def request_bytes() -> Callable[..., bytes]:
    """Writes a request with stock protobuf: the method's name and the fields give bytes."""

    def write(message: str, /, **fields: Any) -> bytes:
        return bytes(message_class(f"centrifugal.centrifugo.proxy.{message}")(**fields).SerializeToString())

    return write


@pytest.fixture(scope="session")
def corpus() -> dict[str, bytes]:
    """Nasty input by name: the files of ``corpus/``, and what is too large to keep as a file."""
    found = {path.name: path.read_bytes() for path in sorted((Path(__file__).parent / "corpus").iterdir())}
    # Field 11 is the channel of most requests; its length is a varint of three bytes.
    channel = b"c" * 1_000_000
    found["proto-long-channel"] = b"\x5a\xc0\x84\x3d" + channel
    found["json-long-channel"] = b'{"channel":"' + channel + b'"}'
    found["json-deep-data"] = b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    found["json-deep-object"] = b'{"data":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}"
    found["json-deep-unknown"] = b'{"other":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    found["json-deep-open"] = b"[" * 1_000_000
    found["json-long-number"] = b'{"items":[{"version":' + b"9" * 100_000 + b"}]}"
    found["json-long-base64"] = b'{"b64data":"' + base64.b64encode(b"\x00" * 1_000_000) + b'"}'
    found["proto-deep"] = b"".join(_nested(depth) for depth in (99, 100, 101, 5_000))
    return found


def _nested(depth: int) -> bytes:
    """Groups inside groups, which proto3 does not know and has to skip."""
    return b"\x0b" * depth + b"\x0c" * depth
