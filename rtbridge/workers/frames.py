"""What parent and worker say to one another, and how it is written.

A batch is a length (4 bytes, big endian) and a msgpack list of frames; a frame is a list that starts with its number.
Both ends are rtbridge of one version, started from one file, so there is no negotiation; whatever does not fit is a
:class:`FrameError`, and the end that sees one closes the link.

.. code-block:: text

    parent → worker   Start, Serving, Ask, Refuse, Cancel, Incoming, Credit, Ping, EndStreams, Drain,
                      ApiReply, StoreReply
    worker → parent   Ready, Failed, Answer, Ended, Item, StreamEnd, Credit, Pong, Load, Retire, ApiCall, StoreCall

Times are absolute, in seconds of the system's monotonic clock, which all processes of a machine share.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

import msgspec

from rtbridge.app import Listing
from rtbridge.codec import JSON, PROTO
from rtbridge.errors import RtbridgeError
from rtbridge.events import Headers
from rtbridge.handler import Wire

#: Bytes of a batch at most. A request is far smaller (``rtbridge.limits.message_size``); an answer may be anything.
MAX_BATCH: Final = 256 * 1024**2

#: Bytes of one payload at most, so that a batch with it stays below its own bound.
MAX_PAYLOAD: Final = 64 * 1024**2

#: Messages of a stream that may be under way before the other end has to say that it took some.
WINDOW: Final = 64

F = TypeVar("F")

_LENGTH: Final = struct.Struct(">I")


class FrameError(RtbridgeError):
    """The other end sent what is no batch of frames."""


#: What workers do: answer events that the parent hands to them, or HTTP requests of connections that they take.
Mode: TypeAlias = Literal["centrifuge", "http"]


class Start(msgspec.Struct, array_like=True, frozen=True, tag=1):
    """What a worker is to be.

    Attributes:
        number: Which of the workers it is, from 1 on.
        config: The configuration, pickled.
        path: ``sys.path``.
        lazy: Whether plugins boot with the first event or request.
        mode: What it does.
        listeners: The numbers of the sockets that it takes connections from, by what is spoken there.

    """

    number: int
    config: bytes
    path: list[str]
    lazy: bool
    mode: Mode = "centrifuge"
    listeners: dict[str, int] = {}


class Serving(msgspec.Struct, array_like=True, frozen=True, tag=2):
    """Everything listens: ``on_ready`` may run."""


#: Kind of event and wire: how a body is written, and its answer is to be. Calls name both by their place in here.
ROUTES: Final[tuple[tuple[str, Wire], ...]] = (
    *((kind, "proto") for kind in PROTO),
    *((kind, "json") for kind in JSON),
)

ROUTE: Final[Mapping[tuple[str, Wire], int]] = {route: number for number, route in enumerate(ROUTES)}


class Ask(msgspec.Struct, array_like=True, frozen=True, tag=3):
    """A call to answer.

    Attributes:
        id: Names it in every later frame.
        route: Its place in :data:`ROUTES`.
        via: The transport that brought it.
        deadline: When the caller stops waiting; None when it waits on.
        headers: Name and value of each header, still packed: most hooks read none.
        body: The request.
        incoming: Whether the caller may send more.

    """

    id: int
    route: int
    via: str
    deadline: float | None
    headers: msgspec.Raw
    body: bytes
    incoming: bool = False


class AskOut(msgspec.Struct, array_like=True, frozen=True, tag=3):
    """:class:`Ask` as its sender has it: headers are packed with the rest."""

    id: int
    route: int
    via: str
    deadline: float | None
    headers: Sequence[tuple[str | bytes, str | bytes]]
    body: bytes
    incoming: bool = False


class Refuse(msgspec.Struct, array_like=True, frozen=True, tag=4):
    """A call that no event can be made of; see :class:`rtbridge.handler.Refused`."""

    id: int
    kind: str
    wire: Wire | Literal[""]
    via: str
    deadline: float | None
    headers: msgspec.Raw
    name: str
    raw: bytes
    why: str


class Cancel(msgspec.Struct, array_like=True, frozen=True, tag=5):
    """Nobody waits for this call any more."""

    id: int


class Incoming(msgspec.Struct, array_like=True, frozen=True, tag=6):
    """A later message of the caller of a stream; None ends them."""

    id: int
    body: bytes | None


class Credit(msgspec.Struct, array_like=True, frozen=True, tag=7):
    """So many messages of a stream were taken, so as many more may come."""

    id: int
    count: int


class Ping(msgspec.Struct, array_like=True, frozen=True, tag=8):
    """Is your loop running?"""


class ApiReply(msgspec.Struct, array_like=True, frozen=True, tag=9):
    """The result of a call of the server API, in JSON; or a code and a message."""

    id: int
    result: bytes
    code: int = 0
    message: str = ""


class EndStreams(msgspec.Struct, array_like=True, frozen=True, tag=10):
    """End every stream, so that clients subscribe again somewhere else.

    One that takes connections takes no more of them, ends its requests, and says with :class:`Load` when it has.
    """


class Drain(msgspec.Struct, array_like=True, frozen=True, tag=11):
    """No more calls will come: end what is under way, shut plugins down, exit."""


class StoreReply(msgspec.Struct, array_like=True, frozen=True, tag=12):
    """What came of an operation on a store; see :class:`rtbridge.stores.remote.Performed`."""

    id: int
    result: bytes
    error: str = ""
    message: str = ""


class Ready(msgspec.Struct, array_like=True, frozen=True, tag=21):
    """The worker takes calls."""

    listing: Listing
    warnings: list[str]


class Failed(msgspec.Struct, array_like=True, frozen=True, tag=22):
    """The worker cannot be what it was told to be; it exits."""

    why: str


class Answer(msgspec.Struct, array_like=True, frozen=True, tag=23):
    """The reply to a call.

    Attributes:
        id: Of the call.
        payload: The answer's bytes.
        failure: In place of an answer, as :data:`rtbridge.events.Failure` has it; ``lost`` where the worker could not
            even say that.
        why: The reason for people.
        stream: Whether messages follow.

    """

    id: int
    payload: bytes
    failure: str = ""
    why: str = ""
    stream: bool = False


class Ended(msgspec.Struct, array_like=True, frozen=True, tag=24):
    """Nothing of a cancelled call runs any more."""

    id: int


class Item(msgspec.Struct, array_like=True, frozen=True, tag=25):
    """A later message of a stream."""

    id: int
    body: bytes


class StreamEnd(msgspec.Struct, array_like=True, frozen=True, tag=26):
    """The end of a stream; ``error`` says why it failed, "" where it did not."""

    id: int
    error: str


class Pong(msgspec.Struct, array_like=True, frozen=True, tag=27):
    """It does."""


class ApiCall(msgspec.Struct, array_like=True, frozen=True, tag=28):
    """A hook calls the server API; the request is in JSON."""

    id: int
    method: str
    request: bytes


class StoreCall(msgspec.Struct, array_like=True, frozen=True, tag=30):
    """An operation on a store of the parent's, its arguments packed."""

    id: int
    store: str
    operation: str
    arguments: bytes


class Load(msgspec.Struct, array_like=True, frozen=True, tag=31):
    """What a worker does that takes connections; sent when that has changed, every second at most.

    Attributes:
        jobs: Requests that it was given.
        held: Requests that it holds.
        over: Whether it was told to end them, and has.
        counted: What ``http_metrics`` has counted since the last time, as
            :data:`rtbridge.plugins.http.metrics.Row` has it.

    """

    jobs: int
    held: int
    over: bool = False
    counted: list[tuple[int, float, list[int]]] = []


class Retire(msgspec.Struct, array_like=True, frozen=True, tag=29):
    """The worker asks to be replaced."""

    why: str


ToWorker: TypeAlias = (
    Start | Serving | Ask | Refuse | Cancel | Incoming | Credit | Ping | ApiReply | StoreReply | EndStreams | Drain
)
ToParent: TypeAlias = (
    Ready | Failed | Answer | Ended | Item | StreamEnd | Credit | Pong | ApiCall | StoreCall | Load | Retire
)
Frame: TypeAlias = ToWorker | ToParent | AskOut

TO_WORKER: Final = msgspec.msgpack.Decoder(list[ToWorker])
TO_PARENT: Final = msgspec.msgpack.Decoder(list[ToParent])

_encode: Final = msgspec.msgpack.Encoder().encode

#: msgspec has no word for text or bytes; msgpack itself tells the two apart.
_PAIRS: Final = msgspec.msgpack.Decoder(list[tuple[Any, Any]])


def pack(frames: Sequence[Frame]) -> bytes:
    """A batch.

    Raises:
        FrameError: It would be longer than :data:`MAX_BATCH`.

    """
    body = _encode(frames)
    if len(body) > MAX_BATCH:
        raise FrameError(f"a batch of {len(body):,} bytes; at most {MAX_BATCH:,} travel at once")
    return _LENGTH.pack(len(body)) + body


def pack_headers(pairs: Iterable[tuple[str | bytes, str | bytes]]) -> msgspec.Raw:
    """Headers as a part of a frame."""
    return msgspec.Raw(_encode(list(pairs)))


def listed_headers(pairs: Iterable[tuple[str | bytes, str | bytes]]) -> Sequence[tuple[str | bytes, str | bytes]]:
    """Headers as a sequence; most are one already."""
    return pairs if isinstance(pairs, list | tuple) else list(pairs)


def clean(text: str) -> str:
    """Text that can be written as UTF-8; what a hook raised may hold anything."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


class PackedHeaders(Headers):
    """The headers of a frame, unpacked when somebody looks at them."""

    __slots__ = ("_raw",)

    def __init__(self, raw: msgspec.Raw) -> None:
        self._raw = raw
        self._index = None

    def _listed(self) -> Iterable[tuple[str | bytes, str | bytes]]:
        return _PAIRS.decode(self._raw)


class Unpacker(Generic[F]):
    """Finds batches in a stream of bytes.

    Args:
        decoder: Reads the list in a batch: :data:`TO_WORKER` or :data:`TO_PARENT`.
        limit: Bytes of a batch at most.

    """

    def __init__(self, decoder: "msgspec.msgpack.Decoder[list[F]]", limit: int = MAX_BATCH) -> None:
        self._decode = decoder.decode
        self._limit = limit
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[F]:
        """The frames that are complete with these bytes.

        Raises:
            FrameError: The bytes are no batch.

        """
        buffer = self._buffer
        if not buffer and len(data) >= _LENGTH.size:
            # Nearly always a read holds exactly one batch, which then needs no copy.
            length = int.from_bytes(data[:4], "big")
            if len(data) == length + _LENGTH.size:
                return self._read(memoryview(data)[_LENGTH.size :])
        buffer += data
        found: list[F] = []
        start = 0
        while len(buffer) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, start)
            if length > self._limit:
                raise FrameError(f"a batch says that it has {length:,} bytes; at most {self._limit:,} travel at once")
            end = start + _LENGTH.size + length
            if len(buffer) < end:
                break
            found += self._read(bytes(buffer[start + _LENGTH.size : end]))
            start = end
        if start:
            del buffer[:start]
        return found

    def _read(self, body: bytes | memoryview) -> list[F]:
        try:
            return self._decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
            raise FrameError(f"not a list of frames: {exc}") from exc
