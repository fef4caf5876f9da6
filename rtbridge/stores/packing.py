"""The default serializer: MessagePack that gives back what was put in, with its types.

What MessagePack has no word for is an extension: one byte that says what it is, and the value. Objects of dataclasses,
msgspec Structs, NamedTuples and Enums are stored with the name of their class and are made again from it. A class is
looked for among the modules that are loaded: nothing that is stored can have a module imported.
"""

import dataclasses
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final

import msgpack
import msgspec

_DATETIME, _DATE, _TIME, _TIMEDELTA, _DECIMAL, _UUID, _TUPLE, _SET, _FROZENSET, _OBJECT, _ENUM, _INTEGER = range(1, 13)

_CALLS: Final = threading.local()


class UnknownClass(LookupError):
    """A value names a class that is not loaded, or that is none of those that are stored."""


def dumps(value: Any) -> bytes:
    """The bytes of a value.

    Raises:
        TypeError: It has no form that would give it back; the text names the type.
        ValueError: It is nested too deeply.

    """
    packer = getattr(_CALLS, "packer", None)
    if packer is None:  # one is expensive to make, and cannot be shared between threads
        packer = _CALLS.packer = msgpack.Packer(default=_extension, strict_types=True)
    try:
        data: bytes = packer.pack(value)
    except RecursionError as exc:
        packer.reset()
        raise ValueError("the value is nested too deeply, or holds itself") from exc
    except BaseException:
        packer.reset()
        raise
    return data


def loads(data: bytes) -> Any:
    """The value of its bytes.

    Raises:
        ValueError: They are not MessagePack, or not of this serializer.
        UnknownClass: The class of an object is not loaded, or is none that is stored.
        TypeError: An object does not fit its class any more.

    """
    return _unpack(data)


def _extension(value: Any) -> msgpack.ExtType:
    pack = _PACKED.get(type(value))
    if pack is not None:
        code, data = pack(value)
        return msgpack.ExtType(code, data)
    if isinstance(value, Enum):
        return msgpack.ExtType(_ENUM, _nested([_name_of(type(value)), value.name]))
    fields = _fields_of(value)
    if fields is None:
        raise TypeError(f"{type(value).__name__} has no form that msgpack would give back; store its parts")
    return msgpack.ExtType(_OBJECT, _nested([_name_of(type(value)), fields]))


def _nested(value: Any) -> bytes:
    data: bytes = msgpack.packb(value, default=_extension, strict_types=True)
    return data


def _timedelta(value: timedelta) -> bytes:
    return _nested([value.days, value.seconds, value.microseconds])


_PACKED: Final[dict[type, Callable[[Any], tuple[int, bytes]]]] = {
    datetime: lambda value: (_DATETIME, value.isoformat().encode()),
    date: lambda value: (_DATE, value.isoformat().encode()),
    time: lambda value: (_TIME, value.isoformat().encode()),
    timedelta: lambda value: (_TIMEDELTA, _timedelta(value)),
    Decimal: lambda value: (_DECIMAL, str(value).encode()),
    uuid.UUID: lambda value: (_UUID, value.bytes),
    tuple: lambda value: (_TUPLE, _nested(list(value))),
    set: lambda value: (_SET, _nested(list(value))),
    frozenset: lambda value: (_FROZENSET, _nested(list(value))),
    int: lambda value: (_INTEGER, str(value).encode()),  # beyond 64 bits
}


def _fields_of(value: Any) -> dict[str, Any] | None:
    kind = type(value)
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in kind.__struct_fields__}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if _is_named_tuple(kind):
        return dict(zip(kind._fields, value, strict=True))
    return None


def _is_named_tuple(kind: type) -> bool:
    return issubclass(kind, tuple) and isinstance(getattr(kind, "_fields", None), tuple)


def _name_of(kind: type) -> str:
    if "<locals>" in kind.__qualname__:
        raise TypeError(f"{kind.__qualname__} is defined inside a function, where nobody finds it again")
    return f"{kind.__module__}:{kind.__qualname__}"


def _value(code: int, data: bytes) -> Any:
    read = _READ.get(code)
    if read is None:
        raise ValueError(f"extension {code} is not of this serializer")
    return read(data)


def _object(data: bytes) -> Any:
    name, fields = _unpack(data)
    kind = _class(name)
    if not isinstance(fields, Mapping):
        raise ValueError("an object without fields")
    if issubclass(kind, msgspec.Struct):
        return kind(**{key: value for key, value in fields.items() if key in kind.__struct_fields__})
    if _is_named_tuple(kind):
        return kind(**{key: value for key, value in fields.items() if key in getattr(kind, "_fields", ())})
    if not dataclasses.is_dataclass(kind):
        raise UnknownClass(f"{name} is neither a dataclass nor a Struct, a NamedTuple or an Enum")
    known = {field.name: field for field in dataclasses.fields(kind)}
    made = kind(**{key: value for key, value in fields.items() if key in known and known[key].init})
    for key, value in fields.items():
        if key in known and not known[key].init:
            object.__setattr__(made, key, value)
    return made


def _enum(data: bytes) -> Any:
    name, member = _unpack(data)
    kind = _class(name)
    if not issubclass(kind, Enum):
        raise UnknownClass(f"{name} is no Enum")
    return kind[member]


def _class(name: str) -> type:
    module, _, path = name.partition(":")
    found: Any = sys.modules.get(module)
    for part in path.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        raise UnknownClass(f"there is no class {name} among the loaded modules; import {module} first")
    return found


_READ: Final[dict[int, Callable[[bytes], Any]]] = {
    _DATETIME: lambda data: datetime.fromisoformat(data.decode()),
    _DATE: lambda data: date.fromisoformat(data.decode()),
    _TIME: lambda data: time.fromisoformat(data.decode()),
    _TIMEDELTA: lambda data: timedelta(*_unpack(data)),
    _DECIMAL: lambda data: Decimal(data.decode()),
    _UUID: lambda data: uuid.UUID(bytes=data),
    _TUPLE: lambda data: tuple(_unpack(data)),
    _SET: lambda data: set(_unpack(data)),
    _FROZENSET: lambda data: frozenset(_unpack(data)),
    _OBJECT: _object,
    _ENUM: _enum,
    _INTEGER: lambda data: int(data),
}

#: msgspec reads MessagePack in a third of msgpack's time.
_unpack: Final[Callable[[bytes], Any]] = msgspec.msgpack.Decoder(
    ext_hook=lambda code, data: _value(code, bytes(data))
).decode
