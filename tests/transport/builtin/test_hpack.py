"""HPACK: the examples of RFC 7541, what breaks its rules, and another implementation as the other side."""

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given, settings
from hypothesis import strategies as st

from rtbridge.transport.builtin.hpack import (
    STATIC,
    TABLE_SIZE,
    Decoder,
    Field,
    HpackError,
    indexed_literal,
    literal,
)
from rtbridge.transport.builtin.huffman import HuffmanError, decode

PACKER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)

NAMES = st.sampled_from(["a", "x-long-name", "cookie", "grpc-timeout", "authorization", "content-type"])
VALUES = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=200)


def pairs(decoder: Decoder, block: bytes) -> list[tuple[str, str]]:
    fields, _ = decoder.decode(block)
    return [(field.name.decode(), field.value.decode()) for field in fields]


@given(st.binary(max_size=100))
def test_huffman(text: bytes) -> None:
    """What another implementation encodes is read."""
    assert decode(PACKER.encode(text)) == text


@given(st.binary(min_size=1, max_size=20))
def test_huffman_of_anything(text: bytes) -> None:
    """Bytes are a string of the code or a fault; what is a string can be written again, filled up with ones."""
    try:
        found = decode(text)
    except HuffmanError:
        return
    assert PACKER.encode(found) == text


@pytest.mark.parametrize(
    "raw",
    [b"\xff\xff\xff\xff", b"\x07\xff", b"\x00\x00", b"\xff" * 5],
    ids=["end of string", "eight bits of filling", "filled up with zeros", "end of string and more"],
)
def test_huffman_faults(raw: bytes) -> None:
    with pytest.raises(HuffmanError):
        decode(raw)


# RFC 7541, appendix C.3 and C.4: the same three requests without and with Huffman.
EXAMPLES = {
    "plain": (
        "828684410f7777772e6578616d706c652e636f6d",
        "828684be58086e6f2d6361636865",
        "828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565",
    ),
    "Huffman": (
        "828684418cf1e3c2e5f23a6ba0ab90f4ff",
        "828684be5886a8eb10649cbf",
        "828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf",
    ),
}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples(name: str) -> None:
    """Three requests on one connection."""
    decoder = Decoder()
    first, second, third = (bytes.fromhex(each) for each in EXAMPLES[name])
    host = (":authority", "www.example.com")
    assert pairs(decoder, first) == [(":method", "GET"), (":scheme", "http"), (":path", "/"), host]
    assert pairs(decoder, second)[3:] == [host, ("cache-control", "no-cache")]
    assert pairs(decoder, third) == [
        (":method", "GET"),
        (":scheme", "https"),
        (":path", "/index.html"),
        host,
        ("custom-key", "custom-value"),
    ]


@settings(max_examples=200)
@given(
    st.lists(st.lists(st.tuples(NAMES, VALUES, st.booleans()), max_size=8), max_size=30),
    st.lists(st.sampled_from([0, 60, 200, 4096]), max_size=3),
)
def test_another_implementation(blocks: list[list[tuple[str, str, bool]]], sizes: list[int]) -> None:
    """Whatever it indexes, evicts and resizes, both sides keep the same table."""
    encoder, decoder = hpack.Encoder(), Decoder()
    for number, block in enumerate(blocks):
        if number < len(sizes):
            encoder.header_table_size = sizes[number]
        raw = encoder.encode(
            [hpack.HeaderTuple(n, v) if i else hpack.NeverIndexedHeaderTuple(n, v) for n, v, i in block]
        )
        assert pairs(decoder, raw) == [(name, value) for name, value, _ in block]


def test_a_field_that_repeats_is_one_object() -> None:
    """Indexed or written out again: what is the same header is the same object, which is looked up by identity."""
    encoder, decoder = hpack.Encoder(), Decoder()
    headers = [(":method", "POST"), ("user-agent", "grpc-go"), ("x-client", "1")]
    first, _ = decoder.decode(encoder.encode(headers))
    again, _ = decoder.decode(encoder.encode(headers))
    encoder.header_table_size = 0
    anew, _ = decoder.decode(encoder.encode(headers))
    assert [id(field) for field in first] == [id(field) for field in again] == [id(field) for field in anew]


def test_the_field_apart() -> None:
    """The field whose value changes comes out apart, as a literal and indexed."""
    decoder = Decoder(b"grpc-timeout")
    entry = b"\x40\x0cgrpc-timeout\x03" + b"10m"
    for block in (entry, b"\xbe", literal(b"grpc-timeout", b"10m"), b"\x0f\x2f\x03" + b"10m"):
        fields, apart = decoder.decode(b"\x83" + block)
        assert [field.name for field in fields] == [b":method"]
        assert apart is not None
        assert (apart.name, apart.value) == (b"grpc-timeout", b"10m")
    long = b"9" * 300 + b"m"
    _, apart = decoder.decode(literal(b"grpc-timeout", long))
    assert apart is not None
    assert apart.value == long


def test_what_is_kept_is_bounded() -> None:
    """A caller whose every header is new makes us keep no more than a few of them."""
    decoder = Decoder(b"grpc-timeout")
    for number in range(2000):
        decoder.decode(literal(b"x-%d" % number, b"y" * 500) + literal(b"grpc-timeout", b"%dn" % number))
        decoder.decode(indexed_literal(1, b"%d" % number))
    assert len(decoder._known) <= 256
    decoder.decode(literal(b"x", b"y" * 5000))
    assert all(field.size <= 1024 for field in decoder._known.values())
    assert len(decoder._entries) <= TABLE_SIZE // 32
    assert decoder._size <= TABLE_SIZE


def test_an_entry_larger_than_the_table_empties_it() -> None:
    """RFC 7541, section 4.4."""
    decoder = Decoder()
    decoder.decode(indexed_literal(1, b"small"))
    decoder.decode(indexed_literal(1, b"x" * 5000))
    assert decoder._entries == []
    with pytest.raises(HpackError):
        decoder.decode(b"\xbe")


@pytest.mark.parametrize(
    "block",
    [
        b"\x80",
        b"\xbe",
        b"\xff\x80\x01",
        b"\xff\xff\xff\xff\xff\xff\x01",
        b"\x7f",
        b"\x40\x05ab",
        b"\x40\x01a",
        b"\x40\x01a\x7f\xff\xff\xff\x7f",
        b"\x40\x01a\x82\xff\xff",
        b"\x82\x20",
        b"\x3f\xe2\x1f",
        b"\x7e\x01a",
    ],
    ids=[
        "index 0",
        "no entry",
        "no entry, in two bytes",
        "a huge integer",
        "cut in an integer",
        "cut in a name",
        "no value",
        "a huge length",
        "no Huffman",
        "a size after a field",
        "a size over ours",
        "a name without an entry",
    ],
)
def test_faults(block: bytes) -> None:
    with pytest.raises(HpackError):
        Decoder().decode(block)


@given(st.lists(st.binary(max_size=60), max_size=10))
def test_anything(blocks: list[bytes]) -> None:
    """No bytes do more than be refused."""
    decoder = Decoder(b"grpc-timeout")
    for block in blocks:
        try:
            decoder.decode(block)
        except HpackError:
            return
        assert decoder._size == sum(field.size for field in decoder._entries) <= TABLE_SIZE


@given(st.binary(min_size=1, max_size=300), st.binary(max_size=300))
def test_what_is_written_is_read(name: bytes, value: bytes) -> None:
    """Lengths below and above what fits into seven bits."""
    (field,), _ = Decoder().decode(literal(name, value))
    assert (field.name, field.value) == (name, value)
    (field,), _ = Decoder().decode(indexed_literal(31, value))
    assert (field.name, field.value) == (b"content-type", value)


def test_a_field_shows_no_value() -> None:
    """Values are cookies and tokens."""
    assert repr(Field(b"cookie", b"secret")) == "Field(b'cookie')"
    assert STATIC[61].name == b"www-authenticate"


HEAD = [(":method", "POST"), (":scheme", "http"), (":path", "/s/M"), ("te", "trailers"), ("user-agent", "grpc-go/1")]


@settings(max_examples=100)
@given(
    st.lists(st.integers(0, 99_999_999), min_size=1, max_size=200),
    st.lists(st.sampled_from([None, None, None, "x-new", ":path"]), max_size=40),
    st.sampled_from([[], [("x-proxy-key", "s3cret")], [("x-proxy-key", "s3cret"), ("x-other", "1")]]),
    st.sampled_from([4096, 400, 150]),
)
def test_calls_that_repeat(
    timeouts: list[int], changes: list[str | None], later: list[tuple[str, str]], size: int
) -> None:
    """Blocks that are foreseen and blocks that are not: both sides agree on each, as another implementation does."""
    encoder, decoder, other = hpack.Encoder(), Decoder(b"grpc-timeout"), hpack.Decoder()
    encoder.header_table_size = size
    for number, timeout in enumerate(timeouts * 3):
        change = changes[number % len(changes)] if changes else None
        own = [(name, f"/{number}") if name == change else (name, value) for name, value in HEAD]
        own += [("x-new", str(number))] if change == "x-new" else []
        block = encoder.encode([*own, ("grpc-timeout", f"{timeout}u"), *later])
        fields, apart = decoder.decode(block)
        assert [(each.name, each.value) for each in fields] == [(n.encode(), v.encode()) for n, v in own + later]
        assert apart is not None
        assert apart.value == b"%du" % timeout
        assert len(list(other.decode(block))) == len(own) + 1 + len(later)
        assert decoder._size == sum(each.size for each in decoder._entries) <= size


def test_a_block_is_foreseen() -> None:
    """What a caller's last block foretells is not read, whatever its timeout; what differs from it is."""
    read: list[bytes] = []

    class Counting(Decoder):
        def _read(self, block: bytes) -> tuple[list[Field], Field | None]:
            read.append(block)
            return super()._read(block)

    encoder, decoder = hpack.Encoder(), Counting(b"grpc-timeout")
    later = [("x-proxy-key", "s3cret")]
    for _ in range(2):  # at first values are read, to be known the second time
        read.clear()
        for number in range(120):
            fields = [*HEAD, ("grpc-timeout", f"{900 + number}m"), *later]
            found, apart = decoder.decode(encoder.encode(fields))
            assert [each.name for each in found] == [name.encode() for name, _ in HEAD + later]
            assert apart is not None
            assert apart.value == b"%dm" % (900 + number)
    assert 5 < len(read) < 60


@pytest.mark.parametrize("later", [False, True], ids=["before the timeout", "after it"])
def test_an_entry_that_is_gone_is_not_foreseen(later: bool) -> None:
    """A caller that refers to what its own values have pushed out of the table breaks the rules, foreseen or not."""
    encoder, decoder, other = hpack.Encoder(), Decoder(b"grpc-timeout"), hpack.Decoder()
    encoder.header_table_size = 300
    own = [(":path", "/s/M"), ("grpc-timeout", "1m")]
    for block in (encoder.encode(own[::-1] if later else own), encoder.encode(own[::-1] if later else own)):
        decoder.decode(block)
        other.decode(block)
    index, refused = 0xBE, [False, False]
    for number in range(20):
        name = b"\x7e\x04" + b"%03dm" % number
        block = name + bytes((index + number,)) if later else bytes((index + number,)) + name
        for side, reads in enumerate((decoder.decode, other.decode)):
            try:
                reads(block)  # type: ignore[operator]
            except (HpackError, hpack.HPACKError):
                refused[side] = True
        assert refused[0] == refused[1]
        if refused[0]:
            return
    raise AssertionError
