"""What the chat remembers, and the shapes of what travels; plain Python, nothing of rtbridge."""

import re
import secrets
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

MAX_ROOMS = 50
MAX_ENDED = 10_000
FORGOTTEN_AFTER = 90.0  # seconds without a word from a session's page

_NAME = re.compile(r"\w(?:[\w .'-]{0,22}[\w.])?")  # letters and digits of every script
_UNSEEN = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")  # controls, changes of direction
_BLANK_LINES = re.compile(r"\n{3,}")


class SignIn(msgspec.Struct):
    """What the page sends with connect. It makes the session's id itself, and keeps it as long as its tab lives."""

    name: str
    session: Annotated[str, Meta(min_length=16, max_length=64)]


class Person(msgspec.Struct):
    """The connection's meta, which comes back with every later event."""

    name: str
    session: str


class Room(msgspec.Struct):
    """A place to talk in, on the channel `chat:ID`."""

    id: str
    title: str


class NewRoom(msgspec.Struct):
    """What the page sends to open a room."""

    title: Annotated[str, Meta(max_length=40)]


class RoomId(msgspec.Struct):
    """Names a room."""

    id: str


class Say(msgspec.Struct, tag="say", tag_field="kind"):
    """A message as the page sends it; sent again under the same id it is published once."""

    id: Annotated[str, Meta(pattern=r"^[\w-]{8,36}\Z")]
    text: Annotated[str, Meta(max_length=4000)]


class Typing(msgspec.Struct, tag="typing", tag_field="kind"):
    """The page's user is writing."""


class Message(msgspec.Struct, tag="say", tag_field="kind"):
    """A message as the others get it: who said it and when is the server's word."""

    id: str
    text: str
    user: str
    name: str
    at: datetime


class Writing(msgspec.Struct, tag="typing", tag_field="kind"):
    """Somebody is writing, as the others get it."""

    user: str
    name: str


def clean_name(name: str) -> str | None:
    """The name without spare spaces; None if it is none."""
    name = " ".join(name.split())
    return name if _NAME.fullmatch(name) else None


def clean_text(text: str) -> str:
    """The text without what cannot be seen; lines stay lines."""
    return _BLANK_LINES.sub("\n\n", _UNSEEN.sub("", text.expandtabs(4))).strip()


class Store:
    """Rooms and sessions of one process; both have a bound."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Begin afresh, with three rooms."""
        self.messages = 0
        self.rooms = {title.lower(): Room(title.lower(), title) for title in ("Lobby", "Random", "Help")}
        self._sessions: dict[str, tuple[str, float]] = {}  # id → user and when it was seen, oldest first
        self._ended: dict[str, None] = {}  # ids, oldest first

    def open_room(self, title: str) -> Room | None:
        """The room of that title, a new one if there is none yet; None without a title, or beyond the bound."""
        title = " ".join(_UNSEEN.sub("", title).split())
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        room = self.rooms.get(slug) or next((room for room in self.rooms.values() if room.title == title), None)
        if room is None and title and len(self.rooms) < MAX_ROOMS:
            room = Room(slug or secrets.token_hex(4), title)
            self.rooms[room.id] = room
        return room

    def seen(self, session: str, user: str, now: float) -> None:
        """Note that the session lives, and forget those whose pages are gone."""
        self._sessions.pop(session, None)
        self._sessions[session] = user, now
        for other, (_, at) in list(self._sessions.items()):
            if now - at <= FORGOTTEN_AFTER:
                break
            del self._sessions[other]

    def people(self) -> int:
        """How many users have a session."""
        return len({user for user, _ in self._sessions.values()})

    def end_others(self, session: str, user: str) -> int:
        """End the user's sessions but this one; how many there were."""
        others = [other for other, (owner, _) in self._sessions.items() if owner == user and other != session]
        for other in others:
            del self._sessions[other]
            self._ended[other] = None
        while len(self._ended) > MAX_ENDED:
            del self._ended[next(iter(self._ended))]
        return len(others)

    def has_ended(self, session: str) -> bool:
        """Whether somebody has ended the session."""
        return session in self._ended
