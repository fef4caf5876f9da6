"""HPACK's Huffman code (RFC 7541, appendix B), read four bits at a time."""

from typing import Final

#: Bits of the code of each byte value. The code is canonical: the lengths are all of it.
_LENGTHS: Final = bytes.fromhex(
    "0d171c1c1c1c1c1c1c181e1c1c1e1c1c1c1c1c1c1c1c1e1c1c1c1c1c1c1c1c1c060a0a0c0d06080b0a0a080b08060606"
    "0505050606060606060607080f060c0a0d06070707070707070707070707070707070707070707070807080d130d0e06"
    "0f05060506050606060507070606060506070605050607070707070f0b0e0d1c14161414161616171617171717171817"
    "181816171817171717151617161717181615141616171715171616181516171715151615171617171416161617161617"
    "1a1a1413161716191a1a1a1b1b1a181913151a1b1b1a1b1815151a1a1c1b1b1b14181415161515171616191918181a17"
    "1a1b1a1a1b1b1b1b1b1c1b1b1b1b1b1a"
)

#: Bits of the end-of-string symbol, which no string may hold.
_EOS: Final = 30


class HuffmanError(ValueError):
    """A string is not in the code of RFC 7541."""


def _tree() -> list[list[int]]:
    """The code as a tree: for each inner node what follows a 0 and a 1, a node or, below 0, a symbol (-1 - symbol)."""
    nodes = [[0, 0]]
    code, before = 0, 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate([*_LENGTHS, _EOS])):
        code <<= length - before
        before = length
        node = 0
        for bit in range(length - 1, 0, -1):
            way = code >> bit & 1
            if not nodes[node][way]:
                nodes.append([0, 0])
                nodes[node][way] = len(nodes) - 1
            node = nodes[node][way]
        nodes[node][code & 1] = -1 - symbol
        code += 1
    return nodes


def _table() -> tuple[list[tuple[int, int]], frozenset[int]]:
    """What four bits do in each state, and the states that a string may end in.

    A state is an inner node times 16; the bits are added to it. No code is shorter than five bits, so four bits
    complete one symbol at most. The last state is that of strings that cannot be read, and nothing leads out of it.
    """
    nodes = _tree()
    lost = len(nodes)
    table = []
    for start in range(lost):
        for bits in range(16):
            node, symbol = start, -1
            for bit in (8, 4, 2, 1):
                node = nodes[node][bits & bit > 0]
                if node < 0:
                    symbol, node = -1 - node, 0
                if symbol == 256:
                    node = lost
                    break
            table.append((node << 4, symbol if node != lost else -1))
    table += [(lost << 4, -1)] * 16
    # A string is filled up with the first bits of the end-of-string symbol, which are ones, seven at most.
    ends, node = {0}, 0
    for _ in range(7):
        node = nodes[node][1]
        ends.add(node << 4)
    return table, frozenset(ends)


_STEPS, _ENDS = _table()


def decode(data: bytes) -> bytes:
    """The bytes of an encoded string.

    Raises:
        HuffmanError: It is not in the code, or is not filled up as section 5.2 wants it.

    """
    steps, state, found = _STEPS, 0, bytearray()
    for byte in data:
        state, symbol = steps[state + (byte >> 4)]
        if symbol >= 0:
            found.append(symbol)
        state, symbol = steps[state + (byte & 15)]
        if symbol >= 0:
            found.append(symbol)
    if state not in _ENDS:
        raise HuffmanError("a string is not in HPACK's Huffman code")
    return bytes(found)
