"""Renders ``rtbridge/events/_generated.py``: events, results, and the method table."""

from google.protobuf.descriptor_pb2 import FieldDescriptorProto

from rtbridge._codegen import overrides
from rtbridge._codegen.model import SCALARS, Field, Message, Method, Service
from rtbridge._codegen.text import docstring, header

_INT64 = FieldDescriptorProto.TYPE_INT64

_PARSE = [
    "",
    "    def parse(self, model: type[_T]) -> _T:",
    '        """The payload as an instance of ``model``; raises BadRequest when it does not fit."""',
    '        return parse_payload(self.raw_data, model, "data")',
]


def is_expiry(field: Field) -> bool:
    """Whether a field of an answer is a time, written as int, datetime or timedelta."""
    return field.name == overrides.EXPIRY_FIELD and field.type == _INT64 and field.shape == "one"


def render(service: Service) -> str:
    """The module's text."""
    lines = header("Events, results and the method table of the Centrifugo proxy service.")
    lines += [
        "from collections.abc import AsyncIterator, Mapping, Sequence",
        "from typing import Any, ClassVar, Final, TypeVar, cast",
        "",
        "import msgspec",
        "",
        "from rtbridge.errors import ClientError, Disconnect",
        "from rtbridge.events.base import Event, Received, Result",
        "from rtbridge.events.method import Method",
        "from rtbridge.events.values import NEVER, ExpireAt, Never, parse_payload",
        "",
    ]
    names = (
        [service.class_name(m.name) for m in service.answered]
        + [service.received_name(m.name) for m in service.received]
        + [m.event for m in service.methods]
        + ["METHODS"]
    )
    lines += ["__all__ = ["] + [f'    "{name}",' for name in sorted(names)] + ["]", "", '_T = TypeVar("_T")', ""]
    for message in _inner_first(service, service.answered):
        lines += _result(service, message)
    for message in _inner_first(service, service.received):
        lines += _received(service, message)
    for method in service.methods:
        lines += _event(service, method)
    lines += _table(service)
    return "\n".join(lines) + "\n"


def _inner_first(service: Service, messages: list[Message]) -> list[Message]:
    """Definition order: a message after those its fields mention, so that annotations resolve at class creation."""
    done: dict[str, Message] = {}

    def visit(message: Message, trail: tuple[str, ...]) -> None:
        if message.name in done or message.name in trail:
            return
        for field in message.fields:
            if field.message and not field.wrapper:
                visit(service.messages[field.message], (*trail, message.name))
        done[message.name] = message

    for message in messages:
        visit(message, ())
    return [m for m in done.values() if m in messages]


def _result_type(service: Service, owner: str, field: Field) -> tuple[str, str]:
    """A result field's annotation and default."""
    base = service.class_name(field.python)
    if field.message == owner:
        base = f'"{base}"'
    if field.payload:
        return "Any", "None"
    if is_expiry(field):
        never = " | Never" if (service.class_name(owner), field.name) in overrides.NEVER else ""
        return f"ExpireAt{never} | None", "None"
    if field.shape == "many":
        kind = f"Sequence[{base}]" if field.message != owner else f'"Sequence[{base.strip(chr(34))}]"'
        return kind, "()"
    if field.shape == "map":
        return f"Mapping[str, {base}]", "{}"
    if field.message or field.wrapper:
        return f"{SCALARS[field.type][0] if field.wrapper else base} | None", "None"
    return base, {"str": '""', "int": "0", "bool": "False"}[base]


def _result(service: Service, message: Message) -> list[str]:
    name = service.class_name(message.name)
    lines = ["", f"class {name}(Result, frozen=True, kw_only=True):"]
    lines += docstring(message.doc, [(f.name, f.doc) for f in message.fields], "    ")
    lines.append("")
    for field in message.fields:
        kind, default = _result_type(service, message.name, field)
        required = (name, field.name) in overrides.REQUIRED
        lines.append(f"    {field.name}: {kind}" + ("" if required else f" = {default}"))
    checks = [line for field in message.fields for line in _checks(service, message, field)]
    names = {f.name for f in message.fields}
    if {"expired", overrides.EXPIRY_FIELD} <= names:
        checks.append(f"        self._check_one_of(self.expired, self.{overrides.EXPIRY_FIELD})")
    if checks:
        lines += ["", "    def __post_init__(self) -> None:", *checks]
    return [*lines, ""]


def _checks(service: Service, message: Message, field: Field) -> list[str]:
    name, base = field.name, service.class_name(field.python)
    if field.payload:
        return []
    if is_expiry(field):
        never = (service.class_name(message.name), name) in overrides.NEVER
        test = f"self.{name} is not None" + (f" and self.{name} is not NEVER" if never else "")
        return [f"        if {test}:", f'            self._check_expiry("{name}", self.{name})']
    if field.shape != "one":
        # Only the default is skipped: None, "" or 0 in its place is somebody's mistake.
        kind, default = ("items", "()") if field.shape == "many" else ("map", "{}")
        return [
            f"        if self.{name} != {default}:",
            f'            self._check_{kind}("{name}", self.{name}, {base})',
        ]
    if field.wrapper:
        scalar = SCALARS[field.type][0]
        test = f"self.{name} is not None and not isinstance(self.{name}, {scalar})"
        return [f"        if {test}:", f'            self._refuse("{name}", "{scalar} or None", self.{name})']
    if field.message:
        test = f"self.{name} is not None and not isinstance(self.{name}, {base})"
        return [f"        if {test}:", f'            self._refuse("{name}", "{base} or None", self.{name})']
    scalar, low, high = SCALARS[field.type]
    if scalar == "int":
        test = f"type(self.{name}) is not int or self.{name}"
        return [f"        if {test}:", f'            self._check_int("{name}", self.{name}, {low}, {high})']
    return [
        f"        if not isinstance(self.{name}, {scalar}):",
        f'            self._refuse("{name}", "{scalar}", self.{name})',
    ]


def _input_type(service: Service, field: Field) -> tuple[str, str]:
    """A request field's annotation and default."""
    base = service.received_name(field.message) if field.message else SCALARS[field.type][0]
    quote = '"' if field.message else ""  # a message may hold its own kind
    if field.payload:
        return "bytes | None", "None"
    if field.shape == "many":
        return f"{quote}tuple[{base}, ...]{quote}", "()"
    if field.shape == "map":
        return f"{quote}Mapping[str, {base}]{quote}", f"msgspec.field(default_factory=dict[str, {quote}{base}{quote}])"
    if field.message or field.wrapper:
        return f"{quote}{base} | None{quote}", "None"
    return base, {"str": '""', "int": "0", "bool": "False"}[base]


def _fields(service: Service, message: Message) -> tuple[list[str], list[tuple[str, str]]]:
    lines: list[str] = []
    docs: list[tuple[str, str]] = []
    for field in message.fields:
        kind, default = _input_type(service, field)
        name = f"raw_{field.name}" if field.payload else field.name
        lines.append(f"    {name}: {kind} = {default}")
        docs.append((name, f"{field.doc[:1].upper()}{field.doc[1:]}" + (" As bytes." if field.payload else "")))
    return lines, docs


def _received(service: Service, message: Message) -> list[str]:
    fields, docs = _fields(service, message)
    lines = ["", f"class {service.received_name(message.name)}(Received, frozen=True, kw_only=True):"]
    lines += [*docstring(message.doc, docs, "    "), "", *fields]
    for field in message.fields:
        if field.payload:
            lines += [
                "",
                "    @property",
                f"    def {field.name}(self) -> Any:",
                f'        """{field.doc} Decoded from JSON; None when absent."""',
                f'        return self._decoded(self.raw_{field.name}, "{field.name}")',
            ]
            lines += _PARSE if field.name == "data" else []
    return [*lines, ""]


def _event(service: Service, method: Method) -> list[str]:
    result = service.class_name(method.result.name)
    fields, docs = _fields(service, method.request)
    lines = ["", f"class {method.event}(Event, frozen=True, kw_only=True):"]
    lines += [*docstring(method.doc, docs, "    "), ""]
    lines += [
        f'    kind: ClassVar[str] = "{method.kind}"',
        f"    result_type: ClassVar[type[msgspec.Struct] | None] = {result}",
        "",
        *fields,
        "",
        f"    def respond(self, answer: {result} | Disconnect | ClientError) -> None:",
        '        """Set the pending answer; later hooks still run, and the last answer stands."""',
        "        self._respond(answer)",
    ]
    payloads = {f.name: f for f in method.request.fields if f.payload}
    if "data" in payloads:
        lines += [
            "",
            "    @property",
            "    def data(self) -> Any:",
            f'        """{payloads["data"].doc} Decoded from JSON once; None when absent."""',
            "        return self._data(self.raw_data)",
            *_PARSE,
        ]
    if "meta" in payloads:
        lines += [
            "",
            "    @property",
            "    def meta(self) -> Any:",
            f'        """{payloads["meta"].doc} Decoded from JSON once."""',
            "        return self._meta(self.raw_meta)",
            "",
            "    def meta_as(self, model: type[_T]) -> _T:",
            '        """The meta as an instance of ``model``; raises MetaError when it is absent or does not fit."""',
            "        return self._meta_as(self.raw_meta, model)",
        ]
    for name, field in payloads.items():
        if name not in ("data", "meta"):
            lines += [
                "",
                "    @property",
                f"    def {name}(self) -> Any:",
                f'        """{field.doc} Decoded from JSON; None when absent."""',
                f'        return self._decoded(self.raw_{name}, "{name}", twin={bool(field.twin)})',
            ]
    if method.item_in:
        received = service.received_name(method.item_in.message)
        lines += [
            "",
            "    @property",
            f"    def incoming(self) -> AsyncIterator[{received}]:",
            '        """What the client publishes into the channel, until it unsubscribes or goes away."""',
            f'        return cast("AsyncIterator[{received}]", self.call.incoming)',
        ]
    return [*lines, ""]


def _table(service: Service) -> list[str]:
    lines = [
        "",
        "#: Every call of the service, by kind.",
        "METHODS: Final[dict[str, Method]] = {",
        "    method.kind: method",
        "    for method in (",
    ]
    for m in service.methods:
        stream = "both" if m.item_in else "out" if m.item_out else ""
        item = service.class_name(m.item_out.message) if m.item_out else "None"
        names = [f.name for f in m.request.fields]
        route = next((n for n in ("method", "channel", "channels") if n in names), "")
        lines += [
            "        Method(",
            f'            kind="{m.kind}",',
            f'            name="{m.name}",',
            f'            path="{m.path}",',
            f"            event={m.event},",
            f"            result={service.class_name(m.result.name)},",
            f'            silence="{m.silence}",',
            f'            stream="{stream}",',
            f"            item={item},",
            f'            route="{route}",',
            "        ),",
        ]
    return [*lines, "    )", "}"]
