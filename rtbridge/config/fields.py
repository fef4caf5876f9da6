"""What sections of the model are made of: the base of every section, and the types of their values."""

from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import NODEFAULT, Meta, inspect

from rtbridge.config.kinds import ADDRESS, DURATION, ENV_VALUE, FILE, SECRET, SIZE
from rtbridge.config.shape import shape_of
from rtbridge.config.values import Address

#: gRPC counts milliseconds in 32 bits, which ends at 24.8 days.
MAX_DURATION: Final = 24 * 86_400
#: gRPC counts the bytes of a message in 32 bits.
MAX_SIZE: Final = 2**31 - 1

Duration: TypeAlias = Annotated[float, Meta(ge=0, le=MAX_DURATION, extra={"kind": DURATION})]
PositiveDuration: TypeAlias = Annotated[float, Meta(ge=0.001, le=MAX_DURATION, extra={"kind": DURATION})]
Size: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_SIZE, extra={"kind": SIZE})]
AddressText: TypeAlias = Annotated[Address, Meta(extra={"kind": ADDRESS})]
File: TypeAlias = Annotated[Path, Meta(extra={"kind": FILE})]
Count: TypeAlias = Annotated[int, Meta(ge=0, le=2**31 - 1)]
NonEmpty: TypeAlias = Annotated[str, Meta(min_length=1)]
SecretText: TypeAlias = Annotated[str, Meta(extra={"kind": SECRET, "secret": True})]
EnvName: TypeAlias = Annotated[str, Meta(pattern=r"^[^=\0]+\Z", extra={"hint": "a name without = and NUL"})]
EnvValue: TypeAlias = Annotated[str, Meta(extra={"kind": ENV_VALUE, "secret": True})]


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping of the file with known keys."""

    def __repr__(self) -> str:
        secrets = secret_fields(type(self))
        shown: list[str] = []
        for name in self.__struct_fields__:
            value = getattr(self, name)
            shown.append(f"{name}={'<hidden>' if name in secrets and value is not None else repr(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"


@cache
def _defaults(section: type[Section]) -> dict[str, Any]:
    """The defaults by the name of the field."""
    return {each.name: each.default for each in msgspec.structs.fields(section) if each.default is not NODEFAULT}


@cache
def secret_fields(section: type[Section]) -> frozenset[str]:
    """The fields whose values are never shown."""
    info = inspect.type_info(section)
    assert isinstance(info, inspect.StructType)
    return frozenset(each.name for each in info.fields if shape_of(each.type).secret)


class CentrifugoSection(Section, frozen=True, kw_only=True):
    """A section with Centrifugo's keys.

    A zero, ``""`` or ``0s`` is the default where that is something else: Centrifugo cannot tell the two apart.
    """

    def __post_init__(self) -> None:
        for name, default in _defaults(type(self)).items():
            if default and not getattr(self, name):
                msgspec.structs.force_setattr(self, name, default)

    def check(self) -> None:
        """Compare the section's values with one another; whoever reads a file does it once all of them are known.

        Raises:
            ValueError: They do not go together; a :class:`~rtbridge.config.faults.Misfit` names the key.

        """

    def __repr__(self) -> str:
        defaults, secrets = _defaults(type(self)), secret_fields(type(self))
        shown: list[str] = []
        for each in msgspec.structs.fields(type(self)):
            value = getattr(self, each.name)
            if value and value != defaults.get(each.name):
                shown.append(f"{each.name}={'<hidden>' if each.name in secrets else repr(value)}")
        return f"{type(self).__name__}({', '.join(shown)})"
