"""Every recording of a real Centrifugo, played on the embedded server, and on a real one where there is one."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio

from rtbridge.testing import VirtualClock
from tests.centrifugo import MISSING, find_binary
from tests.embedded.replay.player import Player
from tests.embedded.replay.values import Mismatch
from tests.embedded.servers import EmbeddedOnVirtualClock, RealCentrifugo

RECORDINGS: Final = Path(__file__).parents[2] / "recordings" / "client"

NAMES: Final = sorted(path.stem for path in RECORDINGS.glob("*.json"))

#: Recordings that the embedded server does not meet, and why. One that it meets after all fails until it is taken out.
NOT_MET: Final[dict[str, str]] = {
    "api_info": "a Centrifugo refreshes its numbers from time to time and begins with zeros; here they are live",
}


def recording(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RECORDINGS / f"{name}.json").read_text(encoding="utf-8"))
    return content


def on_embedded() -> list[Any]:
    """One parameter for each recording."""

    def marks(name: str) -> list[pytest.MarkDecorator]:
        return [pytest.mark.xfail(reason=NOT_MET[name], raises=Mismatch, strict=True)] if name in NOT_MET else []

    return [pytest.param(name, marks=marks(name)) for name in NAMES]


def on_centrifugo() -> list[Any]:
    """One parameter for each recording; where there is no Centrifugo one that is skipped stands for all."""
    if find_binary() is None:
        return [pytest.param("", id="all", marks=pytest.mark.skip(reason=MISSING))]
    return list(NAMES)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ending() -> AsyncIterator[list[asyncio.Task[None]]]:
    """Servers that end while later tests run: each takes a moment, and all have to have ended at last."""
    tasks: list[asyncio.Task[None]] = []
    yield tasks
    await asyncio.gather(*tasks)


def test_nothing_is_left_out() -> None:
    """All recordings are there, each under its own name, and no stranger is excused."""
    assert len(NAMES) == 242
    assert [recording(name)["name"] for name in NAMES] == NAMES
    assert set(NAMES) >= NOT_MET.keys()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", on_embedded())
async def test_embedded(name: str, ending: list[asyncio.Task[None]]) -> None:
    """The embedded server sends the same replies, pushes, close codes and answers."""
    scenario = recording(name)
    server = await EmbeddedOnVirtualClock.start(scenario["config"], clock=VirtualClock())
    try:
        await Player(scenario, server).play()
    finally:
        ending.append(asyncio.create_task(server.stop()))


@pytest.mark.real
@pytest.mark.timeout(60)
@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", on_centrifugo())
async def test_centrifugo(name: str, tmp_path: Path) -> None:
    """So does a real Centrifugo, which shows that the recordings and the player are right."""
    scenario = recording(name)
    binary = find_binary()
    assert binary is not None
    server = await RealCentrifugo.start(binary, tmp_path, scenario["config"])
    try:
        await Player(scenario, server).play()
    finally:
        await server.stop()
