"""JSON of any size: encoded while it is sent, generators inside it pulled as their turn comes."""

import asyncio
import threading
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Callable,
    Generator,
    Iterable,
    Iterator,
    Mapping,
)
from concurrent.futures import CancelledError, Future
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec
from starlette.background import BackgroundTask

from rtbridge.plugins.http.streams import StreamResponse
from rtbridge.plugins.http.threads import Stopped, pulled

#: Containers in one another.
DEPTH: Final = 64
#: Bytes that are gathered before they are handed on; less where a generator has to be asked first.
_PIECE: Final = 8192
#: Values that are encoded in one go.
_SMALL: Final = 256

_SCALARS: Final = (str, int, float, bool, type(None))

#: Asks whoever drives to hand on what there is, and to be in a thread: what comes next may block.
_BLOCK: Final = object()
_END: Final = object()


class JSONObject:
    """A JSON object from a generator of keys and values, in place of a list.

    Args:
        pairs: Yields ``(key, value)``, sync or async. A key that comes twice is written twice.

    """

    def __init__(self, pairs: Iterable[tuple[Any, Any]] | AsyncIterable[tuple[Any, Any]]) -> None:
        self.pairs = pairs


class JSONStreamResponse(StreamResponse):
    """Sends a value as JSON while it is encoded, in constant memory.

    The value may hold dicts, lists, tuples, sync and async generators (as lists; :class:`JSONObject` for objects) and
    whatever msgspec encodes, in one another, up to 64 deep. What the reader gets is valid JSON or a connection that was
    cut. Sync generators and iterables that msgspec does not know run in one thread, where they are closed, too; async
    ones on the event loop. An exception before the first item of the first generator is answered with 500.

    Args:
        content: The value.
        status_code: The status.
        headers: Headers.
        default: Makes something that can be encoded of what cannot, as ``enc_hook`` of msgspec does.
        background: Runs after the answer.

    """

    media_type = "application/json"

    def __init__(
        self,
        content: Any,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        *,
        default: Callable[[Any], Any] | None = None,
        background: BackgroundTask | None = None,
    ) -> None:
        super().__init__(content, status_code, headers, background=background)
        self._encoder = msgspec.json.Encoder(enc_hook=default)

    def parts(self) -> AsyncIterator[bytes]:
        """What is sent."""
        return _parts(self.content, self._encoder.encode)


Encode: TypeAlias = Callable[[Any], bytes]
Iteration: TypeAlias = Iterator[Any] | AsyncIterator[Any]
Steps: TypeAlias = Generator[Any, Any, Any]


class _Pull(NamedTuple):
    """Asks whoever drives for the next item of an async iterator, or :data:`_END`."""

    source: AsyncIterator[Any]


def _walk(value: Any, encode: Encode, depth: int = 0) -> Steps:
    """Yields bytes, :class:`_Pull` and :data:`_BLOCK`."""
    if _is_small(value, [_SMALL]):
        yield encode(value)
        return
    if depth >= DEPTH:
        raise ValueError(f"JSON more than {DEPTH} deep")
    if isinstance(value, dict):
        yield from _object(iter(value.items()), encode, depth, blocks=False)
    elif isinstance(value, JSONObject):
        yield from _object(_iterator(value.pairs), encode, depth, blocks=True)
    elif isinstance(value, list | tuple):
        yield from _list(iter(value), encode, depth, blocks=False)
    elif isinstance(value, Iterator | AsyncIterable):
        yield from _list(_iterator(value), encode, depth, blocks=True)
    else:
        try:
            whole = encode(value)
        except TypeError:
            if not isinstance(value, Iterable):
                raise
        else:
            yield whole
            return
        yield from _list(iter(value), encode, depth, blocks=True)


def _list(items: Iteration, encode: Encode, depth: int, *, blocks: bool) -> Steps:
    yield b"["
    first = True
    try:
        while (item := (yield from _next(items, blocks))) is not _END:
            if not first:
                yield b","
            first = False
            yield from _walk(item, encode, depth + 1)
    finally:
        _close(items)
    yield b"]"


def _object(pairs: Iteration, encode: Encode, depth: int, *, blocks: bool) -> Steps:
    yield b"{"
    first = True
    try:
        while (pair := (yield from _next(pairs, blocks))) is not _END:
            key, item = pair
            # What may be a key, and how it is written, is msgspec's knowledge.
            written = encode(key) if type(key) is str else encode({key: None})[1 : -len(":null}")]
            yield (b"" if first else b",") + written + b":"
            first = False
            yield from _walk(item, encode, depth + 1)
    finally:
        _close(pairs)
    yield b"}"


def _next(items: Iteration, blocks: bool) -> Steps:
    if isinstance(items, AsyncIterator):
        return (yield _Pull(items))
    if blocks:
        yield _BLOCK
    return next(items, _END)


def _iterator(items: Any) -> Iteration:
    return aiter(items) if isinstance(items, AsyncIterable) else iter(items)


def _close(items: Iteration) -> None:
    """Close a sync generator, in the thread that pulled it; async ones are closed by whoever drives."""
    if isinstance(items, Generator):
        items.close()


def _is_small(value: Any, left: list[int]) -> bool:
    """Whether a value has no generators, and so few values in it that it may be encoded in one go."""
    left[0] -= 1
    if left[0] < 0:
        return False
    if isinstance(value, _SCALARS):
        return True
    if isinstance(value, dict):
        return len(value) <= left[0] and all(_is_small(each, left) for each in value.values())
    if isinstance(value, list | tuple):
        return len(value) <= left[0] and all(_is_small(each, left) for each in value)
    return isinstance(value, msgspec.Struct)


async def _parts(value: Any, encode: Encode) -> AsyncGenerator[bytes]:
    """Drives the walk: on the event loop until something may block, in a thread from there on."""
    steps = _walk(value, encode)
    opened: list[AsyncIterator[Any]] = []
    out = bytearray()
    answer: Any = None
    asked = False
    bridge = _Bridge(opened)
    try:
        while True:
            try:
                step = steps.send(answer)
            except StopIteration:
                break
            answer = None
            if isinstance(step, bytes):
                out += step
                if len(out) >= _PIECE:
                    yield bytes(out)
                    out.clear()
                continue
            # What stands before the first item waits for it, so that an exception there can be answered.
            if asked and out:
                yield bytes(out)
                out.clear()
            asked = True
            if isinstance(step, _Pull):
                answer = await _item(step.source, opened)
            else:
                async for part in pulled(_pulled(steps, bytes(out), bridge), bytes, interrupt=bridge.stop):
                    yield part
                return
        yield bytes(out)
    finally:
        steps.close()
        async with bridge.busy:
            for source in reversed(opened):
                if isinstance(source, AsyncGenerator):
                    await source.aclose()


def _pulled(steps: Steps, begun: bytes, bridge: "_Bridge") -> Generator[bytes]:
    """Drives the rest of the walk in a thread."""
    out = bytearray(begun)
    answer: Any = None
    try:
        while True:
            try:
                step = steps.send(answer)
            except StopIteration:
                break
            answer = None
            if isinstance(step, bytes):
                out += step
                if len(out) < _PIECE:
                    continue
            if out:
                yield bytes(out)
                out.clear()
            if isinstance(step, _Pull):
                answer = bridge.next(step.source)
        yield bytes(out)
    finally:
        steps.close()


class _Bridge:
    """Gets items of async iterators for a thread, until it is stopped."""

    def __init__(self, opened: list[AsyncIterator[Any]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._opened = opened
        self._lock = threading.Lock()
        self._stopped = False
        self._asked: Future[Any] | None = None
        #: Held while an item is on its way.
        self.busy = asyncio.Lock()

    def next(self, source: AsyncIterator[Any]) -> Any:
        """The next item, or the mark of the end."""
        with self._lock:
            if self._stopped:
                raise Stopped
            self._asked = asyncio.run_coroutine_threadsafe(self._item(source), self._loop)
        try:
            return self._asked.result()
        except CancelledError:
            if self._stopped:
                raise Stopped from None
            raise

    def stop(self) -> None:
        """Give no more items, and do not wait for the one that was asked for."""
        with self._lock:
            self._stopped = True
            if self._asked is not None:
                self._asked.cancel()

    async def _item(self, source: AsyncIterator[Any]) -> Any:
        async with self.busy:
            return await _item(source, self._opened)


async def _item(source: AsyncIterator[Any], opened: list[AsyncIterator[Any]]) -> Any:
    """The next item, or the mark of the end; ``opened`` holds the iterators that are between the two."""
    if source not in opened:
        opened.append(source)
    item = await anext(source, _END)
    if item is _END:
        opened.remove(source)
    return item
