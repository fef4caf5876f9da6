"""Whether there is a client, whose it is, and what is reported of a start that fails."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import sentry_sdk

import rtbridge
from rtbridge import PluginError, hookimpl, reporting
from rtbridge.app import Runtime, asgi, runtime_of
from rtbridge.codec.descriptors import message_class
from rtbridge.config import Config
from rtbridge.events import Call
from rtbridge.plugins import sentry
from rtbridge.testing import App
from rtbridge.workers.parent import Parent
from tests.plugins.sentry.conftest import BOUND, Hooks, Sink, config, parsed, settled

ROOT = Path(rtbridge.__file__).parents[1]


async def test_a_client_of_the_users_own(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used as it is; of its local variables ours are left out; it is not closed."""
    monkeypatch.setenv("SENTRY_DSN", "http://other@127.0.0.1:9/1")
    sentry_sdk.init(dsn=sink.dsn, release="mine", default_integrations=False)
    client = sentry_sdk.get_client()
    options = dict(client.options)
    async with App([Hooks()], config={"rtbridge": {"sentry": {"release": "other"}}}) as app:
        assert sentry_sdk.get_client() is client
        await app.rpc("fail", "p4yload")
        await settled(app)
    assert sentry_sdk.get_client() is client
    assert client.options == options
    assert client.transport is not None
    (report,) = sink.events
    assert report["release"] == "mine"
    assert report["tags"]["rtbridge.method"] == "fail"
    frames = report["exception"]["values"][-1]["stacktrace"]["frames"]
    ours = [frame for frame in frames if frame["module"].startswith("rtbridge.")]
    assert ours
    assert [frame["vars"] for frame in ours if "vars" in frame] == []
    assert "vars" in frames[-1]


async def test_a_client_that_comes_late(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that `on_boot` makes takes the place of ours, which is closed at the end; theirs stays."""

    class Plugin(Hooks):
        @hookimpl
        async def on_boot(self) -> None:
            sentry_sdk.init(dsn=sink.dsn, default_integrations=False)

    monkeypatch.setenv("SENTRY_DSN", "http://other@127.0.0.1:9/1")
    async with App([Plugin()]) as app:
        ours = sentry._Process.client
        await app.rpc("fail", "x")
        await settled(app)
    assert sink.errors() == [("LookupError", "no such order")]
    assert ours.transport is None
    assert sentry_sdk.get_client().is_active()


async def test_a_client_of_the_users_own_without_any_settings(sink: Sink) -> None:
    """Is enough."""
    sentry_sdk.init(dsn=sink.dsn, default_integrations=False)
    async with App([Hooks()]) as app:
        await app.rpc("fail", "x")
        await settled(app)
    assert sink.errors() == [("LookupError", "no such order")]


async def test_the_variable_alone(sink: Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is enough; the client ends with the application, and the next one makes its own."""
    monkeypatch.setenv("SENTRY_DSN", sink.dsn)
    monkeypatch.setenv("SENTRY_ENVIRONMENT", "stage")
    for _ in range(2):
        async with App([Hooks()]) as app:
            await app.rpc("fail", "x")
            await settled(app)
        assert not sentry_sdk.get_client().is_active()
    assert [event["environment"] for event in sink.events] == ["stage", "stage"]


def test_nothing_asks_for_it() -> None:
    """Then no hook of it is there."""
    app = App([Hooks()])
    assert not app.runtime.manager.has_plugin(reporting.SENTRY)
    assert app.runtime.bridge._scopes is None
    assert reporting.warnings(Config()) == []


async def test_named_as_a_plugin(sink: Sink) -> None:
    """It is registered once, and without a DSN it keeps still and says so."""
    own = {"plugins": [reporting.SENTRY], "sentry": {}}
    async with App([Hooks()], config={"rtbridge": own}) as app:
        assert (await app.rpc("fail", "x")).error is not None
        assert not sentry_sdk.get_client().is_active()
        assert app.runtime.warnings()[-1] == (
            "nothing is reported to Sentry: set rtbridge.sentry.dsn or SENTRY_DSN, or call sentry_sdk.init in a plugin"
        )


@pytest.mark.parametrize("where", ["rtbridge.sentry.dsn", "the variable SENTRY_DSN"])
async def test_what_is_no_dsn(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The start fails, and names the place but not the value."""
    monkeypatch.setenv("SENTRY_DSN", "s3cret")
    own = {"dsn": "s3cret"} if where.startswith("rtbridge") else {}
    with pytest.raises(PluginError, match=f"{where} is no DSN; copy it from the project's settings") as caught:
        async with App(config={"rtbridge": {"sentry": own}}):
            pass
    assert "s3cret" not in str(caught.value)


def test_the_dsn_is_never_shown() -> None:
    """Not in the representation of what holds it."""
    made = parsed([], sentry={"dsn": "https://s3cret@example.com/1", "environment": "stage"})
    assert "s3cret" not in repr(made)
    assert repr(made.rtbridge.sentry) == "Sentry(dsn=<hidden>, environment='stage', release=None)"


async def test_a_boot_that_fails(sink: Sink) -> None:
    """Is reported, with its cause; with every event that tries again only when it fails otherwise."""
    why = ["no database"]

    class Plugin(Hooks):
        @hookimpl
        async def on_boot(self) -> None:
            if why:
                raise LookupError(why[0])

    app = App([Plugin()], config=config(sink))
    app.runtime.start(lazy=True)
    for text in ("no database", "no database", "no table"):
        why[0] = text
        assert (await app.rpc("fine")).error is not None
    why.clear()
    assert (await app.rpc("fine")).result.data == 1
    await settled(app)
    await app.runtime.shutdown()
    chains = [[value["type"] for value in event["exception"]["values"]] for event in sink.events]
    assert chains == [["LookupError", "PluginError"]] * 2
    assert [event["tags"] for event in sink.events] == [{"rtbridge.event": "boot"}] * 2


@pytest.mark.parametrize("bring_up", [runtime_of, asgi])
def test_a_plugin_that_cannot_be_imported(bring_up: Callable[..., object], sink: Sink) -> None:
    """Is reported where its hooks would run."""
    with pytest.raises(PluginError, match="no_such_plugin"):
        bring_up(parsed(["no_such_plugin"], sentry={"dsn": sink.dsn}))
    sentry_sdk.flush(BOUND)
    ((kind, text),) = sink.errors()
    assert kind == "PluginError"
    assert text.startswith("plugin no_such_plugin cannot be imported")


def test_looking_at_plugins_reports_nothing(sink: Sink) -> None:
    """`rtbridge check` and its like run no hooks, so they make no client."""
    with pytest.raises(PluginError, match="no_such_plugin"):
        Runtime(parsed(["no_such_plugin"], sentry={"dsn": sink.dsn}))
    assert not sentry_sdk.get_client().is_active()


WITHOUT = """
    import sys
    sys.modules["sentry_sdk"] = None
    from rtbridge.app import runtime_of
    from rtbridge.config import parse_config
    from rtbridge.errors import PluginError
    try:
        runtime = runtime_of(parse_config({"version": "3", "rtbridge": OWN}).config)
    except PluginError as error:
        print(error)
    else:
        print(runtime.warnings()[-1])
"""


@pytest.mark.parametrize(
    ("own", "told"),
    [
        ({"sentry": {}}, "reports to Sentry need sentry-sdk; install it with pip install 'rtbridge[sentry]'"),
        ({"sentry": {}, "plugins": ["no_such_plugin"]}, "plugin no_such_plugin cannot be imported: "),
        ({}, "SENTRY_DSN is set and nothing is reported: pip install 'rtbridge[sentry]'"),
    ],
)
def test_without_the_package(own: dict[str, Any], told: str) -> None:
    """A section fails the start with the line that installs it; the variable alone is worth a warning."""
    own = {"entry_points": False, **own}
    ended = subprocess.run(
        [sys.executable, "-c", dedent(WITHOUT).replace("OWN", repr(own))],
        env={**os.environ, "PYTHONPATH": str(ROOT), "SENTRY_DSN": "http://k@127.0.0.1:9/1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(told)


PLUGGED = """
    import os, pathlib
    from rtbridge import RPCResult, Router, hookimpl

    import sentry_sdk
    made = sentry_sdk.Client
    class Counted(made):
        def __init__(self, *given, **options):
            with (pathlib.Path(os.environ["FOLDER"]) / "made").open("a") as file:
                file.write(f"{os.getpid()}\\n")
            super().__init__(*given, **options)
    sentry_sdk.Client = Counted
    OWN

    router = Router()

    @hookimpl
    async def on_boot():
        if os.environ.get("BOOT") == "fails":
            raise LookupError("no database")

    @router.on_rpc("fail")
    def fail():
        raise LookupError(str(os.getpid()))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that workers import from."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("FOLDER", str(tmp_path))
    return tmp_path


async def fail_in_worker(parent: Parent) -> None:
    """Have a hook fail in one of the workers."""
    request = message_class("centrifugal.centrifugo.proxy.RPCRequest")(method="fail", user="42")
    call = Call(deadline=parent.handler.clock.monotonic() + 20)
    await asyncio.wait_for(parent.handler.unary("rpc", "proto")(request.SerializeToString(), call), BOUND)


@pytest.mark.parametrize("own", ["", 'sentry_sdk.init(dsn=os.environ["OWN_DSN"], release="mine")'])
async def test_workers(own: str, sink: Sink, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each makes one client, unless the user's code has made it, and sends what is left before it ends."""
    (folder / "plugged.py").write_text(dedent(PLUGGED).replace("OWN", own))
    monkeypatch.setenv("OWN_DSN", sink.dsn)
    monkeypatch.setenv("SENTRY_DSN", "http://k@127.0.0.1:9/1" if own else sink.dsn)
    parent = Parent(parsed(["plugged"], sentry={"release": "ours"}))
    try:
        parent.start(lazy=False)
        await asyncio.wait_for(parent.boot(), BOUND)
        async with asyncio.timeout(BOUND):
            while [worker.state for worker in parent.workers()] != ["ready", "ready"]:
                await asyncio.sleep(0.01)
        pids = {str(worker.pid) for worker in parent.workers()}
        for _ in range(4):
            await fail_in_worker(parent)
    finally:
        await asyncio.wait_for(parent.stop([]), BOUND)
    assert sorted((folder / "made").read_text().split()) == sorted(pids)
    assert len(sink.events) == 4
    for event in sink.events:
        assert event["exception"]["values"][-1]["value"] in pids
        assert event["release"] == ("mine" if own else "ours")
        assert (event["tags"]["rtbridge.method"], event["user"]["id"]) == ("fail", "42")
    assert not sentry_sdk.get_client().is_active()


@pytest.mark.parametrize("lacking", ["import no_such_module", ""])
async def test_workers_that_do_not_boot(
    lacking: str, sink: Sink, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They report it before they end."""
    (folder / "plugged.py").write_text(dedent(PLUGGED).replace("OWN", lacking))
    monkeypatch.setenv("BOOT", "fails")
    parent = Parent(parsed(["plugged"], sentry={"dsn": sink.dsn}))
    try:
        parent.start(lazy=False)
        with pytest.raises(PluginError, match="no_such_module" if lacking else "no database"):
            await asyncio.wait_for(parent.boot(), BOUND)
    finally:
        await asyncio.wait_for(parent.stop([]), BOUND)
    assert 1 <= len(sink.events) <= 2  # each worker its own; the second may not come so far
    for event in sink.events:
        assert event["tags"] == {"rtbridge.event": "boot"}
        cause = "ModuleNotFoundError" if lacking else "LookupError"
        assert [value["type"] for value in event["exception"]["values"]] == [cause, "PluginError"]


async def test_workers_that_do_not_boot_and_a_sink_that_hangs(
    sink: Sink, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The start fails all the same, after the time that reports get at the end."""
    (folder / "plugged.py").write_text(dedent(PLUGGED).replace("OWN", ""))
    monkeypatch.setenv("BOOT", "fails")
    sink.hold.clear()
    parent = Parent(parsed(["plugged"], sentry={"dsn": sink.dsn}))
    try:
        parent.start(lazy=False)
        with pytest.raises(PluginError, match="no database"):
            await asyncio.wait_for(parent.boot(), BOUND)
    finally:
        await asyncio.wait_for(parent.stop([]), BOUND)
    told = capfd.readouterr().err
    assert "reports to Sentry have not left yet; they get 2 s more" in told
    assert "s3cretkey" not in told
