"""Patterns of names: what they match, what they capture, and what they refuse."""

import re
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtbridge.hooks.patterns import MAX_NAME, compile_pattern


@pytest.mark.parametrize(
    ("pattern", "name", "captures"),
    [
        ("news", "news", {}),
        ("news", "News", None),
        ("news", "news:1", None),
        ("chat:{room}", "chat:7", {"room": "7"}),
        ("chat:{room}", "chat:", None),
        ("chat:{room}", "chat:a:b", None),
        ("chat:{room}", "chat:a#b", None),
        ("chat:{room}", "achat:7", None),
        ("chat:{room}", "chat:é 7\n", {"room": "é 7\n"}),
        ("{ns}:{room}", "chat:7", {"ns": "chat", "room": "7"}),
        ("{a}#{b}", "x#y", {"a": "x", "b": "y"}),
        ("{a}-{b}", "x--y", {"a": "x", "b": "-y"}),
        ("{a}.get", "user.get", {"a": "user"}),
        ("{a}.get", "a.get.get", {"a": "a.get"}),
        ("x{a}x", "xx", None),
        ("chat:*", "chat:", {}),
        ("chat:*", "chat:a:b#c\nd", {}),
        ("*", "", {}),
        ("*", "any:thing", {}),
        ("*:end", "a:b:end", {}),
        ("a*b*c", "a-b-b-c", {}),
        ("a*b*c", "a-c-b", None),
        ("**", "x", {}),
        ("*:{id}", "a:b:7", {"id": "7"}),
        ("{ns}:*", "a:b:c", {"ns": "a"}),
        ("{ns}:*", ":b", None),
        ("a.b", "axb", None),
        ("a.b+[c]", "a.b+[c]", {}),
        ("a.(b)|{x}$", "a.(b)|1$", {"x": "1"}),
        ("^{x}", "^1", {"x": "1"}),
        ("\\d{x}", "\\d7", {"x": "7"}),
        ("наш:{зал}", "наш:1", {"зал": "1"}),
    ],
)
def test_match(pattern: str, name: str, captures: dict[str, str] | None) -> None:
    """Whole names, case-sensitively; captures stop at separators, stars do not; the rest is literal."""
    assert compile_pattern(pattern).match(name) == captures


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("", "a pattern is not empty; '*' matches every name"),
        ("chat:{room", "pattern 'chat:{room' has a brace without its partner"),
        ("chat:room}", "pattern 'chat:room}' has a brace without its partner"),
        ("{{x}}", "pattern '{{x}}' has a brace without its partner"),
        ("{}", "pattern '{}': {} is not a Python name"),
        ("{2x}", "pattern '{2x}': {2x} is not a Python name"),
        ("{a b}", "pattern '{a b}': {a b} is not a Python name"),
        ("{*}", "pattern '{*}': {*} is not a Python name"),
        ("{x}:{x}", "pattern '{x}:{x}' captures 'x' twice"),
        ("{x}{y}", "pattern '{x}{y}': two wildcards need text between them"),
        ("{x}*", "pattern '{x}*': two wildcards need text between them"),
        ("*{x}", "pattern '*{x}': two wildcards need text between them"),
        ("*-*:{x}", "pattern '*-*:{x}': only one '*' may stand before a capture"),
    ],
)
def test_errors(pattern: str, said: str) -> None:
    """What is no pattern is refused with the reason."""
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "rank", "prefix"),
    [
        ("a:b", 0, "a:b"),
        ("a:b:{x}", 1, "a:b:"),
        ("ab{x}", 1, "ab"),
        ("{x}:a", 1, ""),
        ("a*:b", 2, "a"),
        ("a:{x}:*", 2, "a:"),
        ("*", 2, ""),
    ],
)
def test_rank_and_prefix(pattern: str, rank: int, prefix: str) -> None:
    """Exact before captures before stars; the prefix is the literal before the first wildcard."""
    compiled = compile_pattern(pattern)
    assert (compiled.rank, compiled.prefix) == (rank, prefix)


@pytest.mark.parametrize(
    "pattern", ["a{x}", "*a*a*a*a*a*a*a*a*b", "{a}a{b}a{c}a{d}a{e}b", "*:{a}a{b}a{c}b", "a*a{x}b", "*a*", "chat:{room}"]
)
@pytest.mark.parametrize("letter", ["a", ":", "a:", "aa#"])
def test_hostile_names(pattern: str, letter: str) -> None:
    """A name made to be nearly matched is refused, however long; over the bound nothing is tried at all."""
    compiled = compile_pattern(pattern)
    for length in (MAX_NAME, MAX_NAME + 1, 100_000):
        name = (letter * length)[:length] + "!"
        if pattern != "*a*" and not (pattern == "a{x}" and letter == "a" and length < MAX_NAME):
            assert compiled.match(name) is None
    assert compile_pattern("*").match("x" * MAX_NAME) == {}
    assert compile_pattern("*").match("x" * (MAX_NAME + 1)) is None


_TOKENS = st.lists(
    st.one_of(st.sampled_from(["*", "{x}", "{y}", "{z}"]), st.text("ab:#.\n", min_size=1, max_size=3)), max_size=6
)
_NAMES = st.text("ab:#.\n", max_size=12)


def matches(tokens: tuple[str, ...], name: str) -> bool:
    """The rule as the documentation states it, tried out in full."""

    @lru_cache(None)
    def at(token: int, place: int) -> bool:
        if token == len(tokens):
            return place == len(name)
        text = tokens[token]
        if text == "*":
            return any(at(token + 1, end) for end in range(place, len(name) + 1))
        if text.startswith("{"):
            return any(
                at(token + 1, end) for end in range(place + 1, len(name) + 1) if not set(name[place:end]) & {":", "#"}
            )
        return name.startswith(text, place) and at(token + 1, place + len(text))

    return at(0, 0)


@settings(max_examples=1500, deadline=None)
@given(tokens=_TOKENS, name=_NAMES)
def test_against_the_rule(tokens: list[str], name: str) -> None:
    """What a pattern matches is what the rule says, and its captures put together are the name."""
    try:
        compiled = compile_pattern("".join(tokens))
    except ValueError:
        return
    found = compiled.match(name)
    assert (found is not None) == matches(tuple(tokens), name)
    if found is not None and "*" not in tokens:
        assert "".join(found[t[1:-1]] if t.startswith("{") else t for t in tokens) == name


def test_a_literal_never_reads_as_a_pattern() -> None:
    """A name is not a pattern: braces and stars in it match only what is written."""
    assert compile_pattern("a{x}").match("a*") == {"x": "*"}
    assert compile_pattern("a{x}").match("a{x}") == {"x": "{x}"}
