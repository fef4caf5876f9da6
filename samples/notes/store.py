"""What the notes are kept in: plain Python, no realtime. A real application has a database here.

Everything has a bound, because clients choose the names: what is over it is refused, or the oldest goes.
"""

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import msgspec

MAX_BOARDS: Final = 100
MAX_NOTES: Final = 200
MAX_FEEDS: Final = 100
MAX_UNREAD: Final = 32


class Full(Exception):
    """A bound was reached; the text says which."""


class Note(msgspec.Struct, frozen=True):
    """One note, as clients see it."""

    id: int
    author: str
    text: str


class Board:
    """The newest notes of one board, and how often it has changed."""

    def __init__(self) -> None:
        self.notes: deque[Note] = deque(maxlen=MAX_NOTES)
        self.version = 0


class Store:
    """All boards, and who follows them."""

    def __init__(self) -> None:
        self.boards: dict[str, Board] = {}
        self.occupied: set[str] = set()
        self._feeds: list[tuple[str, asyncio.Queue[Note]]] = []
        self._last_id = 0

    def clear(self) -> None:
        """Forget everything but the feeds, which end with their subscriptions."""
        self.boards.clear()
        self.occupied.clear()
        self._last_id = 0

    def notes(self, board: str) -> list[Note]:
        """The notes of a board, oldest first; none for a board that nobody has written on."""
        return list(self.boards[board].notes) if board in self.boards else []

    def add(self, board: str, author: str, text: str) -> Note:
        """The note, now on its board and on its way to all who follow it.

        Raises:
            Full: There are too many boards.

        """
        if board not in self.boards:
            if len(self.boards) >= MAX_BOARDS:
                raise Full(f"there are {MAX_BOARDS} boards already")
            self.boards[board] = Board()
        self._last_id += 1
        note = Note(self._last_id, author, text)
        self.boards[board].notes.append(note)
        self.boards[board].version += 1
        for followed, feed in self._feeds:
            if followed == board:
                if feed.full():  # who does not keep up loses the oldest, and nobody waits for them
                    feed.get_nowait()
                feed.put_nowait(note)
        return note

    def remove(self, board: str, note_id: int) -> bool:
        """Whether the note was there to be removed."""
        kept = self.boards.get(board, Board())
        for note in kept.notes:
            if note.id == note_id:
                kept.notes.remove(note)
                kept.version += 1
                return True
        return False

    @contextmanager
    def following(self, board: str) -> Iterator["asyncio.Queue[Note]"]:
        """A queue of the notes that are added from now on.

        Raises:
            Full: Too many follow already.

        """
        if len(self._feeds) >= MAX_FEEDS:
            raise Full(f"{MAX_FEEDS} feeds are open already")
        entry = (board, asyncio.Queue[Note](MAX_UNREAD))
        self._feeds.append(entry)
        try:
            yield entry[1]
        finally:
            self._feeds.remove(entry)

    @property
    def followers(self) -> int:
        """How many feeds are open."""
        return len(self._feeds)

    def changed(self, channel: str, *, occupied: bool) -> None:
        """Note that a channel got its first subscriber, or lost its last."""
        if not occupied:
            self.occupied.discard(channel)
        elif len(self.occupied) < MAX_BOARDS:
            self.occupied.add(channel)
