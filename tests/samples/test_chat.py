"""The chat: its hooks through `rtbridge.testing.App`, and what has to fit together around them."""

import base64
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rtbridge import ClientError, Disconnect
from rtbridge.app import Runtime
from rtbridge.config import Loaded
from rtbridge.plugins.http.realtime import Realtime
from rtbridge.testing import App, VirtualClock
from samples.chat import hooks
from samples.chat import store as chat_store
from samples.chat.store import FORGOTTEN_AFTER, MAX_ENDED, MAX_ROOMS, Message, Room, Store, Writing

ANN = {"name": "Ann", "session": "ann-session-0001"}
OTHER = {"name": "Ann", "session": "ann-session-0002"}
BOB = {"name": "Bob", "session": "bob-session-0001"}
SAY = {"kind": "say", "id": "0123456789ab", "text": "hello"}
SIGNED_OUT = Disconnect(4501, "You were signed out from another page.")


async def sign_in(app: App, *people: dict[str, str]) -> None:
    for person in people:
        assert (await app.connect(data=person)).result is not None


# --- Sessions --------------------------------------------------------------------------------------------------------


async def test_somebody_signs_in(chat_app: App) -> None:
    """The name makes the user, whatever its case; the session goes into the meta, and there is half a minute for it."""
    outcome = await chat_app.connect(data={**ANN, "name": "  Ann   Lee "})
    result = outcome.result

    assert (result.user, result.info, result.data) == (
        "ann lee",
        {"name": "Ann Lee"},
        {"user": "ann lee", "name": "Ann Lee"},
    )
    assert result.meta == chat_store.Person("Ann Lee", ANN["session"])
    assert list(result.subs) == ["news:rooms"]
    assert result.expire_at == timedelta(seconds=30)


@pytest.mark.parametrize("name", ["", "  ", "a" * 25, "<b>", "-ann", "ann-", "an\u202enn", "a/b"])
async def test_a_name_that_is_none(chat_app: App, name: str) -> None:
    """The page is told what a name is."""
    outcome = await chat_app.connect(data={**ANN, "name": name})

    assert outcome.error == ClientError(400, "A name has 1 to 24 letters, digits and spaces.")


@pytest.mark.parametrize("name", ["a", "Åsa", "李雷", "O'Neill", "Ann-Marie B.", "ann_1", "a" * 24])
async def test_names_of_every_script(chat_app: App, name: str) -> None:
    """Letters are those of all people."""
    assert (await chat_app.connect(data={**ANN, "name": name})).result.info == {"name": name}


@pytest.mark.parametrize("data", [None, {}, {"name": "ann"}, {**ANN, "session": "short"}, {**ANN, "session": "x" * 65}])
async def test_a_sign_in_that_does_not_fit(chat_app: App, data: object) -> None:
    """Error 107, before the hook runs on."""
    outcome = await chat_app.connect(data=data)

    assert outcome.error is not None
    assert outcome.error.code == 107


async def test_a_session_goes_on(chat_app: App) -> None:
    """Also after a start that knows nothing of it: the page brings it along."""
    outcome = await chat_app.refresh(user="ann", meta=ANN)

    assert outcome.result.expired is False
    assert outcome.result.expire_at == timedelta(seconds=30)


async def test_other_pages_are_signed_out(chat_app: App) -> None:
    """Those of the same user and no others: at the next refresh, the next message, or the next connect."""
    await sign_in(chat_app, ANN, OTHER, BOB)
    ended = await chat_app.rpc("sessions.end_others", user="ann", meta=ANN)
    again = await chat_app.rpc("sessions.end_others", user="ann", meta=ANN)

    assert [ended.result.data, again.result.data] == [{"ended": 1}, {"ended": 0}]
    assert (await chat_app.refresh(user="ann", meta=OTHER)).result.expired is True
    assert (await chat_app.connect(data=OTHER)).disconnect == SIGNED_OUT
    assert (await chat_app.publish("chat:lobby", {"kind": "typing"}, user="ann", meta=OTHER)).disconnect == SIGNED_OUT
    assert (await chat_app.rpc("sessions.end_others", user="ann", meta=OTHER)).disconnect == SIGNED_OUT
    for user, person in (("ann", ANN), ("bob", BOB)):
        assert (await chat_app.refresh(user=user, meta=person)).result.expired is False


async def test_pages_that_are_gone_are_forgotten(chat_app: App, clock: VirtualClock) -> None:
    """A session that nobody has asked about for a while is not counted any more."""
    await sign_in(chat_app, ANN, BOB)
    clock.advance(FORGOTTEN_AFTER)
    await chat_app.refresh(user="ann", meta=ANN)
    both = await chat_app.rpc("stats", user="ann")
    clock.advance(1)
    await chat_app.refresh(user="ann", meta=ANN)
    one = await chat_app.rpc("stats", user="ann")

    assert [both.result.data["people"], one.result.data["people"]] == [2, 1]


# --- Rooms -----------------------------------------------------------------------------------------------------------


async def test_a_room_is_entered(chat_app: App) -> None:
    """One that is there; what is neither a room nor news is denied."""
    entered = await chat_app.subscribe("chat:lobby", user="ann")
    unknown = await chat_app.subscribe("chat:cellar", user="ann")
    foreign = await chat_app.subscribe("news:rooms", user="ann")

    assert entered.result.data == Room("lobby", "Lobby")
    assert unknown.error == ClientError("UNKNOWN_CHANNEL", "There is no such room.")
    assert foreign.denied_by_default


async def test_a_message_is_signed(chat_app: App, clock: VirtualClock) -> None:
    """Name and time are the server's; the same id again is the same message."""
    outcome = await chat_app.publish("chat:lobby", SAY, user="ann", meta=ANN)
    result = outcome.result

    assert result.data == Message("0123456789ab", "hello", "ann", "Ann", datetime.fromtimestamp(clock.time(), UTC))
    assert result.idempotency_key == "lobby/ann/0123456789ab"
    assert not result.skip_history


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (" hello \n", "hello"),
        ("a\r\nb", "a\nb"),
        ("a\n\n\n\n\nb", "a\n\nb"),
        ("if x:\n\treturn", "if x:\n    return"),
        ("\x1b[31mred\x00", "[31mred"),
        ("safe\u202etxt.exe\u2069", "safetxt.exe"),
        ("👩‍💻 <b>", "👩‍💻 <b>"),
    ],
)
async def test_a_message_is_cleaned(chat_app: App, text: str, cleaned: str) -> None:
    """Of what cannot be seen; the rest is the author's, and the page shows it as text."""
    outcome = await chat_app.publish("chat:lobby", {**SAY, "text": text}, user="ann", meta=ANN)

    assert outcome.result.data.text == cleaned


async def test_typing_is_not_kept(chat_app: App) -> None:
    """It says who, and leaves no trace in the history."""
    outcome = await chat_app.publish("chat:lobby", {"kind": "typing"}, user="ann", meta=ANN)

    assert outcome.result.data == Writing("ann", "Ann")
    assert outcome.result.skip_history
    assert (await chat_app.rpc("stats", user="ann")).result.data["messages"] == 0


@pytest.mark.parametrize(
    ("channel", "data", "code"),
    [
        ("chat:lobby", {**SAY, "text": " \n\x00 "}, 400),
        ("chat:lobby", {**SAY, "text": "x" * 4001}, 107),
        ("chat:lobby", {**SAY, "id": "short"}, 107),
        ("chat:lobby", {**SAY, "id": "with/slash/"}, 107),
        ("chat:lobby", {"kind": "shout"}, 107),
        ("chat:lobby", "hello", 107),
        ("chat:cellar", SAY, 102),
        ("news:rooms", {"id": "cellar"}, 102),
        ("news:rooms", {}, 107),
    ],
)
async def test_a_publication_that_is_refused(chat_app: App, channel: str, data: object, code: int) -> None:
    """With an error; the connection stays."""
    outcome = await chat_app.publish(channel, data, user="ann", meta=ANN)

    assert outcome.error is not None
    assert outcome.error.code == code


async def test_a_room_is_opened_once(chat_app: App) -> None:
    """Under an id made of its title; whoever wants the same gets the one that is there, and the others hear of it."""
    opened = await chat_app.rpc("rooms.create", {"title": "  Rust &  Iron "}, user="ann")
    again = await chat_app.rpc("rooms.create", {"title": "rust-iron"}, user="bob")
    foreign = await chat_app.rpc("rooms.create", {"title": "園芸"}, user="ann")
    twice = await chat_app.rpc("rooms.create", {"title": "園芸"}, user="bob")
    told = await chat_app.publish("news:rooms", {"id": "rust-iron", "title": "forged"}, user="ann", meta=ANN)
    listed = await chat_app.rpc("rooms.list", user="bob")

    assert opened.result.data == again.result.data == told.result.data == Room("rust-iron", "Rust & Iron")
    assert foreign.result.data == twice.result.data
    assert [room.title for room in listed.result.data] == ["Lobby", "Random", "Help", "Rust & Iron", "園芸"]
    assert (await chat_app.subscribe(f"chat:{foreign.result.data.id}", user="bob")).result is not None


@pytest.mark.parametrize("title", ["", "   ", "\u202e"])
async def test_a_room_needs_a_title(chat_app: App, title: str) -> None:
    """Of something that can be read."""
    outcome = await chat_app.rpc("rooms.create", {"title": title}, user="ann")

    assert outcome.error is not None
    assert outcome.error.code == 400


async def test_figures(chat_app: App) -> None:
    """People with a session, rooms, messages since the start."""
    await sign_in(chat_app, ANN, OTHER, BOB)
    await chat_app.publish("chat:lobby", SAY, user="ann", meta=ANN)

    assert (await chat_app.rpc("stats", user="ann")).result.data == {"people": 2, "rooms": 3, "messages": 1}


async def test_a_method_that_is_not_there(chat_app: App) -> None:
    """Error 104, as the configuration says: the connection stays."""
    assert (await chat_app.rpc("rooms.destroy", user="ann")).error == ClientError("METHOD_NOT_FOUND")


# --- Bounds and starts -----------------------------------------------------------------------------------------------


async def test_there_is_an_end_to_rooms(chat_app: App) -> None:
    """More than the bound are refused; those that are there are still found."""
    for number in range(MAX_ROOMS - 3):
        assert (await chat_app.rpc("rooms.create", {"title": f"Room {number}"}, user="ann")).result is not None
    full = await chat_app.rpc("rooms.create", {"title": "One more"}, user="ann")

    assert full.error == ClientError(400, "A room needs a title, and there are at most 50 rooms.")
    assert (await chat_app.rpc("rooms.create", {"title": "Lobby"}, user="ann")).result.data.id == "lobby"


def test_the_oldest_ends_are_forgotten() -> None:
    """Nothing grows without a bound."""
    store = Store()
    for number in range(MAX_ENDED + 1):
        store.seen(f"s{number}", "ann", 0.0)
    store.end_others("", "ann")

    assert not store.has_ended("s0")
    assert store.has_ended("s1")
    assert store.has_ended(f"s{MAX_ENDED}")


async def test_a_start_begins_afresh(chat_app: App, clock: VirtualClock) -> None:
    """`on_boot` leaves nothing of an earlier start."""
    await sign_in(chat_app, ANN)
    await chat_app.rpc("rooms.create", {"title": "Old"}, user="ann")
    async with App([hooks], clock=clock) as second:
        figures = await second.rpc("stats", user="ann")

    assert figures.result.data == {"people": 0, "rooms": 3, "messages": 0}


# --- Page, configuration and SDK -------------------------------------------------------------------------------------


@pytest.fixture
def web(root: Path) -> Path:
    """The page's folder."""
    return root / "samples/chat/web"


def test_the_hooks_are_short(root: Path) -> None:
    """A sample is read, not searched."""
    assert len((root / "samples/chat/hooks.py").read_text().splitlines()) <= 150


def test_hooks_and_switches_fit(chat: Loaded) -> None:
    """Every event that a hook answers is asked of it, and nothing is asked that none answers."""
    embedded = chat.config.rtbridge.embedded
    assert embedded is not None
    spaces = embedded.channel.namespaces
    runtime = Runtime(chat.config)
    answered = {kind for kind, chain in runtime.chains.items() if not chain.empty}
    runtime.bridge.close()

    asked = {
        "connect": embedded.client.proxy.connect.enabled,
        "refresh": embedded.client.proxy.refresh.enabled,
        "subscribe": any(space.subscribe_proxy_enabled for space in spaces),
        "publish": any(space.publish_proxy_enabled for space in spaces),
        "sub_refresh": any(space.sub_refresh_proxy_enabled for space in spaces),
        "rpc": embedded.rpc.without_namespace.proxy_enabled,
    }
    assert answered == {kind for kind, switched in asked.items() if switched}
    assert runtime.warnings() == []


def test_the_page_may_connect(chat: Loaded) -> None:
    """Its origins are let in, by either name of this machine."""
    http, embedded = chat.config.http, chat.config.rtbridge.embedded
    assert http is not None
    assert http.address is not None
    assert embedded is not None

    port = http.address.port
    assert set(embedded.client.allowed_origins) == {f"http://{host}:{port}" for host in ("127.0.0.1", "localhost")}
    realtime = Realtime.of(chat.config)
    assert realtime is not None
    assert realtime.at(f"localhost:{port}")["websocket"] == "ws://localhost:8000/connection/websocket"


def test_one_version_of_the_sdk(root: Path, web: Path, chat: Loaded) -> None:
    """The same exact version is in package.json, in its lock, in the CDN's URL, and in the policy that lets it in."""
    wanted = json.loads((root / "samples/chat/package.json").read_text())["dependencies"]["centrifuge"]
    locked = json.loads((root / "samples/chat/package-lock.json").read_text())["packages"]
    page = (web / "sdk.js").read_text()
    url = f"https://cdn.jsdelivr.net/npm/centrifuge@{wanted}/dist/centrifuge.js"
    assert chat.config.http is not None
    assert chat.config.http.static is not None
    policy = chat.config.http.static.response["Content-Security-Policy"]

    assert locked["node_modules/centrifuge"]["version"] == wanted
    assert re.findall(r'"(https://[^"]+)"', page) == [url]
    assert re.findall(r"https://\S+?(?=[; ])", policy) == [url]


def test_the_hash_of_the_sdk(root: Path, web: Path) -> None:
    """The page takes exactly the file that npm brings."""
    file = root / "samples/chat/node_modules/centrifuge/dist/centrifuge.js"
    if not file.is_file():
        pytest.skip("npm ci has not run in samples/chat (python3 dev.py run does)")
    digest = base64.b64encode(hashlib.sha384(file.read_bytes()).digest()).decode()

    assert re.findall(r'INTEGRITY = "([^"]+)"', (web / "sdk.js").read_text()) == [f"sha384-{digest}"]


def test_the_page_needs_no_exception_in_its_policy(web: Path) -> None:
    """No inline scripts, styles or handlers, and no text of people is set as HTML."""
    page = (web / "index.html").read_text()
    scripts = "".join(path.read_text() for path in web.glob("*.js"))

    assert re.findall(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=|javascript:", page) == []
    assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function", scripts) == []


def test_what_the_script_looks_for_is_on_the_page(web: Path) -> None:
    """Every id, once; every label names a field; every button says what it does."""
    page = (web / "index.html").read_text()
    script = (web / "app.js").read_text()
    ids = re.findall(r'\bid="([^"]+)"', page)
    buttons: list[Any] = re.findall(r"<button([^>]*)>(.*?)</button>", page, re.DOTALL)

    assert len(ids) == len(set(ids))
    assert set(re.findall(r'\$\("([^"]+)"\)', script)) <= set(ids)
    assert set(re.findall(r'(?:for|aria-labelledby|aria-describedby|popovertarget)="([^"]+)"', page)) <= set(ids)
    named = [re.sub(r"<svg.*?</svg>|<[^>]+>", "", body, flags=re.DOTALL).strip() for _, body in buttons]
    assert [text or attributes for (attributes, _), text in zip(buttons, named, strict=True)
            if not text and "aria-label" not in attributes] == []  # fmt: skip
