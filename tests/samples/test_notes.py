"""The notes board through `rtbridge.testing.App`: an example of how to test one's own hooks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from rtbridge import (
    CacheEmptyEvent,
    ChannelEvent,
    ChannelStateEvent,
    ClientError,
    Disconnect,
    MapPublishEvent,
    MapRemoveEvent,
    ReceivedPublication,
    SharedPollRefreshEvent,
    SharedPollRefreshItem,
    SubscribeBidirectionalEvent,
    SubscribeResult,
    SubscribeUnidirectionalEvent,
)
from rtbridge.testing import App, VirtualClock
from samples.notes import hooks
from samples.notes.store import MAX_BOARDS, MAX_FEEDS, MAX_NOTES, MAX_UNREAD

MODERATOR = {"role": "moderator"}
MEMBER = {"role": "member"}


# --- Sessions --------------------------------------------------------------------------------------------------------


async def test_a_known_token_connects(notes_app: App) -> None:
    """The user comes from the token, and gets the boards, an inbox and five minutes."""
    outcome = await notes_app.connect(data={"authToken": "t-ann"})

    assert outcome.result.user == "ann"
    assert outcome.result.data == {"boards": ["welcome"]}
    assert outcome.result.meta == MODERATOR
    assert list(outcome.result.subs) == ["inbox:ann"]
    assert outcome.result.expire_at.total_seconds() == 300


async def test_an_unknown_token_is_turned_away_for_good(notes_app: App) -> None:
    """4501 is in the range after which SDKs do not try again."""
    outcome = await notes_app.connect(data={"authToken": "t-eve"})

    assert outcome.disconnect == Disconnect(4501, "unknown token")


@pytest.mark.parametrize("data", [None, {}, {"authToken": 7}, [], b"not json"])
async def test_connect_data_that_does_not_fit_is_a_bad_request(notes_app: App, data: object) -> None:
    """The hook never sees it, and no part of it comes back in the message."""
    outcome = await notes_app.connect(data=data)

    assert outcome.error is not None
    assert outcome.error.code == 107
    assert "not json" not in outcome.error.message


@pytest.mark.parametrize(("user", "expired"), [("ann", False), ("eve", True)])
async def test_a_session_lasts_as_long_as_its_user(notes_app: App, user: str, expired: bool) -> None:
    """Refresh prolongs the session of somebody who still exists, and ends all others."""
    outcome = await notes_app.refresh(user=user)

    assert outcome.result.expired is expired


# --- Boards ----------------------------------------------------------------------------------------------------------


async def test_subscribing_shows_a_colour_and_the_last_notes(notes_app: App) -> None:
    """The typed data of subscribe becomes presence info; the reply carries what is on the board."""
    outcome = await notes_app.subscribe("notes:welcome", user="ann", data={"colour": "red"})

    assert outcome.result.info == {"colour": "red"}
    assert [note.text for note in outcome.result.data["notes"]] == ["this board is kept by notes"]


async def test_subscribing_needs_no_data(notes_app: App) -> None:
    """`data: Joining | None` is None when the client sent nothing."""
    outcome = await notes_app.subscribe("notes:welcome", user="ann")

    assert outcome.result.info == {"colour": "blue"}


async def test_an_unknown_colour_is_a_bad_request(notes_app: App) -> None:
    """The listener's annotation says what fits."""
    outcome = await notes_app.subscribe("notes:welcome", user="ann", data={"colour": "mauve"})

    assert outcome.error == ClientError("BAD_REQUEST", outcome.error.message if outcome.error else "")


async def test_a_channel_without_a_route_is_denied(notes_app: App) -> None:
    """No listener, no subscription; the reason names the nearest pattern."""
    outcome = await notes_app.subscribe("nodes:welcome", user="ann")

    assert outcome.denied_by_default
    assert outcome.disconnect == Disconnect(4500, "not handled")
    assert "notes:{board}" in outcome.why


async def test_a_note_is_cleaned_and_kept(notes_app: App) -> None:
    """Subscribers get the note as it is kept, with its author as a tag."""
    outcome = await notes_app.publish("notes:lobby", {"text": "  hello \n world "}, user="ann")

    assert outcome.result.data.text == "hello world"
    assert outcome.result.tags == {"author": "ann"}
    listed = await notes_app.rpc("notes.list", {"board": "lobby"}, user="bob")
    assert [note.text for note in listed.result.data] == ["hello world"]


async def test_a_note_without_words_is_refused(notes_app: App) -> None:
    """An error of the application's own; the connection stays."""
    outcome = await notes_app.publish("notes:lobby", {"text": " \n "}, user="ann")

    assert outcome.error == ClientError(400, "a note needs words")


async def test_a_subscription_is_prolonged(notes_app: App) -> None:
    """Ten minutes more each time Centrifugo asks."""
    outcome = await notes_app.sub_refresh("notes:lobby", user="ann")

    assert outcome.result.expire_at.total_seconds() == 600


# --- RPC -------------------------------------------------------------------------------------------------------------


async def test_whoami_names_the_user_and_the_transport(notes_app: App) -> None:
    """Nothing but the event is needed to answer."""
    outcome = await notes_app.rpc("whoami", user="ann")

    assert outcome.result.data == {"user": "ann", "via": "memory"}


async def test_only_moderators_remove_notes(notes_app: App) -> None:
    """The role travels in the connection's meta."""
    refused = await notes_app.rpc("notes.remove", {"board": "welcome", "id": 1}, user="bob", meta=MEMBER)
    removed = await notes_app.rpc("notes.remove", {"board": "welcome", "id": 1}, user="ann", meta=MODERATOR)
    again = await notes_app.rpc("notes.remove", {"board": "welcome", "id": 1}, user="ann", meta=MODERATOR)

    assert refused.error == ClientError("PERMISSION_DENIED")
    assert [removed.result.data, again.result.data] == [{"removed": True}, {"removed": False}]


async def test_a_missing_meta_is_the_operators_mistake(notes_app: App) -> None:
    """Without include_connection_meta the client gets a temporary error, and the reason says what to switch on."""
    outcome = await notes_app.rpc("notes.remove", {"board": "welcome", "id": 1}, user="ann")

    assert outcome.error == ClientError("INTERNAL")
    assert "include_connection_meta" in outcome.why


async def test_an_export_is_a_table(notes_app: App) -> None:
    """The blocking hook answers like any other, and its place is free again when the reply has left."""
    for _ in range(2):
        outcome = await notes_app.rpc("notes.export", {"board": "welcome"}, user="ann")
        await notes_app.runtime.bridge.drain()
        assert outcome.result.data["csv"].splitlines()[0] == "id,author,text"
    assert not hooks.exporting


async def test_a_second_export_of_the_same_user_waits_for_the_first(notes_app: App) -> None:
    """One at a time for each user; the error is temporary."""
    hooks.exporting.add("ann")
    outcome = await notes_app.rpc("notes.export", {"board": "welcome"}, user="ann")

    assert outcome.error == ClientError("TOO_MANY_REQUESTS")
    assert outcome.error.temporary
    assert (await notes_app.rpc("notes.export", {"board": "welcome"}, user="bob")).result


async def test_an_unknown_method_does_not_cost_the_connection(notes_app: App) -> None:
    """The configuration answers error 104 where silence would disconnect."""
    outcome = await notes_app.rpc("notes.archive", user="ann")

    assert outcome.denied_by_default
    assert outcome.error == ClientError("METHOD_NOT_FOUND")


# --- Streams ---------------------------------------------------------------------------------------------------------


async def test_a_feed_brings_new_notes(notes_app: App) -> None:
    """What is published on a board arrives in its feed, and the feed ends with the subscription."""
    event = SubscribeUnidirectionalEvent(call=notes_app.memory.call(), channel="feed:lobby", user="bob")
    stream = await notes_app.stream(event)
    assert isinstance(stream.outcome.result, SubscribeResult)

    await notes_app.publish("notes:lobby", {"text": "one"}, user="ann")
    await notes_app.publish("notes:other", {"text": "two"}, user="ann")
    await notes_app.publish("notes:lobby", {"text": "three"}, user="ann")
    async with aclosing(notes_app.memory.stream(event, stream.outcome)) as items:
        got = [await asyncio.wait_for(anext(items), 5) for _ in range(2)]

    assert [item.data.text for item in got] == ["one", "three"]
    assert got[0].tags == {"author": "ann"}
    assert hooks.store.followers == 0


async def test_a_draft_is_counted_while_it_is_written(notes_app: App) -> None:
    """Each of the client's publications gets an answer in the same channel."""

    async def typed() -> AsyncIterator[ReceivedPublication]:
        for text in (b"one", b"one two"):
            yield ReceivedPublication(raw_data=b'{"text": "%s"}' % text)

    call = notes_app.memory.call()
    call.incoming = typed()
    stream = await notes_app.stream(SubscribeBidirectionalEvent(call=call, channel="draft:lobby", user="ann"))

    assert [item.data["words"] async for item in stream] == [1, 2]


async def test_a_draft_that_does_not_fit_ends_the_conversation(notes_app: App) -> None:
    """After the start an answer cannot be refused any more: the stream ends, the client is unsubscribed."""

    async def typed() -> AsyncIterator[ReceivedPublication]:
        yield ReceivedPublication(raw_data=b'{"text": 1}')
        yield ReceivedPublication(raw_data=b'{"text": "never read"}')

    call = notes_app.memory.call()
    call.incoming = typed()
    stream = await notes_app.stream(SubscribeBidirectionalEvent(call=call, channel="draft:lobby", user="ann"))

    assert [item async for item in stream] == []


async def test_there_are_only_so_many_feeds(notes_app: App) -> None:
    """One more than the bound is refused before it starts."""
    open_feeds = [hooks.store.following("lobby") for _ in range(MAX_FEEDS)]
    for feed in open_feeds:
        feed.__enter__()
    try:
        event = SubscribeUnidirectionalEvent(call=notes_app.memory.call(), channel="feed:lobby", user="bob")
        stream = await notes_app.stream(event)
        assert stream.outcome.error == ClientError("LIMIT_EXCEEDED", f"{MAX_FEEDS} feeds are open already")
    finally:
        for feed in open_feeds:
            feed.__exit__(None, None, None)


# --- Maps, polls, PRO ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("key", "error"), [("ann", None), ("bob", 103)])
async def test_a_cursor_is_moved_by_its_owner(notes_app: App, key: str, error: int | None) -> None:
    """The key is the user's id; coordinates are rounded on their way."""
    event = MapPublishEvent(
        call=notes_app.memory.call(), channel="cursors:lobby", user="ann", key=key, raw_data=b'{"x": 1.23, "y": 2}'
    )
    outcome = await notes_app.send(event)

    if error is None:
        assert (outcome.result.data.x, outcome.result.data.y) == (1.2, 2.0)
    else:
        assert outcome.error is not None
        assert outcome.error.code == error


@pytest.mark.parametrize(("key", "ok"), [("ann", True), ("bob", False)])
async def test_a_cursor_is_hidden_by_its_owner(notes_app: App, key: str, ok: bool) -> None:
    """The same rule for removing."""
    event = MapRemoveEvent(call=notes_app.memory.call(), channel="cursors:lobby", user="ann", key=key)
    outcome = await notes_app.send(event)

    assert (outcome.result is not None) is ok


async def test_only_changed_boards_are_polled(notes_app: App) -> None:
    """Centrifugo names the version it has; boards that are not newer, or not there, are left out."""
    asked = (
        SharedPollRefreshItem(key="welcome", version=0),
        SharedPollRefreshItem(key="welcome", version=1),
        SharedPollRefreshItem(key="nowhere", version=0),
    )
    outcome = await notes_app.send(
        SharedPollRefreshEvent(call=notes_app.memory.call(), channel="counts:all", items=asked)
    )

    assert [(item.key, item.version, item.data) for item in outcome.result.items] == [("welcome", 1, {"notes": 1})]


async def test_the_cache_is_not_filled(notes_app: App) -> None:
    """The sample has nothing to publish and says so."""
    outcome = await notes_app.send(CacheEmptyEvent(call=notes_app.memory.call(), channel="notes:lobby"))

    assert outcome.result.populated is False


async def test_occupied_channels_are_known(notes_app: App) -> None:
    """The last word about a channel counts."""
    changes = (
        ChannelEvent(channel="notes:a", type="occupied"),
        ChannelEvent(channel="notes:b", type="occupied"),
        ChannelEvent(channel="notes:a", type="vacated"),
    )
    await notes_app.send(ChannelStateEvent(call=notes_app.memory.call(), events=changes))

    assert hooks.store.occupied == {"notes:b"}


# --- Around everything -----------------------------------------------------------------------------------------------


async def test_answers_are_counted_by_the_middleware(notes_app: App) -> None:
    """It sees answers of every kind; a denial is none."""
    await notes_app.rpc("whoami", user="ann")
    await notes_app.rpc("nothing", user="ann")
    await notes_app.subscribe("notes:lobby", user="ann")
    await notes_app.memory.request("rpc", b"\xff")

    assert hooks.answered == {"rpc": 1, "subscribe": 1, "invalid": 1}


async def test_a_bug_is_reported_and_costs_nobody_the_connection(
    notes_app: App, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The client may try again, and `on_error` hears of it."""
    monkeypatch.setattr(hooks.store, "notes", lambda board: 1 / 0)
    outcome = await notes_app.rpc("notes.list", {"board": "lobby"}, user="ann")
    await notes_app.runtime.bridge.drain()

    assert outcome.error == ClientError("INTERNAL")
    assert "telling the error tracker of a ZeroDivisionError in rpc" in caplog.text


# --- Bounds ----------------------------------------------------------------------------------------------------------


async def test_everything_has_a_bound(notes_app: App) -> None:
    """Boards are refused beyond it, notes and unread notes are forgotten, oldest first."""
    for number in range(MAX_BOARDS - 1):
        hooks.store.add(f"b{number}", "ann", "x")
    full = await notes_app.publish("notes:one-more", {"text": "x"}, user="ann")
    assert full.error is not None
    assert full.error.code == 106

    with hooks.store.following("b0") as feed:
        for _ in range(MAX_NOTES + 5):
            hooks.store.add("b0", "ann", "x")
        assert feed.qsize() == MAX_UNREAD
    assert len(hooks.store.notes("b0")) == MAX_NOTES
    for number in range(MAX_BOARDS + 5):
        hooks.store.changed(f"notes:{number}", occupied=True)
    assert len(hooks.store.occupied) == MAX_BOARDS


async def test_a_start_begins_afresh(notes_app: App, clock: VirtualClock) -> None:
    """`on_boot` leaves nothing of an earlier start."""
    hooks.store.add("old", "ann", "x")
    async with App([hooks], clock=clock) as second:
        listed = await second.connect(data={"authToken": "t-bob"})

    assert listed.result.data == {"boards": ["welcome"]}
