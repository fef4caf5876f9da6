"""Whatever comes in, a configuration or a ConfigError comes out."""

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtbridge.config import parse_config
from rtbridge.errors import ConfigError

NAMES = """
version centrifuge rtbridge server logs pool tls secret values unhandled env << limits threads plugins kv jobs x-a
default disconnect error code drain_timeout level proxy_address http_proxy address
"""
KEYS = st.sampled_from(NAMES.split())
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
TREES = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=4) | st.dictionaries(KEYS | st.text(max_size=4), below, max_size=5)
)
MARKS = """
rtbridge: threads: secret: logs: level: ${A} ${ $${ - [ ] { } &a *a <<: !!int ? : ' " | > # --- ... %YAML 0x 1e9
"""
PIECES = st.sampled_from([" ", "\n", "\n  ", "\t", 'version: "3"\n', *MARKS.split()])
#: How long an example takes depends on what else runs.
unhurried = settings(deadline=None)


def survives(data: Any, **options: Any) -> None:
    """Read it; the only error is ours, and its lines are printable."""
    text = "read"
    try:
        parse_config(data, environ={"A": "1"}, **options)
    except ConfigError as exc:
        text = str(exc)
    assert text
    assert all(line.isprintable() for line in text.split("\n"))


@unhurried
@given(st.text() | st.binary())
def test_any_text(data: Any) -> None:
    survives(data)


@unhurried
@given(st.lists(PIECES | st.text(max_size=3), max_size=25).map("".join), st.booleans())
def test_nearly_yaml(data: Any, offline: bool) -> None:
    survives(data, offline=offline)


@unhurried
@given(st.dictionaries(KEYS, TREES, max_size=5), st.booleans())
def test_any_mapping(data: Any, offline: bool) -> None:
    survives({"version": "3", **data}, offline=offline)


@unhurried
@given(
    st.lists(st.text(max_size=20) | st.tuples(KEYS, KEYS, st.text()).map(lambda t: f"{t[0]}.{t[1]}={t[2]}"), max_size=3)
)
def test_any_option(options: Any) -> None:
    survives({"version": "3"}, overrides=options)


@pytest.mark.parametrize(
    "data", ["%YAML " + "9" * 5000 + ".1\n---\na", 'a: "\\UFFFFFFFF"', "a: " + "9" * 5000, "? ? ? a"]
)
def test_texts_that_break_pyyaml(data: Any) -> None:
    survives(data)


def test_a_lone_surrogate() -> None:
    survives({"version": "3", "logs": {"level": "\ud800"}, "rtbridge": {"tls": {"cert": "\ud800", "key": "\0"}}})
    survives('version: "3"\nlogs: {level: "\\ud800"}')


@unhurried
@given(st.text("!&*%@`'\"|>{}[],:#?- ~\\", max_size=4), st.text("'\"}],: #", max_size=3))
def test_a_secret_that_breaks_the_yaml_is_not_shown(before: str, after: str) -> None:
    text = f'version: "3"\nrtbridge:\n  secret:\n    values:\n    - {before}sesame{after}\n'
    with contextlib.suppress(ConfigError):
        try:
            parse_config(text, environ={})
        except ConfigError as exc:
            if "sesame" in str(exc):
                pytest.fail(str(exc))
            raise
