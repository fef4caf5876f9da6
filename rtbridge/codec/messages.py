"""What generated message types are made of: Structs with the names of a proto, which JSON reads and writes directly.

A field that is absent has the zero value of its type, as protobuf has it: None for a message, UNSET for bytes.
"""

from collections.abc import Callable
from functools import cache
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Raw, inspect

Int32: TypeAlias = Annotated[int, Meta(ge=-(2**31), le=2**31 - 1)]
Int64: TypeAlias = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
UInt32: TypeAlias = Annotated[int, Meta(ge=0, le=2**32 - 1)]
#: Its upper end is beyond msgspec's bounds; messages that arrive call ``check_uint64``.
UInt64: TypeAlias = Annotated[int, Meta(ge=0)]

#: A field of type bytes: in JSON a document of the application, passed on as it was written.
Payload: TypeAlias = Raw | msgspec.UnsetType

_ENCODE: Final = msgspec.json.Encoder().encode
_FIELDS: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_ITEMS: Final = msgspec.json.Decoder(list[Raw]).decode


class Message(msgspec.Struct, omit_defaults=True):
    """A message of a proto. In JSON zero values are left out, and a message that holds nothing else is ``{}``."""


M = TypeVar("M", bound=Message)


def new_list() -> list[Any]:
    """An empty list that JSON shows; an empty one of the builtin's own making is left out."""
    return []


def new_dict() -> dict[str, Any]:
    """The same for a mapping."""
    return {}


def check_uint64(field: str, value: int) -> None:
    """Refuse what an unsigned integer of 64 bits cannot hold.

    Raises:
        ValueError: It is too large; msgspec reports it as a ValidationError.

    """
    if value > 0xFFFF_FFFF_FFFF_FFFF:
        raise ValueError(f"{field} is no unsigned integer of 64 bits")


def json_decoder(kind: type[M]) -> Callable[[bytes], M]:
    """Reads a message from JSON, where null is as good as absent, as Go has it; in a payload it is a value.

    What it gives raises msgspec.MsgspecError for what is no such message, UnicodeDecodeError and RecursionError.
    """
    decode = msgspec.json.Decoder(kind).decode

    def read(data: bytes) -> M:
        try:
            return decode(data)
        except msgspec.ValidationError:
            # Messages with a null are rare, so the others pay nothing for them.
            if b"null" not in data:
                raise
            return decode(_ENCODE(_without_nulls(kind, _FIELDS(data))))

    return read


def _without_nulls(kind: type[Message], given: dict[str, Raw]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    shapes = _shapes(kind)
    for name, value in given.items():
        if name not in shapes:
            continue
        inner, shape = shapes[name]
        if inner is Raw:
            found[name] = value
        elif bytes(value) == b"null":
            continue
        elif inner is None:
            found[name] = value
        elif shape == "many":
            found[name] = [_without_nulls(inner, _FIELDS(item)) for item in _ITEMS(value)]
        elif shape == "map":
            found[name] = {key: _without_nulls(inner, _FIELDS(item)) for key, item in _FIELDS(value).items()}
        else:
            found[name] = _without_nulls(inner, _FIELDS(value))
    return found


@cache
def _shapes(kind: type[Message]) -> dict[str, tuple[type[Any] | None, str]]:
    """Field → its message type or Raw, None for the rest; and one, many or map."""
    struct = inspect.type_info(kind)
    assert isinstance(struct, inspect.StructType)
    return {field.encode_name: _shape(field.type) for field in struct.fields}


def _shape(of: inspect.Type) -> tuple[type[Any] | None, str]:
    if isinstance(of, inspect.UnionType):
        return _shape(of.types[0])
    if isinstance(of, inspect.ListType):
        return _shape(of.item_type)[0], "many"
    if isinstance(of, inspect.DictType):
        return _shape(of.value_type)[0], "map"
    if isinstance(of, inspect.StructType):
        return of.cls, "one"
    return (Raw if isinstance(of, inspect.RawType) else None), "one"
