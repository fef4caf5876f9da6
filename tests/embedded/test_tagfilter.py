"""Tags filters let through what Centrifugo's let through, and refuse what it refuses."""

import os
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtbridge.embedded._client_generated import FilterNode
from rtbridge.embedded.tagfilter import compile_filter, filter_key

fuzz = settings(deadline=None, max_examples=150, derandomize=bool(os.environ.get("CI")))


def leaf(cmp: str, *values: str, key: str = "k") -> FilterNode:
    """A comparison with the tag k."""
    if cmp in ("in", "nin"):
        return FilterNode(key=key, cmp=cmp, vals=list(values))
    return FilterNode(key=key, cmp=cmp, val=values[0] if values else "")


def combined(op: str, *nodes: FilterNode) -> FilterNode:
    """A combination."""
    return FilterNode(op=op, nodes=list(nodes))


def chain(depth: int) -> FilterNode:
    """A filter of this many nodes, each inside another."""
    node = leaf("ex")
    for _ in range(depth - 1):
        node = combined("not", node)
    return node


@pytest.mark.parametrize(
    ("node", "passing", "failing"),
    [
        (leaf("eq", "a"), ["a"], ["b", "A", "", None]),
        (leaf("neq", "a"), ["b", "", None], ["a"]),
        (leaf("in", "a", "b"), ["a", "b"], ["c", "", None]),
        (leaf("in", "a", ""), ["a", "", None], ["c"]),
        (leaf("nin", "a", "b"), ["c", "", None], ["a", "b"]),
        (leaf("nin", "a", ""), ["c"], ["a", "", None]),
        (leaf("ex"), ["a", ""], [None]),
        (leaf("nex"), [None], ["a", ""]),
        (leaf("sw", "ab"), ["ab", "abc"], ["a", "cab", "", None]),
        (leaf("ew", "ab"), ["ab", "cab"], ["b", "abc", "", None]),
        (leaf("ct", "ab"), ["ab", "cabd"], ["a", "", None]),
        (leaf("gt", "5"), ["5.1", "10", "+6"], ["5", "5.0", "-6", "4", "", "six", None]),
        (leaf("gte", "5"), ["5", "5.0", "05", "6"], ["4.9999", "word", None]),
        (leaf("lt", "-1.5"), ["-2", "-1.50001"], ["-1.5", "0", "-x", None]),
        (leaf("lte", "0"), ["0", "-0", "0.000", "-3"], ["0.1", None]),
        (leaf("gt", "word"), [], ["5", "word", "z", None]),
    ],
    ids=lambda value: "-".join([value.cmp, value.val, *value.vals]) if isinstance(value, FilterNode) else "",
)
def test_comparisons(node: FilterNode, passing: list[str | None], failing: list[str | None]) -> None:
    """None stands for a publication without the tag."""
    match = compile_filter(node)
    assert [match({} if value is None else {"k": value, "other": "a"}) for value in passing] == [True] * len(passing)
    assert [match({} if value is None else {"k": value, "other": "a"}) for value in failing] == [False] * len(failing)


def test_numbers_are_compared_without_rounding() -> None:
    """Decimal digits, up to nineteen of them behind the point."""
    rising = ["-" + "9" * 199, "-10", "-2.5", "-0." + "0" * 18 + "1", "0", "0." + "0" * 18 + "1", "1", "+1.5", "007"]
    rising += ["12345678901234567890.1234567890123456788", "12345678901234567890.1234567890123456789", "9" * 200]
    for place, text in enumerate(rising):
        for other, tag in enumerate(rising):
            expected = {"lt": other < place, "lte": other <= place, "gt": other > place, "gte": other >= place}
            assert {cmp: compile_filter(leaf(cmp, text))({"k": tag}) for cmp in expected} == expected


NO_NUMBERS = [
    "1e5",
    "1.",
    ".5",
    "-.5",
    "-",
    "1 ",
    " 1",
    "1\n",
    "1_000",
    "0x10",
    "1,5",
    "1.2.3",
    "NaN",
    "Infinity",
    "--1",
]


@pytest.mark.parametrize("text", [*NO_NUMBERS, "٣", "1." + "0" * 20, "1" * 201], ids=ascii)
def test_what_is_no_number(text: str) -> None:
    """Not even with nineteen digits behind the point and one more, or with more than 200 characters."""
    assert not any(compile_filter(leaf(cmp, "1"))({"k": text}) for cmp in ("lt", "lte", "gt", "gte"))
    assert not any(compile_filter(leaf(cmp, text))({"k": "1"}) for cmp in ("lt", "lte", "gt", "gte"))


@pytest.mark.parametrize(
    ("text", "passing", "failing"),
    [
        ('{"key":"k","cmp":"eq","val":"x"}', [{"k": "x", "n": "7"}], [{"k": "y"}, {}]),
        (
            '{"op":"and","nodes":[{"key":"k","cmp":"in","vals":["x","y"]},'
            '{"op":"not","nodes":[{"key":"n","cmp":"gt","val":"5"}]}]}',
            [{"k": "x", "n": "1"}, {"k": "y"}],
            [{"k": "y", "n": "9"}, {}, {"n": "1"}],
        ),
        (
            '{"op":"or","nodes":[{"key":"k","cmp":"nex"},{"key":"k","cmp":"sw","val":"y"}]}',
            [{}, {"n": "1"}, {"k": "yy"}],
            [{"k": "x"}, {"k": ""}],
        ),
        ('{"op":"or","key":"k","cmp":"zz","nodes":[{"cmp":"ex"}]}', [{"": "a"}], [{"k": "a"}, {}]),
        ('{"key":"k","cmp":"ex","nodes":[{"op":"zz"}]}', [{"k": "a"}], [{}]),
    ],
    ids=["comparison", "and", "or", "unused fields of or", "unused fields of a comparison"],
)
def test_filters_as_clients_send_them(
    text: str, passing: list[Mapping[str, str]], failing: list[Mapping[str, str]]
) -> None:
    """Combinations hold what they name; fields that a node does not use are not read."""
    match = compile_filter(msgspec.json.decode(text, type=FilterNode))
    assert [match(tags) for tags in passing + failing] == [True] * len(passing) + [False] * len(failing)


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (FilterNode(), "cmp is no comparison"),
        (FilterNode(op="zz"), "op is none of and, or, not"),
        (FilterNode(op="AND", nodes=[leaf("ex")]), "op is none of and, or, not"),
        (leaf("zz", "x"), "cmp is no comparison"),
        (leaf("eq"), "eq needs val and no vals"),
        (FilterNode(key="k", cmp="lt", val="1", vals=["2"]), "lt needs val and no vals"),
        (leaf("in"), "in needs vals and no val"),
        (FilterNode(key="k", cmp="nin", val="1", vals=["2"]), "nin needs vals and no val"),
        (leaf("ex", "a"), "ex takes neither val nor vals"),
        (FilterNode(key="k", cmp="nex", vals=["a"]), "nex takes neither val nor vals"),
        (leaf("eq", "a", key=""), "eq needs a key"),
        (leaf("in", "a", key=""), "in needs a key"),
        (combined("and"), "and needs at least one node"),
        (combined("or"), "or needs at least one node"),
        (combined("not"), "not needs exactly one node"),
        (combined("not", leaf("ex"), leaf("ex")), "not needs exactly one node"),
        (combined("or", leaf("ex"), combined("not", leaf("zz"))), "cmp is no comparison"),
    ],
    ids=range(17),
)
def test_malformed_filters_are_refused(node: FilterNode, text: str) -> None:
    """Wherever in a filter the fault is; the text is for the log."""
    with pytest.raises(ValueError) as caught:
        compile_filter(node)
    assert str(caught.value) == text


def test_a_filter_is_small() -> None:
    """What a client sends runs for each publication, so it cannot be as large as a message."""
    assert compile_filter(chain(32))({}) is True
    with pytest.raises(ValueError, match="a filter is nested at most 32 deep"):
        compile_filter(chain(33))
    with pytest.raises(ValueError, match="a filter is nested at most 32 deep"):
        compile_filter(chain(2000))
    assert compile_filter(combined("and", *[leaf("nex")] * 499))({})
    with pytest.raises(ValueError, match="a filter has at most 500 nodes"):
        compile_filter(combined("or", combined("and", *[leaf("nex")] * 250), combined("and", *[leaf("nex")] * 250)))


def test_equal_filters_have_one_key() -> None:
    """And others have another; what is not used does not count."""
    node = combined("and", leaf("eq", "a"), leaf("in", "a", "b"))
    assert filter_key(node) == filter_key(combined("and", leaf("eq", "a"), leaf("in", "a", "b")))
    assert filter_key(node) == filter_key(FilterNode(op="and", key="unused", nodes=node.nodes))
    unused = leaf("eq", "a")
    unused.nodes.append(chain(2000))
    assert filter_key(unused) == filter_key(leaf("eq", "a"))
    others = [
        combined("or", *node.nodes),
        combined("and", *node.nodes[:1]),
        combined("and", leaf("eq", "a"), leaf("in", "ab")),
        combined("and", leaf("eq", "a"), leaf("nin", "a", "b")),
        leaf("eq", "a"),
        leaf("eq", "a", key="other"),
        combined("not", leaf("eq", "a")),
    ]
    assert len({filter_key(other) for other in [node, *others]}) == 1 + len(others)


TEXTS = st.sampled_from(["", "a", "ab", "b", "1", "1.0", "-2", "10", "x1"])
LEAVES = st.one_of(
    st.builds(leaf, st.sampled_from(["in", "nin"]), TEXTS, TEXTS, key=st.sampled_from("kn")),
    st.builds(leaf, st.sampled_from(["ex", "nex"]), key=st.sampled_from("kn")),
    st.builds(
        leaf,
        st.sampled_from(["eq", "neq", "sw", "ew", "ct", "lt", "lte", "gt", "gte"]),
        TEXTS.filter(bool),
        key=st.sampled_from("kn"),
    ),
)
NODES = st.recursive(
    LEAVES,
    lambda nodes: (
        st.builds(FilterNode, st.sampled_from(["and", "or"]), nodes=st.lists(nodes, min_size=1, max_size=3))
        | st.builds(combined, st.just("not"), nodes)
    ),
    max_leaves=8,
)

TAGS = st.dictionaries(st.sampled_from("kn"), TEXTS)

#: Comparison → of the tag (None where it is absent) and the values; numbers are compared separately.
PLAIN: dict[str, Callable[[str | None, list[str]], bool]] = {
    "eq": lambda tag, values: tag == values[0],
    "neq": lambda tag, values: tag != values[0],
    "in": lambda tag, values: (tag or "") in values,
    "nin": lambda tag, values: (tag or "") not in values,
    "ex": lambda tag, _: tag is not None,
    "nex": lambda tag, _: tag is None,
    "sw": lambda tag, values: (tag or "")[: len(values[0])] == values[0],
    "ew": lambda tag, values: (tag or "")[-len(values[0]) :] == values[0],
    "ct": lambda tag, values: len((tag or "").split(values[0])) > 1,
}


def holds(node: FilterNode, tags: Mapping[str, str]) -> bool:
    """A filter's meaning, spelled out."""
    results = [holds(part, tags) for part in node.nodes]
    combine: dict[str, Callable[[list[bool]], Any]] = {"and": all, "or": any, "not": lambda one: not one[0]}
    if node.op:
        return bool(combine[node.op](results))
    tag = tags.get(node.key)
    if node.cmp in PLAIN:
        return PLAIN[node.cmp](tag, node.vals or [node.val])
    try:
        difference = Fraction(tag or "none") - Fraction(node.val)
    except ValueError:
        return False
    return {"lt": difference < 0, "lte": difference <= 0, "gt": difference > 0, "gte": difference >= 0}[node.cmp]


@fuzz
@given(NODES, st.lists(TAGS, max_size=5))
def test_any_filter_means_what_it_says(node: FilterNode, publications: list[dict[str, str]]) -> None:
    """However its nodes are nested; and so does another filter with its key."""
    match = compile_filter(node)
    assert [match(tags) for tags in publications] == [holds(node, tags) for tags in publications]
    copy = msgspec.json.decode(msgspec.json.encode(node), type=FilterNode)
    assert filter_key(copy) == filter_key(node)
