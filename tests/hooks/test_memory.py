"""Names that clients choose leave nothing behind."""

import gc
from typing import Any

from rtbridge import PublishEvent, Router, hookimpl
from rtbridge.denial import Throttle
from rtbridge.testing import App, VirtualClock


def reachable(*roots: object) -> int:
    """How many objects the roots hold on to, functions, classes and modules aside."""
    seen: set[int] = set()
    queue: list[Any] = list(roots)
    while queue:
        each = queue.pop()
        if id(each) in seen or isinstance(each, type) or type(each).__name__ in ("module", "function", "builtin"):
            continue
        seen.add(id(each))
        queue.extend(gc.get_referents(each))
    return len(seen)


class Plugin:
    router = Router()

    @hookimpl
    async def on_subscribe(self) -> None: ...

    @staticmethod
    @router.on_publish("chat:{room}")
    @router.on_publish("chat:*")
    @router.on_publish("exact")
    async def listen() -> None: ...


def test_a_million_names_on_a_table() -> None:
    """Matching remembers nothing: the table holds as many objects afterwards as before."""
    routes = App([Plugin()]).runtime.chains["publish"].routes
    assert routes is not None
    before = reachable(routes)
    matched = 0
    for number in range(1_000_000):
        matched += len(routes._matches(f"chat:{number}" if number % 4 == 0 else f"other{number}"))
    assert matched == 500_000
    assert reachable(routes) == before


async def test_names_through_the_bridge() -> None:
    """Events of ever new channels, denied or not, leave the bridge as large as it was."""
    async with App([Plugin()], clock=VirtualClock()) as app:
        bridge = app.runtime.bridge

        async def run(start: int, count: int) -> None:
            for number in range(start, start + count):
                await app.memory.send(PublishEvent(channel=f"chat:{number}", user=str(number), raw_data=b"1"))
                await app.subscribe(f"c{number}")

        await run(0, 100)
        gc.collect()
        before = reachable(bridge._throttle, bridge._admission, bridge._tasks, bridge._streams, bridge._threads)
        await run(100, 10_000)
        gc.collect()
        after = reachable(bridge._throttle, bridge._admission, bridge._tasks, bridge._streams, bridge._threads)
    assert after <= before + 10  # integers outside CPython's cache


def test_a_throttle_has_a_bound() -> None:
    """Kinds of messages beyond its size push out the oldest."""
    throttle = Throttle(VirtualClock(), size=3)
    for number in range(1000):
        assert throttle.admit(str(number)) == 0
        assert len(throttle._seen) <= 3
    assert throttle.admit("999") is None
    assert throttle.admit("0") == 0
