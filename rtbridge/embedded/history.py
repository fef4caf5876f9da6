"""The stream of a channel: what was published, at which offset, in which epoch.

Source: centrifugal.dev, "History and recovery".
"""

import secrets
import string
from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, NamedTuple

from msgspec import Raw

from rtbridge.embedded._client_generated import ClientInfo, Publication
from rtbridge.embedded.wire import json_raw, json_string
from rtbridge.errors import ClientError

_LETTERS: Final = string.ascii_letters


class Position(NamedTuple):
    """A place in a stream."""

    offset: int = 0
    epoch: str = ""


NOWHERE: Final = Position()


class Pub:
    """One publication, with the forms in which wires want its data.

    Args:
        data: The payload as it was published.
        info: The client that published it; None for the server.
        tags: For tag filters.

    """

    __slots__ = ("_json", "data", "epoch", "info", "offset", "tags")

    def __init__(self, data: bytes, info: ClientInfo | None = None, tags: Mapping[str, str] | None = None) -> None:
        self.data = data
        self.info = info
        self.tags = dict(tags) if tags else {}
        self.offset = 0
        self.epoch = ""  # the first publication of a stream names it
        self._json: Raw | bool | None = False

    @property
    def json(self) -> Raw | None:
        """The data as it stands in a JSON message; None where it is no JSON."""
        if self._json is False:
            self._json = json_raw(self.data)
        assert self._json is not True
        return self._json or None

    def message(self, data: Raw, *, delta: bool = False, epoch: bool = True) -> Publication:
        """The publication as the protocol has it, with its data in one of its forms."""
        return Publication(
            data=data,
            info=self.info,
            offset=self.offset,
            tags=self.tags,
            delta=delta,
            epoch=self.epoch if epoch else "",
        )

    def text(self, patch: bytes | None) -> Publication | None:
        """For a delta subscriber in JSON: the patch, or all of it, as a JSON string; None where it is no text."""
        # A patch may cut a character in two; such a one cannot travel in JSON.
        part = None if patch is None else json_string(patch)
        whole = json_string(self.data) if part is None else part
        return None if whole is None else self.message(whole, delta=part is not None, epoch=False)


class Stream:
    """Offsets and the newest publications of one channel.

    Attributes:
        epoch: Names this stream; another one under the same channel has another.
        top: The newest offset.
        pubs: What is kept, oldest first, offsets without gaps.
        until: When the publications expire, on the monotonic clock.
        meta_until: When the stream itself does.
        due: When somebody looks whether one of both has come.

    """

    __slots__ = ("due", "epoch", "meta_until", "pubs", "top", "until", "version", "version_epoch")

    def __init__(self) -> None:
        self.epoch = "".join(secrets.choice(_LETTERS) for _ in range(8))
        self.top = 0
        self.pubs: deque[Pub] = deque()
        self.until = 0.0
        self.meta_until = 0.0
        self.due = 0.0
        self.version = 0
        self.version_epoch = ""

    @property
    def position(self) -> Position:
        """The newest place."""
        return Position(self.top, self.epoch)

    def outdated(self, version: int, version_epoch: str) -> bool:
        """Whether a publication with this version is not newer than the newest one."""
        same = not version_epoch or version_epoch == self.version_epoch
        return version > 0 and same and version <= self.version

    def add(self, pub: Pub, size: int, version: int, version_epoch: str) -> None:
        """Append, and drop what is over the size."""
        self.top += 1
        pub.offset = self.top
        if self.top == 1:
            pub.epoch = self.epoch
        self.pubs.append(pub)
        while len(self.pubs) > size:
            self.pubs.popleft()
        if version > 0:
            self.version, self.version_epoch = version, version_epoch

    def read(self, since: Position | None, limit: int, *, reverse: bool = False) -> list[Pub]:
        """Publications in order, or backwards.

        Args:
            since: Only those after it, or before it when backwards; None for all.
            limit: How many at most; below 0 for all.
            reverse: Newest first.

        Raises:
            ClientError: 107, backwards from offset 0; 112, the position is of another stream.

        """
        if reverse and since is not None and since.offset == 0:
            raise ClientError("BAD_REQUEST")
        if since is not None and since.epoch and since.epoch != self.epoch:
            raise ClientError("UNRECOVERABLE_POSITION")
        if not self.pubs or limit == 0:
            return []
        skip = 0
        first = self.pubs[0].offset
        if since is not None:
            start = since.offset - 1 if reverse else since.offset + 1
            if start > self.top or (reverse and start < first):
                return []
            skip = self.top - start if reverse else max(0, start - first)
        stop = None if limit < 0 else skip + limit
        return list(islice(reversed(self.pubs) if reverse else self.pubs, skip, stop))


class Recovered(NamedTuple):
    """The outcome of a recovery: whether nothing is missing, and what was missed."""

    complete: bool
    pubs: list[Pub]


Match = Callable[[Mapping[str, str]], bool]


def recover(stream: Stream, since: Position, limit: int, match: Match | None) -> Recovered:
    """Everything after a position, where all of it is still there; offsets that a filter hides count as received."""
    if since.epoch and since.epoch != stream.epoch:
        return Recovered(False, [])
    missed = stream.read(Position(since.offset), limit)
    if missed:
        complete = missed[0].offset == since.offset + 1 and missed[-1].offset == stream.top
    else:
        complete = since.offset == stream.top
    if not complete:
        return Recovered(False, [])
    return Recovered(True, missed if match is None else [pub for pub in missed if match(pub.tags)])


def recover_newest(stream: Stream, since: Position, limit: int, match: Match | None) -> Recovered:
    """The newest publication, for channels that are a cache of one value."""
    same = 0 < since.offset == stream.top and since.epoch == stream.epoch
    kept = stream.read(None, limit if match is not None else 1, reverse=True)
    wanted = next((pub for pub in kept if match is None or match(pub.tags)), None)
    if wanted is None:
        return Recovered(same, [])
    complete = kept[0].offset == stream.top
    return Recovered(complete, [wanted] if complete and not same else [])
