"""Typed payloads: any kind of model, and texts about what does not fit that never repeat what was sent."""

import dataclasses
import datetime
import decimal
import enum
import re
import uuid
from typing import Annotated, Any, Literal, TypedDict

import msgspec
import pydantic
import pytest

import rtbridge as rt


class Struct(msgspec.Struct):
    text: str
    tags: list[str] = []


@dataclasses.dataclass
class Data:
    text: str
    tags: list[str]


class Dict(TypedDict):
    text: str
    tags: list[str]


class Model(pydantic.BaseModel):
    text: str
    tags: list[str]


RAW = b'{"text": "hi", "tags": ["a"]}'
FITTING: dict[Any, Any] = {
    Struct: Struct(text="hi", tags=["a"]),
    Data: Data(text="hi", tags=["a"]),
    Dict: {"text": "hi", "tags": ["a"]},
    Model: Model(text="hi", tags=["a"]),
    dict[str, Any]: {"text": "hi", "tags": ["a"]},
}


@pytest.mark.parametrize("model", FITTING)
def test_models(model: Any) -> None:
    """A Struct, a dataclass, a TypedDict, a pydantic model or a builtin."""
    for event in (rt.PublishEvent(raw_data=RAW), rt.RPCEvent(raw_data=RAW), rt.ReceivedPublication(raw_data=RAW)):
        assert event.parse(model) == FITTING[model]


@pytest.mark.parametrize("model", FITTING)
def test_an_absent_payload_fits_no_model(model: Any) -> None:
    """Error 107, and the text says that nothing came."""
    with pytest.raises(rt.BadRequest) as caught:
        rt.PublishEvent().parse(model)
    assert caught.value == rt.ClientError("BAD_REQUEST", "data is missing")


class Colour(enum.Enum):
    RED = "red"


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    colour: Colour = Colour.RED
    size: Literal["s", "m"] = "s"
    counts: dict[str, int] = {}
    numbers: dict[int, int] = {}
    short: Annotated[str, msgspec.Meta(max_length=3)] = ""
    exact: Annotated[str, msgspec.Meta(pattern="^a+$")] = ""
    at: datetime.datetime | None = None
    id: uuid.UUID | None = None
    price: decimal.Decimal | None = None
    blob: bytes = b""
    inner: "list[Strict]" = []


class Cat(msgspec.Struct, tag="cat"):
    lives: int


class Dog(msgspec.Struct, tag="dog"):
    bones: int


#: Payload → the text's end. Every payload holds the canary where it is refused.
STRUCT_FAULTS = {
    b'{"colour":"hunter2"}': "a value that is not one of those allowed - at `$.colour`",
    b'{"size":"hunter2"}': "a value that is not one of those allowed - at `$.size`",
    b'{"size":"hunter2 - at `$.x`"}': "a value that is not one of those allowed - at `$.size`",
    b'{"size":"hunter2\\n`"}': "a value that is not one of those allowed - at `$.size`",
    b'{"inner":[{"size":"hunter2"}]}': "a value that is not one of those allowed - at `$.inner[0].size`",
    b'{"hunter2":1}': "a field that is not known",
    b'{"inner":[{"hunter2":1}]}': "a field that is not known - at `$.inner[0]`",
    b'{"counts":{"hunter2":"hunter2"}}': "Expected `int`, got `str` - at `$.counts[...]`",
    b'{"numbers":{"hunter2":1}}': "Expected `int`, got `str` - at `key` in `$.numbers`",
    b'{"short":"hunter2"}': "Expected `str` of length <= 3 - at `$.short`",
    b'{"exact":"hunter2"}': "Expected `str` matching regex '^a+$' - at `$.exact`",
    b'{"at":"hunter2"}': "Invalid RFC3339 encoded datetime - at `$.at`",
    b'{"id":"hunter2"}': "Invalid UUID - at `$.id`",
    b'{"price":"hunter2"}': "Invalid decimal string - at `$.price`",
    b'{"blob":"hunter2"}': "Invalid base64 encoded string - at `$.blob`",
    b'"hunter2"': "Expected `object`, got `str`",
    b"hunter2": "not valid JSON",
    b'{"hunter2': "not valid JSON",
    b'{"short":"hunter2\xff"}': "not valid JSON",
    b'{"inner":[' * 100_000: "not valid JSON",
}


@pytest.mark.parametrize("raw", STRUCT_FAULTS, ids=lambda raw: raw[:40].decode("latin-1"))
def test_what_does_not_fit_a_struct(raw: bytes) -> None:
    """The text names the place and the rule; the payload is not in it."""
    with pytest.raises(rt.BadRequest) as caught:
        rt.RPCEvent(raw_data=raw).parse(Strict)
    assert caught.value.message == f"data does not fit: {STRUCT_FAULTS[raw]}"
    assert "hunter2" not in str(caught.value)


def test_what_does_not_fit_a_tagged_union() -> None:
    """Nor is an unknown tag repeated."""
    with pytest.raises(rt.BadRequest) as caught:
        rt.RPCEvent(raw_data=b'{"type":"hunter2"}').parse(Cat | Dog)  # type: ignore[arg-type]
    assert caught.value.message == "data does not fit: a tag that is not one of those allowed - at `$.type`"


class Pet(pydantic.BaseModel):
    kind: Literal["cat"]


class Bird(pydantic.BaseModel):
    kind: Literal["bird"]


class Part(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    count: int = 0
    parts: "list[Part]" = []


class Whole(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="forbid")
    first: int = 0
    named: int = pydantic.Field(0, alias="alsoNamed")
    either: int = pydantic.Field(0, validation_alias=pydantic.AliasChoices("one", "two"))
    part: Part | None = None
    counts: dict[str, int] = {}
    colour: Colour = Colour.RED
    pet: Annotated[Pet | Bird, pydantic.Field(discriminator="kind")] | None = None
    checked: int = 0

    @pydantic.field_validator("checked")
    @classmethod
    def even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("take an even number")
        return value


PYDANTIC_FAULTS = {
    b'{"first":"hunter2"}': "first: Input should be a valid integer, unable to parse string as an integer",
    b'{"alsoNamed":"hunter2"}': "alsoNamed: Input should be a valid integer, unable to parse string as an integer",
    b'{"one":"hunter2"}': "[...]: Input should be a valid integer, unable to parse string as an integer",
    b'{"hunter2":1}': "[...]: Extra inputs are not permitted",
    b'{"part":{"parts":[{"count":"hunter2"}]}}': (
        "part.parts.0.count: Input should be a valid integer, unable to parse string as an integer"
    ),
    b'{"part":{"hunter2":1}}': "part.[...]: Extra inputs are not permitted",
    b'{"counts":{"hunter2":"x"}}': (
        "counts.[...]: Input should be a valid integer, unable to parse string as an integer"
    ),
    b'{"colour":"hunter2"}': "colour: Input should be 'red'",
    b'{"pet":{"kind":"hunter2"}}': "pet: unknown tag",
    b'{"checked":3}': "checked: Value error, take an even number",
    b'{"first":"hunter2","colour":"hunter2","checked":1,"part":5}': (
        "first: Input should be a valid integer, unable to parse string as an integer; "
        "part: Input should be an object; colour: Input should be 'red'"
    ),
    b'"hunter2"': "value: Input should be an object",
}


@pytest.mark.parametrize("raw", PYDANTIC_FAULTS, ids=lambda raw: raw[:40].decode("latin-1"))
def test_what_does_not_fit_a_pydantic_model(raw: bytes) -> None:
    """Up to three faults, each with its place; keys of the payload that are no fields are left out."""
    with pytest.raises(rt.BadRequest) as caught:
        rt.RPCEvent(raw_data=raw).parse(Whole)
    assert caught.value.message == f"data does not fit: {PYDANTIC_FAULTS[raw]}"
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("raw", [b"hunter2", b'{"hunter2":', b'"hunter2\xff"'])
def test_what_is_no_json_for_pydantic(raw: bytes) -> None:
    """Pydantic's own words on broken JSON."""
    with pytest.raises(rt.BadRequest, match=r"data does not fit: value: Invalid JSON: ") as caught:
        rt.RPCEvent(raw_data=raw).parse(Whole)
    assert "hunter2" not in str(caught.value)


class Picky:
    """A model of another library that looks like pydantic's."""

    @classmethod
    def model_validate_json(cls, raw: bytes) -> "Picky":
        raise ValueError(f"I do not like {raw!r}")


def test_a_refusal_without_details_says_only_that() -> None:
    """A text that may repeat the payload is not passed on."""
    with pytest.raises(rt.BadRequest) as caught:
        rt.RPCEvent(raw_data=b'"hunter2"').parse(Picky)
    assert caught.value.message == "data does not fit: it was refused"


def test_texts_stay_short() -> None:
    """A megabyte of payload makes no megabyte of error."""
    for model, key in ((Strict, b"size"), (Strict, b"x" * 1_000_000), (Whole, b"x" * 1_000_000)):
        with pytest.raises(rt.BadRequest) as caught:
            rt.RPCEvent(raw_data=b'{"%s":"%s"}' % (key, b"y" * 1_000_000)).parse(model)
        assert len(caught.value.message) < 200


def test_a_model_that_cannot_be_one_is_the_programmers_fault() -> None:
    """No client is told about it."""
    with pytest.raises(TypeError, match=re.escape("not supported")):
        rt.RPCEvent(raw_data=b"{}").parse(Cat | Struct | Data)  # type: ignore[arg-type]
