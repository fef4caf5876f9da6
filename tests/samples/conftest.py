"""The samples are imported from the project's folder, as `rtbridge serve` does it there."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from rtbridge.config import Loaded
from rtbridge.testing import App, VirtualClock

ROOT = Path(__file__).parents[2]

sys.path.insert(0, str(ROOT))


@pytest.fixture
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture
def clock() -> VirtualClock:
    """A clock that stands still."""
    return VirtualClock()


@pytest.fixture
def notes(root: Path) -> Loaded:
    """The `.rr.yaml` of the notes board."""
    from rtbridge.app import load

    return load(root / "samples/notes/.rr.yaml")


@pytest.fixture
def chat(root: Path) -> Loaded:
    """The `.rr.yaml` of the project, which serves the chat."""
    from rtbridge.app import load

    return load(root / ".rr.yaml")


@pytest.fixture
async def notes_app(notes: Loaded, clock: VirtualClock) -> AsyncIterator[App]:
    """The notes board as `rtbridge serve` would serve it, in the test's own process."""
    async with App(config=notes.config, clock=clock) as app:
        yield app


@pytest.fixture
async def chat_app(chat: Loaded, clock: VirtualClock) -> AsyncIterator[App]:
    """The chat, likewise."""
    async with App(config=chat.config, clock=clock) as app:
        yield app
