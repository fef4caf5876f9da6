"""Encryption of values: XChaCha20-Poly1305 (RFC 8439 with the nonce of draft-irtf-cfrg-xchacha), by libsodium.

The key file is a raw libsodium box keypair: 32 bytes of the secret half, 32 of the public one. What encrypts is

    BLAKE2b-256(key = secret half, data = CONTEXT)

so the file's own curve is not used with two algorithms. A key's id is BLAKE2b-64 of its public half. What is stored:

.. code-block:: text

    C1 65 | format, 1 byte | key id, 8 bytes | nonce, 24 bytes | ciphertext and tag

and what is bound to it, so that values cannot be moved from key to key or from store to store:

.. code-block:: text

    format, 1 byte | key id, 8 bytes | length of the store's name, 2 bytes | the store's name | the key
"""

import hashlib
import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rtbridge.errors import ConfigError, KvUnreadable
from rtbridge.stores.base import need

#: What the key of the cipher is derived for. Another format would have another context.
CONTEXT: Final = b"rtbridge kv XChaCha20-Poly1305 v1"
KEYPAIR_BYTES: Final = 64
_KEY_PATH: Final = "rtbridge.kv.keypair_path"
_MARK: Final = b"\xc1e"
_FORMAT: Final = b"\x01"
_ID_BYTES: Final = 8
_NONCE_BYTES: Final = 24
_HEAD_BYTES: Final = len(_MARK) + len(_FORMAT) + _ID_BYTES + _NONCE_BYTES
_TAG_BYTES: Final = 16
#: Bits of a mode that make a secret file somebody else's: its group may read, for containers that mount it so.
_OPEN_TO_OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP


def sodium(what: str = _KEY_PATH) -> Any:
    """libsodium's functions.

    Raises:
        ConfigError: PyNaCl is not installed; the text has the line that installs it.

    """
    return need("nacl.bindings", what, "crypt")


class Keypair:
    """One key file, read.

    Attributes:
        id: Eight bytes that name it in what it encrypted.

    """

    __slots__ = ("_public", "_secret", "id", "key")

    def __init__(self, data: bytes) -> None:
        self._secret = data[:32]
        self._public = data[32:]
        #: Key of the cipher.
        self.key = hashlib.blake2b(CONTEXT, key=self._secret, digest_size=32).digest()
        self.id = hashlib.blake2b(self._public, digest_size=_ID_BYTES).digest()

    def __repr__(self) -> str:
        return f"Keypair({self.id.hex()})"

    def unseal(self, data: bytes) -> bytes | None:
        """What a sealed box for this keypair holds, or None."""
        bindings = sodium()
        try:
            opened: bytes = bindings.crypto_box_seal_open(data, self._public, self._secret)
        except Exception:  # PyNaCl has several for damaged input
            return None
        return opened


def read_keypair(path: Path, what: str = _KEY_PATH) -> Keypair:
    """The keypair in a file.

    Raises:
        ConfigError: There is none, others may read it, or it holds something else; the text says what to do.

    """
    bindings = sodium(what)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(KEYPAIR_BYTES + 1)
    except OSError as exc:
        hint = f"; make one with rtbridge kv keygen {path}" if isinstance(exc, FileNotFoundError) else ""
        raise ConfigError(f"{what}: {path}: {exc.strerror}{hint}") from exc
    if os.name == "posix" and mode & _OPEN_TO_OTHERS:
        raise ConfigError(
            f"{what}: {path} can be read or changed by others (mode {stat.S_IMODE(mode):04o}): chmod 600 {path}"
        )
    if len(data) != KEYPAIR_BYTES:
        found = f"{len(data)} bytes" if len(data) < KEYPAIR_BYTES else f"more than {KEYPAIR_BYTES} bytes"
        raise ConfigError(f"{what}: {path} holds {found}; a keypair file is {KEYPAIR_BYTES} raw bytes of libsodium")
    if bindings.crypto_scalarmult_base(data[:32]) != data[32:]:
        raise ConfigError(f"{what}: {path} is no keypair: its halves do not belong together")
    return Keypair(data)


def write_keypair(path: Path) -> Keypair:
    """Make a keypair and write it into a new file that only its owner may read.

    Raises:
        ConfigError: There is such a file, or it cannot be written; nothing is overwritten.

    """
    public, secret = sodium("rtbridge kv keygen").crypto_box_keypair()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as exc:
        raise ConfigError(f"{path} is there already; a key that is overwritten cannot be brought back") from exc
    except OSError as exc:
        raise ConfigError(f"{path} cannot be written: {exc.strerror}") from exc
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secret + public)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        path.unlink(missing_ok=True)
        raise ConfigError(f"{path} cannot be written: {exc.strerror}") from exc
    return Keypair(secret + public)


class Cipher:
    """Encrypts the values of one store with the newest key, and opens those of every key.

    Args:
        store: The store's name, which is bound to every value.
        paths: The key files, the newest first; read when they are needed.
        accept_sealed: Open sealed boxes, too. Whoever has a public half can make those.

    Raises:
        ConfigError: PyNaCl is not installed.

    """

    def __init__(self, store: str, paths: Sequence[Path], *, accept_sealed: bool = False) -> None:
        self._store = store
        self._paths = paths
        self._accept_sealed = accept_sealed
        self._sodium = sodium()
        self._keys: dict[bytes, Keypair] = {}
        self._newest: Keypair | None = None
        self._loading = threading.Lock()
        name = store.encode()
        self._name = len(name).to_bytes(2, "big") + name

    def load(self) -> Keypair:
        """Read the key files, the first time; the newest key.

        Raises:
            ConfigError: One of them cannot be used.

        """
        newest = self._newest
        if newest is None:
            with self._loading:
                pairs = [
                    read_keypair(path, _KEY_PATH if index == 0 else "rtbridge.kv.previous_keypair_paths")
                    for index, path in enumerate(self._paths)
                ]
                self._keys = {pair.id: pair for pair in reversed(pairs)}
                newest = self._newest = pairs[0]
        return newest

    def seal(self, key: str, data: bytes) -> bytes:
        """The encrypted form of bytes that go under a key."""
        pair = self.load()
        nonce = os.urandom(_NONCE_BYTES)
        sealed: bytes = self._sodium.crypto_aead_xchacha20poly1305_ietf_encrypt(
            data, self._bound(pair, key), nonce, pair.key
        )
        return b"".join((_MARK, _FORMAT, pair.id, nonce, sealed))

    def open(self, key: str, data: bytes) -> bytes:
        """What was encrypted under this key of this store.

        Raises:
            KvUnreadable: It is not encrypted, by a key that is not configured, damaged, or moved here from elsewhere.

        """
        opened, why = self._opened(key, data)
        if opened is None and self._accept_sealed:
            opened = self._unsealed(data)
            why = "a value is neither encrypted nor a sealed box for one of the configured keys, or it is damaged"
        if opened is None:
            raise KvUnreadable(f"kv store {self._store}: {why}")
        return opened

    def is_newest(self, data: bytes) -> bool:
        """Whether bytes are what the newest key encrypts to, by their head alone."""
        return data.startswith(_MARK + _FORMAT + self.load().id)

    def _opened(self, key: str, data: bytes) -> tuple[bytes | None, str]:
        if not data.startswith(_MARK):
            return None, (
                "a value is not encrypted, and the store is; one written before it was, or by another program, is "
                "not taken"
            )
        if len(data) < _HEAD_BYTES + _TAG_BYTES:
            return None, "an encrypted value is truncated"
        start = len(_MARK) + len(_FORMAT)
        if data[len(_MARK) : start] != _FORMAT:
            return None, "a value is encrypted in a format that this version does not know"
        self.load()
        name = data[start : start + _ID_BYTES]
        pair = self._keys.get(name)
        if pair is None:
            return None, (
                f"a value was encrypted with key {name.hex()}, which is not configured; add its file to "
                "rtbridge.kv.previous_keypair_paths"
            )
        nonce = data[start + _ID_BYTES : _HEAD_BYTES]
        try:
            opened: bytes = self._sodium.crypto_aead_xchacha20poly1305_ietf_decrypt(
                data[_HEAD_BYTES:], self._bound(pair, key), nonce, pair.key
            )
        except Exception:  # PyNaCl's CryptoError; its text says less
            return None, "an encrypted value is damaged, or was moved here from another key or store"
        return opened, ""

    def _unsealed(self, data: bytes) -> bytes | None:
        self.load()
        for pair in self._keys.values():
            if (opened := pair.unseal(data)) is not None:
                return opened
        return None

    def _bound(self, pair: Keypair, key: str) -> bytes:
        return b"".join((_FORMAT, pair.id, self._name, key.encode()))
