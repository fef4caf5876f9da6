"""Renders ``rtbridge/codec/_json_generated.py``: Centrifugo's JSON as wire Structs, and conversions to and from them.

The Structs stay inside the codec: they carry raw JSON unchecked, which no hook should touch.
"""

from rtbridge._codegen.model import SCALARS, Field, Message, Method, Service
from rtbridge._codegen.render_events import is_expiry
from rtbridge._codegen.text import header


def render(service: Service) -> str:
    """The module's text."""
    unary = [m for m in service.methods if not m.streaming]
    lines = header("Conversions between Centrifugo's JSON and events.")
    lines += [
        "from typing import Annotated, Any, Final",
        "",
        "import msgspec",
        "from msgspec import UNSET, Meta, Raw, Struct, UnsetType",
        "",
        "from rtbridge import events",
        "from rtbridge.clock import Clock",
        "from rtbridge.codec._json_values import JSON_ENCODER, decoded, document, payload, read_payload, uint64",
        "from rtbridge.codec.base import Codec",
        "from rtbridge.events.call import Call",
        "from rtbridge.events.outcome import Outcome",
        "from rtbridge.events.values import unix_seconds",
        "",
        "",
    ]
    order = list(service.messages)
    nested = service.reachable(*(m.request for m in unary))
    inputs = {m.name: m for m in [*nested, *(m.request for m in unary)]}
    for message in sorted(inputs.values(), key=lambda m: _depth(service, m)):
        lines += _input(message)
    outputs = service.reachable(*(m.response for m in unary)) + [m.response for m in unary]
    names = {m.name: m for m in outputs}
    for message in sorted(names.values(), key=lambda m: (_depth(service, m), order.index(m.name))):
        lines += _output(service, message)
    roots = [m.result for m in unary]
    filled = {m.name: m for m in [*service.reachable(*roots), *roots]}
    for message in sorted(filled.values(), key=lambda m: order.index(m.name)):
        lines += _write(service, message)
    for message in nested:
        parts = ", ".join(_read(field) for field in message.fields)
        name = service.received_name(message.name)
        lines += [f"def _read_{message.name}(m: _In{message.name}) -> events.{name}:"]
        lines += [f"    return events.{name}({parts})", "", ""]
    for method in unary:
        lines += _decode(method) + _encode(method)
    lines += ["", "#: How each call is read and written in JSON, by kind. Streams travel over gRPC only."]
    lines += ["JSON: Final[dict[str, Codec]] = {"]
    lines += [f'    "{m.kind}": Codec(_decode_{m.kind}, _encode_{m.kind}),' for m in unary]
    return "\n".join([*lines, "}"]) + "\n"


def _depth(service: Service, message: Message, trail: tuple[str, ...] = ()) -> int:
    inner = [f.message for f in message.fields if f.message and f.message not in (*trail, message.name)]
    return 1 + max((_depth(service, service.messages[n], (*trail, message.name)) for n in inner), default=0)


def _input(message: Message) -> list[str]:
    lines = [f"class _In{message.name}(Struct, gc=False):"]
    for f in message.fields:
        base = f"_In{f.message}" if f.message else _scalar(f)
        quote = '"' if f.message else ""  # a message may hold its own kind
        if f.payload:
            lines.append(f"    {f.name}: Raw | UnsetType = UNSET")
            lines += [f'    {f.twin}: str = ""'] if f.twin else []
        elif f.wrapper:
            lines.append(f"    {f.name}: dict[str, {base}] | None = None")
        elif f.shape == "many":
            lines.append(f"    {f.name}: {quote}tuple[{base}, ...]{quote} = ()")
        elif f.shape == "map":
            lines.append(f"    {f.name}: {quote}dict[str, {base}]{quote} = {{}}")
        elif f.message:
            lines.append(f'    {f.name}: "{base} | None" = None')
        else:
            lines.append(f"    {f.name}: {base} = {_default(f)}")
    return [*lines, "", ""]


def _scalar(field: Field) -> str:
    """The scalar with its range, so that a number which protobuf could not carry is refused like any wrong type."""
    base, low, high = SCALARS[field.type]
    if low is None or high is None:
        return base
    if _wide(field):
        return "int"
    return f"Annotated[int, Meta(ge={low}, le={high})]"


def _wide(field: Field) -> bool:
    """Whether the range does not fit in msgspec's bounds, which end at 63 bits; `uint64` checks it then."""
    high = SCALARS[field.type][2]
    return high is not None and high >= 2**63


def _default(field: Field) -> str:
    return {"str": '""', "int": "0", "bool": "False"}[SCALARS[field.type][0]]


def _output(service: Service, message: Message) -> list[str]:
    lines = [f"class _Out{message.name}(Struct, omit_defaults=True, gc=False):"]
    for f in message.fields:
        base = f"_Out{f.message}" if f.message else SCALARS[f.type][0]
        if f.payload:
            lines.append(f"    {f.name}: Any = UNSET")
            lines += [f"    {f.twin}: str | UnsetType = UNSET"] if f.twin else []
        elif f.wrapper:
            lines.append(f"    {f.name}: dict[str, {base}] | UnsetType = UNSET")
        elif f.shape == "many" or f.shape == "map":
            lines.append(f"    {f.name}: Any = UNSET")
        elif f.message:
            lines.append(f'    {f.name}: "{base} | UnsetType" = UNSET')
        else:
            lines.append(f"    {f.name}: {base} = {_default(f)}")
    if not message.fields:
        lines.append('    """It has no fields."""')
    return [*lines, "", ""]


def _write(service: Service, message: Message) -> list[str]:
    name = service.class_name(message.name)
    lines = [f"def _write_{message.name}(r: events.{name}, clock: Clock) -> _Out{message.name}:"]
    parts: list[str] = []
    after: list[str] = []
    for f in message.fields:
        n = f.name
        if f.payload:
            after += [f"    if r.{n} is not None:"]
            if f.twin:
                after += [f"        w.{n}, w.{f.twin} = payload(r.{n})"]
            else:
                after += [f'        w.{n} = document("{n}", r.{n})']
        elif is_expiry(f):
            after += [f"    if r.{n} is not None:", f"        w.{n} = unix_seconds(r.{n}, clock)"]
        elif f.shape == "many" and f.message:
            after += [f"    if r.{n}:", f"        w.{n} = [_write_{f.message}(item, clock) for item in r.{n}]"]
        elif f.shape == "map" and f.message:
            comprehension = f"{{key: _write_{f.message}(value, clock) for key, value in r.{n}.items()}}"
            after += [f"    if r.{n}:", f"        w.{n} = {comprehension}"]
        elif f.shape == "map":
            after += [f"    if r.{n}:", f"        w.{n} = dict(r.{n})"]
        elif f.shape == "many":
            after += [f"    if r.{n}:", f"        w.{n} = list(r.{n})"]
        elif f.wrapper:
            after += [f"    if r.{n} is not None:", f'        w.{n} = {{"value": r.{n}}}']
        elif f.message:
            after += [f"    if r.{n} is not None:", f"        w.{n} = _write_{f.message}(r.{n}, clock)"]
        else:
            parts.append(f"{n}=r.{n}")
    made = f"_Out{message.name}({', '.join(parts)})"
    if not after:
        return [*lines, f"    return {made}", "", ""]
    return [*lines, f"    w = {made}", *after, "    return w", "", ""]


def _read(field: Field) -> str:
    n = field.name
    if field.payload:
        twin = f', "{field.twin}", m.{field.twin}' if field.twin else ""
        return f"raw_{n}=read_payload(m.{n}{twin})"
    if field.wrapper:
        value = _one(field, f'm.{n}.get("value", {_default(field)})')
        return f"{n}=None if m.{n} is None else {value}"
    if field.message and field.shape == "many":
        return f"{n}=tuple(_read_{field.message}(item) for item in m.{n})"
    if field.message and field.shape == "map":
        return f"{n}={{key: _read_{field.message}(value) for key, value in m.{n}.items()}}"
    if field.message:
        return f"{n}=None if m.{n} is None else _read_{field.message}(m.{n})"
    if _wide(field) and field.shape == "many":
        return f"{n}=tuple({_one(field, 'item')} for item in m.{n})"
    if _wide(field) and field.shape == "map":
        return f"{n}={{key: {_one(field, 'value')} for key, value in m.{n}.items()}}"
    return f"{n}={_one(field, f'm.{n}')}"


def _one(field: Field, source: str) -> str:
    return f'uint64("{field.name}", {source})' if _wide(field) else source


def _decode(m: Method) -> list[str]:
    fields = ", ".join(_read(f) for f in m.request.fields)
    return [
        f"_{m.kind}_decoder = msgspec.json.Decoder(_In{m.request.name})",
        "",
        "",
        f"def _decode_{m.kind}(data: bytes, call: Call) -> events.{m.event}:",
        f"    m = decoded(_{m.kind}_decoder, data)",
        f"    return events.{m.event}(call=call, {fields})",
        "",
        "",
    ]


def _encode(m: Method) -> list[str]:
    top = m.response.name
    lines = [
        f"def _encode_{m.kind}(outcome: Outcome, clock: Clock) -> bytes:",
        f"    w = _Out{top}()",
        "    if outcome.result is not None:",
        f"        w.result = _write_{m.result.name}(outcome.result, clock)",
    ]
    if m.response.field("disconnect"):
        lines += [
            "    elif outcome.disconnect is not None:",
            "        w.disconnect = _OutDisconnect(code=outcome.disconnect.code, reason=outcome.disconnect.reason)",
        ]
    if m.response.field("error"):
        lines += [
            "    elif outcome.error is not None:",
            "        e = outcome.error",
            "        w.error = _OutError(code=e.code, message=e.message, temporary=e.temporary)",
        ]
    return [*lines, "    return JSON_ENCODER.encode(w)", "", ""]
