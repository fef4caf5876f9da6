"""The composition root: a configuration and plugins become a runtime."""

import asyncio
import logging
import os
from pathlib import Path
from typing import Any

import pytest

import rtbridge
from rtbridge import Config, ConfigError, RPCResult, hookimpl
from rtbridge.app import Runtime, load, use_environment
from rtbridge.config import parse_config
from rtbridge.testing import App
from rtbridge.transport.builtin import BuiltinTransport
from rtbridge.transport.settings import Tls
from rtbridge.transport.uvicorn import UvicornTransport


def config(**sections: Any) -> Config:
    own = {"entry_points": False, **sections.pop("rtbridge", {})}
    known = ["connect", "subscribe", "publish", "rpc"]
    return parse_config({"version": "3", **sections, "rtbridge": own}, known_events=known).config


class Plugin:
    @hookimpl
    async def on_rpc(self) -> RPCResult:
        return RPCResult()


def test_nothing_listens_by_default() -> None:
    """Without an address there is no transport."""
    assert Runtime(config()).transports() == []


def test_transports_from_the_configuration(tmp_path: Path) -> None:
    """Addresses, TLS, secret and limits reach the transports."""
    for name in "cka":
        (tmp_path / name).touch()
    runtime = Runtime(
        config(
            centrifuge={"proxy_address": "tcp://127.0.0.1:0"},
            rtbridge={
                "http_proxy": {"address": "127.0.0.1:0"},
                "secret": {"key": "X-Key", "values": ["s"]},
                "tls": {"cert": str(tmp_path / "c"), "key": str(tmp_path / "k"), "client_ca": str(tmp_path / "a")},
                "limits": {"message_size": "1MiB", "header_size": "8KiB"},
                "max_connection_age": "1m",
                "grpc_reflection": True,
            },
        )
    )
    grpc, http = runtime.transports()
    assert isinstance(grpc, BuiltinTransport)
    settings = grpc._settings
    assert settings.address == "127.0.0.1:0"
    assert settings.tls == Tls(tmp_path / "c", tmp_path / "k", tmp_path / "a")
    assert settings.secret is not None
    assert settings.secret.admits(["s"])
    assert (settings.message_size, settings.header_size) == (2**20, 2**13)
    assert (settings.max_connection_age, settings.reflection) == (60.0, True)
    assert isinstance(http, UvicornTransport)
    assert (http.address, http._header_size) == ("127.0.0.1:0", 2**13)


async def test_a_listener_that_does_not_close(caplog: pytest.LogCaptureFixture) -> None:
    """Its error is logged, and the plugins are shut down all the same."""
    seen: list[str] = []

    class Shutdown:
        @hookimpl
        async def on_shutdown(self) -> None:
            seen.append("shutdown")

    class Broken:
        name, address = "broken", "nowhere"

        async def start(self) -> None: ...

        async def stop(self, timeout: float) -> None:
            raise RuntimeError("stuck")

    runtime = Runtime(config(), [Shutdown()])
    await runtime.boot()
    await runtime.stop([Broken()])
    assert seen == ["shutdown"]
    assert "a listener did not close: stuck" in caplog.text


async def test_events_that_do_not_end(caplog: pytest.LogCaptureFixture) -> None:
    """The end is bounded by `drain_timeout`, and says how many were still being answered."""
    reached, proceed = asyncio.Event(), asyncio.Event()

    class Holds:
        @hookimpl
        async def on_rpc(self) -> RPCResult:
            reached.set()
            await proceed.wait()
            return RPCResult()

    app = App([Holds()], config={"rtbridge": {"drain_timeout": "20ms"}})
    async with app:
        call = asyncio.create_task(app.rpc("m"))
        await asyncio.wait_for(reached.wait(), 10)
    assert "1 events were still being answered at the end of rtbridge.drain_timeout" in caplog.text
    proceed.set()
    await call


async def test_the_end_waits_for_an_event() -> None:
    """An event under way is answered before `on_shutdown` runs."""
    reached, proceed = asyncio.Event(), asyncio.Event()
    order: list[str] = []

    class Holds:
        @hookimpl
        async def on_rpc(self) -> RPCResult:
            reached.set()
            await proceed.wait()
            order.append("answered")
            return RPCResult()

        @hookimpl
        async def on_shutdown(self) -> None:
            order.append("shutdown")

    app = App([Holds()])
    async with app:
        call = asyncio.create_task(app.rpc("m"))
        await asyncio.wait_for(reached.wait(), 10)
        ending = asyncio.create_task(app.runtime.shutdown())
        await asyncio.sleep(0)
        proceed.set()
        await asyncio.wait_for(ending, 10)
        await call
    assert order == ["answered", "shutdown"]


def test_asgi_takes_a_configuration_in_any_form(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A path, a mapping, a Config or nothing; what an operator should know is logged at once."""
    file = tmp_path / ".rr.yaml"
    file.write_text('version: "3"\nrtbridge: {limits: {message_size: 1KiB}}\n')
    for given, size in (
        (file, 1024),
        (str(file), 1024),
        ({"rtbridge": {"limits": {"message_size": "2KiB"}}}, 2048),
        (config(rtbridge={"limits": {"message_size": "3KiB"}}), 3072),
        (None, 4 * 1024 * 1024),
    ):
        caplog.clear()
        app = rtbridge.asgi(given, [Plugin()])
        assert app._message_size == size
        assert [r.getMessage().partition(":")[0] for r in caplog.records if r.levelno == logging.WARNING] == [
            "nobody answers connect",
            "nobody answers subscribe",
            "nobody answers publish",
        ]


def test_unhandled_knows_the_events(tmp_path: Path) -> None:
    """An event that there is not, or whose silence cannot be chosen, is an error of the configuration."""
    file = tmp_path / ".rr.yaml"
    for name in ("conect", "refresh"):
        file.write_text(
            f'version: "3"\nrtbridge: {{unhandled: {{{name}: {{disconnect: {{code: 4000, reason: x}}}}}}}}\n'
        )
        with pytest.raises(ConfigError, match=name):
            load(file)


@pytest.mark.parametrize("kind", ["channel_state", "shared_poll_refresh"])
def test_unhandled_where_no_client_stands(kind: str) -> None:
    """An event whose answer has no disconnect takes an error only."""
    given = {"rtbridge": {"unhandled": {kind: {"disconnect": {"code": 4000, "reason": "x"}}}}}
    with pytest.raises(ConfigError, match=f"^rtbridge.unhandled.{kind}: found a disconnect, allowed: an error"):
        App(config=given)
    App(config={"rtbridge": {"unhandled": {kind: {"error": {"code": 400, "message": "x"}}}}})


def test_the_environment_of_hooks(monkeypatch: pytest.MonkeyPatch) -> None:
    """`server.env` is put where hooks find it, and RoadRunner's variables are."""
    for name in ("APP_ENV", "RR_MODE", "RR_RPC"):
        monkeypatch.setenv(name, "before")
    given = {"server": {"env": {"APP_ENV": "test"}}, "rpc": {"listen": "127.0.0.1:6001"}}
    use_environment(config(**given))
    assert os.environ["APP_ENV"] == "test"
    assert (os.environ["RR_MODE"], os.environ["RR_RPC"]) == ("centrifuge", "tcp://127.0.0.1:6001")


@pytest.mark.parametrize(
    ("address", "origins", "said"),
    [
        ("127.0.0.1:8080", ["http://localhost:8080"], True),
        ("127.0.0.1:8080", ["http://127.0.0.1:8080"], False),
        ("0.0.0.0:8080", [], False),
        ("unix:///run/page.sock", [], False),
    ],
)
def test_pages_that_cannot_connect(address: str, origins: list[str], said: bool) -> None:
    """A page served here whose origin the embedded server turns away is worth a warning, where the origin is known."""
    tree = {
        "version": "3",
        "http": {"address": address},
        "rtbridge": {"embedded": {"client": {"allowed_origins": origins}}},
    }
    found = [line for line in Runtime(parse_config(tree).config).warnings() if "allowed_origins" in line]
    assert bool(found) is said
