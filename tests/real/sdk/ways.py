"""Each official client over each transport in each protocol."""

from typing import Final, NamedTuple

import pytest


class Way(NamedTuple):
    """A client, a transport, a protocol."""

    sdk: str
    transport: str
    protobuf: bool


WAYS: Final = {
    "js-websocket-json": Way("js", "websocket", False),
    "js-websocket-protobuf": Way("js", "websocket", True),
    "js-http_stream-json": Way("js", "http_stream", False),
    "js-http_stream-protobuf": Way("js", "http_stream", True),
    "js-sse-json": Way("js", "sse", False),
    "python-websocket-json": Way("python", "websocket", False),
    "python-websocket-protobuf": Way("python", "websocket", True),
}

#: For a test of what only the JavaScript client does: it sends many commands in a frame, messages without an answer,
#: and counts deltas.
JAVASCRIPT: Final = pytest.mark.parametrize("way", [name for name in WAYS if name.startswith("js-")], indirect=True)

#: For a test that has to wait for whole seconds to pass: each client, each transport, each protocol.
PATIENT: Final = pytest.mark.parametrize(
    "way", ["js-websocket-protobuf", "js-http_stream-json", "js-sse-json", "python-websocket-json"], indirect=True
)
