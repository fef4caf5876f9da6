"""The sample chat in a real browser, on rtbridge's own server and behind a real Centrifugo: the same page on both."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

Play = Callable[[str], Awaitable[Any]]

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]


async def test_two_people_talk_and_one_catches_up(play: Play, shots: Path) -> None:
    """Whose network is gone for three seconds gets what was said, once and in order, and is told so; what they wrote
    in the meantime goes out when they are back."""
    seen = await play("conversation")

    said = [
        "Hello Bob, is the train on time?",
        "It is, but here comes the tunnel.",
        "Then you will miss this.",
        "And this: https://centrifugal.dev/docs/server/history_and_recovery",
        "And that tomatoes want sun.",
        "I write this in the dark.",
        "Welcome back!",
    ]
    assert seen["people"] == ["Ann", "Bob"]
    assert seen["typing"] == "Bob is writing"
    assert seen["calm"] == {"ann": [], "bob": []}
    assert "Trying to get it back" in seen["banner"]
    assert seen["missedWhileAway"] == 0
    assert seen["note"].startswith("You were away for ")
    assert seen["note"].endswith("3 messages caught up.")
    assert seen["bob"] == said
    assert seen["ann"] == said
    assert seen["bannerGone"]
    assert {path.stem for path in shots.iterdir()} >= {"entrance", "desktop", "phone", "phone-away"}


async def test_a_room_is_heard_of_and_a_page_is_signed_out(play: Play) -> None:
    """A new room is on everybody's list; a page whose session was ended is shown out at the next thing it does, and
    told why."""
    seen = await play("rooms")

    assert seen["people"] == ["AAnnyou, 2 pages", "BBob"]
    assert seen["title"] == "(1) Gardening · Chat"
    assert seen["stats"] == ["People", "Rooms", "Messages", "Round trip"]
    assert seen["toast"] == "1 page is signed out within half a minute."
    assert seen["status"] == "You were signed out from another page."
    assert seen["here"]
    assert seen["faults"] == []


async def test_the_client_comes_from_one_of_two_places(play: Play) -> None:
    """Without the copy beside the page the CDN's is taken, if it is the same to the byte; else the page says so."""
    seen = await play("sdk")

    assert seen["scripts"] == ["https://cdn.jsdelivr.net/npm/centrifuge@5.8.0/dist/centrifuge.js"]
    for text, disabled in seen["refused"]:
        assert text.startswith("The Centrifuge client could not be loaded")
        assert disabled
