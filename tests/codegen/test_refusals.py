"""What the renderers have no rule for is refused with file and line, so that it cannot pass unnoticed."""

from collections.abc import Callable

import pytest

from rtbridge._codegen import model

Read = Callable[[str], model.Service]

#: What is put in front of `message FilterNode`, and what the refusal says.
MESSAGES = {
    "an enum": "enum Colour {\n  RED = 0;\n}",
    "a oneof": "message Odd {\n  oneof either {\n    string a = 1;\n    string b = 2;\n  }\n}",
    "an optional field": "message Odd {\n  string sure = 1;\n  optional string maybe = 2;\n}",
    "a nested message": "message Odd {\n  map<string, string> fine = 1;\n  message Inner {}\n}",
    "repeated bytes": "message Odd {\n  repeated bytes parts = 1;\n}",
    "a map whose keys are not strings": "message Odd {\n  map<int32, string> names = 1;\n}",
    "the type TYPE_DOUBLE": "message Odd {\n  double share = 1;\n}",
    "the name class, a word of Python's,": "message Odd {\n  string class = 1;\n}",
}

#: The line of the refused thing inside its snippet, counted from 1.
LINES = {"an enum": 1, "an optional field": 3, "a nested message": 3}

#: What is put into the service, with the messages it needs.
CALLS = {
    "a client stream with a single answer": ("rpc Odd(stream ConnectRequest) returns (ConnectResponse);", ""),
    "a stream whose envelope is not a first message and an item": (
        "rpc Odd(ConnectRequest) returns (stream ConnectResponse);",
        "",
    ),
    "a response without a result": ("rpc Odd(ConnectRequest) returns (Error);", ""),
    "a request with a field state, which every event has,": (
        "rpc Odd(OddRequest) returns (ConnectResponse);",
        "message OddRequest {\n  string state = 1;\n}",
    ),
}


def line_of(text: str, part: str) -> int:
    """The number of the line that holds a piece of text."""
    return text[: text.index(part)].count("\n") + 1


@pytest.mark.parametrize("what", MESSAGES)
def test_messages_without_a_rule(read: Read, proto: str, what: str) -> None:
    """Each unknown construct raises and names its line."""
    anchor = "// A condition on the tags"
    assert anchor in proto
    line = line_of(proto, anchor) + LINES.get(what, 2) - 1
    with pytest.raises(model.UnknownConstruct) as caught:
        read(proto.replace(anchor, f"{MESSAGES[what]}\n\n{anchor}"))
    assert str(caught.value) == f"centrifugo/proxy.proto:{line}: {what} has no rendering rule"


def test_an_enum_inside_a_message(read: Read, proto: str) -> None:
    """An enum is refused there, too."""
    text = proto.replace("message Error {", "message Error {\n  enum Kind {\n    NONE = 0;\n  }")
    with pytest.raises(model.UnknownConstruct) as caught:
        read(text)
    assert str(caught.value) == f"centrifugo/proxy.proto:{line_of(text, 'enum Kind')}: an enum has no rendering rule"


@pytest.mark.parametrize("what", CALLS)
def test_calls_without_a_rule(read: Read, proto: str, what: str) -> None:
    """Each unknown shape of a call raises and names the method's line."""
    call, messages = CALLS[what]
    text = proto.replace("service CentrifugoProxy {", f"service CentrifugoProxy {{\n  {call}") + messages
    with pytest.raises(model.UnknownConstruct) as caught:
        read(text)
    assert str(caught.value) == f"centrifugo/proxy.proto:{line_of(text, call)}: {what} has no rendering rule"


def test_a_message_of_another_file(read: Read, proto: str) -> None:
    """What is defined elsewhere is not rendered here."""
    text = proto.replace('syntax = "proto3";', 'syntax = "proto3";\nimport "grpc/health.proto";')
    text += "message Odd {\n  grpc.health.v1.HealthCheckRequest ask = 1;\n}\n"
    with pytest.raises(model.UnknownConstruct) as caught:
        read(text)
    line = line_of(text, "grpc.health.v1.HealthCheckRequest ask")
    assert str(caught.value) == f"centrifugo/proxy.proto:{line}: a message of another file has no rendering rule"


def test_proto2_is_refused(read: Read) -> None:
    """Its presence rules are others."""
    with pytest.raises(
        model.UnknownConstruct, match=r"^centrifugo/proxy.proto: syntax proto2; the renderers know proto3$"
    ):
        read('syntax = "proto2";\npackage p;\nmessage M { required string a = 1; }\n')


@pytest.mark.parametrize(
    ("name", "kind"), [("RPC", "rpc"), ("SubRefresh", "sub_refresh"), ("HTTPCall2Go", "http_call2_go"), ("A", "a")]
)
def test_names_of_events(name: str, kind: str) -> None:
    """A method's name becomes the event's, initialisms kept together."""
    assert model.snake(name) == kind
