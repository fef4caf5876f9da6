"""Calls as a real Centrifugo made them, from the recordings of the tests."""

import base64
import json
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple

CALLS: Final = Path(__file__).parents[1] / "tests" / "recordings" / "calls.jsonl"

Wire = Literal["proto", "json"]

_WIRES: Final[dict[str, Wire]] = {"grpc": "proto", "http": "json"}


class Recorded(NamedTuple):
    """One call."""

    wire: Wire
    kind: str
    headers: list[tuple[str, str]]
    body: bytes


def calls() -> list[Recorded]:
    """An RPC and a publication with JSON payloads, each on both wires."""
    found: dict[tuple[Wire, str], Recorded] = {}
    for line in CALLS.read_text().splitlines():
        call: dict[str, Any] = json.loads(line)
        kind = call["method"].lower()
        if kind not in ("rpc", "publish") or call["binary_encoding"]:
            continue
        wire = _WIRES[call["wire"]]
        if wire == "proto":
            body = base64.b64decode(call["request_b64"])
            pairs = [(name, value) for name, values in call["metadata"].items() for value in values]
        else:
            body = call["body"].encode()
            pairs = list(call["headers"].items())
        if (b"sum" in body if kind == "rpc" else b'{"text"' in body) and (wire, kind) not in found:
            found[wire, kind] = Recorded(wire, kind, pairs, body)
    wanted: list[tuple[Wire, str]] = [("proto", "rpc"), ("proto", "publish"), ("json", "rpc"), ("json", "publish")]
    return [found[each] for each in wanted]
