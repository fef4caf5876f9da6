"""Bytes ↔ commands and replies: one object for each way in which a client can be spoken to.

A wire is an encoding (JSON or protobuf), a direction (replies, or bare pushes for unidirectional clients) and a framing
(WebSocket messages, lines, server-sent events). What it writes is framed, so that the same bytes go to every connection
that speaks it. Sources: centrifugal.dev, "Client protocol"; RFC 6455, section 5.2; the HTML standard, section
"Server-sent events".
"""

from collections.abc import Callable, Iterator
from typing import Final, Literal

import msgspec
from msgspec import Raw

from rtbridge.codec.base import varint
from rtbridge.codec.messages import json_decoder
from rtbridge.embedded._client_generated import (
    Command,
    ConnectRequest,
    Push,
    Reply,
    read_command,
    write_push,
    write_reply,
)
from rtbridge.embedded.framing import binary_frame, split_varint, sse_event, text_frame
from rtbridge.errors import Disconnect, InvalidMessage

Encoding = Literal["json", "protobuf"]

_ENCODE: Final = msgspec.json.Encoder().encode
_COMMAND: Final = json_decoder(Command)
_CONNECT: Final = json_decoder(ConnectRequest)
_FAULTS: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def json_raw(data: bytes) -> Raw | None:
    """A payload as it may stand in a JSON message, in one line; None where it is no JSON."""
    try:
        msgspec.json.decode(data)
    except _FAULTS:
        return None
    return line_raw(data)


def line_raw(data: bytes) -> Raw:
    """Valid JSON in one line: between tokens a newline means nothing, and inside of strings JSON has none."""
    if b"\n" in data or b"\r" in data:
        data = data.replace(b"\n", b"").replace(b"\r", b"")
    return Raw(data)


def json_string(data: bytes) -> Raw | None:
    """A payload's text as a JSON string, as delta subscribers get it; None where it is no text."""
    try:
        return Raw(_ENCODE(data.decode()))
    except UnicodeDecodeError:
        return None


class Wire:
    """One way to speak to a client.

    Attributes:
        protocol: As events name it: ``json`` or ``protobuf``.
        json: Whether that is JSON.
        unidirectional: Whether the client gets bare pushes and sends nothing but its connect request.
        ping: A ping, framed.

    """

    __slots__ = ("_frame", "_write", "json", "ping", "protocol", "unidirectional")

    def __init__(self, protocol: Encoding, frame: Callable[[bytes], bytes], *, unidirectional: bool = False) -> None:
        self.protocol = protocol
        self.json = protocol == "json"
        self.unidirectional = unidirectional
        self._frame = frame
        self.ping = frame(b"{}" if self.json else b"")

    def __repr__(self) -> str:
        return f"<Wire {self.protocol}{' unidirectional' if self.unidirectional else ''}>"

    def reply(self, reply: Reply) -> bytes:
        """A reply, framed."""
        return self._frame(_ENCODE(reply) if self.json else write_reply(reply))

    def push(self, push: Push) -> bytes:
        """A push, framed."""
        if self.unidirectional:
            return self._frame(_ENCODE(push) if self.json else write_push(push))
        return self.reply(Reply(push=push))

    def payload(self, data: bytes) -> Raw:
        """A payload as it stands in a message.

        Raises:
            Disconnect: 3506, it is no JSON and the client speaks JSON.

        """
        if not self.json:
            return Raw(data)
        raw = json_raw(data)
        if raw is None:
            raise Disconnect("INAPPROPRIATE_PROTOCOL")
        return raw

    def commands(self, data: bytes) -> Iterator[Command]:
        """The commands of a message, one after the other, so that those before a broken one are served.

        Raises:
            InvalidMessage: The next one cannot be read.

        """
        if not self.json:
            if not data:
                raise InvalidMessage("an empty message")
            for part in split_varint(data):
                yield read_command(part)
            return
        lines = data.split(b"\n")
        if len(lines) > 1 and not lines[-1]:
            lines.pop()
        for line in lines:
            try:
                command = _COMMAND(line)
            except _FAULTS as exc:
                raise InvalidMessage(f"not a command: {_reason(exc)}") from exc
            yield command

    def connect_request(self, data: bytes) -> ConnectRequest:
        """The connect request of a unidirectional client; no bytes are an empty one.

        Raises:
            InvalidMessage: It cannot be read.

        """
        try:
            return _CONNECT(data)
        except _FAULTS as exc:
            raise InvalidMessage(f"not a connect request: {_reason(exc)}") from exc


def _reason(error: Exception) -> str:
    # msgspec names the place and the types, never a value.
    return str(error) if isinstance(error, msgspec.MsgspecError) else type(error).__name__


def _line(data: bytes) -> bytes:
    return data + b"\n"


def _delimited(data: bytes) -> bytes:
    return varint(len(data)) + data


def _binary(data: bytes) -> bytes:
    return binary_frame(varint(len(data)) + data)


WEBSOCKET_JSON: Final = Wire("json", text_frame)
WEBSOCKET_PROTOBUF: Final = Wire("protobuf", _binary)
STREAM_JSON: Final = Wire("json", _line)
STREAM_PROTOBUF: Final = Wire("protobuf", _delimited)
SSE_JSON: Final = Wire("json", sse_event)
UNI_WEBSOCKET_JSON: Final = Wire("json", text_frame, unidirectional=True)
UNI_STREAM_JSON: Final = Wire("json", _line, unidirectional=True)
UNI_SSE_JSON: Final = Wire("json", sse_event, unidirectional=True)
