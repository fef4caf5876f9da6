"""What a field of the model allows, read from its annotation."""

from typing import Any, Literal, cast

import msgspec
from msgspec import inspect

from rtbridge.config.faults import listed
from rtbridge.config.kinds import BOOLEAN, INTEGER, STRING, Kind


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """One type of the model, without ``Annotated`` and ``| None``."""

    type: inspect.Type
    kind: Kind | None
    optional: bool
    description: str
    extra: dict[str, Any]

    @property
    def secret(self) -> bool:
        """Whether the value, or anything in it, is never shown."""
        return bool(self.extra.get("secret"))


def shape_of(annotation: inspect.Type) -> Shape:
    """The shape of a field, an item or a value of a mapping."""
    extra: dict[str, Any] = {}
    description = ""
    optional = False
    while True:
        if isinstance(annotation, inspect.Metadata):
            meta = cast("Any", annotation)  # its mappings have no types
            own: dict[str, Any] = meta.extra or {}
            extra = {**own, **extra}
            json_schema: dict[str, str] = meta.extra_json_schema or {}
            description = description or json_schema.get("description", "")
            annotation = annotation.type
        elif isinstance(annotation, inspect.UnionType) and annotation.includes_none:
            optional = True
            rest = tuple(member for member in annotation.types if not isinstance(member, inspect.NoneType))
            annotation = rest[0] if len(rest) == 1 else inspect.UnionType(rest)
        else:
            break
    kind = extra.get("kind") or _builtin_kind(annotation)
    return Shape(type=annotation, kind=kind, optional=optional, description=description, extra=extra)


def _builtin_kind(annotation: inspect.Type) -> Kind | None:
    match annotation:
        case inspect.StrType() | inspect.LiteralType():
            return STRING
        case inspect.BoolType():
            return BOOLEAN
        case inspect.IntType():
            return INTEGER
        case _:
            return None


def limits_of(shape: Shape) -> dict[Literal["ge", "le"], float]:
    """The bounds of a number; ``gt`` and ``lt`` are not in the model."""
    if not isinstance(shape.type, inspect.IntType | inspect.FloatType):
        return {}
    bounds: dict[Literal["ge", "le"], float | None] = {"ge": shape.type.ge, "le": shape.type.le}
    return {name: value for name, value in bounds.items() if value is not None}


def allowed(shape: Shape) -> str:
    """What the field allows, in words."""
    text = _allowed(shape)
    if shape.optional:
        text = f"{text}, or null"
    hint = shape.extra.get("hint")
    return f"{text} ({hint})" if hint else text


def _allowed(shape: Shape) -> str:
    kind = shape.kind
    match shape.type:
        case inspect.LiteralType(values):
            return listed([f'"{value}"' if not value or value.isdigit() else value for value in map(str, values)])
        case inspect.StructType(_, fields) if kind is None:
            return f"a mapping with the keys {listed([field.name for field in fields])}"
        case inspect.VarTupleType():
            return "a list" if not shape.type.min_length else "a list with at least one item"
        case inspect.DictType() | inspect.AnyType():
            return "a mapping"
        case inspect.StrType(min_length=int()) if kind is STRING:
            return "a non-empty string"
        case _:
            assert kind is not None
    bounds = limits_of(shape)
    shown = {name: kind.show(value) for name, value in bounds.items()}
    match shown:
        case {"ge": low, "le": high}:
            return f"{kind.noun} from {low} to {high}"
        case {"ge": low}:
            return f"{kind.noun} of at least {low}"
        case _:
            return kind.noun
