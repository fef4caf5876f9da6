"""A call on its way, and what the core tells of it."""

from collections import deque
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from rtbridge.transport.builtin.heads import Head

#: What stands for the status OK where the bytes of trailers would be: they depend on when they are sent.
OK: Final = b""

#: What stands for no trailers at all there, of a stream that is no call of gRPC.
BARE: Final = b"bare"


class Stream(msgspec.Struct, eq=False):
    """One call. The core owns what is not said to be the front's.

    Attributes:
        id: Its number on the connection.
        head: What its headers say.
        timeout: Seconds that its caller waits; None for as long as it takes.
        message: The request of a call that has one.
        body: What came of messages that are not complete.
        awaited: Bytes that ``content-length`` still promises; -1 where it is not there.
        ended: Whether the caller has sent everything.
        told: Whether the call was handed on with its request.
        held: Bytes of it that are kept and not used yet.
        credit: Bytes that the caller may send.
        owed: Bytes that it may send besides, and was not told so yet.
        lent: Bytes that it may send beyond its window, for one large message.
        window: Bytes that we may send.
        outbox: What could not be sent yet.
        trailers: What ends the stream once that is sent; None as long as more may come.
        started: Whether its reply has begun.
        since: When its outbox last moved; before that, when its request was seen to be late.
        task: Who answers it: the front's.
        take_back: What tells who answers it without a task that nobody waits any more: the front's.
        inbox: Where later messages go: the front's.
        waiter: What its sender waits for: the front's.

    """

    id: int
    head: Head
    timeout: float | None
    credit: int
    window: int
    message: bytes = b""
    body: bytearray | None = None
    awaited: int = -1
    ended: bool = False
    told: bool = False
    held: int = 0
    owed: int = 0
    lent: int = 0
    outbox: deque[memoryview] | None = None
    trailers: bytes | None = None
    started: bool = False
    since: float = 0.0
    task: Any = None
    take_back: Any = None
    inbox: Any = None
    waiter: Any = None

    def __repr__(self) -> str:
        return f"Stream({self.id})"  # the rest may be long, and a secret


class Message(NamedTuple):
    """A message of a caller that sends several; :meth:`Connection.consumed` makes room for more.

    Attributes:
        stream: The call.
        data: The message, inflated.
        size: What it took of the window.

    """

    stream: Stream
    data: bytes
    size: int


class Ended(NamedTuple):
    """A caller that sends several messages has no more of them."""

    stream: Stream


class Cancelled(NamedTuple):
    """A call is over before its answer was: its caller gave it up, or sent what cannot be taken.

    Attributes:
        stream: The call.
        why: What was wrong with it; "" where its caller gave it up.

    """

    stream: Stream
    why: str


class Writable(NamedTuple):
    """Everything given to :meth:`Connection.send` for this stream is on its way."""

    stream: Stream


#: What :meth:`Connection.receive` tells. A stream itself says that its call is to be answered: its request is complete,
#: or, where its caller sends several messages, its headers are there.
Event: TypeAlias = Stream | Message | Ended | Cancelled | Writable
