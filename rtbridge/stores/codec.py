"""Values and the bytes that are stored for them.

.. code-block:: text

    -?[0-9]+            an integer of 64 bits, whatever the serializer, so that drivers can count on from it
    C1 'z' ...          zstd of what the serializer made
    C1 'r' ...          what the serializer made, where that could be taken for one of the others
    C1 'e' ...          any of these, encrypted (see crypt)
    anything else       what the serializer made

``C1`` begins no value in MessagePack, and no text in UTF-8.
"""

import re
import threading
from typing import Any, Final

from rtbridge.errors import KvLimit, KvUnreadable
from rtbridge.stores.base import MAX_COUNTER, MIN_COUNTER, need
from rtbridge.stores.crypt import Cipher
from rtbridge.stores.packing import UnknownClass
from rtbridge.stores.serializers import Serializer

MARK: Final = 0xC1
_RAW: Final = b"\xc1r"
_ZSTD: Final = b"\xc1z"
_COUNTER: Final = re.compile(rb"-?[0-9]{1,19}")
_DIGITS: Final = frozenset(b"-0123456789")
#: zstd gains little above it and takes twice the time.
_LEVEL: Final = 3


class Zstd:
    """Compression with zstd, for any thread.

    Args:
        over: Bytes from which on values are compressed.
        size: Bytes that a value may have again at most.
        what: The configuration's key, for the error.

    Raises:
        ConfigError: zstandard is not installed.

    """

    def __init__(self, over: int, size: int, what: str) -> None:
        self.over = over
        self._size = size
        self._zstd = need("zstandard", what, "zstd")
        self._threads = threading.local()  # its objects serve one thread at a time

    def compress(self, data: bytes) -> bytes:
        """The compressed bytes."""
        compressor = getattr(self._threads, "compressor", None)
        if compressor is None:
            compressor = self._threads.compressor = self._zstd.ZstdCompressor(level=_LEVEL)
        made: bytes = compressor.compress(data)
        return made

    def restore(self, data: bytes) -> bytes:
        """What was compressed.

        Raises:
            ValueError: It is not zstd, or would be larger than any value.

        """
        decompressor = getattr(self._threads, "decompressor", None)
        if decompressor is None:
            decompressor = self._threads.decompressor = self._zstd.ZstdDecompressor()
        try:
            size = self._zstd.frame_content_size(data)
            if not 0 <= size <= self._size:
                raise ValueError("its size is missing or beyond rtbridge.kv.value_size")
            made: bytes = decompressor.decompress(data)
        except self._zstd.ZstdError as exc:
            raise ValueError("it is damaged") from exc
        return made


class Codec:
    """The way from values to bytes and back, for one store.

    Args:
        store: The store's name.
        serializer: Makes bytes of values.
        value_size: Bytes that a serialized value may have.
        zstd: Compresses; None where nothing is.
        cipher: Encrypts; None where nothing is.

    Attributes:
        opaque: Whether drivers cannot read what is stored, so that they cannot count either.

    """

    def __init__(
        self,
        store: str,
        serializer: Serializer,
        *,
        value_size: int,
        zstd: Zstd | None = None,
        cipher: Cipher | None = None,
    ) -> None:
        self._store = store
        self._dumps = serializer.dumps
        self._loads = serializer.loads
        self._value_size = value_size
        self._zstd = zstd
        self.cipher = cipher
        self.opaque = cipher is not None

    def prepare(self) -> None:
        """Read what the first value would need.

        Raises:
            ConfigError: A key file cannot be used.

        """
        if self.cipher is not None:
            self.cipher.load()

    def encode(self, key: str, value: Any) -> bytes:
        """The bytes of a value that goes under a key.

        Raises:
            KvLimit: They are too many.
            TypeError: The serializer has no form for the value.

        """
        if type(value) is int and MIN_COUNTER <= value <= MAX_COUNTER:
            data = b"%d" % value
        else:
            data = self._dumps(value)
            if len(data) > self._value_size:
                raise KvLimit(
                    f"kv store {self._store}: a value of {len(data):,} bytes; rtbridge.kv.value_size allows "
                    f"{self._value_size:,}"
                )
            data = self._packed(data)
        return data if self.cipher is None else self.cipher.seal(key, data)

    def _packed(self, data: bytes) -> bytes:
        zstd = self._zstd
        if zstd is not None and len(data) >= zstd.over:
            small = zstd.compress(data)
            if len(small) < len(data):
                return _ZSTD + small
        if data and (data[0] == MARK or (data[0] in _DIGITS and _COUNTER.fullmatch(data))):
            return _RAW + data
        return data

    def decode(self, key: str, data: bytes) -> Any:
        """The value of the bytes under a key.

        Raises:
            KvUnreadable: They are damaged, of another key, or of another serializer.

        """
        cipher = self.cipher
        return self._read(data if cipher is None else cipher.open(key, data))

    def is_plain(self, data: bytes) -> bool:
        """Whether bytes are what this store would have written without encryption."""
        try:
            self._read(data)
        except KvUnreadable:
            return False
        return True

    def _read(self, data: bytes) -> Any:
        if data:
            first = data[0]
            if first == MARK:
                data = self._unmarked(data)
            elif first in _DIGITS and _COUNTER.fullmatch(data):
                return int(data)
        try:
            return self._loads(data)
        except Exception as exc:
            # The texts of parsers and constructors may hold parts of the value, so none of theirs is repeated.
            why = str(exc) if isinstance(exc, UnknownClass) else type(exc).__name__
            raise KvUnreadable(f"kv store {self._store}: a value is not what its serializer wrote: {why}") from None

    def _unmarked(self, data: bytes) -> bytes:
        kind = data[:2]
        if kind == _RAW:
            return data[2:]
        if kind == _ZSTD:
            if self._zstd is None:
                raise KvUnreadable(
                    f"kv store {self._store}: a value is compressed; set rtbridge.kv.compress_over, which needs "
                    "pip install 'rtbridge[zstd]'"
                )
            try:
                return self._zstd.restore(data[2:])
            except ValueError as exc:
                raise KvUnreadable(f"kv store {self._store}: a compressed value: {exc}") from None
        if kind == b"\xc1e":
            raise KvUnreadable(
                f"kv store {self._store}: a value is encrypted, and the store is not; set rtbridge.kv.keypair_path"
            )
        raise KvUnreadable(f"kv store {self._store}: a value has a form that this version does not know")
