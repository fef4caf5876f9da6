"""Renders ``docs/hooks.md``: every hook with its exact signature, what it gets and what it may answer."""

import inspect
from types import ModuleType

from rtbridge._codegen.model import Field, Message, Method, Service
from rtbridge._codegen.render_events import is_expiry
from rtbridge._codegen.render_hooks import answer
from rtbridge.hooks import lifecycle, specs
from rtbridge.hooks.inject import INJECTED

_INTRO = """\
# Hooks

<!-- Generated from proto/centrifugo/proxy.proto by `python -m rtbridge._codegen`; edit the proto, not this page. -->

Every hook is a function marked with `rtbridge.hookimpl`, `async def` or `def`. A `def` hook may block: it runs on a
thread unless it is marked `hookimpl(blocking=False)`. A hook takes the arguments it names and may leave out the rest:

| argument | what it is |
|---|---|
| `event` | the event |
"""

_SILENCE = {
    "disconnect": "the client is disconnected, by default with code 4500 (`rtbridge.unhandled` changes it)",
    "expired": "`expired: true`: the session ends",
    "error": "error 108, not available",
    "unimplemented": "the call is refused: gRPC UNIMPLEMENTED, HTTP 404",
}


def render(service: Service) -> str:
    """The page's text."""
    text = _INTRO
    for name, (_, sentence) in INJECTED.items():
        text += f"| `{name}` | {sentence[:1].lower()}{sentence[1:].rstrip('.')} |\n"
    text += "\nHow hooks combine, and what silence and exceptions do, is described in [answering](answering.md).\n"
    text += "\n## Events\n"
    for method in service.methods:
        text += _method(service, method)
    text += "\n## Every event\n" + _written(specs)
    text += "\n## Life cycle\n\nEach of these runs in every plugin that has it; what it returns is ignored, but for\n"
    text += "`around_blocking` and `http_routes`. What they are good for is shown in\n"
    text += "[long-lived workers](long-lived-workers.md).\n"
    text += _written(lifecycle)
    return text + "\n## Parts of events and results\n" + _parts(service)


def _written(module: ModuleType) -> str:
    """The sections of hooks whose specs are written by hand."""
    text = ""
    for name, function in vars(module).items():
        if inspect.isfunction(function) and function.__module__ == module.__name__:
            text += f"\n### `{name}`\n\n```python\n{_signature(name, function)}\n```\n\n{inspect.getdoc(function)}\n"
    return text


def _parts(service: Service) -> str:
    """The messages inside others, each with its fields."""
    text = ""
    tops = {m.result.name for m in service.methods} | {m.item_out.message for m in service.methods if m.item_out}
    tops |= {m.item_in.message for m in service.methods if m.item_in}
    for message in service.answered:
        if message.name not in tops:
            text += f"\n### `{service.class_name(message.name)}`\n\n{message.doc}\n\n"
            text += _table(service, message, received=False)
    for message in service.received:
        if message.name not in tops:
            text += f"\n### `{service.received_name(message.name)}`\n\n{message.doc}\n\n"
            text += _table(service, message, received=True)
    return text


def _signature(name: str, function: object) -> str:
    assert callable(function)
    return f"def {name}({', '.join(inspect.signature(function).parameters)})"


def _method(service: Service, m: Method) -> str:
    returned = answer(service, m).replace("events.", "")
    http = "gRPC only" if m.streaming else f"HTTP path `/{m.kind}`"
    text = f"\n### `on_{m.kind}`\n\n{m.doc}\n\n```python\n"
    arguments = ", ".join(["event", *INJECTED])
    text += f"def on_{m.kind}({arguments}) -> {returned}\n```\n\n"
    text += f"gRPC method `{m.name}`, {http}. Unanswered: {_SILENCE[m.silence]}.\n\n"
    text += f"`{m.event}`\n\n" + _table(service, m.request, received=True)
    if m.item_in:
        text += f"\n`{service.received_name(m.item_in.message)}`, from `event.incoming`\n\n"
        text += _table(service, service.messages[m.item_in.message], received=True)
    text += f"\n`{service.class_name(m.result.name)}`\n\n" + _table(service, m.result, received=False)
    if m.item_out:
        text += f"\n`{service.class_name(m.item_out.message)}`, yielded after the result\n\n"
        text += _table(service, service.messages[m.item_out.message], received=False)
    return text


def _table(service: Service, message: Message, *, received: bool) -> str:
    if not message.fields:
        return "No fields.\n"
    rows = "| field | type | meaning |\n|---|---|---|\n"
    for field in message.fields:
        rows += f"| `{field.name}` | {_type(service, field, received=received)} | {field.doc} |\n"
    return rows


def _type(service: Service, field: Field, *, received: bool) -> str:
    if field.payload:
        return f"JSON value; bytes in `raw_{field.name}`" if received else "bytes, or any JSON value"
    if not received and is_expiry(field):
        return "seconds since the epoch, aware datetime, or timedelta"
    base = f"`{service.received_name(field.python) if received else service.class_name(field.python)}`"
    return {"many": f"list of {base}", "map": f"map of `str` to {base}", "one": base}[field.shape]
