"""The sample is imported from the project's folder, as `rtbridge serve` does it there."""

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
def loaded(root: Path) -> Loaded:
    """The `.rr.yaml` of the project."""
    from rtbridge.app import load

    return load(root / ".rr.yaml")


@pytest.fixture
async def app(loaded: Loaded, clock: VirtualClock) -> AsyncIterator[App]:
    """The sample as `rtbridge serve` would serve it, in the test's own process."""
    async with App(config=loaded.config, clock=clock) as app:
        yield app
