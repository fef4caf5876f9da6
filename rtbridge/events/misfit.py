"""What is wrong with a payload, in words that go to the client and into logs: place and rule, never the payload.

Validators quote what they refuse here and there (a value that is no member of an enum, a key that no field has). What
they quote is the client's: it may be a secret, or a megabyte long.
"""

import re
from typing import Any, Final, get_args

import msgspec

#: The texts of msgspec that quote the payload; the place that follows holds names of the model only.
_QUOTING: Final = (
    (re.compile(r"Invalid enum value .*?( - at `[^`]*`)?", re.DOTALL), "a value that is not one of those allowed"),
    (re.compile(r"Invalid value .*?( - at `[^`]*`)?", re.DOTALL), "a tag that is not one of those allowed"),
    (re.compile(r"Object contains unknown field .*?( - at `[^`]*`)?", re.DOTALL), "a field that is not known"),
)


def struct_text(exc: msgspec.ValidationError) -> str:
    """What msgspec refused and where."""
    text = str(exc)
    for pattern, replacement in _QUOTING:
        if found := pattern.fullmatch(text):
            return replacement + (found[1] or "")
    return text


def pydantic_text(exc: ValueError, model: object) -> str:
    """What pydantic refused and where; the first three faults."""
    errors: Any = getattr(exc, "errors", None)
    if errors is None:
        return "it was refused"
    known = _field_names(model)
    found: list[dict[str, Any]] = errors(include_input=False, include_url=False, include_context=False)
    return "; ".join(f"{_place(fault['loc'], known)}: {_rule(fault)}" for fault in found[:3])


def _place(path: tuple[int | str, ...], known: set[str]) -> str:
    # A part that is no field's name is a key of the payload, or a tag.
    return ".".join(str(part) if isinstance(part, int) or part in known else "[...]" for part in path) or "value"


def _rule(fault: dict[str, Any]) -> str:
    return "unknown tag" if fault["type"] == "union_tag_invalid" else str(fault["msg"])


def _field_names(model: object) -> set[str]:
    """The names and aliases of the fields of a pydantic model and of the models inside it."""
    names: set[str] = set()
    seen: set[object] = set()
    queue = [model]
    while queue:
        kind = queue.pop()
        fields: Any = getattr(kind, "model_fields", None)
        if isinstance(fields, dict) and kind not in seen:
            seen.add(kind)
            for name, field in fields.items():
                names |= {alias for alias in (name, field.alias, field.validation_alias) if isinstance(alias, str)}
                queue.append(field.annotation)
        queue += get_args(kind)
    return names
