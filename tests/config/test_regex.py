"""Go's regular expressions, run by Python's."""

import re

import pytest

from rtbridge.config.regex import compile_regex


@pytest.mark.parametrize(
    ("text", "hits", "misses"),
    [
        ("^[a-z]+$", ["abc"], ["abc\n", "ABC", "a1"]),
        (r"^\d{2,3}\z", ["12", "123"], ["1", "1234", "١٢", "12\n"]),
        (r"\w+@\w+", ["say a@b"], ["é@é"]),
        (r"^\s$", [" ", "\t"], ["\v", "\u00a0"]),
        (r"^\S$", ["a", "\v"], [" "]),
        (r"^[\s\d]$", ["\n", "7"], ["a", "\v"]),
        ("(?i)^abc", ["ABC"], ["xabc"]),
        ("^(?i:a)b$", ["Ab"], ["AB"]),
        ("(?s)^a.b$", ["a\nb"], ["ab"]),
        ("^(?:a|b)(?P<x>c)$", ["ac", "bc"], ["cc"]),
        ("^(?<x>c)$", ["c"], ["d"]),
        ("^[[:alpha:][:digit:]]+$", ["a1"], ["a-1"]),
        (r"^[[:punct:]]$", ["[", "]", "\\", "!"], ["a"]),
        ("^[]a]+$", ["]a"], ["["]),
        ("^[^]a]$", ["b"], ["]"]),
        ("^[a&&b||c~~[]+$", ["a&|~["], ["d"]),
        (r"^\Qa.b\E$", ["a.b"], ["axb"]),
        (r"^\Qa.b", ["a.b"], ["axb"]),
        (r"^\x41\x{1F600}$", ["A\U0001f600"], ["A"]),
        (r"^[\x41-\x43]$", ["B"], ["D"]),
        (r"^a\.b\-\_c$", ["a.b-_c"], ["a.b-_d"]),
        (r"\bfoo\b", ["a foo b"], ["afoo"]),
        (r"^\B$", [""], ["a"]),
        (r"a\Bb", ["ab"], ["a b"]),
        ("^a{,2}$", ["a{,2}"], ["a", "aa"]),
        ("^a{2}{", ["aa{"], ["a{"]),
        ("^a+?b*?c??$", ["a"], ["b"]),
        ("^é$", ["é"], ["e"]),
        (r"\A\f\a\v\n\r\t", ["\f\a\v\n\r\t"], [""]),
    ],
)
def test_it_matches_what_go_matches(text: str, hits: list[str], misses: list[str]) -> None:
    """Where Python would read the expression another way, Go's way counts."""
    pattern = compile_regex(text)
    assert [hit for hit in hits if pattern.search(hit) is None] == []
    assert [miss for miss in misses if pattern.search(miss) is not None] == []


def test_groups_keep_their_names() -> None:
    """Parts of an address are taken from them."""
    found = compile_regex("^https://(?P<tenant>one|two)[.]example$").search("https://two.example")
    assert found is not None
    assert found.groupdict() == {"tenant": "two"}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("(", "not a regular expression: missing ), unterminated subpattern"),
        (")", "not a regular expression: unbalanced parenthesis"),
        ("*", "not a regular expression: nothing to repeat"),
        ("[a", "a [ without its ]"),
        ("[]", "a [ without its ]"),
        ("a\\", "\\ is not supported"),
        ("(?=a)", "a group that is not known, '(?=a'"),
        ("(?!a)", "a group that is not known, '(?!a'"),
        ("(?<=a)", "a group that is not known, '(?<='"),
        ("(?>a)", "a group that is not known, '(?>a'"),
        ("(?#a)", "a group that is not known, '(?#a'"),
        ("(?m)^a$", "a group that is not known, '(?m)'"),
        ("(?x)a", "a group that is not known, '(?x)'"),
        ("(a)(?(1)b)", "a group that is not known, '(?(1'"),
        ("(a)\\1", "\\1 is not supported"),
        ("a\\Z", "\\Z is not supported"),
        ("\\é", "\\é is not supported"),
        ("\\pL", "\\p is not supported"),
        ("[\\b]", "\\b is not supported"),
        ("[[:^alpha:]]", "[:^alpha:] is not supported"),
        ("[[:letter:]]", "[:letter:] is not supported"),
        ("\\x4", "\\x without two hexadecimal digits"),
        ("\\x{110000}", "\\x without two hexadecimal digits"),
        ("a**", "a repetition of a repetition, '*'"),
        ("a*+", "a repetition of a repetition, '+'"),
        ("a{2}+", "a repetition of a repetition, '+'"),
        ("a{1001}", "more than 1000 repetitions"),
        ("a{1,1001}", "more than 1000 repetitions"),
    ],
)
def test_what_only_one_of_the_two_has_is_refused(text: str, reason: str) -> None:
    """A file is good for both, or for neither."""
    with pytest.raises(ValueError, match=re.escape(reason)):
        compile_regex(text)
