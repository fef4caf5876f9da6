"""Results are checked where they are made, so that a mistake points at the line of the hook that made it."""

import typing
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest

import rtbridge as rt
from rtbridge.events import Result

LATE = 1_900_000_000

Make = Callable[[], object]

#: What is made, and the TypeError's text.
WRONG_TYPES: dict[str, tuple[Make, str]] = {
    "user": (lambda: rt.ConnectResult(user=42), "ConnectResult.user takes str, not int"),  # type: ignore[arg-type]
    "no user": (lambda: rt.ConnectResult(user=None), "ConnectResult.user takes str, not NoneType"),  # type: ignore[arg-type]
    "bool": (
        lambda: rt.PublishResult(skip_history=1),  # type: ignore[arg-type]
        "PublishResult.skip_history takes bool, not int",
    ),
    "no bool": (
        lambda: rt.CacheEmptyResult(populated=None),  # type: ignore[arg-type]
        "CacheEmptyResult.populated takes bool, not NoneType",
    ),
    "integer": (
        lambda: rt.PublishResult(version="1"),  # type: ignore[arg-type]
        "PublishResult.version takes an integer, not str",
    ),
    "no integer": (
        lambda: rt.PublishResult(version=None),  # type: ignore[arg-type]
        "PublishResult.version takes an integer, not NoneType",
    ),
    "a bool is no integer": (
        lambda: rt.PublishResult(version=True),
        "PublishResult.version takes an integer, not bool",
    ),
    "nor is False": (
        lambda: rt.MapPublishResult(score=False),
        "MapPublishResult.score takes an integer, not bool",
    ),
    "a str is no list": (
        lambda: rt.ConnectResult(user="", channels="news"),
        "ConnectResult.channels takes a list of str, not str",
    ),
    "nor are bytes": (
        lambda: rt.ConnectResult(user="", channels=b"news"),  # type: ignore[arg-type]
        "ConnectResult.channels takes a list of str, not bytes",
    ),
    "nor is an empty one": (
        lambda: rt.ConnectResult(user="", channels=""),
        "ConnectResult.channels takes a list of str, not str",
    ),
    "nor is a set": (
        lambda: rt.ConnectResult(user="", channels={"news"}),  # type: ignore[arg-type]
        "ConnectResult.channels takes a list of str, not set",
    ),
    "nor is None": (
        lambda: rt.ConnectResult(user="", caps=None),  # type: ignore[arg-type]
        "ConnectResult.caps takes a list of ChannelsCapability, not NoneType",
    ),
    "an item": (
        lambda: rt.ConnectResult(user="", channels=["news", 7]),  # type: ignore[list-item]
        "ConnectResult.channels takes a list of str, each one, not int",
    ),
    "an item's class": (
        lambda: rt.SharedPollRefreshResult(items=[{"key": "a"}]),  # type: ignore[list-item]
        "SharedPollRefreshResult.items takes a list of SharedPollRefreshResultItem, each one, not dict",
    ),
    "a list is no mapping": (
        lambda: rt.PublishResult(tags=["a"]),  # type: ignore[arg-type]
        "PublishResult.tags takes a mapping of str to str, not list",
    ),
    "nor is None, either": (
        lambda: rt.PublishResult(tags=None),  # type: ignore[arg-type]
        "PublishResult.tags takes a mapping of str to str, not NoneType",
    ),
    "a mapping's key": (
        lambda: rt.PublishResult(tags={1: "a"}),  # type: ignore[dict-item]
        "PublishResult.tags takes a mapping of str to str, each one, not int",
    ),
    "a mapping's value": (
        lambda: rt.PublishResult(tags={"a": 1.5}),  # type: ignore[dict-item]
        "PublishResult.tags takes a mapping of str to str, each one, not float",
    ),
    "a mapping's class": (
        lambda: rt.ConnectResult(user="", subs={"news": {}}),  # type: ignore[dict-item]
        "ConnectResult.subs takes a mapping of str to SubscribeOptions, each one, not dict",
    ),
    "override": (
        lambda: rt.SubscribeResult(override={"presence": True}),  # type: ignore[arg-type]
        "SubscribeResult.override takes SubscribeOptionOverride or None, not dict",
    ),
    "an override's bool": (
        lambda: rt.SubscribeOptionOverride(presence=1),  # type: ignore[arg-type]
        "SubscribeOptionOverride.presence takes bool or None, not int",
    ),
    "a filter": (
        lambda: rt.SubscribeOptions(server_tags_filter="a"),  # type: ignore[arg-type]
        "SubscribeOptions.server_tags_filter takes FilterNode or None, not str",
    ),
    "a filter's node": (
        lambda: rt.FilterNode(nodes=[None]),  # type: ignore[list-item]
        "FilterNode.nodes takes a list of FilterNode, each one, not NoneType",
    ),
    "expired": (
        lambda: rt.RefreshResult(expired="yes"),  # type: ignore[arg-type]
        "RefreshResult.expired takes bool, not str",
    ),
}

#: What is made, and the ValueError's text.
WRONG_VALUES: dict[str, tuple[Make, str]] = {
    "below": (
        lambda: rt.PublishResult(version=-1),
        "PublishResult.version is -1; allowed: 0 to 18446744073709551615",
    ),
    "above": (
        lambda: rt.MapPublishResult(score=2**63),
        "MapPublishResult.score is 9223372036854775808; allowed: -9223372036854775808 to 9223372036854775807",
    ),
    "a bool is no time": (
        lambda: rt.ConnectResult(user="", expire_at=True),
        "ConnectResult.expire_at is bool; give seconds since the epoch, an aware datetime or a timedelta",
    ),
    "nor is a float": (
        lambda: rt.ConnectResult(user="", expire_at=1.5),  # type: ignore[arg-type]
        "ConnectResult.expire_at is float; give seconds since the epoch, an aware datetime or a timedelta",
    ),
    "milliseconds": (
        lambda: rt.ConnectResult(user="", expire_at=LATE * 1000),
        "ConnectResult.expire_at is 1900000000000: it counts seconds since the epoch, not milliseconds",
    ),
    "zero": (
        lambda: rt.SubscribeResult(expire_at=0),
        "SubscribeResult.expire_at is 0; leave it out for no expiry",
    ),
    "before the epoch": (
        lambda: rt.SubscribeOptions(expire_at=-5),
        "SubscribeOptions.expire_at is -5; leave it out for no expiry",
    ),
    "naive": (
        lambda: rt.RefreshResult(expire_at=datetime(2030, 1, 1)),
        "RefreshResult.expire_at is a datetime without a timezone; use datetime.now(UTC)",
    ),
    "no time from now": (
        lambda: rt.SubRefreshResult(expire_at=timedelta(0)),
        "SubRefreshResult.expire_at is a timedelta of zero or less",
    ),
    "in the past": (
        lambda: rt.ConnectResult(user="", expire_at=timedelta(seconds=-1)),
        "ConnectResult.expire_at is a timedelta of zero or less",
    ),
    "never": (
        lambda: rt.RefreshResult(expire_at=rt.NEVER),  # type: ignore[arg-type]
        "RefreshResult.expire_at is _Sentinel; give seconds since the epoch, an aware datetime or a timedelta",
    ),
    "neither": (lambda: rt.RefreshResult(), "RefreshResult takes exactly one of expire_at and expired=True"),
    "both": (
        lambda: rt.RefreshResult(expired=True, expire_at=LATE),
        "RefreshResult takes exactly one of expire_at and expired=True",
    ),
    "neither of a subscription": (
        lambda: rt.SubRefreshResult(expired=False),
        "SubRefreshResult takes exactly one of expire_at and expired=True",
    ),
    "never and expired": (
        lambda: rt.SubRefreshResult(expired=True, expire_at=rt.NEVER),
        "SubRefreshResult takes exactly one of expire_at and expired=True",
    ),
}

ACCEPTED: list[Make] = [
    lambda: rt.ConnectResult(user=""),
    lambda: rt.ConnectResult(user="42", channels=["a"], caps=(), labels={}, subs={"a": rt.SubscribeOptions()}),
    lambda: rt.ConnectResult(user="42", channels=[], subs={}, expire_at=1),
    lambda: rt.ConnectResult(user="42", expire_at=datetime(2030, 1, 1, tzinfo=UTC)),
    lambda: rt.ConnectResult(user="42", expire_at=datetime(2030, 1, 1, tzinfo=timezone(timedelta(hours=9)))),
    lambda: rt.ConnectResult(user="42", expire_at=timedelta(microseconds=1)),
    lambda: rt.RefreshResult(expired=True),
    lambda: rt.RefreshResult(expire_at=99_999_999_999),
    lambda: rt.SubRefreshResult(expire_at=rt.NEVER),
    lambda: rt.SubRefreshResult(expired=True),
    lambda: rt.PublishResult(version=2**64 - 1, tags={"a": "b"}),
    lambda: rt.MapPublishResult(score=-(2**63)),
    lambda: rt.SubscribeOptionOverride(presence=False, join_leave=True),
    lambda: rt.FilterNode(op="and", nodes=(rt.FilterNode(key="a", cmp="in", vals=["x"]),)),
    lambda: rt.ChannelStateResult(),
]


@pytest.mark.parametrize("case", WRONG_TYPES)
def test_wrong_types_are_refused(case: str) -> None:
    """The text names class, field, what it takes and what it got."""
    make, text = WRONG_TYPES[case]
    with pytest.raises(TypeError) as caught:
        make()
    assert str(caught.value) == text


@pytest.mark.parametrize("case", WRONG_VALUES)
def test_wrong_values_are_refused(case: str) -> None:
    """The text names class, field, value and what is allowed."""
    make, text = WRONG_VALUES[case]
    with pytest.raises(ValueError) as caught:
        make()
    assert str(caught.value) == text


@pytest.mark.parametrize("make", ACCEPTED)
def test_right_values_are_accepted(make: Make) -> None:
    """What the documentation shows is accepted as it is."""
    assert isinstance(make(), Result)


def test_a_user_has_to_be_said() -> None:
    """An anonymous client is let in on purpose only."""
    with pytest.raises(TypeError, match="Missing required argument 'user'"):
        rt.ConnectResult()  # type: ignore[call-arg]


def test_arguments_are_keywords_only() -> None:
    """A field that Centrifugo adds in between moves no argument."""
    with pytest.raises(TypeError):
        rt.ConnectResult("42")  # type: ignore[call-arg]


def test_a_misspelt_argument_is_refused() -> None:
    """There is no silent field."""
    with pytest.raises(TypeError, match="Unexpected keyword argument 'chanels'"):
        rt.ConnectResult(user="", chanels=["a"])  # type: ignore[call-arg]


def test_results_are_frozen() -> None:
    """What was checked stays as it was checked."""
    result = rt.ConnectResult(user="42")
    with pytest.raises(AttributeError):
        result.user = "43"  # type: ignore[misc]


class Odd:
    """Fits nowhere."""


@pytest.mark.parametrize("kind", Result.__subclasses__())
def test_every_field_of_every_result_is_checked(kind: Any) -> None:
    """No generated result lets a wrong value through to the wire; payloads take anything."""
    hints = typing.get_type_hints(kind)
    required: dict[str, Any] = {"user": ""} if kind is rt.ConnectResult else {}
    if "expired" in hints:
        required = {"expired": True}
    for field in msgspec.structs.fields(kind):
        if hints[field.name] is Any:
            assert getattr(kind(**required, **{field.name: Odd}), field.name) is Odd
        else:
            with pytest.raises((TypeError, ValueError), match=rf"^{kind.__name__}\.{field.name} (takes|is) "):
                kind(**{**required, field.name: Odd})
