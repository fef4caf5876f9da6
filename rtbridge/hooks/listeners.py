"""What a routed listener is called with: captures and typed payloads, found by name and annotation at start."""

import inspect
import types
import typing
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import msgspec

from rtbridge.errors import PluginError
from rtbridge.events import Method
from rtbridge.events.values import parse_payload
from rtbridge.hooks.patterns import Pattern
from rtbridge.hooks.steps import Mode, Step, mode_of, name_of, source_of

_Argument = Callable[[Any, Mapping[str, str]], Any]


class Listener(NamedTuple):
    """A routed listener, its arguments worked out."""

    kind: str
    pattern: Pattern
    priority: int
    arguments: tuple[tuple[str, _Argument], ...]
    call: Callable[[Mapping[str, str], Any], Any]
    mode: Mode
    name: str
    source: str

    def bind(self, captures: Mapping[str, str]) -> Step:
        """The step for an event that matched with those captures."""
        return Step(partial(self.call, captures), self.mode, self.name, self.source, self.pattern.text)


def make_listener(
    method: Method,
    pattern: Pattern,
    priority: int,
    blocking: bool | None,
    function: Callable[..., Any],
    injected: Mapping[str, object],
) -> Listener:
    """The listener for a decorated function.

    Raises:
        PluginError: An argument is unknown, or the function cannot be a listener; both are named.

    """
    name = name_of(function)
    where = f"{name} ({source_of(function)}), routed {method.hook}({pattern.text!r})"
    try:
        mode = mode_of(function, blocking)
    except ValueError as exc:
        raise PluginError(f"{where}: {exc}") from exc
    if (mode is Mode.STREAM) and not method.stream:
        raise PluginError(f"{where}: is an async generator, and {method.event.__name__} is no stream")
    try:
        parameters = inspect.signature(function).parameters
        hints = typing.get_type_hints(inspect.unwrap(function))
    except (NameError, TypeError, ValueError) as exc:
        raise PluginError(f"{where}: its annotations cannot be read: {exc}") from exc
    payloads = {name for name in ("data", "meta") if hasattr(method.event, name)}
    allowed = ["event", *pattern.captures, *sorted(payloads), *injected]
    clash = sorted({"event", "data", "meta", *injected} & set(pattern.captures))
    if clash:
        raise PluginError(f"{where}: the pattern captures {clash[0]!r}, which is the name of an argument")
    arguments: list[tuple[str, _Argument]] = []
    for parameter in parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD, parameter.POSITIONAL_ONLY):
            raise PluginError(f"{where}: arguments go by name; {parameter} cannot be filled")
        if parameter.name not in allowed:
            if parameter.default is not parameter.empty:
                continue
            raise PluginError(f"{where}: argument {parameter.name!r} is unknown; there are {', '.join(allowed)}")
        model = hints.get(parameter.name, Any)
        arguments.append((parameter.name, _reader(parameter.name, model, pattern, injected)))
    call = _unrolled(function, arguments) if _in_order(parameters, arguments) else _by_name(function, arguments)
    return Listener(method.kind, pattern, priority, tuple(arguments), call, mode, name, source_of(function))


def _in_order(parameters: Mapping[str, inspect.Parameter], arguments: list[tuple[str, _Argument]]) -> bool:
    first = list(parameters.values())[: len(arguments)]
    return [p.name for p in first] == [name for name, _ in arguments] and all(
        p.kind is p.POSITIONAL_OR_KEYWORD for p in first
    )


def _by_name(
    function: Callable[..., Any], arguments: list[tuple[str, _Argument]]
) -> Callable[[Mapping[str, str], Any], Any]:
    def call(captures: Mapping[str, str], event: Any) -> Any:
        return function(**{name: read(event, captures) for name, read in arguments})

    return call


def _unrolled(
    function: Callable[..., Any], arguments: list[tuple[str, _Argument]]
) -> Callable[[Mapping[str, str], Any], Any]:
    # Most listeners take one to three arguments; a dict and a comprehension for them cost more than reading them.
    match [read for _, read in arguments]:
        case [first]:
            return lambda captures, event: function(first(event, captures))
        case [first, second]:
            return lambda captures, event: function(first(event, captures), second(event, captures))
        case [first, second, third]:
            return lambda captures, event: function(
                first(event, captures), second(event, captures), third(event, captures)
            )
        case _:
            return _by_name(function, arguments)


def _reader(name: str, model: Any, pattern: Pattern, injected: Mapping[str, object]) -> _Argument:
    if name == "event":
        return lambda event, _: event
    if name in pattern.captures:
        return lambda _, captures: captures[name]
    if name in injected:
        value = injected[name]
        return lambda _e, _c: value
    if name == "meta":
        if model in (Any, object):
            return lambda event, _: event.meta
        return lambda event, _: event.meta_as(model)
    return _data_reader(model)


def _data_reader(annotation: Any) -> _Argument:
    model: Any = annotation
    if model in (Any, object):
        return lambda event, _: event.data
    optional = False
    if isinstance(model, types.UnionType) or typing.get_origin(model) is typing.Union:
        rest = tuple(part for part in typing.get_args(model) if part is not type(None))
        optional = len(rest) < len(typing.get_args(model))
        if len(rest) == 1:
            model = rest[0]
    if model is bytes:
        return lambda event, _: event.raw_data if optional else event.raw_data or b""
    if hasattr(model, "model_validate_json"):
        annotated: Any = model
        parse: Callable[[bytes | None], Any] = lambda raw: parse_payload(raw, annotated, "data")  # noqa: E731  # one of two
    else:
        return _struct_reader(msgspec.json.Decoder(model).decode, model, optional=optional)
    if optional:
        return lambda event, _: None if event.raw_data is None else parse(event.raw_data)
    return lambda event, _: parse(event.raw_data)


def _struct_reader(decode: Callable[[bytes], Any], model: Any, *, optional: bool) -> _Argument:
    def read(event: Any, captures: Mapping[str, str]) -> Any:
        raw = event.raw_data
        if raw is not None:
            try:
                return decode(raw)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                pass  # told again, slower and in words
        elif optional:
            return None
        return parse_payload(raw, model, "data")

    return read
