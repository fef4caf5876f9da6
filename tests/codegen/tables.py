"""Tables of messages, typed by hand, and the same of a compiled proto.

One line is one message, continued by indented lines. A field is `number name type`; without a type it is a string,
`[type]` is repeated, `{type}` is a map from strings.
"""

import re

from google.protobuf import descriptor_pb2

#: Message → number → name and type.
Table = dict[str, dict[int, tuple[str, str]]]

_F = descriptor_pb2.FieldDescriptorProto


def table_of(text: str) -> Table:
    """The messages of a table."""
    found: Table = {}
    for line in text.replace("\n  ", " ").splitlines():
        name, _, fields = line.partition(":")
        parts = [re.fullmatch(r"(\d+) (\w+)(?: ([\[{]?\w+[]}]?))?", part.strip()) for part in fields.split(",")]
        assert all(parts) or not fields.strip(), line
        found[name] = {int(part[1]): (part[2], part[3] or "string") for part in parts if part}
    return found


def described(message: descriptor_pb2.DescriptorProto) -> dict[int, tuple[str, str]]:
    """The fields of a message as protoc read it."""
    maps = {nested.name: nested.field[1] for nested in message.nested_type}
    found = {}
    for field in message.field:
        entry = maps.get(field.type_name.rsplit(".", 1)[-1])
        kind = _kind(entry or field)
        if entry is not None:
            kind = f"{{{kind}}}"
        elif field.label == _F.LABEL_REPEATED:
            kind = f"[{kind}]"
        found[field.number] = (field.name, kind)
    return found


def reserved(file: descriptor_pb2.FileDescriptorProto) -> dict[str, set[int]]:
    """The numbers that stay unused, by message."""
    return {
        m.name: {n for r in m.reserved_range for n in range(r.start, r.end)}
        for m in file.message_type
        if m.reserved_range
    }


def _kind(field: descriptor_pb2.FieldDescriptorProto) -> str:
    if field.type == _F.TYPE_MESSAGE:
        return field.type_name.rsplit(".", 1)[-1]
    return _F.Type.Name(field.type).removeprefix("TYPE_").lower()
