"""Whatever arrives, decoding gives an event or an InvalidMessage with a short text that names the fault."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rtbridge as rt
from rtbridge.codec import JSON, PROTO, Codec
from rtbridge.codec.base import unbase64
from rtbridge.events import Call

CODECS: dict[str, tuple[str, Codec]] = {
    **{f"{kind} proto": (kind, codec) for kind, codec in PROTO.items()},
    **{f"{kind} json": (kind, codec) for kind, codec in JSON.items()},
}
NAMES = sorted(CODECS)

fuzz = settings(deadline=None, max_examples=40, derandomize=bool(os.environ.get("CI")))

#: Input → text, for a JSON codec of some kind.
JSON_TEXTS = {
    ("rpc", "empty"): "not valid JSON",
    ("rpc", "json-null"): "Expected `object`, got `null`",
    ("rpc", "json-array"): "Expected `object`, got `array`",
    ("rpc", "json-two-values"): "not valid JSON",
    ("rpc", "json-cut"): "not valid JSON",
    ("rpc", "json-cut-data"): "not valid JSON",
    ("rpc", "json-nan"): "not valid JSON",
    ("rpc", "json-invalid-utf8-user"): "not UTF-8 at byte 9",
    ("rpc", "json-invalid-utf8-data"): "not UTF-8 at byte 9",
    ("rpc", "json-invalid-utf8-unknown"): "not UTF-8 at byte 6",
    ("rpc", "json-lone-surrogate-user"): "not valid JSON",
    ("rpc", "json-user-number"): "Expected `str`, got `int` - at `$.user`",
    ("rpc", "json-labels-numbers"): "Expected `str`, got `int` - at `$.labels[...]`",
    ("connect", "json-channels-string"): "Expected `array`, got `str` - at `$.channels`",
    ("connect", "json-channels-numbers"): "Expected `str`, got `int` - at `$.channels[0]`",
    ("rpc", "json-b64-number"): "Expected `str`, got `int` - at `$.b64data`",
    ("rpc", "json-b64-none"): "b64data is not base64",
    ("connect", "json-b64-url"): "b64data is not base64",
    ("publish", "json-b64-unpadded"): "b64data is not base64",
    ("subscribe", "json-b64-newline"): "b64data is not base64",
    ("map_publish", "json-b64-unicode"): "b64data is not base64",
    ("rpc", "json-deep-data"): "nested too deeply",
    ("rpc", "json-deep-unknown"): "nested too deeply",
    ("shared_poll_refresh", "json-huge-int"): "version is no unsigned integer of 64 bits",
    ("shared_poll_refresh", "json-negative-int"): "version is no unsigned integer of 64 bits",
    ("shared_poll_refresh", "json-float-int"): "Expected `int`, got `float` - at `$.items[0].version`",
    ("shared_poll_refresh", "json-long-number"): "Integer value out of range - at `$.items[0].version`",
    ("shared_poll_refresh", "json-items-null"): "Expected `object`, got `null` - at `$.items[0]`",
    ("channel_state", "json-huge-int"): "Expected `int` <= 9223372036854775807 - at `$.events[0].time_ms`",
    ("channel_state", "json-negative-int"): "Expected `int` >= -9223372036854775808 - at `$.events[0].time_ms`",
}

#: The same for protobuf.
PROTO_TEXTS = {
    ("rpc", "proto-truncated-length"): "not a RPCRequest in protobuf",
    ("connect", "proto-truncated-varint"): "not a ConnectRequest in protobuf",
    ("connect", "proto-invalid-utf8"): "not a ConnectRequest in protobuf",
    ("rpc", "proto-b64-none"): "b64data is not base64",
    ("subscribe_bidirectional", "empty"): "the first message of the stream has no subscribe_request",
    ("subscribe_bidirectional", "proto-publication-only"): "the first message of the stream has no subscribe_request",
    ("subscribe_bidirectional", "proto-truncated-length"): "not a StreamSubscribeRequest in protobuf",
}


def survives(name: str, data: bytes) -> None:
    """Decode it and look at the event: the only errors are ours, and their texts are fit for a log line."""
    _, codec = CODECS[name]
    texts = []
    try:
        event = codec.decode(data, Call())
    except rt.InvalidMessage as exc:
        texts.append(str(exc))
    else:
        repr(event).encode()
        for payload in ("data", "meta"):
            try:
                getattr(event, payload, None)
            except (rt.BadRequest, rt.BinaryPayload, rt.MetaError) as exc:
                texts.append(str(exc))
    for text in texts:
        assert len(text) < 120
        assert text.isprintable()


@fuzz
@given(name=st.sampled_from(NAMES), data=st.binary(max_size=200))
def test_any_bytes(name: str, data: bytes) -> None:
    """Random bytes crash no codec."""
    survives(name, data)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=4), below, max_size=3),
    max_leaves=8,
)
FIELDS = "client user channel channels data b64data meta labels items events key version time_ms method"


@fuzz
@given(name=st.sampled_from([n for n in NAMES if n.endswith("json")]), data=st.data())
def test_any_json(name: str, data: st.DataObject) -> None:
    """Any JSON under the names that are known crashes no codec."""
    body = data.draw(st.dictionaries(st.sampled_from(FIELDS.split()), JSON_VALUES, max_size=5) | JSON_VALUES)
    survives(name, json.dumps(body).encode())


@fuzz
@given(
    name=st.sampled_from([n for n in NAMES if n.endswith("proto")]),
    parts=st.lists(st.tuples(st.integers(1, 18), st.sampled_from([0, 1, 2, 5]), st.binary(max_size=12)), max_size=8),
)
def test_nearly_protobuf(name: str, parts: list[tuple[int, int, bytes]]) -> None:
    """Well-formed tags with whatever behind them crash no codec."""
    data = b""
    for number, wire, body in parts:
        tag = number << 3 | wire
        data += bytes([tag] if tag < 128 else [tag & 127 | 128, tag >> 7])
        data += bytes([len(body)]) + body if wire == 2 else body
    survives(name, data)


@pytest.mark.parametrize("name", NAMES)
def test_the_corpus(corpus: dict[str, bytes], name: str) -> None:
    """Each kept input, against each event on each wire."""
    for data in corpus.values():
        survives(name, data)


@pytest.mark.parametrize(("kind", "entry"), JSON_TEXTS)
def test_texts_over_json(corpus: dict[str, bytes], kind: str, entry: str) -> None:
    """The text names the place and what is wrong there."""
    with pytest.raises(rt.InvalidMessage) as caught:
        JSON[kind].decode(corpus[entry], Call())
    assert str(caught.value) == JSON_TEXTS[kind, entry]


@pytest.mark.parametrize(("kind", "entry"), PROTO_TEXTS)
def test_texts_over_protobuf(corpus: dict[str, bytes], kind: str, entry: str) -> None:
    """The text names the message, or the field."""
    with pytest.raises(rt.InvalidMessage) as caught:
        PROTO[kind].decode(corpus[entry], Call())
    assert str(caught.value) == PROTO_TEXTS[kind, entry]


def test_what_looks_bad_and_is_not(corpus: dict[str, bytes]) -> None:
    """NUL and any other character are legal in names, and a long name is a long name."""
    assert JSON["rpc"].decode(corpus["json-nul"], Call()).user == "a\x00b"  # type: ignore[attr-defined]
    assert JSON["rpc"].decode(corpus["json-surrogate-pair"], Call()).user == "😀"  # type: ignore[attr-defined]
    assert PROTO["rpc"].decode(corpus["proto-nul"], Call()).client == "a\x00b"  # type: ignore[attr-defined]
    for codec, entry in ((JSON, "json-long-channel"), (PROTO, "proto-long-channel")):
        event: Any = codec["publish"].decode(corpus[entry], Call())
        assert len(event.channel) == 1_000_000
    big: Any = JSON["rpc"].decode(corpus["json-long-base64"], Call())
    assert big.raw_data == b"\x00" * 1_000_000


def test_unknown_fields_are_ignored(corpus: dict[str, bytes]) -> None:
    """A newer Centrifugo may send more."""
    assert JSON["rpc"].decode(corpus["json-unknown-keys"], Call()).user == "a"  # type: ignore[attr-defined]
    assert PROTO["rpc"].decode(corpus["proto-unknown-fields"], Call()).client == "c"  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", ["connect", "subscribe", "publish", "rpc", "map_publish"])
def test_base64_is_preferred_where_both_are_set(
    corpus: dict[str, bytes], request_bytes: Callable[..., bytes], kind: str
) -> None:
    """Centrifugo sends one of the two; a caller that sends both means the one that had to be encoded."""
    event: Any = JSON[kind].decode(corpus["json-both-payloads"], Call())
    assert event.raw_data == b'{"from": "b64"}'
    name = {"rpc": "RPC", "map_publish": "MapPublish"}.get(kind, kind.title())
    body = request_bytes(f"{name}Request", data=b"data", b64data=base64.b64encode(b"b64").decode())
    event = PROTO[kind].decode(body, Call())
    assert event.raw_data == b"b64"


def test_an_empty_payload_is_an_absent_one(request_bytes: Callable[..., bytes]) -> None:
    """Protobuf cannot tell them apart, so neither wire does."""
    event: Any = PROTO["rpc"].decode(request_bytes("RPCRequest", data=b"", b64data=""), Call())
    assert event.raw_data is None
    event = JSON["rpc"].decode(b'{"b64data":""}', Call())
    assert event.raw_data is None


@pytest.mark.parametrize("text", ["A", "AA=", "A===", "=", " AAAA", "AAAA ", "AA\nAA", "é", "_-8=", "AA==AA=="])
def test_what_is_no_base64(text: str) -> None:
    """RFC 4648, section 4, without line breaks and with padding."""
    with pytest.raises(rt.InvalidMessage, match=r"^b64info is not base64$"):
        unbase64("b64info", text)


def test_base64() -> None:
    """Anything else is decoded."""
    assert unbase64("b64data", "") == b""
    assert unbase64("b64data", "AP8=") == b"\x00\xff"


IN_PURE_PYTHON = """
import pathlib, sys
from google.protobuf.internal import api_implementation
from rtbridge.codec import PROTO
from rtbridge.errors import InvalidMessage
from rtbridge.events import Call
assert api_implementation.Type() == "python", api_implementation.Type()
refused = 0
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    for codec in PROTO.values():
        for decode in (codec.decode, lambda data, call: codec.decode_item and codec.decode_item(data)):
            try:
                decode(path.read_bytes(), Call())
            except InvalidMessage:
                refused += 1
print(refused)
"""


def test_the_corpus_without_protobufs_c_extension() -> None:
    """Where only the pure-Python protobuf can be installed, bad input is refused in the same way."""
    environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"}
    folder = Path(__file__).parent / "corpus"
    command = [sys.executable, "-W", "ignore", "-c", IN_PURE_PYTHON, str(folder)]
    root = folder.parents[2]
    done = subprocess.run(command, env=environment, cwd=root, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 100
