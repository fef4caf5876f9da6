"""The JSON Schema of ``.rr.yaml``, made from the model."""

from collections.abc import Iterator
from typing import Any

from msgspec import NODEFAULT, Struct, inspect

from rtbridge.config.model import Config
from rtbridge.config.roadrunner import FREE_PREFIX, known_keys
from rtbridge.config.shape import Shape, limits_of, shape_of

#: A scalar made from variables passes every type; what it becomes is known at the start only.
_VARIABLE = {"type": "string", "pattern": r"\$\{"}


def json_schema() -> dict[str, object]:
    """The JSON Schema (2020-12) of the whole file, with descriptions and defaults."""
    top = inspect.type_info(Config)
    assert isinstance(top, inspect.StructType)
    schema = _struct(top, "")
    schema["required"] = ["version"]
    schema["type"] = "object"
    schema["patternProperties"] = {f"^{FREE_PREFIX}": {"description": "Free, for YAML anchors."}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": ".rr.yaml of rtbridge",
        "description": (Config.__doc__ or "").split("\n", maxsplit=1)[0],
        "$defs": {"variable": _VARIABLE},
        **schema,
    }


def _struct(kind: inspect.StructType, path: str) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for field in kind.fields:
        shape = shape_of(field.type)
        schema = _shape(shape, f"{path}{field.name}")
        schema["description"] = shape.description
        default = shape.extra.get("when_present", field.default)
        # A section's default is what its own keys say.
        if default is not NODEFAULT and not (isinstance(default, Struct) and shape.kind is None):
            schema["default"] = default if shape.kind is None or default is None else shape.kind.show(default)
            if isinstance(default, tuple):
                assert isinstance(shape.type, inspect.VarTupleType)
                item = shape_of(shape.type.item_type).kind
                values: tuple[Any, ...] = default
                schema["default"] = [value if item is None else item.show(value) for value in values]
        properties[field.name] = schema
    for key, reason in known_keys().keys.items():
        parent, _, name = key.rpartition(".")
        if (f"{parent}." if parent else "") == path:
            properties[name] = {"description": f"RoadRunner's key, no meaning here: {reason}.", "deprecated": True}
    made: dict[str, Any] = {"type": ["object", "null"], "properties": properties, "additionalProperties": False}
    if choices := [choice for field in kind.fields for choice in _choices(field, path)]:
        made["allOf"] = choices
    if required := [field.name for field in kind.fields if field.required]:
        made["required"] = required
    return made


def _choices(field: inspect.Field, path: str) -> Iterator[dict[str, Any]]:
    """What a key may hold by the value of another one."""
    sibling, kinds = shape_of(field.type).extra.get("by", ("", {}))
    for value, kind in kinds.items():
        section = inspect.type_info(kind)
        assert isinstance(section, inspect.StructType)
        yield {
            "if": {"properties": {sibling: {"const": value}}, "required": [sibling]},
            "then": {"properties": {field.name: _struct(section, f"{path}{field.name}.")}},
        }


def _shape(shape: Shape, path: str) -> dict[str, Any]:
    match shape.type:
        case inspect.StructType() if shape.kind is None:
            return _struct(shape.type, f"{path}.")
        case inspect.VarTupleType(item_type):
            schema: dict[str, Any] = {"type": "array", "items": _shape(shape_of(item_type), path)}
            if shape.type.min_length:
                schema["minItems"] = shape.type.min_length
            return schema
        case inspect.AnyType():
            return {"type": ["object", "null"]}
        case inspect.DictType(_, value_type):
            return {"type": ["object", "null"], "additionalProperties": _shape(shape_of(value_type), path)}
        case _:
            return _scalar(shape)


def _scalar(shape: Shape) -> dict[str, Any]:
    assert shape.kind is not None
    schema: dict[str, Any] = dict(shape.kind.schema)
    match shape.type:
        case inspect.LiteralType(values):
            schema = {"enum": [*values, *shape.extra.get("aliases", ())]}
        case inspect.StrType(min_length=int(minimum)):
            schema["minLength"] = minimum
        case _:
            # Bounds of what is written as text, such as a duration, are beyond a schema.
            if schema["type"] == "integer":
                names = {"ge": "minimum", "le": "maximum"}
                schema.update({names[name]: value for name, value in limits_of(shape).items()})
    any_of = [schema, {"$ref": "#/$defs/variable"}]
    if shape.optional:
        any_of.append({"type": "null"})
    return {"anyOf": any_of}
