"""Serializers by name: what makes bytes of values."""

import pickle
import sys
from importlib import import_module
from typing import Any, Final, Protocol

import msgspec

from rtbridge.errors import ConfigError
from rtbridge.stores import packing


class Serializer(Protocol):
    """Makes bytes of values, and values of bytes."""

    def dumps(self, value: Any, /) -> bytes:
        """The bytes of a value."""
        ...

    def loads(self, data: bytes, /) -> Any:
        """The value of its bytes."""
        ...


class MsgpackSerializer:
    """MessagePack that gives back datetimes, Decimals, UUIDs, tuples, sets, dataclasses and Structs as they were."""

    dumps = staticmethod(packing.dumps)
    loads = staticmethod(packing.loads)


class JsonSerializer:
    """JSON: read by every program. What JSON has no word for comes back as text, or as a mapping."""

    def __init__(self) -> None:
        self.dumps = msgspec.json.Encoder(enc_hook=_to_json).encode
        self.loads: Any = msgspec.json.Decoder().decode


class PickleSerializer:
    """pickle: any Python object. Whoever can write into the store can run code in every process that reads it."""

    @staticmethod
    def dumps(value: Any) -> bytes:
        """The bytes of a value."""
        return pickle.dumps(value, protocol=5)

    @staticmethod
    def loads(data: bytes) -> Any:
        """The value of its bytes."""
        return pickle.loads(data)  # noqa: S301  # asked for by name, and warned about


def _to_json(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    if callable(dump):  # a pydantic model; pydantic is no dependency
        return dump(mode="json")
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


_NAMED: Final[dict[str, type[Any]]] = {
    "msgpack": MsgpackSerializer,
    "json": JsonSerializer,
    "pickle": PickleSerializer,
}


def serializer_of(name: str, where: str) -> Serializer:
    """The serializer of a name, or the object at ``module:attribute``.

    Args:
        name: ``msgpack``, ``json``, ``pickle`` or ``module:attribute``.
        where: The configuration's key, for the error.

    Raises:
        ConfigError: There is no such object, or it has no ``dumps`` and ``loads``.

    """
    if name in _NAMED:
        made: Serializer = _NAMED[name]()
        return made
    module, _, path = name.partition(":")
    try:
        found: Any = import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as exc:
        raise ConfigError(f"{where}: {name} cannot be imported: {type(exc).__name__}: {exc}") from exc
    found = found() if isinstance(found, type) else found
    missing = [each for each in ("dumps", "loads") if not callable(getattr(found, each, None))]
    if missing:
        raise ConfigError(f"{where}: {name} has no {' and no '.join(missing)}; a serializer has both")
    serializer: Serializer = found
    return serializer


def fitted(value: Any, kind: Any) -> Any:
    """A value as an instance of a type: a Struct, a dataclass, a TypedDict, a builtin or a pydantic model.

    Raises:
        ValueError: It does not fit.

    """
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    validate = getattr(kind, "model_validate", None)
    if callable(validate) and "pydantic" in sys.modules:
        return validate(value)
    return msgspec.convert(value, kind)
