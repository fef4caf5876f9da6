"""Rewriting what a store holds with the newest key, while others use the store."""

from collections.abc import Callable
from typing import Final

import msgspec

from rtbridge.errors import ConfigError, KvUnreadable
from rtbridge.stores.base import MAX_BATCH
from rtbridge.stores.crypt import Cipher
from rtbridge.stores.front import Kv

#: Attempts at an entry that others write meanwhile; a process with the newest key ends the matter with its first write.
_ATTEMPTS: Final = 5


class Rotated(msgspec.Struct):
    """What was found and done, in entries.

    Attributes:
        rewritten: Encrypted with the newest key now.
        current: Were so before.
        changed: Ended, or were written by others, while this went on.
        unreadable: Neither; they stay as they are.

    """

    rewritten: int = 0
    current: int = 0
    changed: int = 0
    unreadable: int = 0


async def count(kv: Kv) -> int:
    """How many entries a store has, about.

    Raises:
        KvUnsupported: Its driver cannot iterate.

    """
    found = 0
    async for _ in kv.scan():
        found += 1
    return found


def cipher_of(kv: Kv) -> Cipher:
    """What encrypts the values of a store, its key files read.

    Raises:
        ConfigError: Nothing does, or a key file cannot be used.

    """
    cipher = kv.codec.cipher
    if cipher is None:
        raise ConfigError(f"kv store {kv.name} is not encrypted: set rtbridge.kv.keypair_path")
    cipher.load()
    return cipher


async def rotate(kv: Kv, step: Callable[[int], None], *, plain: bool = False) -> Rotated:
    """Encrypt every value with the newest key; TTLs stay as they are.

    Args:
        kv: The store.
        step: Called with how many entries were looked at since it was called before.
        plain: Encrypt values that are not encrypted, too; only those that the store's serializer reads.

    Raises:
        ConfigError: The store is not encrypted.
        KvError: The store cannot be used; what was rewritten so far stays so.

    """
    cipher = cipher_of(kv)
    done = Rotated()
    cursor = ""
    while True:
        keys, cursor = await kv.store.scan("", cursor, MAX_BATCH)
        values = await kv.store.get_many(keys) if keys else {}
        done.changed += len(keys) - len(values)
        for key, data in values.items():
            await _one(kv, cipher, key, data, done, plain=plain)
        step(len(keys))
        if not cursor:
            return done


async def _one(kv: Kv, cipher: Cipher, key: str, found: bytes, done: Rotated, *, plain: bool) -> None:
    data: bytes | None = found
    for _ in range(_ATTEMPTS):
        if data is None:
            break
        if cipher.is_newest(data):
            done.current += 1
            return
        opened = _opened(kv, cipher, key, data, plain=plain)
        if opened is None:
            done.unreadable += 1
            return
        if await kv.store.cas(key, data, cipher.seal(key, opened), None, keep_ttl=True):
            done.rewritten += 1
            return
        data = await kv.store.get(key)
    done.changed += 1


def _opened(kv: Kv, cipher: Cipher, key: str, data: bytes, *, plain: bool) -> bytes | None:
    try:
        return cipher.open(key, data)
    except KvUnreadable:
        return data if plain and kv.codec.is_plain(data) else None
