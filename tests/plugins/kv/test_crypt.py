"""Encryption: the format as it is written down, what is bound to a value, key files, sealed boxes."""

import hashlib
import itertools
import os
import re
import stat
from pathlib import Path

import nacl.bindings
import nacl.encoding
import nacl.hash
import nacl.public
import nacl.utils
import pytest

from rtbridge import ConfigError, KvUnreadable
from rtbridge.stores.crypt import CONTEXT, Cipher, read_keypair, write_keypair
from tests.plugins.kv.conftest import VIRTUAL, Make

SERIALS = itertools.count()


def new_key(folder: Path) -> Path:
    path = folder / f"{next(SERIALS)}.key"
    write_keypair(path)
    return path


def fixed(path: Path) -> Path:
    """A key file with a keypair that never changes."""
    secret = nacl.public.PrivateKey(bytes(range(32)))
    path.write_bytes(bytes(secret) + bytes(secret.public_key))
    path.chmod(0o600)
    return path


def test_the_format_is_the_one_on_the_page(tmp_path: Path) -> None:
    """Made and opened with PyNaCl alone."""
    path = fixed(tmp_path / "fixed.key")
    secret, public = path.read_bytes()[:32], path.read_bytes()[32:]
    key = nacl.hash.blake2b(
        b"rtbridge kv XChaCha20-Poly1305 v1", digest_size=32, key=secret, encoder=nacl.encoding.RawEncoder
    )
    name = nacl.hash.blake2b(public, digest_size=8, encoder=nacl.encoding.RawEncoder)
    bound = b"\x01" + name + b"\x00\x08sessions" + "usér".encode()
    nonce = bytes(24)
    sealed = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_encrypt(b"value", bound, nonce, key)
    stored = b"\xc1e\x01" + name + nonce + sealed

    cipher = Cipher("sessions", [path])
    assert cipher.open("usér", stored) == b"value"

    ours = cipher.seal("usér", b"another")
    assert ours[:11] == stored[:11]
    opened = nacl.bindings.crypto_aead_xchacha20poly1305_ietf_decrypt(ours[35:], bound, ours[11:35], key)
    assert opened == b"another"
    assert len(ours) == len(b"another") + 51


def test_fixed_vectors(tmp_path: Path) -> None:
    """What was written once can be read for ever."""
    pair = read_keypair(fixed(tmp_path / "fixed.key"))
    assert CONTEXT == b"rtbridge kv XChaCha20-Poly1305 v1"
    assert pair.id.hex() == VECTOR_ID
    assert hashlib.sha256(pair.key).hexdigest() == VECTOR_KEY_HASH
    assert Cipher("s", [tmp_path / "fixed.key"]).open("k", bytes.fromhex(VECTOR_VALUE)) == b"hello"
    sealed = Cipher("s", [tmp_path / "fixed.key"], accept_sealed=True)
    assert sealed.open("k", bytes.fromhex(VECTOR_SEALED)) == b'{"user":"ann"}'


VECTOR_ID = "c345522f29d71038"
VECTOR_KEY_HASH = "b193c6b55c7427b51b38319ae2a330fb341a2301ec8bb1d0d666f5e5d510611c"
VECTOR_VALUE = (
    "c16501c345522f29d71038000102030405060708090a0b0c0d0e0f10111213141516172876d21699ecbcc99b9fcd63f70e7c29a5a9d77589"
)
#: `crypto_box_seal`, as PyNaCl writes it.
VECTOR_SEALED = (
    "9c709bb585597546ea0cb048b982bc843691a5d12bd0906572bf1eedb557e2"
    "3b56ce8947a3ccbf96fff359351d6f11a7f50ccb2ce5bf868f12d89776a59e"
)


def test_values_are_bound_to_their_place(tmp_path: Path) -> None:
    path = new_key(tmp_path)
    stored = Cipher("s", [path]).seal("k", b"value")
    assert Cipher("s", [path]).open("k", stored) == b"value"
    for store, key in (("s", "k2"), ("t", "k"), ("sk", ""), ("", "sk")):
        with pytest.raises(KvUnreadable, match="damaged, or was moved here from another key or store"):
            Cipher(store, [path]).open(key, stored)
    assert Cipher("s", [path]).seal("k", b"value") != stored


def test_every_byte_counts(tmp_path: Path) -> None:
    cipher = Cipher("s", [new_key(tmp_path)])
    stored = cipher.seal("k", b"value")
    for place in range(len(stored)):
        broken = bytearray(stored)
        broken[place] ^= 1
        with pytest.raises(KvUnreadable):
            cipher.open("k", bytes(broken))
    for length in range(len(stored)):
        with pytest.raises(KvUnreadable):
            cipher.open("k", stored[:length])


def test_texts_say_what_is_wrong(tmp_path: Path) -> None:
    mine, other = new_key(tmp_path), new_key(tmp_path)
    stored = Cipher("s", [other]).seal("k", b"value")
    cipher = Cipher("s", [mine])
    name = read_keypair(other).id.hex()
    for data, text in (
        (stored, f"encrypted with key {name}, which is not configured; add its file to rtbridge.kv.previous_keypair"),
        (stored[:40], "an encrypted value is truncated"),
        (b"\xc1e\x02" + bytes(60), "a format that this version does not know"),
        (b"plain", "a value is not encrypted, and the store is"),
    ):
        with pytest.raises(KvUnreadable, match=f"kv store s: .*{re.escape(text)}"):
            cipher.open("k", data)
    assert "value" not in repr(cipher)
    assert repr(read_keypair(mine)) == f"Keypair({read_keypair(mine).id.hex()})"


def test_old_keys_open_and_the_newest_encrypts(tmp_path: Path) -> None:
    old, new = new_key(tmp_path), new_key(tmp_path)
    stored = Cipher("s", [old]).seal("k", b"value")
    cipher = Cipher("s", [new, old])
    assert cipher.open("k", stored) == b"value"
    assert not cipher.is_newest(stored)
    assert cipher.is_newest(cipher.seal("k", b"value"))
    with pytest.raises(KvUnreadable, match="which is not configured"):
        Cipher("s", [old]).open("k", cipher.seal("k", b"value"))


def test_sealed_boxes_of_the_reference_product(tmp_path: Path) -> None:
    """`crypto_box_seal` over the serialized bytes, and the file as `sodium_crypto_box_keypair()` writes it."""
    path, newer = new_key(tmp_path), new_key(tmp_path)
    public = nacl.public.PublicKey(path.read_bytes()[32:])
    sealed = nacl.public.SealedBox(public).encrypt(b'{"a":1}')
    assert Cipher("s", [path], accept_sealed=True).open("k", sealed) == b'{"a":1}'
    assert Cipher("s", [newer, path], accept_sealed=True).open("k", sealed) == b'{"a":1}'
    with pytest.raises(KvUnreadable, match="a value is not encrypted, and the store is"):
        Cipher("s", [path]).open("k", sealed)
    for broken in (sealed[:-1], sealed[:40], b"", b"plain", sealed[:-1] + bytes([sealed[-1] ^ 1])):
        with pytest.raises(KvUnreadable, match="neither encrypted nor a sealed box for one of the configured keys"):
            Cipher("s", [newer, path], accept_sealed=True).open("k", broken)
    with pytest.raises(KvUnreadable, match="neither encrypted nor a sealed box"):
        Cipher("s", [newer], accept_sealed=True).open("k", sealed)


def test_a_sealed_box_may_begin_like_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first bytes are a random public key."""
    path = new_key(tmp_path)
    cipher = Cipher("s", [path], accept_sealed=True)
    head = b"\xc1e\x01" + cipher.load().id
    monkeypatch.setattr(
        type(cipher.load()), "unseal", lambda self, data: b"opened" if data == head + bytes(60) else None
    )
    assert cipher.open("k", head + bytes(60)) == b"opened"


def test_a_new_key_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "new.key"
    pair = write_keypair(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == 64
    assert read_keypair(path).id == pair.id
    before = path.read_bytes()
    with pytest.raises(
        ConfigError, match=r"new\.key is there already; a key that is overwritten cannot be brought back"
    ):
        write_keypair(path)
    assert path.read_bytes() == before
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        write_keypair(tmp_path / "nowhere" / "new.key")


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o620, 0o666, 0o601])
def test_a_key_file_that_others_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = new_key(tmp_path)
    path.chmod(mode)
    with pytest.raises(ConfigError) as caught:
        read_keypair(path)
    assert str(caught.value) == (
        f"rtbridge.kv.keypair_path: {path} can be read or changed by others (mode {mode:04o}): chmod 600 {path}"
    )


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o440, 0o640])
def test_a_key_file_may_be_read_by_its_group(tmp_path: Path, mode: int) -> None:
    path = new_key(tmp_path)
    path.chmod(mode)
    assert read_keypair(path)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "holds 0 bytes; a keypair file is 64 raw bytes"),
        (bytes(63), "holds 63 bytes"),
        (bytes(65), "holds more than 64 bytes"),
        (bytes(range(64)), "is no keypair: its halves do not belong together"),
    ],
)
def test_files_that_are_no_keypairs(tmp_path: Path, data: bytes, text: str) -> None:
    path = tmp_path / "bad.key"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=text):
        read_keypair(path)
    assert path.read_bytes() == data


def test_a_missing_key_file_says_how_to_make_one(tmp_path: Path) -> None:
    path = tmp_path / "none.key"
    with pytest.raises(ConfigError, match=f"No such file or directory; make one with rtbridge kv keygen {path}"):
        read_keypair(path)
    with pytest.raises(ConfigError, match="Is a directory"):
        read_keypair(tmp_path)


@pytest.mark.parametrize("driver", VIRTUAL)  # the same code above every driver; these can be looked into
async def test_a_value_that_cannot_be_read_is_not_overwritten(make: Make, tmp_path: Path, driver: str) -> None:
    """The wrong key, and a truncated value: reads fail by name, and what would write after reading does not."""
    kv = await make(driver, keypair_path=str(new_key(tmp_path)))
    foreign = Cipher("s", [new_key(tmp_path)]).seal("k", b"5")
    for stored in (foreign, foreign[:-1], kv.codec.encode("another", 5), b"5"):
        await kv.store.set("k", stored, None)
        for call in (
            kv.get("k"),
            kv.get_many(["k"]),
            kv.get_or_set("k", lambda: 1),
            kv.incr("k"),
            kv.cas("k", 5, 6),
            anext(kv.items()),
        ):
            with pytest.raises(KvUnreadable, match="kv store s: "):
                await call
        assert await kv.store.get("k") == stored
    await kv.set("k", 1)
    assert await kv.get("k") == 1


async def test_nothing_of_a_value_is_in_the_store(make: Make, keypair: Path) -> None:
    kv = await make("memory", keypair_path=str(keypair), compress_over="1B")
    for value in ("a secret text " * 10, 123_456_789):
        await kv.set("k", value)
        stored = await kv.store.get("k")
        assert stored is not None
        assert b"secret" not in stored
        assert b"123456789" not in stored
        assert await kv.get("k") == value


async def test_the_key_file_is_looked_at_before_the_first_event(make: Make, keypair: Path) -> None:
    os.chmod(keypair, 0o644)
    with pytest.raises(ConfigError, match="can be read or changed by others"):
        await make("memory", keypair_path=str(keypair))
