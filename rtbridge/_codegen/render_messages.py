"""Renders modules of plain messages: one Struct for each, and straight-line functions from and to protobuf.

The Structs have the proto's names, so that JSON needs no conversion: ``rtbridge.codec.messages`` says what they hold.
"""

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from rtbridge._codegen.model import Field, Message, Messages, snake
from rtbridge._codegen.overrides import EXPLICIT
from rtbridge._codegen.text import docstring, header

#: Proto scalar type → annotation and default.
_SCALARS: dict[int, tuple[str, str]] = {
    FieldDescriptorProto.TYPE_STRING: ("str", '""'),
    FieldDescriptorProto.TYPE_BOOL: ("bool", "False"),
    FieldDescriptorProto.TYPE_INT32: ("Int32", "0"),
    FieldDescriptorProto.TYPE_INT64: ("Int64", "0"),
    FieldDescriptorProto.TYPE_SINT64: ("Int64", "0"),
    FieldDescriptorProto.TYPE_UINT32: ("UInt32", "0"),
    FieldDescriptorProto.TYPE_UINT64: ("UInt64", "0"),
    FieldDescriptorProto.TYPE_DOUBLE: ("float", "0.0"),
    FieldDescriptorProto.TYPE_BYTES: ("Payload", "UNSET"),
}


def render_protocol(source: Messages, what: str, *, read: tuple[str, ...], written: tuple[str, ...]) -> str:
    """The text of a module with Structs and their protobuf functions, ``read_command`` for ``Command``.

    Args:
        source: The proto file.
        what: The first line of the module's docstring.
        read: The messages that arrive.
        written: The messages that leave.

    """
    lines = _top(source, what)
    lines += _structs(source, source.reachable(*read, *written), source.reachable(*read))
    lines += _functions(source, read, written)
    return "\n".join(lines) + "\n"


def _functions(source: Messages, read: tuple[str, ...], written: tuple[str, ...]) -> list[str]:
    """The functions from and to protobuf."""
    lines = ["", *(f'_{name} = message_class("{source.package}.{name}")' for name in (*read, *written)), ""]
    for message in source.reachable(*read):
        lines += ["", f"def _read_{message.name}(m: Any) -> {message.name}:"]
        # A bound method is looked up once; a message is positional, as its Struct's fields stand in the same order.
        lines += ["    has = m.HasField"] if any(f.message and f.shape == "one" for f in message.fields) else []
        lines += [f"    return {message.name}({', '.join(_read(f) for f in message.fields)})", ""]
    for message in source.reachable(*written):
        if not message.fields:
            continue
        lines += ["", f"def _fill_{message.name}(w: Any, r: {message.name}) -> None:"]
        lines += [line for field in message.fields for line in _fill(source, field)]
        lines.append("")
    for name in read:
        lines += _reader(name)
    for name in written:
        lines += _writer(source.messages[name])
    return lines


def render_calls_proto(source: Messages, what: str, structs: str) -> str:
    """The text of a module with the protobuf functions of a caller: requests are written, responses read.

    Args:
        source: The proto file.
        what: The first line of the module's docstring.
        structs: The module that has the Structs.

    """
    requests = tuple(call.request for call in source.calls)
    responses = tuple(call.response for call in source.calls)
    names = [message.name for message in source.reachable(*requests, *responses)]
    lines = _top(source, what)
    lines += [f"from {structs} import {', '.join(names)}", ""]
    lines += _functions(source, responses, requests)
    lines += [
        "",
        "#: Every method by name: the gRPC method, what writes its request, and what reads its response.",
        "CALLS: Final[dict[str, tuple[str, Callable[[Any], bytes], Callable[[bytes], Any]]]] = {",
        *(
            f'    "{call.kind}": ("{call.name}", write_{snake(call.request)}, read_{snake(call.response)}),'
            for call in source.calls
        ),
        "}",
    ]
    return "\n".join(lines) + "\n"


def render_calls(source: Messages, what: str) -> str:
    """The text of a module with Structs and the table of the service's methods."""
    requests = [call.request for call in source.calls]
    lines = _top(source, what)
    lines += _structs(source, source.reachable(*source.messages), source.reachable(*requests))
    lines += [
        "",
        "#: Every method by name: what it is asked with, and what it gives.",
        "METHODS: Final[dict[str, tuple[type[messages.Message], type[messages.Message]]]] = {",
        *(f'    "{call.kind}": ({call.request}, {call.result}),' for call in source.calls),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _top(source: Messages, what: str) -> list[str]:
    return [
        *header(what, source.file),
        "from collections.abc import Callable",
        "from typing import Any, Final",
        "",
        "from msgspec import UNSET, Raw, field",
        "",
        "from rtbridge.codec import messages",
        "from rtbridge.codec.descriptors import DECODE_FAULTS, message_class",
        "from rtbridge.codec.messages import Int32, Int64, Payload, UInt32, UInt64, check_uint64, new_dict, new_list",
        "from rtbridge.errors import InvalidMessage",
        "",
    ]


def _structs(source: Messages, rendered: list[Message], arrive: list[Message]) -> list[str]:
    lines: list[str] = []
    for message in rendered:
        lines += ["", f"class {message.name}(messages.Message):"]
        lines += docstring(message.doc, [(f.name, f.doc) for f in message.fields], "    ")
        lines += ["", *(f"    {f.name}: {_annotation(message, f)}" for f in message.fields)]
        wide = [f.name for f in message.fields if f.type == FieldDescriptorProto.TYPE_UINT64 and f.shape == "one"]
        if wide and message in arrive:
            lines += ["", "    def __post_init__(self) -> None:"]
            lines += [f'        check_uint64("{name}", self.{name})' for name in wide]
        lines.append("")
    return lines


def _annotation(owner: Message, field: Field) -> str:
    kind, default = (field.message, "None") if field.message else _SCALARS[field.type]
    quote = '"' if field.message == owner.name else ""
    shown = (owner.name, field.name) in EXPLICIT
    if field.shape == "many":
        return f"{quote}list[{kind}]{quote} = field(default_factory={'new_list' if shown else 'list'})"
    if field.shape == "map":
        return f"{quote}dict[str, {kind}]{quote} = field(default_factory={'new_dict' if shown else 'dict'})"
    if shown:  # msgspec leaves out what is the default itself, and there is none here
        return f"{kind} = field(default_factory={'str' if kind == 'str' else 'int'})"
    return f"{quote}{kind} | None{quote} = None" if field.message else f"{kind} = {default}"


def _read(field: Field) -> str:
    n = field.name
    if field.payload:
        return f"Raw(data) if (data := m.{n}) else UNSET"
    read = f"_read_{field.message}"
    if field.message and field.shape == "many":
        return f"[{read}(item) for item in m.{n}]"
    if field.message and field.shape == "map":
        return f"{{key: {read}(value) for key, value in m.{n}.items()}}"
    if field.message:
        return f'{read}(m.{n}) if has("{n}") else None'
    return {"one": f"m.{n}", "many": f"list(m.{n})", "map": f"dict(m.{n})"}[field.shape]


def _fill(source: Messages, field: Field) -> list[str]:
    n = field.name
    if field.payload:
        return [f"    if r.{n} is not UNSET:", f"        w.{n} = bytes(r.{n})"]
    if field.message and field.shape == "many":
        return [f"    for item in r.{n}:", f"        _fill_{field.message}(w.{n}.add(), item)"]
    if field.message and field.shape == "map":
        return [f"    for key, value in r.{n}.items():", f"        _fill_{field.message}(w.{n}[key], value)"]
    if field.message:
        lines = [f"    if r.{n} is not None:", f"        m = w.{n}", "        m.SetInParent()"]
        filled = source.messages[field.message].fields
        return [*lines, f"        _fill_{field.message}(m, r.{n})"] if filled else lines
    put = {"one": f"w.{n} = r.{n}", "many": f"w.{n}.extend(r.{n})", "map": f"w.{n}.update(r.{n})"}[field.shape]
    return [f"    if r.{n}:", f"        {put}"]


def _reader(name: str) -> list[str]:
    return [
        "",
        f"def read_{snake(name)}(data: bytes) -> {name}:",
        f'    """A {name} from protobuf; raises InvalidMessage when it is none."""',
        "    try:",
        f"        m = _{name}.FromString(data)",
        "    except DECODE_FAULTS as exc:",
        f'        raise InvalidMessage("not a {name} in protobuf") from exc',
        f"    return _read_{name}(m)",
        "",
    ]


def _writer(message: Message) -> list[str]:
    name = message.name
    return [
        "",
        f"def write_{snake(name)}(message: {name}) -> bytes:",
        f'    """A {name} in protobuf."""',
        f"    w = _{name}()",
        *([f"    _fill_{name}(w, message)"] if message.fields else []),
        "    return bytes(w.SerializeToString())",
        "",
    ]
