"""The hooks of the chat, in the order in which a page meets them; the page is in `web/`.

Nobody proves who they are: whoever says that they are Ann is Ann. Rooms and sessions are this worker's memory; what
was said is kept in the history of the channels.
"""

from datetime import UTC, datetime, timedelta
from typing import Final

from rtbridge import (
    ClientError,
    ConnectEvent,
    ConnectResult,
    Disconnect,
    PublishEvent,
    PublishResult,
    RefreshEvent,
    RefreshResult,
    Router,
    RPCEvent,
    RPCResult,
    SubscribeEvent,
    SubscribeOptions,
    SubscribeResult,
    hookimpl,
)
from samples.chat import store as chat

#: How long until the server asks whether a session goes on. An hour would do; this one can be watched.
SESSION: Final = timedelta(seconds=30)
#: 4500 and above: SDKs do not try again.
SIGNED_OUT: Final = 4501

store = chat.Store()


@hookimpl
async def on_boot() -> None:
    """Every start begins with the same three rooms."""
    store.clear()


# --- Sessions ---------------------------------------------------------------------------------------------------------


@hookimpl
async def on_connect(event: ConnectEvent) -> ConnectResult:
    """Somebody signs in, or a page is back after its network was gone: it sends the same session again."""
    given = event.parse(chat.SignIn)
    name = chat.clean_name(given.name)
    if name is None:
        raise ClientError(400, "A name has 1 to 24 letters, digits and spaces.")
    person = chat.Person(name, given.session)
    check(person)
    user = name.casefold()
    store.seen(given.session, user, event.call.clock.time())
    return ConnectResult(
        user=user,
        info={"name": name},  # what others see in presence, joins and leaves
        meta=person,  # what only hooks see
        data={"user": user, "name": name},
        subs={"news:rooms": SubscribeOptions()},
        expire_at=SESSION,
    )


@hookimpl
async def on_refresh(event: RefreshEvent) -> RefreshResult:
    """The time is up. A session that was ended is closed with 3005; the page reconnects, and `on_connect` says why."""
    person = event.meta_as(chat.Person)
    if store.has_ended(person.session):
        return RefreshResult(expired=True)
    store.seen(person.session, event.user, event.call.clock.time())
    return RefreshResult(expire_at=SESSION)


def check(person: chat.Person) -> None:
    if store.has_ended(person.session):
        raise Disconnect(SIGNED_OUT, "You were signed out from another page.")


# --- Rooms ------------------------------------------------------------------------------------------------------------

router = Router()


def known(room: str) -> chat.Room:
    if room not in store.rooms:
        raise ClientError("UNKNOWN_CHANNEL", "There is no such room.")
    return store.rooms[room]


@router.on_subscribe("chat:{room}")
async def enter(event: SubscribeEvent, room: str) -> SubscribeResult:
    """Everybody who is signed in may enter every room that there is."""
    return SubscribeResult(data=known(room))


@router.on_publish("chat:{room}")
async def say(event: PublishEvent, room: str, data: chat.Say | chat.Typing, meta: chat.Person) -> PublishResult:
    """The others get it cleaned, and signed with name and time. That somebody is typing is not kept in the history."""
    check(meta)
    known(room)
    if isinstance(data, chat.Typing):
        return PublishResult(data=chat.Writing(event.user, meta.name), skip_history=True)
    text = chat.clean_text(data.text)
    if not text:
        raise ClientError(400, "There is nothing to read in this message.")
    store.messages += 1
    at = datetime.fromtimestamp(event.call.clock.time(), UTC)
    message = chat.Message(data.id, text, event.user, meta.name, at)
    return PublishResult(data=message, idempotency_key=f"{room}/{event.user}/{data.id}")


@router.on_publish("news:rooms")
async def announce(event: PublishEvent, data: chat.RoomId) -> PublishResult:
    """Who opened a room tells the others; what they get is the room as it is known here."""
    return PublishResult(data=known(data.id))


@router.on_rpc("rooms.list")
async def list_rooms(event: RPCEvent) -> RPCResult:
    return RPCResult(data=list(store.rooms.values()))


@router.on_rpc("rooms.create")
async def create_room(event: RPCEvent, data: chat.NewRoom) -> RPCResult:
    room = store.open_room(data.title)
    if room is None:
        raise ClientError(400, "A room needs a title, and there are at most 50 rooms.")
    return RPCResult(data=room)


@router.on_rpc("sessions.end_others")
async def end_others(event: RPCEvent, meta: chat.Person) -> RPCResult:
    """Sign the user's other pages out: at the next thing they do, or when their `SESSION` is over."""
    check(meta)
    return RPCResult(data={"ended": store.end_others(meta.session, event.user)})


@router.on_rpc("stats")
async def stats(event: RPCEvent) -> RPCResult:
    return RPCResult(data={"people": store.people(), "rooms": len(store.rooms), "messages": store.messages})
