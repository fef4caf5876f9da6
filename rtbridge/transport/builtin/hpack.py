"""HPACK (RFC 7541): header blocks read into fields that are the same object as long as they are the same header.

A caller repeats most headers with each call. Fields that repeat are one object each, so a whole set of them can be
looked up by identity; see :mod:`rtbridge.transport.builtin.heads`.
"""

from typing import Final

from rtbridge.transport.builtin.huffman import HuffmanError
from rtbridge.transport.builtin.huffman import decode as huffman

#: Bytes of the dynamic table: the protocol's default, which we leave as it is.
TABLE_SIZE: Final = 4096

#: What an entry costs besides its name and value (section 4.1).
OVERHEAD: Final = 32

#: Literals that are kept as objects, for each connection, and the largest of them.
_KNOWN: Final = 256
_KNOWN_SIZE: Final = 1024

#: Values of the field apart that are kept, for all connections, and the largest of them as it travels.
_APART: Final = 4096
_APART_SIZE: Final = 16

#: Bits of an integer that no table index and no length ever needs.
_INTEGER_BITS: Final = 28


class HpackError(ValueError):
    """A header block cannot be read; neither can any that follows on its connection (section 2.2)."""


class Field:
    """A header.

    Attributes:
        name: In lower case, as HTTP/2 wants it; that is checked elsewhere.
        value: As it came.
        size: What it counts in the dynamic table and in a header list (section 4.1).
        apart: Whether its value differs from call to call.
        meaning: What was read in its value, once; None before.

    """

    __slots__ = ("apart", "meaning", "name", "size", "value")

    def __init__(self, name: bytes, value: bytes, *, apart: bool = False) -> None:
        self.name = name
        self.value = value
        self.size = len(name) + len(value) + OVERHEAD
        self.apart = apart
        self.meaning: float | None = None

    def __repr__(self) -> str:
        return f"Field({self.name!r})"  # values are cookies and tokens


_STATIC_NAMES: Final = """\
:authority|:method GET|:method POST|:path /|:path /index.html|:scheme http|:scheme https|:status 200|:status 204|\
:status 206|:status 304|:status 400|:status 404|:status 500|accept-charset|accept-encoding gzip, deflate|\
accept-language|accept-ranges|accept|access-control-allow-origin|age|allow|authorization|cache-control|\
content-disposition|content-encoding|content-language|content-length|content-location|content-range|content-type|\
cookie|date|etag|expect|expires|from|host|if-match|if-modified-since|if-none-match|if-range|if-unmodified-since|\
last-modified|link|location|max-forwards|proxy-authenticate|proxy-authorization|range|referer|refresh|retry-after|\
server|set-cookie|strict-transport-security|transfer-encoding|user-agent|vary|via|www-authenticate"""


def _static() -> tuple[Field, ...]:
    pairs = [line.encode().partition(b" ") for line in _STATIC_NAMES.split("|")]
    return (Field(b"", b""), *(Field(name, value) for name, _, value in pairs))


#: The static table (appendix A) by index; 0 is no entry.
STATIC: Final = _static()
_DYNAMIC: Final = len(STATIC)

#: How an index of the dynamic table begins, and a literal that is added under the newest entry's name.
_FIRST_DYNAMIC: Final = 0x80 | _DYNAMIC
_NEWEST_NAME: Final = 0x40 | _DYNAMIC

_apart: dict[bytes, Field] = {}


#: What a block's bytes become when a new value apart has moved every entry of the table by one, and all else is as it
#: was. An index beyond one byte is not foreseen.
_NEXT: Final = bytes(byte + 1 if _FIRST_DYNAMIC <= byte < 0xFE else byte for byte in range(256))
_FARTHEST: Final = 0x7E


class Decoder:
    """Reads the header blocks of one connection, in order.

    A caller that repeats itself sends blocks which only differ in the value apart, and in the indices that its last
    value has moved by one. Such a block is foreseen, and not read field by field: that is half the price of a call.

    Args:
        apart: Name of a field whose value differs from call to call; it is given out apart.

    """

    __slots__ = ("_after", "_apart", "_before", "_capacity", "_entries", "_farthest", "_known", "_same", "_size")

    def __init__(self, apart: bytes = b"") -> None:
        self._apart = apart
        self._entries: list[Field] = []  # the newest last, so that index 62 is -1
        self._size = 0
        self._capacity = TABLE_SIZE
        self._known: dict[tuple[bytes, bytes], Field] = {}
        # The block that is foreseen: what is before the value apart and after it, its other fields, and the oldest
        # entry that it refers to.
        self._before: bytes | None = None
        self._after = b""
        self._same: tuple[Field, ...] = ()
        self._farthest = 0

    def decode(self, block: bytes) -> tuple[tuple[Field, ...], Field | None]:
        """The fields of a block in order, and the one apart.

        Raises:
            HpackError: The block cannot be read.

        """
        before = self._before
        if before is not None and block.startswith(before):
            start = len(before)
            end = start + 1 + (block[start] & 0x7F) if start < len(block) else 0
            apart = _apart.get(block[start:end])
            if apart is not None and block[end:] == self._after:
                self._add(apart)
                self._foresee(before, self._after, self._farthest)
                return self._same, apart
        self._before = None
        fields, apart = self._read(block)
        found = self._same = tuple(fields)
        return found, apart

    def _foresee(self, before: bytes, after: bytes, farthest: int) -> None:
        """Foresee the block that differs from the last one as said above, where its entries are still there then.

        The next value apart takes the place of three others at most, before what is after it is read.
        """
        if farthest < _FARTHEST and farthest + 3 < _DYNAMIC + len(self._entries):
            self._before = before.translate(_NEXT)
            self._after = after.translate(_NEXT)
            self._farthest = farthest + 1
        else:
            self._before = None

    def _read(self, block: bytes) -> tuple[list[Field], Field | None]:
        fields: list[Field] = []
        apart: Field | None = None
        entries = self._entries
        position, end = 0, len(block)
        cut = stop = 0
        try:
            while position < end:
                first = block[position]
                if first >= 0x80:  # indexed (6.1)
                    position += 1
                    if first < _FIRST_DYNAMIC:
                        if first == 0x80:
                            raise HpackError("index 0")
                        fields.append(STATIC[first - 0x80])
                        continue
                    if first < 0xFF:
                        field = entries[_FIRST_DYNAMIC - 1 - first]
                    else:
                        index, position = _integer(block, position, 0x7F)
                        field = entries[_DYNAMIC - 1 - index]
                    if field.apart:
                        apart = field
                    else:
                        fields.append(field)
                elif first == _NEWEST_NAME and entries[-1].apart:  # a new value apart, as nearly all of them come
                    cut = position + 1
                    apart, stop = self._value_apart(block, cut)
                    position = stop
                    self._add(apart)
                elif first & 0xE0 == 0x20:  # a new size of the table (6.3)
                    position = self._resize(block, position, begun=bool(fields) or apart is not None)
                else:  # literal: added to the table (6.2.1) or not (6.2.2, 6.2.3)
                    field, position = self._literal(block, position, 0x3F if first & 0x40 else 0x0F)
                    if field.apart:
                        apart = field
                    else:
                        fields.append(field)
                    if first & 0x40:
                        self._add(field)
        except IndexError as exc:
            raise HpackError("an index without an entry, or the block ends too soon") from exc
        except HuffmanError as exc:
            raise HpackError(str(exc)) from exc
        if cut and len(fields) == cut - 1 + end - stop:  # all others were an index of one byte
            farthest = max(block[:cut] + block[stop:]) - 0x80
            self._foresee(block[:cut], block[stop:], farthest)
        return fields, apart

    def _add(self, field: Field) -> None:
        entries = self._entries
        entries.append(field)
        size = self._size + field.size
        while size > self._capacity:
            size -= entries[0].size
            del entries[0]
        self._size = size

    def _literal(self, block: bytes, position: int, mask: int) -> tuple[Field, int]:
        index = block[position] & mask
        position += 1
        if index == mask:
            index, position = _integer(block, position, mask)
        if index:
            name = STATIC[index].name if index < _DYNAMIC else self._entries[_DYNAMIC - 1 - index].name
        else:
            name, position = _string(block, position)
        if name == self._apart and name:
            return self._value_apart(block, position)
        end = position + 1 + (block[position] & 0x7F)
        key = name, block[position:end]  # as it travels: a value that is known need not be decoded
        field = self._known.get(key)
        if field is None:
            value, end = _string(block, position)
            field = Field(name, value)
            if field.size <= _KNOWN_SIZE and len(key[1]) < 0x7F:
                if len(self._known) >= _KNOWN:
                    self._known.clear()
                self._known[key] = field
        return field, end

    def _value_apart(self, block: bytes, position: int) -> tuple[Field, int]:
        end = position + 1 + (block[position] & 0x7F)
        raw = block[position:end]
        field = _apart.get(raw)
        if field is None:
            value, end = _string(block, position)
            field = Field(self._apart, value, apart=True)
            if len(raw) <= _APART_SIZE:
                if len(_apart) >= _APART:
                    _apart.clear()
                _apart[raw] = field
        return field, end

    def _resize(self, block: bytes, position: int, *, begun: bool) -> int:
        if begun:
            raise HpackError("a new size of the table after the first field")
        size = block[position] & 0x1F
        position += 1
        if size == 0x1F:
            size, position = _integer(block, position, 0x1F)
        if size > TABLE_SIZE:
            raise HpackError(f"a table of {size} bytes; at most {TABLE_SIZE} were offered")
        self._capacity = size
        entries = self._entries
        while self._size > size:
            self._size -= entries[0].size
            del entries[0]
        return position


def _integer(block: bytes, position: int, value: int) -> tuple[int, int]:
    """The rest of an integer whose prefix was full (5.1)."""
    shift = 0
    while True:
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift >= _INTEGER_BITS:
            raise HpackError("an integer that is too large")


def _string(block: bytes, position: int) -> tuple[bytes, int]:
    first = block[position]
    length = first & 0x7F
    position += 1
    if length == 0x7F:
        length, position = _integer(block, position, 0x7F)
    end = position + length
    if end > len(block):
        raise HpackError("a string ends after its block")
    raw = block[position:end]
    return (huffman(raw) if first & 0x80 else raw), end


def literal(name: bytes, value: bytes) -> bytes:
    """A field as bytes that leave every table as it is (6.2.2)."""
    return b"\x00" + _written(name) + _written(value)


def indexed_literal(index: int, value: bytes) -> bytes:
    """A field whose name is in the static table, as bytes that add it to the peer's dynamic table (6.2.1)."""
    return (0x40 | index).to_bytes() + _written(value)


def _written(text: bytes) -> bytes:
    if len(text) < 0x7F:
        return len(text).to_bytes() + text
    found, rest = bytearray(b"\x7f"), len(text) - 0x7F
    while rest >= 0x80:
        found.append(rest & 0x7F | 0x80)
        rest >>= 7
    found.append(rest)
    return bytes(found) + text
