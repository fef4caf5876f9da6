"""Renders ``rtbridge/codec/_proto_generated.py``: straight-line conversions between protobuf messages and events."""

from rtbridge._codegen.model import Field, Message, Method, Service
from rtbridge._codegen.render_events import is_expiry
from rtbridge._codegen.text import header


def render(service: Service) -> str:
    """The module's text."""
    lines = header("Conversions between protobuf messages and events, one straight line each.")
    lines += [
        "from typing import Any, Final",
        "",
        "from google.protobuf.message import DecodeError",
        "",
        "from rtbridge import events",
        "from rtbridge.clock import SYSTEM_CLOCK, Clock",
        "from rtbridge.codec.base import Codec, enclosed, unbase64",
        "from rtbridge.codec.descriptors import message_class",
        "from rtbridge.errors import InvalidMessage",
        "from rtbridge.events.call import Call",
        "from rtbridge.events.outcome import Outcome",
        "from rtbridge.events.values import encode_payload, unix_seconds",
        "",
    ]
    tops = {name for m in service.methods for name in _tops(m)}
    lines += [f'_{name} = message_class("{service.package}.{name}")' for name in service.messages if name in tops]
    lines += [
        "",
        "# Without its C extension protobuf reports broken UTF-8 in a string field as UnicodeDecodeError.",
        "_FAULTS: Final = (DecodeError, UnicodeDecodeError)",
        "",
        "",
    ]
    alone = {m.result.name for m in service.methods if _sole_payload(m) is not None}
    for message in service.answered:
        if message.name not in alone:
            lines += _fill(service, message)
    for message in service.received:
        parts = ", ".join(_read_field(field, "m") for field in message.fields)
        name = service.received_name(message.name)
        lines += [f"def _read_{message.name}(m: Any) -> events.{name}:", f"    return events.{name}({parts})", "", ""]
    for method in service.methods:
        lines += _decode(service, method) + _encode(service, method)
    lines += ["", "#: How each call is read and written in protobuf, by kind.", "PROTO: Final[dict[str, Codec]] = {"]
    for m in service.methods:
        items = f", _decode_{m.kind}_item" if m.item_in else ", None" if m.item_out else ""
        items += f", _encode_{m.kind}_item" if m.item_out else ""
        lines.append(f'    "{m.kind}": Codec(_decode_{m.kind}, _encode_{m.kind}{items}),')
    return "\n".join([*lines, "}"]) + "\n"


def _tops(method: Method) -> set[str]:
    return {
        method.envelope_in or method.request.name,
        method.envelope_out or method.response.name,
    }


def _fill(service: Service, message: Message) -> list[str]:
    name = service.class_name(message.name)
    lines = [f"def _fill_{message.name}(w: Any, r: events.{name}, clock: Clock) -> None:"]
    for field in message.fields:
        lines += _fill_field(service, field)
    if not message.fields:
        lines.append('    """It has no fields."""')
    return [*lines, "", ""]


def _fill_field(service: Service, field: Field) -> list[str]:
    n = field.name
    if field.payload:
        return [f"    if r.{n} is not None:", f"        w.{n} = encode_payload(r.{n})"]
    if is_expiry(field):
        return [f"    if r.{n} is not None:", f"        w.{n} = unix_seconds(r.{n}, clock)"]
    if field.shape == "many" and field.message:
        return [f"    for item in r.{n}:", f"        _fill_{field.message}(w.{n}.add(), item, clock)"]
    if field.shape == "many":
        return [f"    if r.{n}:", f"        w.{n}.extend(r.{n})"]
    if field.shape == "map" and field.message:
        return [
            f"    for key, value in r.{n}.items():",
            f"        _fill_{field.message}(w.{n}[key], value, clock)",
        ]
    if field.shape == "map":
        return [f"    if r.{n}:", f"        w.{n}.update(r.{n})"]
    if field.wrapper:
        return [f"    if r.{n} is not None:", f"        w.{n}.value = r.{n}", f"        w.{n}.SetInParent()"]
    if field.message:
        return [
            f"    if r.{n} is not None:",
            f"        w.{n}.SetInParent()",
            f"        _fill_{field.message}(w.{n}, r.{n}, clock)",
        ]
    return [f"    if r.{n}:", f"        w.{n} = r.{n}"]


def _read_field(field: Field, source: str) -> str:
    n = field.name
    if field.payload:
        plain = f"{source}.{n} or None"
        if field.twin:
            plain = f'unbase64("{field.twin}", {source}.{field.twin}) if {source}.{field.twin} else {plain}'
        return f"raw_{n}={plain}"
    if field.shape == "many" and field.message:
        return f"{n}=tuple(_read_{field.message}(item) for item in {source}.{n})"
    if field.shape == "many":
        return f"{n}=tuple({source}.{n})"
    if field.shape == "map" and field.message:
        return f"{n}={{key: _read_{field.message}(value) for key, value in {source}.{n}.items()}}"
    if field.shape == "map":
        return f"{n}=dict({source}.{n}) if {source}.{n} else {{}}"
    if field.wrapper:
        return f'{n}={source}.{n}.value if {source}.HasField("{n}") else None'
    if field.message:
        return f'{n}=_read_{field.message}({source}.{n}) if {source}.HasField("{n}") else None'
    return f"{n}={source}.{n}"


def _decode(service: Service, m: Method) -> list[str]:
    top = m.envelope_in or m.request.name
    lines = [
        f"def _decode_{m.kind}(data: bytes, call: Call) -> events.{m.event}:",
        "    try:",
        f"        m = _{top}.FromString(data)",
        "    except _FAULTS as exc:",
        f'        raise InvalidMessage("not a {top} in protobuf") from exc',
    ]
    if m.start_in:
        lines += [
            f'    if not m.HasField("{m.start_in}"):',
            f'        raise InvalidMessage("the first message of the stream has no {m.start_in}")',
            f"    m = m.{m.start_in}",
        ]
    fields = ", ".join(_read_field(f, "m") for f in m.request.fields)
    lines += [f"    return events.{m.event}(call=call, {fields})", "", ""]
    if m.item_in:
        lines += [
            f"def _decode_{m.kind}_item(data: bytes) -> events.{service.received_name(m.item_in.message)}:",
            "    try:",
            f"        m = _{top}.FromString(data)",
            "    except _FAULTS as exc:",
            f'        raise InvalidMessage("not a {top} in protobuf") from exc',
            f'    if not m.HasField("{m.item_in.name}"):',
            f'        raise InvalidMessage("a later message of the stream has no {m.item_in.name}")',
            f"    return _read_{m.item_in.message}(m.{m.item_in.name})",
            "",
            "",
        ]
    return lines


def _sole_payload(m: Method) -> tuple[Field, Field] | None:
    """The result of a response and its field, where the result has no other, and bytes in it.

    Such a response is written without a message object. Field numbers above 15 have tags of two bytes: not here.
    """
    outer, fields = m.response.field("result"), m.result.fields
    if outer is None or m.streaming or m.start_out or len(fields) != 1 or not fields[0].payload:
        return None
    return None if max(outer.number, fields[0].number) > 15 else (outer, fields[0])


def _tag(field: Field) -> int:
    return field.number << 3 | 2  # length-delimited


def _refusals(m: Method, target: str, *, first: bool) -> list[str]:
    lines = []
    if m.response.field("disconnect"):
        lines += [
            f"    {'if' if first else 'elif'} outcome.disconnect is not None:",
            f"        {target}.disconnect.code = outcome.disconnect.code",
            f"        {target}.disconnect.reason = outcome.disconnect.reason",
        ]
    if m.response.field("error"):
        lines += [
            f"    {'if' if first and not lines else 'elif'} outcome.error is not None:",
            f"        {target}.error.code = outcome.error.code",
            f"        {target}.error.message = outcome.error.message",
            f"        {target}.error.temporary = outcome.error.temporary",
        ]
    return lines


def _encode(service: Service, m: Method) -> list[str]:
    top = m.envelope_out or m.response.name
    sole = _sole_payload(m)
    if sole is not None:
        outer, field = sole
        return [
            f"def _encode_{m.kind}(outcome: Outcome, clock: Clock) -> bytes:",
            "    result = outcome.result",
            "    if result is None:",
            f"        return _encode_{m.kind}_refusal(outcome)",
            f"    data = result.{field.name}",
            f'    return enclosed({_tag(outer)}, {_tag(field)}, b"" if data is None else encode_payload(data))',
            "",
            "",
            f"def _encode_{m.kind}_refusal(outcome: Outcome) -> bytes:",
            f"    m = _{top}()",
            *_refusals(m, "m", first=True),
            "    return bytes(m.SerializeToString())",
            "",
            "",
        ]
    target = f"m.{m.start_out}" if m.start_out else "m"
    lines = [
        f"def _encode_{m.kind}(outcome: Outcome, clock: Clock) -> bytes:",
        f"    m = _{top}()",
        *([f"    {target}.SetInParent()"] if m.start_out else []),
        "    result = outcome.result",
        "    if result is not None:",
        f"        w = {target}.result",
        "        w.SetInParent()",
        f"        _fill_{m.result.name}(w, result, clock)",
    ]
    lines += _refusals(m, target, first=False)
    lines += ["    return bytes(m.SerializeToString())", "", ""]
    if m.item_out:
        name = service.class_name(m.item_out.message)
        lines += [
            f"def _encode_{m.kind}_item(item: events.{name}) -> bytes:",
            f"    m = _{top}()",
            f"    m.{m.item_out.name}.SetInParent()",
            f"    _fill_{m.item_out.message}(m.{m.item_out.name}, item, SYSTEM_CLOCK)",
            "    return bytes(m.SerializeToString())",
            "",
            "",
        ]
    return lines
