"""Compression of messages: what is agreed on, and what the server sends."""

import zlib
from typing import Any

import pytest
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.headers import build_extension, parse_extension

from rtbridge.embedded.framing import binary_frame, close_frame, text_frame
from rtbridge.embedded.fronts.deflate import Deflater, negotiate


@pytest.mark.parametrize(
    ("asked", "answer", "window"),
    [
        ("", "", 0),
        ("x-webkit-deflate-frame", "", 0),
        ("permessage-deflate; nonsense", "", 0),
        ("permessage-deflate; server_max_window_bits=8", "", 0),
        ("a header that is none;;", "", 0),
        ("permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover", 15),
        (
            "foo, permessage-deflate; server_max_window_bits=8, permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=10",
            10,
        ),
        (
            "permessage-deflate; client_max_window_bits",
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
            15,
        ),
    ],
)
def test_negotiation(asked: str, answer: str, window: int) -> None:
    """No context outlives a message, whatever the client asks for; what cannot be served is passed over."""
    found, extension, bits = negotiate(asked)
    assert (found, bits) == (answer, window)
    assert (extension is not None) is bool(answer)


def read(frame: bytes) -> tuple[int, int, bytes]:
    """First byte, RSV1 and payload of a server's frame."""
    size = frame[1]
    return frame[0] & 0xBF, frame[0] & 0x40, frame[2:] if size < 126 else frame[4:] if size == 126 else frame[10:]


@pytest.mark.parametrize("make", [text_frame, binary_frame])
@pytest.mark.parametrize("size", [100, 125, 126, 1000, 65535, 65536, 200_000])
@pytest.mark.parametrize("window", [9, 12, 15])
def test_what_is_sent(make: type, size: int, window: int) -> None:
    """A client of another implementation gets back what was compressed, of any length and in any window."""
    payload = (b"0123456789abcdef" * (size // 16 + 1))[:size]
    sent = Deflater(1, 0).writer(window)(make(payload))
    first, rsv1, packed = read(sent)
    assert rsv1
    assert len(packed) < size
    client = ClientPerMessageDeflateFactory(server_max_window_bits=window)
    header = build_extension([(client.name, [("server_max_window_bits", str(window))])])
    extension = client.process_response_params(parse_extension(header)[0][1], [])
    received = extension.decode(Frame(Opcode(first & 15), packed, rsv1=True))
    assert bytes(received.data) == payload


@pytest.mark.parametrize(
    "frame",
    [
        close_frame(1000, "bye"),
        b"\x89\x00",
        text_frame(b"{}"),
        text_frame(b"a" * 49),
        text_frame(bytes(range(50, 110))),
    ],
)
def test_what_is_sent_as_it_is(frame: bytes) -> None:
    """Control frames, payloads that would grow, and those below the configured size."""
    assert Deflater(1, 50).writer(15)(frame) is frame


def test_a_publication_is_compressed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """All subscribers get the same bytes, until they are forgotten at the end of the tick."""
    made = []
    original: Any = zlib.compressobj

    def counted(*arguments: int) -> object:
        made.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(zlib, "compressobj", counted)
    deflater = Deflater(6, 0)
    frame = text_frame(b"x" * 500)
    sent = [deflater.writer(15)(frame) for _ in range(3)]
    assert sent[0] is sent[1] is sent[2]
    assert len(made) == 1
    assert made[0][0] == 6
    deflater.writer(9)(frame)
    deflater.forget()
    deflater.writer(15)(frame)
    assert len(made) == 3
