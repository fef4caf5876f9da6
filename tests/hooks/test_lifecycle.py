"""The hooks that belong to no event: their order, and how one that fails is kept from the others."""

import asyncio
import logging
from typing import Any

import pytest

from rtbridge import Event, Outcome, PluginError, RPCResult, hookimpl
from rtbridge.testing import App


class Life:
    """Notes each life-cycle hook that runs."""

    def __init__(self, seen: list[str], name: str = "") -> None:
        self.seen, self.name = seen, name

    @hookimpl
    async def on_boot(self) -> None:
        self.seen.append(f"boot{self.name}")

    @hookimpl
    async def on_ready(self) -> None:
        self.seen.append(f"ready{self.name}")

    @hookimpl
    async def on_rpc(self) -> RPCResult:
        self.seen.append(f"rpc{self.name}")
        return RPCResult()

    @hookimpl
    async def after_event(self, event: Event, outcome: Outcome) -> None:
        self.seen.append(f"after{self.name} {event.kind} {outcome.label}")

    @hookimpl
    async def on_shutdown(self) -> None:
        self.seen.append(f"shutdown{self.name}")


async def test_order() -> None:
    """Boot, ready, an event and its reset point, shutdown; among plugins the order of hooks."""
    seen: list[str] = []
    async with App([Life(seen, " 1"), Life(seen, " 2")]) as app:
        await app.rpc("m")
    assert seen == [
        "boot 2",
        "boot 1",
        "ready 2",
        "ready 1",
        "rpc 2",
        "after 2 rpc ok",
        "after 1 rpc ok",
        "shutdown 2",
        "shutdown 1",
    ]


class Broken:
    """Fails wherever it can."""

    def __init__(self, where: str) -> None:
        self.where = where

    @hookimpl(tryfirst=True)
    async def on_boot(self) -> None:
        self.fail("boot")

    @hookimpl(tryfirst=True)
    async def on_ready(self) -> None:
        self.fail("ready")

    @hookimpl(tryfirst=True)
    async def after_event(self) -> None:
        self.fail("after")

    @hookimpl(tryfirst=True)
    def on_shutdown(self) -> None:
        self.fail("shutdown")

    def fail(self, where: str) -> None:
        if self.where == where:
            raise RuntimeError(f"no {where}")


@pytest.mark.parametrize(
    ("where", "hook"), [("ready", "on_ready"), ("after", "after_event"), ("shutdown", "on_shutdown")]
)
async def test_a_hook_that_fails(where: str, hook: str, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with its traceback, and those of other plugins run all the same."""
    seen: list[str] = []
    async with App([Life(seen), Broken(where)]) as app:
        assert (await app.rpc("m")).result == RPCResult()
    assert seen == ["boot", "ready", "rpc", "after rpc ok", "shutdown"]
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert f"Broken.{hook}" in record.getMessage()
    assert record.exc_info is not None


async def test_a_boot_that_fails() -> None:
    """It ends the start, naming the hook, its place and the fault; later ones do not run."""
    seen: list[str] = []
    app = App([Life(seen), Broken("boot")])
    with pytest.raises(PluginError) as error:
        await app.__aenter__()
    code = Broken.on_boot.__code__
    assert str(error.value) == (
        f"{__name__}.Broken.on_boot ({__file__}:{code.co_firstlineno}) failed: RuntimeError: no boot"
    )
    assert seen == []


async def test_boot_runs_once() -> None:
    """Several who ask for it at once wait for the same boot, and one who is cancelled does not cancel it."""
    proceed, booted = asyncio.Event(), []

    class Plugin:
        @hookimpl
        async def on_boot(self) -> None:
            await proceed.wait()
            booted.append(1)

    app = App([Plugin()])
    waiting = [asyncio.create_task(app.runtime.boot()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.wait((waiting[0],))
    proceed.set()
    assert await asyncio.gather(*waiting[1:]) == [app.runtime.bridge] * 2
    assert booted == [1]
    await app.runtime.shutdown()


async def test_shutdown_without_boot() -> None:
    """What never booted is not shut down, and shutting down twice is once."""
    seen: list[str] = []
    app = App([Life(seen)])
    await app.runtime.shutdown()
    await app.runtime.shutdown()
    assert seen == []


async def test_the_error_hook() -> None:
    """It gets the event and what was raised, with its traceback; a denial and a raised answer are no errors."""
    seen: list[tuple[str, BaseException]] = []

    class Plugin:
        @hookimpl
        async def on_rpc(self) -> Any:
            return 1 / 0

        @hookimpl
        async def on_publish(self) -> Any:
            return 7

        @hookimpl
        async def on_connect(self) -> None:
            await asyncio.Event().wait()

        @hookimpl
        async def on_error(self, event: Event, error: BaseException) -> None:
            seen.append((event.kind, error))

    async with App([Plugin()]) as app:
        for outcome in (await app.rpc("m"), await app.publish("c"), await app.connect(deadline=0.05)):
            assert outcome.error is not None
        await app.subscribe("c")
    assert [(kind, type(error).__name__) for kind, error in seen] == [
        ("rpc", "ZeroDivisionError"),
        ("publish", "WrongAnswer"),
        ("connect", "_TimedOut"),
    ]
    assert seen[0][1].__traceback__ is not None


async def test_an_error_hook_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """Its own exception is logged, and the reset point comes."""
    seen: list[str] = []

    class Plugin:
        @hookimpl
        def on_rpc(self) -> Any:
            return 1 / 0

        @hookimpl
        def on_error(self) -> None:
            raise RuntimeError("again")

    life = Life(seen)
    async with App([Plugin(), life]) as app:
        await app.rpc("m")
    assert "rpc" in seen  # the hook registered last answered
    seen.clear()
    async with App([life, Plugin()]) as app:
        await app.rpc("m")
    assert "after rpc error 100" in seen
    assert "Plugin.on_error failed for rpc 'm'" in caplog.text


async def test_the_reset_point_comes_after_the_reply() -> None:
    """A slow reset does not hold the answer back, and the end waits for it."""
    proceed, done = asyncio.Event(), []

    class Plugin:
        @hookimpl
        async def on_rpc(self) -> RPCResult:
            return RPCResult()

        @hookimpl
        async def after_event(self) -> None:
            await proceed.wait()
            done.append(1)

    async with App([Plugin()]) as app:
        assert (await app.rpc("m")).result == RPCResult()
        assert done == []
        proceed.set()
    assert done == [1]
