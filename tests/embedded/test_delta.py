"""Deltas turn the old data into the new, and are those that Centrifugo sends."""

import hashlib
import json
import os
from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtbridge.embedded import delta as module
from rtbridge.embedded.delta import delta_or_full, fossil_delta

fuzz = settings(deadline=None, max_examples=150, derandomize=bool(os.environ.get("CI")))

DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~"


def fossil_apply(old: bytes, delta: bytes) -> bytes:
    """What a delta makes of the old data; refuses everything that the format does not allow."""
    at = 0

    def number() -> int:
        nonlocal at
        value, first = 0, at
        while chr(delta[at]) in DIGITS:
            value = value * 64 + DIGITS.index(chr(delta[at]))
            at += 1
        assert at > first
        assert delta[first : first + 1] != b"0" or at == first + 1
        return value

    def sign() -> str:
        nonlocal at
        at += 1
        return chr(delta[at - 1])

    size = number()
    assert sign() == "\n"
    out = bytearray()
    while True:
        count = number()
        match sign():
            case "@":
                start = number()
                assert sign() == ","
                assert 0 < count <= len(old) - start
                out += old[start : start + count]
            case ":":
                assert count <= len(delta) - at
                out += delta[at : at + count]
                at += count
            case end:
                assert end == ";"
                assert at == len(delta)
                break
    words = bytes(out) + bytes(-len(out) % 4)
    total = sum(int.from_bytes(words[place : place + 4], "big") for place in range(0, len(words), 4))
    assert count == total % 2**32
    assert len(out) == size
    return bytes(out)


def corpus() -> Iterator[tuple[bytes, bytes]]:
    """Pairs like those of real channels and less real ones; the same ones on every Python."""
    random = Random(4).random  # the one method that promises the same numbers for ever

    def below(limit: int) -> int:
        return int(random() * limit)

    def letters(alphabet: bytes, count: int) -> bytes:
        return bytes(alphabet[below(len(alphabet))] for _ in range(count))

    def edited(data: bytes) -> bytes:
        out = bytearray(data)
        for _ in range(below(5)):
            start = below(len(out) + 1)
            end = start + (0, 1, 3, 20, 90)[below(5)]
            match below(4):
                case 0:
                    out[start:end] = letters(b"0123456789 ab", (0, 1, 4, 30)[below(4)])
                case 1:
                    out[start:start] = out[start:end]
                case 2:
                    other = below(len(out) + 1)
                    out[start:start] = out[other : other + 50]
                case _:
                    del out[start:end]
        return bytes(out)

    def document() -> bytes:
        rows = [
            {"id": row, "name": ("alice", "Bjørn", "日本")[below(3)], "price": below(10_000) / 100, "on": below(2) == 1}
            for row in range(below(40))
        ]
        return json.dumps(rows, ensure_ascii=below(2) == 1, indent=(None, 2)[below(2)]).encode()

    for _ in range(250):
        match below(5):
            case 0:
                yield document(), document()
            case 1:
                old = letters((b"a", b"ab", bytes(range(256)))[below(3)], (0, 5, 16, 17, 32, 33, 200)[below(7)])
                yield old, edited(old)
            case 2:
                old = b"".join((b"x" * 16, b"abcdefghijklmnop", b"0" * 17)[below(3)] for _ in range(below(300)))
                yield old, edited(old)
            case _:
                old = document()
                yield old, edited(old)


@pytest.mark.parametrize(
    ("old", "new", "delta"),
    [
        (
            b'{"i": 0, "text": "a longer text that stays the same"}',
            b'{"i": 1, "text": "a longer text that stays the same"}',
            b'q\n7:{"i": 1j@7,3vTm3b;',
        ),
        (b"", b"", b"0\n0:0;"),
        (b"x" * 17, b"", b"0\n0;"),
        (b"x" * 17, b"short", b"5\n5:short3cQ6yn;"),
        (b"0123456789abcdef", b"0123456789abcdef", b"G\nG:0123456789abcdef12xn;"),
        (b"0123456789abcdefg", b"0123456789abcdefg", b"H\nH@0,1c12xn;"),
    ],
    ids=["of a recording", "nothing", "nothing left", "short", "old is short", "the same"],
)
def test_deltas_of_centrifugo(old: bytes, new: bytes, delta: bytes) -> None:
    """Small ones to look at."""
    assert fossil_delta(old, new) == delta


def test_deltas_are_those_of_centrifugos_library() -> None:
    """To the byte: the digest is that of what github.com/shadowspore/fossil-delta gives for these pairs."""
    digest = hashlib.sha256()
    for old, new in corpus():
        delta = fossil_delta(old, new)
        assert fossil_apply(old, delta) == new
        digest.update(len(delta).to_bytes(4, "big") + delta)
    assert digest.hexdigest() == "a79bbeaedbbf8c6562c19f1454cefa62124ce2a6aba527cd79da1127e110f296"


@fuzz
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_two_payloads_have_a_delta(old: bytes, new: bytes) -> None:
    """Also where they have nothing in common."""
    assert fossil_apply(old, fossil_delta(old, new)) == new


@fuzz
@given(
    st.lists(
        st.tuples(
            st.sampled_from([b"aaaaaaaa", b"abcdefgh", b"\xff\xff\xff", b"01234567890123456789"]), st.integers(0, 40)
        )
    ),
    st.data(),
)
def test_pieces_in_another_order_have_a_delta(pieces: list[tuple[bytes, int]], data: st.DataObject) -> None:
    """Payloads that repeat themselves have many blocks with one hash."""
    old = b"".join(piece * count for piece, count in pieces)
    new = b"".join(piece * count for piece, count in data.draw(st.permutations(pieces)))
    assert fossil_apply(old, fossil_delta(old, new)) == new


def test_a_long_copy_is_found_whole() -> None:
    """Copies reach backwards over what was scanned, and forwards to the end."""
    old = bytes(range(256)) * 40
    new = b"in front" + old[3:]
    assert fossil_apply(old, fossil_delta(old, new)) == new
    assert len(fossil_delta(old, new)) < 30


def test_blocks_that_only_seem_alike_do_not_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever publishes may choose blocks that all have one hash and not enough in common to be copied."""
    block = b"mmmmmnlmmlnmnlln"
    assert module._window(block, 0) == module._window(b"m" * 16, 0)
    looks, compare = 0, module._alike

    def counted(old: bytes, start: int, new: bytes, at: int) -> int:
        nonlocal looks
        looks += 1
        return compare(old, start, new, at)

    monkeypatch.setattr(module, "_alike", counted)
    new = b"m" * 8000
    assert delta_or_full(block * 500, new) == (new, False)
    assert 0 < looks < 5000  # of two million


def test_after_many_looks_whole_blocks_are_still_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of a large payload is not left out of a delta, but what is short is."""
    old = b"".join(b"%016d" % number for number in range(200))
    new = b"_".join(old[place : place + 100] for place in range(0, len(old), 100)) + b"_" + old[:15]
    best = fossil_delta(old, new)
    monkeypatch.setattr(module, "_LOOKS", 10)
    monkeypatch.setattr(module, "_LOOKS_A_BYTE", 0)
    quick = fossil_delta(old, new)
    assert fossil_apply(old, quick) == new
    assert quick != best
    assert len(quick) < len(new) / 5


def test_a_delta_that_is_not_shorter_is_not_used() -> None:
    """Then the payload goes as it is."""
    old = b'{"temperature": 20.5, "humidity": 40}'
    new = b'{"temperature": 20.6, "humidity": 40}'
    assert delta_or_full(old, new) == (fossil_delta(old, new), True)
    assert delta_or_full(b"something that has nothing in common", new) == (new, False)
    assert delta_or_full(b"", b"") == (b"", False)


def test_a_large_payload_goes_whole() -> None:
    """The search for a delta is bounded by the size of both payloads: everybody waits for it."""
    small, large = b"x" * 32_768, b"x" * 32_769
    assert delta_or_full(small, small)[1]
    assert delta_or_full(large, small) == (small, False)
    assert delta_or_full(small, large) == (large, False)
