"""Descriptor set → the small types that the renderers read.

Everything that decides a name or a rule from the shape of the proto is here, so that one more field or method in
``proxy.proto`` changes nothing else by hand.
"""

import keyword
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from google.protobuf import descriptor_pb2

_F = descriptor_pb2.FieldDescriptorProto

#: Proto scalar type → (Python type, smallest value, largest value); None where there is no range.
SCALARS: dict[int, tuple[str, int | None, int | None]] = {
    _F.TYPE_STRING: ("str", None, None),
    _F.TYPE_BOOL: ("bool", None, None),
    _F.TYPE_INT32: ("int", -(2**31), 2**31 - 1),
    _F.TYPE_INT64: ("int", -(2**63), 2**63 - 1),
    _F.TYPE_UINT32: ("int", 0, 2**32 - 1),
    _F.TYPE_UINT64: ("int", 0, 2**64 - 1),
    _F.TYPE_BYTES: ("bytes", None, None),
}

#: The same of protos whose messages are rendered as they are.
PLAIN_SCALARS: dict[int, tuple[str, int | None, int | None]] = {
    **SCALARS,
    _F.TYPE_SINT64: SCALARS[_F.TYPE_INT64],
    _F.TYPE_DOUBLE: ("float", None, None),
}

#: What events have besides their fields; a field of a request with such a name would hide it.
_OWN = ("call", "headers", "incoming", "kind", "meta_as", "parse", "respond", "result_type", "state", "via")
TAKEN: frozenset[str] = frozenset((*_OWN, "stop_propagation", "time_remaining"))

Silence = Literal["disconnect", "expired", "error", "unimplemented"]


class UnknownConstruct(Exception):
    """The proto uses something that the renderers have no rule for."""


class Field(NamedTuple):
    """One field of a message, ``b64`` twins folded into their partner."""

    name: str
    number: int
    doc: str
    type: int
    message: str  # the message type's short name, else ""
    shape: Literal["one", "many", "map"]
    twin: str  # the base64 field that carries the same value, else ""
    wrapper: bool  # a message with a single scalar `value`, standing for "may be absent"

    @property
    def payload(self) -> bool:
        """Whether the field carries JSON or bytes of the application: in Centrifugo every bytes field does."""
        return self.type == _F.TYPE_BYTES

    @property
    def python(self) -> str:
        """The scalar's Python type, or the message's class name."""
        return self.message or PLAIN_SCALARS[self.type][0]


class Message(NamedTuple):
    """One message type."""

    name: str
    doc: str
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field | None:
        """The field of that name."""
        return next((f for f in self.fields if f.name == name), None)


class Method(NamedTuple):
    """One call of the service, with what follows from its shape."""

    name: str  # as in the proto: SubRefresh
    kind: str  # sub_refresh
    path: str  # the gRPC path
    doc: str
    event: str  # SubRefreshEvent
    request: Message  # holds the event's fields
    response: Message  # has result, and error and disconnect where the caller reads them
    result: Message
    silence: Silence
    start_in: str  # client streaming: the envelope's field with the request
    item_in: Field | None  # client streaming: the envelope's field with later messages
    envelope_in: str
    start_out: str  # server streaming: the envelope's field with the response
    item_out: Field | None
    envelope_out: str

    @property
    def streaming(self) -> bool:
        """Whether the answer is a stream."""
        return self.item_out is not None


class Call(NamedTuple):
    """One method of a service whose messages are rendered as they are."""

    kind: str  # presence_stats
    name: str  # PresenceStats
    doc: str
    request: str
    response: str
    result: str  # the message in the response's `result`; the response itself where it has none


class Messages(NamedTuple):
    """What one proto file describes, each field for itself."""

    file: str
    package: str
    messages: dict[str, Message]
    calls: tuple[Call, ...]

    def reachable(self, *roots: str) -> list[Message]:
        """The roots and the messages that their fields lead to; one comes after those that it mentions."""
        done: dict[str, Message] = {}

        def visit(name: str, trail: tuple[str, ...]) -> None:
            if name in done or name in trail:
                return
            for field in self.messages[name].fields:
                if field.message:
                    visit(field.message, (*trail, name))
            done[name] = self.messages[name]

        for root in roots:
            visit(root, ())
        return list(done.values())


class Service(NamedTuple):
    """What one proto file describes."""

    package: str
    messages: dict[str, Message]
    methods: tuple[Method, ...]

    def class_name(self, message: str) -> str:
        """The Python class of a message that hooks see: a ``Notify`` in front says nothing to them."""
        return message.removeprefix("Notify")

    @property
    def answered(self) -> list[Message]:
        """The messages that hooks make: results, what streams yield, and what these lead to; in the proto's order."""
        items = [self.messages[m.item_out.message] for m in self.methods if m.item_out]
        roots = [*items, *(m.result for m in self.methods)]
        names = {m.name for m in [*roots, *self.reachable(*roots)]}
        return [m for m in self.messages.values() if m.name in names]

    @property
    def received(self) -> list[Message]:
        """The messages that arrive inside a request or in its stream, requests left out; in the proto's order."""
        items = [self.messages[m.item_in.message] for m in self.methods if m.item_in]
        names = {m.name for m in [*items, *self.reachable(*items, *(m.request for m in self.methods))]}
        return [m for m in self.messages.values() if m.name in names]

    def received_name(self, message: str) -> str:
        """The Python class of a message that arrives: another one than that of the answers, where hooks make it too."""
        name = self.class_name(message)
        return f"Received{name}" if any(m.name == message for m in self.answered) else name

    def reachable(self, *roots: Message) -> list[Message]:
        """The messages that the roots' fields lead to, roots left out, wrappers left out, innermost first."""
        seen: dict[str, Message] = {}

        def visit(message: Message) -> None:
            for field in message.fields:
                if field.message and not field.wrapper and field.message not in seen:
                    inner = self.messages[field.message]
                    seen[field.message] = inner
                    visit(inner)

        for root in roots:
            visit(root)
        order = list(self.messages)
        return sorted(seen.values(), key=lambda m: order.index(m.name))


def snake(name: str) -> str:
    """``SubRefresh`` → ``sub_refresh``, ``RPC`` → ``rpc``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class _Reader:
    def __init__(self, file: descriptor_pb2.FileDescriptorProto, *, plain: bool = False) -> None:
        self.file = file
        self.plain = plain  # nothing is folded: base64 twins and wrappers are fields and messages like others
        self.scalars = PLAIN_SCALARS if plain else SCALARS
        if file.syntax != "proto3":
            raise UnknownConstruct(f"{file.name}: syntax {file.syntax or 'proto2'}; the renderers know proto3")
        self.comments: dict[tuple[int, ...], str] = {}
        self.lines: dict[tuple[int, ...], int] = {}
        for location in file.source_code_info.location:
            path = tuple(location.path)
            self.lines[path] = location.span[0] + 1
            text = location.leading_comments or location.trailing_comments
            if text:
                self.comments[path] = " ".join(line.strip() for line in text.strip().splitlines())

    def refuse(self, path: tuple[int, ...], what: str) -> UnknownConstruct:
        return UnknownConstruct(f"{self.file.name}:{self.lines.get(path, 0)}: {what} has no rendering rule")

    def messages(self) -> dict[str, Message]:
        raw = {m.name: m for m in self.file.message_type}
        if self.file.enum_type:
            raise self.refuse((5, 0), "an enum")
        return {m.name: self.message(i, m, raw) for i, m in enumerate(self.file.message_type)}

    def message(
        self, index: int, proto: descriptor_pb2.DescriptorProto, raw: dict[str, descriptor_pb2.DescriptorProto]
    ) -> Message:
        path = (4, index)
        if proto.enum_type:
            raise self.refuse((*path, 4, 0), "an enum")
        for number, field in enumerate(proto.field):
            if field.proto3_optional:
                raise self.refuse((*path, 2, number), "an optional field")
        if proto.oneof_decl:
            raise self.refuse((*path, 8, 0), "a oneof")
        for number, inner in enumerate(proto.nested_type):
            if not inner.options.map_entry:
                raise self.refuse((*path, 3, number), "a nested message")
        nested = {n.name: n for n in proto.nested_type}
        names = {f.name for f in proto.field}
        fields: list[Field] = []
        for number, field in enumerate(proto.field):
            if not self.plain and field.name.startswith("b64") and field.name.removeprefix("b64") in names:
                continue
            fields.append(self.field((*path, 2, number), field, names, nested, raw))
        return Message(proto.name, self.comments.get(path, ""), tuple(fields))

    def field(
        self,
        path: tuple[int, ...],
        field: descriptor_pb2.FieldDescriptorProto,
        names: set[str],
        nested: dict[str, descriptor_pb2.DescriptorProto],
        raw: dict[str, descriptor_pb2.DescriptorProto],
    ) -> Field:
        kind, short = field.type, field.type_name.rsplit(".", 1)[-1]
        if keyword.iskeyword(field.name):
            raise self.refuse(path, f"the name {field.name}, a word of Python's,")
        repeated = field.label == _F.LABEL_REPEATED
        shape: Literal["one", "many", "map"] = "many" if repeated else "one"
        if kind == _F.TYPE_MESSAGE and short in nested:
            key, value = nested[short].field
            if key.type != _F.TYPE_STRING:
                raise self.refuse(path, "a map whose keys are not strings")
            shape, kind, short = "map", value.type, value.type_name.rsplit(".", 1)[-1]
        if kind != _F.TYPE_MESSAGE and kind not in self.scalars:
            raise self.refuse(path, f"the type {_F.Type.Name(kind)}")
        if kind == _F.TYPE_BYTES and shape != "one":
            raise self.refuse(path, "repeated bytes")
        wrapper = False
        if kind == _F.TYPE_MESSAGE:
            if short not in raw:
                raise self.refuse(path, "a message of another file")
            inner = raw[short].field
            wrapper = not self.plain and shape == "one" and len(inner) == 1 and inner[0].name == "value"
            wrapper = wrapper and inner[0].type in SCALARS
            if wrapper:
                kind = inner[0].type
        twin = f"b64{field.name}"
        twin = twin if not self.plain and kind == _F.TYPE_BYTES and twin in names else ""
        message = short if kind == _F.TYPE_MESSAGE else ""
        return Field(field.name, field.number, self.comments.get(path, ""), kind, message, shape, twin, wrapper)

    def methods(self, messages: dict[str, Message]) -> Iterator[Method]:
        (service,) = self.file.service
        for index, proto in enumerate(service.method):
            path = (6, 0, 2, index)
            request = messages[proto.input_type.rsplit(".", 1)[-1]]
            response = messages[proto.output_type.rsplit(".", 1)[-1]]
            start_in = envelope_in = start_out = envelope_out = ""
            item_in = item_out = None
            if proto.client_streaming:
                if not proto.server_streaming:
                    raise self.refuse(path, "a client stream with a single answer")
                envelope_in = request.name
                first, item_in = self.envelope(path, request)
                start_in, request = first.name, messages[first.message]
            if proto.server_streaming:
                envelope_out = response.name
                first, item_out = self.envelope(path, response)
                start_out, response = first.name, messages[first.message]
            for taken in request.fields:
                if taken.name in TAKEN:
                    raise self.refuse(path, f"a request with a field {taken.name}, which every event has,")
            result = response.field("result")
            if result is None or not result.message:
                raise self.refuse(path, "a response without a result")
            name = proto.name.removeprefix("Notify")
            yield Method(
                name=proto.name,
                kind=snake(name),
                path=f"/{self.file.package}.{service.name}/{proto.name}",
                doc=self.comments.get(path, ""),
                event=f"{name}Event",
                request=request,
                response=response,
                result=messages[result.message],
                silence=_silence(response, messages[result.message]),
                start_in=start_in,
                item_in=item_in,
                envelope_in=envelope_in,
                start_out=start_out,
                item_out=item_out,
                envelope_out=envelope_out,
            )

    def calls(self, messages: dict[str, Message]) -> Iterator[Call]:
        for number, service in enumerate(self.file.service):
            for index, proto in enumerate(service.method):
                path = (6, number, 2, index)
                if proto.client_streaming or proto.server_streaming:
                    raise self.refuse(path, "a stream")
                request, response = (name.rsplit(".", 1)[-1] for name in (proto.input_type, proto.output_type))
                if not {request, response} <= set(messages):
                    raise self.refuse(path, "a message of another file")
                result = messages[response].field("result")
                answer = result.message if result and result.message else response
                yield Call(snake(proto.name), proto.name, self.comments.get(path, ""), request, response, answer)

    def envelope(self, path: tuple[int, ...], message: Message) -> tuple[Field, Field]:
        if len(message.fields) != 2 or not all(f.message for f in message.fields):
            raise self.refuse(path, "a stream whose envelope is not a first message and an item")
        return message.fields[0], message.fields[1]


def _silence(response: Message, result: Message) -> Silence:
    """How a call is denied follows from what its answer can say (Centrifugo reads only the result of refreshes)."""
    expired = result.field("expired")
    if expired is not None and expired.python == "bool":
        return "expired"
    if response.field("disconnect") is not None:
        return "disconnect"
    return "error" if response.field("error") is not None else "unimplemented"


def read(files: descriptor_pb2.FileDescriptorSet, name: str) -> Service:
    """The service that the file ``name`` of a descriptor set describes.

    Raises:
        UnknownConstruct: The file uses something without a rendering rule; the text gives its line.

    """
    (file,) = (f for f in files.file if f.name == name)
    reader = _Reader(file)
    messages = reader.messages()
    return Service(file.package, messages, tuple(reader.methods(messages)))


def read_messages(files: descriptor_pb2.FileDescriptorSet, name: str) -> Messages:
    """The messages of the file ``name`` and the methods of its services, each field for itself.

    Raises:
        UnknownConstruct: The file uses something without a rendering rule; the text gives its line.

    """
    (file,) = (f for f in files.file if f.name == name)
    reader = _Reader(file, plain=True)
    messages = reader.messages()
    return Messages(name, file.package, messages, tuple(reader.calls(messages)))
