"""What has changed from one publication to the next, in Fossil's delta format.

Sources: fossil-scm.org, "Delta Format" and "Delta Encoder Algorithm". Where the algorithm leaves a choice it is made
as in the library that Centrifugo uses, github.com/shadowspore/fossil-delta: the bytes are the same, except where that
would take long (see ``_LOOKS``).
"""

from collections import defaultdict
from struct import unpack
from typing import Final

#: Blocks of the old data are indexed by a hash of this many bytes.
_BLOCK: Final = 16

#: Blocks with one hash that are looked at, the last ones of the old data first.
_CANDIDATES: Final = 249

#: Whoever publishes chooses the data, and with it how many blocks share a hash without being alike. So there is a
#: limit to the blocks that are looked at: some for each byte of the new data, and some more; a comparison counts as
#: several looks. Behind it only few blocks are looked at, and only copied where the whole block is the same: the rest
#: is done quickly, if not in the fewest bytes.
_LOOKS_A_BYTE: Final = 6
_LOOKS: Final = 50_000
_COMPARISON: Final = 20
_FEW: Final = 4

#: Larger payloads go whole: looking for what has changed would hold up everybody else for too long.
_LARGEST: Final = 32 * 1024

_DIGITS: Final = tuple(bytes((digit,)) for digit in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz~")


def delta_or_full(old: bytes, new: bytes) -> tuple[bytes, bool]:
    """What to send to somebody who has ``old`` and shall have ``new``.

    Returns:
        The delta and True; or ``new`` itself and False, where a delta would not be shorter or takes too long to find.

    """
    if len(old) > _LARGEST or len(new) > _LARGEST:
        return new, False
    delta = fossil_delta(old, new)
    return (delta, True) if len(delta) < len(new) else (new, False)


def fossil_delta(old: bytes, new: bytes) -> bytes:
    """What turns ``old`` into ``new``: its size, copies from ``old`` and literal text in turn, and a checksum."""
    out = bytearray(_number(len(new)) + b"\n")
    base = _copies(old, new, out) if len(old) > _BLOCK else 0
    if base < len(new) or len(old) <= _BLOCK:
        _literal(out, new[base:])
    out += _number(_checksum(new)) + b";"
    return bytes(out)


def _copies(old: bytes, new: bytes, out: bytearray) -> int:
    """Write copies and the literals before them.

    Returns:
        Where the rest of ``new`` begins, of which nothing is in ``old``.

    """
    buckets = len(old) // _BLOCK
    blocks_in = _index(old, buckets).get
    last = len(new) - _BLOCK
    padded = new + b"\0"  # the window's next byte is read once behind the end
    looks = _LOOKS + _LOOKS_A_BYTE * len(new)
    base = 0
    while base < last:
        low, high = _window(new, base)
        before = -1
        count = start = literal = 0
        for at in range(base, last + 1):
            byte = new[at]
            blocks = blocks_in((low | high << 16) % buckets)
            if blocks is not None:
                if looks > 0:
                    blocks = blocks[:_CANDIDATES]
                    looks -= len(blocks)
                else:
                    text = new[at : at + _BLOCK]
                    blocks = [block for block in blocks[:_FEW] if old[block : block + _BLOCK] == text]
                for block in blocks:
                    # A copy pays from six bytes on, so three of them stand on one side of this place.
                    if (old[block] == byte and old[block : block + 3] == new[at : at + 3]) or (
                        old[block - 1] == before and old[block - 3 : block] == new[at - 3 : at]
                    ):
                        looks -= _COMPARISON
                        back = _alike_before(old, block, new, at, base)
                        size = back + _alike(old, block, new, at)
                        if size > count and size >= _price(at - base - back, size, block - back):
                            count, start, literal = size, block - back, at - base - back
                if count:
                    break
            before = byte
            low += padded[at + _BLOCK] - byte
            high += low - (byte << 4)
        else:
            return base
        if literal:
            _literal(out, new[base : base + literal])
        out += _number(count) + b"@" + _number(start) + b","
        base += literal + count
    return base


def _index(old: bytes, buckets: int) -> dict[int, list[int]]:
    """The blocks of the old data by the buckets of their hashes, the last ones first.

    A block that ends with the old data is left out.
    """
    size = (len(old) - 1) // _BLOCK * _BLOCK
    # One integer holds the hashes from every fourth byte on, 32 bits each, so that they are computed together: first
    # over four bytes; from those come the ones over eight, from those the ones over sixteen.
    low = high = 0
    for offset in range(4):
        lanes = bytearray(size)
        lanes[::4] = old[offset:size:4]
        low += int.from_bytes(lanes, "little")
        high += low
    for width in (4, 8):
        high += width * low + (high >> 8 * width)
        low += low >> 8 * width
    hashes = unpack(f"<{size // 4}I", (low + (high << 16)).to_bytes(size, "little"))
    index: defaultdict[int, list[int]] = defaultdict(list)
    for value, block in zip(hashes[-4::-4], range(size - _BLOCK, -1, -_BLOCK), strict=True):
        index[value % buckets].append(block)
    return index


def _window(data: bytes, at: int) -> tuple[int, int]:
    """The halves of a block's hash: the sum of its bytes, and the sum of the sums up to each of them."""
    low = high = 0
    for byte in data[at : at + _BLOCK]:
        low += byte
        high += low
    return low, high


def _alike(old: bytes, start: int, new: bytes, at: int) -> int:
    """How many bytes are the same from these places on."""
    found, size = 0, 32
    limit = min(len(old) - start, len(new) - at)
    while found < limit:
        size = min(size, limit - found)
        left, right = old[start + found : start + found + size], new[at + found : at + found + size]
        if left != right:
            differ = int.from_bytes(left, "little") ^ int.from_bytes(right, "little")
            return found + ((differ & -differ).bit_length() - 1) // 8
        found += size
        size *= 2
    return found


def _alike_before(old: bytes, start: int, new: bytes, at: int, base: int) -> int:
    """How many bytes are the same before these places; not the first one of the old data, and none before ``base``."""
    found, size = 0, 32
    limit = min(start - 1, at - base)
    while found < limit:
        size = min(size, limit - found)
        left, right = old[start - found - size : start - found], new[at - found - size : at - found]
        if left != right:
            differ = int.from_bytes(left, "big") ^ int.from_bytes(right, "big")
            return found + ((differ & -differ).bit_length() - 1) // 8
        found += size
        size *= 2
    return found


def _price(literal: int, count: int, start: int) -> int:
    """The bytes that a copy takes, with the head of the literal before it."""
    return _digits(literal) + _digits(count) + _digits(start) + 3


def _digits(number: int) -> int:
    return (number.bit_length() + 5) // 6 or 1


def _literal(out: bytearray, text: bytes) -> None:
    out += _number(len(text)) + b":" + text


def _number(number: int) -> bytes:
    """A number to the base of 64."""
    digits = _DIGITS[number & 63]
    while number := number >> 6:
        digits = _DIGITS[number & 63] + digits
    return digits


def _checksum(data: bytes) -> int:
    """The sum of its big-endian words of 32 bits, without what goes beyond 32 bits."""
    count = (len(data) + 3) // 4
    words: tuple[int, ...] = unpack(f">{count}I", data.ljust(4 * count, b"\0"))
    return sum(words) & 0xFFFF_FFFF
