"""The hooks of the notes board, in the order in which a client meets them.

`.rr.yaml` names this module under `rtbridge.plugins`. Functions with `@hookimpl` see every event of their kind;
functions of `router` see those whose channel or method matches. Whatever none of them answers is denied.
"""

import csv
import io
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Annotated, Any, Literal

import msgspec
from starlette.requests import Request
from starlette.routing import Route

from rtbridge import (
    CacheEmptyEvent,
    CacheEmptyResult,
    CallNext,
    ChannelStateEvent,
    ChannelStateResult,
    ClientError,
    Config,
    ConnectEvent,
    ConnectResult,
    Disconnect,
    Event,
    InvalidEvent,
    MapPublishEvent,
    MapPublishResult,
    MapRemoveEvent,
    MapRemoveResult,
    Outcome,
    Publication,
    PublishEvent,
    PublishResult,
    RefreshEvent,
    RefreshResult,
    Router,
    RPCEvent,
    RPCResult,
    SharedPollRefreshEvent,
    SharedPollRefreshResult,
    SharedPollRefreshResultItem,
    SubRefreshEvent,
    SubRefreshResult,
    SubscribeBidirectionalEvent,
    SubscribeEvent,
    SubscribeOptions,
    SubscribeResult,
    SubscribeUnidirectionalEvent,
    hookimpl,
)
from rtbridge.http import handler
from samples.notes.store import Full, Store

log = logging.getLogger("notes")

#: Tokens and who they belong to; a real application asks its session store.
USERS = {"t-ann": ("ann", "moderator"), "t-bob": ("bob", "member")}

store = Store()
answered: Counter[str] = Counter()  # by kind of event: as many keys as there are kinds
exporting: set[str] = set()  # users whose export is under way


# --- Start -----------------------------------------------------------------------------------------------------------


@hookimpl
def on_boot(config: Config) -> None:
    """Before the first event: open what events need. A `def` runs on a thread, so it may block."""
    store.clear()
    answered.clear()
    exporting.clear()
    store.add("welcome", "notes", f"this board is kept by {config.centrifuge.name}")


@hookimpl
async def on_ready() -> None:
    """Everything listens; events may come from now on."""
    log.info("%d boards open", len(store.boards))


# --- Around every event ----------------------------------------------------------------------------------------------


@hookimpl
async def on_event(event: Event, call_next: CallNext) -> Any:
    """Middleware: sees every event before the hooks and its answer after them. What it returns is the answer."""
    answer = await call_next(event)  # a Disconnect or ClientError of a hook passes through here as an exception
    if answer is not None:
        answered[event.kind] += 1
    return answer


# --- Sessions --------------------------------------------------------------------------------------------------------


class Login(msgspec.Struct, rename="camel"):
    """What a client sends with connect: `{"authToken": "..."}`."""

    auth_token: str


class Session(msgspec.Struct):
    """Kept by Centrifugo as the connection's meta and given back with every later event."""

    role: Literal["moderator", "member"]


@hookimpl
async def on_connect(event: ConnectEvent) -> ConnectResult:
    """Who is it? Data that does not fit `Login` is answered with error 107 on its own."""
    known = USERS.get(event.parse(Login).auth_token)
    if known is None:
        raise Disconnect(4501, "unknown token")  # 4500-4999: the SDK does not try again
    user, role = known
    return ConnectResult(
        user=user,
        info={"name": user.title()},  # what others see in presence and on publications
        meta={"role": role},  # what only hooks see
        data={"boards": sorted(store.boards)},
        subs={f"inbox:{user}": SubscribeOptions(data={"unread": 0})},
        expire_at=timedelta(minutes=5),
    )


@hookimpl
async def on_refresh(event: RefreshEvent) -> RefreshResult:
    """Five minutes later: may the session go on?"""
    if all(event.user != user for user, _ in USERS.values()):
        return RefreshResult(expired=True)
    return RefreshResult(expire_at=timedelta(minutes=5))


# --- Boards: subscribe, publish, rpc ---------------------------------------------------------------------------------

router = Router()


class Joining(msgspec.Struct):
    """What a client may send with subscribe."""

    colour: Literal["red", "green", "blue"] = "blue"


class Draft(msgspec.Struct):
    """What a client publishes on a board."""

    text: Annotated[str, msgspec.Meta(max_length=500)]


class BoardName(msgspec.Struct):
    """Names the board that a call is about."""

    board: str


class NoteId(BoardName):
    """Names a note."""

    id: int


@router.on_subscribe("notes:{board}")
async def open_board(event: SubscribeEvent, board: str, data: Joining | None) -> SubscribeResult:
    """Anybody who is connected may read. `board` is what `{board}` matched, `data` what the client sent, if it did."""
    colour = (data or Joining()).colour
    return SubscribeResult(
        info={"colour": colour},  # shown beside the user in the channel's presence
        data={"notes": store.notes(board)[-20:]},
        expire_at=timedelta(minutes=10),
    )


@router.on_sub_refresh("notes:{board}")
async def stay_on_board(event: SubRefreshEvent) -> SubRefreshResult:
    """Ten minutes later: may the subscription go on? `expire_at=NEVER` would end the asking."""
    return SubRefreshResult(expire_at=timedelta(minutes=10))


@router.on_publish("notes:{board}")
async def write_note(event: PublishEvent, board: str, data: Draft) -> PublishResult:
    """Subscribers get the note as it is kept, not what the client typed."""
    text = " ".join(data.text.split())
    if not text:
        raise ClientError(400, "a note needs words")
    with within_bounds():
        note = store.add(board, event.user, text)
    return PublishResult(data=note, tags={"author": note.author})


@contextmanager
def within_bounds() -> Iterator[None]:
    """What the store refuses, told to the client. Any other exception would be error 100: try again."""
    try:
        yield
    except Full as exc:
        raise ClientError("LIMIT_EXCEEDED", str(exc)) from exc


@router.on_rpc("whoami")
async def whoami(event: RPCEvent) -> RPCResult:
    return RPCResult(data={"user": event.user, "via": event.via})


@router.on_rpc("notes.list")
async def list_notes(event: RPCEvent, data: BoardName) -> RPCResult:
    return RPCResult(data=store.notes(data.board))


@router.on_rpc("notes.remove")
async def remove_note(event: RPCEvent, data: NoteId, meta: Session) -> RPCResult:
    """`meta` is what `on_connect` gave; Centrifugo sends it along where `include_connection_meta` is set."""
    if meta.role != "moderator":
        raise ClientError("PERMISSION_DENIED")
    return RPCResult(data={"removed": store.remove(data.board, data.id)})


@router.on_rpc("notes.export")
def export_notes(event: RPCEvent, data: BoardName) -> RPCResult:
    """A `def` may take its time: it runs on a thread, and other events go on. One export at a time for each user."""
    if event.user in exporting:
        raise ClientError("TOO_MANY_REQUESTS")
    exporting.add(event.user)
    event.state["exporting"] = event.user  # `after_event` gives the place back
    table = io.StringIO()
    rows = csv.writer(table)
    rows.writerow(["id", "author", "text"])
    rows.writerows([note.id, note.author, note.text] for note in store.notes(data.board))
    return RPCResult(data={"csv": table.getvalue()})


# --- Subscription streams (gRPC only) --------------------------------------------------------------------------------


@router.on_subscribe_unidirectional("feed:{board}")
async def feed(event: SubscribeUnidirectionalEvent, board: str) -> AsyncIterator[SubscribeResult | Publication]:
    """The backend feeds the subscription. First the answer to the subscribe, then what the client is to get; the
    generator is closed when the client unsubscribes or goes away."""
    with within_bounds(), store.following(board) as notes:  # from here on no note is missed
        yield SubscribeResult(data={"notes": len(store.notes(board))})
        while True:
            note = await notes.get()
            yield Publication(data=note, tags={"author": note.author})


@router.on_subscribe_bidirectional("draft:{board}")
async def count_words(event: SubscribeBidirectionalEvent) -> AsyncIterator[SubscribeResult | Publication]:
    """The same with a way back: what the client publishes into the channel arrives in `event.incoming`."""
    yield SubscribeResult()
    async for publication in event.incoming:
        draft = publication.parse(Draft)
        yield Publication(data={"words": len(draft.text.split()), "left": 500 - len(draft.text)})


# --- Map channels: where everybody's cursor is -----------------------------------------------------------------------


class Cursor(msgspec.Struct):
    """A place on the board."""

    x: float
    y: float


@router.on_map_publish("cursors:{board}")
async def move_cursor(event: MapPublishEvent, data: Cursor) -> MapPublishResult:
    own_cursor(event)
    return MapPublishResult(data=Cursor(round(data.x, 1), round(data.y, 1)))


@router.on_map_remove("cursors:{board}")
async def hide_cursor(event: MapRemoveEvent) -> MapRemoveResult:
    own_cursor(event)
    return MapRemoveResult()


def own_cursor(event: MapPublishEvent | MapRemoveEvent) -> None:
    if event.key != event.user:
        raise ClientError("PERMISSION_DENIED", "that is somebody else's cursor")


# --- Calls that no client stands behind ------------------------------------------------------------------------------


@router.on_shared_poll_refresh("counts:*")
async def count_notes(event: SharedPollRefreshEvent) -> SharedPollRefreshResult:
    """Centrifugo asks on behalf of all who watch: which of these boards have changed since that version?"""
    changed: list[SharedPollRefreshResultItem] = []
    for item in event.items:
        board = store.boards.get(item.key)
        if board is not None and board.version > item.version:
            data = {"notes": len(board.notes)}
            changed.append(SharedPollRefreshResultItem(key=item.key, data=data, version=board.version))
    return SharedPollRefreshResult(items=changed)


@router.on_cache_empty("notes:{board}")
async def fill_cache(event: CacheEmptyEvent) -> CacheEmptyResult:
    """Centrifugo PRO has no publication to recover from. This store publishes none on its own, and says so."""
    return CacheEmptyResult(populated=False)


@hookimpl
async def on_channel_state(event: ChannelStateEvent) -> ChannelStateResult:
    """Centrifugo PRO tells which channels have subscribers."""
    for change in event.events:
        store.changed(change.channel, occupied=change.type == "occupied")
    return ChannelStateResult()


# --- When things go wrong, and afterwards ----------------------------------------------------------------------------


@hookimpl
async def on_invalid(event: InvalidEvent) -> None:
    """A call that cannot be decoded. It is refused as a failed call; this only counts it."""
    answered["invalid"] += 1


@hookimpl
async def on_error(event: Event, error: BaseException) -> None:
    """A hook raised what is no answer: the place to tell an error tracker. rtbridge has logged it already."""
    log.warning("telling the error tracker of a %s in %s", type(error).__name__, event.kind)


@hookimpl
async def after_event(event: Event, outcome: Outcome) -> None:
    """The reply has left, whatever it was: give back what the event held."""
    exporting.discard(event.state.pop("exporting", ""))


@hookimpl
@contextmanager
def around_blocking() -> Iterator[None]:
    """On the thread of blocking hooks, around each run of them: where a database session is opened and given back."""
    started = time.perf_counter()
    try:
        yield
    finally:
        log.debug("a thread was taken for %.3f s", time.perf_counter() - started)


@hookimpl
def http_routes() -> list[Route]:
    """Where the section `http` is written: a page of this plugin's own, in front of the application."""

    async def counted(request: Request) -> dict[str, int]:
        return {"boards": len(store.boards), "events": answered.total()}

    return [Route("/notes/count", handler(counted))]


@hookimpl
async def on_shutdown() -> None:
    """The last event is answered and nothing listens any more: close what `on_boot` opened."""
    log.info("%d events answered, %d boards closed", answered.total(), len(store.boards))
