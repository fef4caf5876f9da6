"""The `.rr.yaml` of each sample, and the Centrifugo configurations beside the notes board."""

import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc.aio
import httpx
import pytest

from rtbridge.app import UNHANDLED_EVENTS, Runtime, load
from rtbridge.codec.descriptors import message_class
from rtbridge.config import Loaded, parse_config
from rtbridge.events import METHODS
from rtbridge.transport.base import Transport

CONFIGURATIONS = ("grpc", "http")

#: The file of each sample, and its plugin.
FILES = {".rr.yaml": "samples.chat.hooks", "samples/notes/.rr.yaml": "samples.notes.hooks"}


def keys_of(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Line number and key of each line of a YAML file that has one."""
    for number, line in enumerate(lines):
        if found := re.match(r"\s*(?:- )?([a-z_]+):", line):
            yield number, found[1]


@pytest.mark.parametrize(("file", "plugin"), FILES.items())
def test_the_file_loads_without_a_word(root: Path, file: str, plugin: str) -> None:
    """Nothing in it is unknown, without effect, or for a later version."""
    loaded = load(root / file)

    assert loaded.notices == ()
    assert loaded.config.rtbridge.plugins == (plugin,)


@pytest.mark.parametrize("file", FILES)
def test_every_key_has_a_comment(root: Path, file: str) -> None:
    """The line above each key says what it is."""
    lines = (root / file).read_text().splitlines()
    keys = list(keys_of(lines))

    assert len(keys) >= 10
    assert [key for number, key in keys if not lines[number - 1].strip().startswith("#")] == []


def test_every_event_is_answered(notes: Loaded) -> None:
    """The notes board has a listener for each event and each life-cycle hook, and gives no reason to warn."""
    runtime = Runtime(notes.config)

    assert [kind for kind, chain in runtime.chains.items() if chain.empty] == []
    assert [name for name, chain in runtime.manager.lifecycle().items() if not chain.steps] == []
    assert runtime.warnings() == []
    runtime.bridge.close()


@pytest.fixture
async def served(root: Path) -> AsyncIterator[dict[str, str]]:
    """Where the notes board listens: its configuration on free ports."""
    text = (root / "samples/notes/.rr.yaml").read_text()
    text = text.replace("127.0.0.1:30000", "127.0.0.1:0").replace("127.0.0.1:30001", "127.0.0.1:0")
    runtime = Runtime(parse_config(text, known_events=UNHANDLED_EVENTS).config)
    await runtime.boot()
    running: list[Transport] = []
    try:
        for transport in runtime.transports():
            await transport.start()
            running.append(transport)
        await runtime.ready()
        yield {transport.name: transport.address for transport in running}
    finally:
        await runtime.stop(running)


async def test_grpc_serves_the_sample(served: dict[str, str]) -> None:
    """A call with the bytes that Centrifugo would send is answered by the sample's hook."""
    request = message_class("centrifugal.centrifugo.proxy.ConnectRequest")(data=b'{"authToken": "t-ann"}')
    response = message_class("centrifugal.centrifugo.proxy.ConnectResponse")
    async with grpc.aio.insecure_channel(served["builtin"]) as channel:
        raw: Any = await channel.unary_unary(METHODS["connect"].path)(request.SerializeToString(), timeout=10)

    assert response.FromString(raw).result.user == "ann"


async def test_http_serves_the_sample(served: dict[str, str]) -> None:
    """The same over HTTP."""
    async with httpx.AsyncClient(base_url=f"http://{served['http']}", timeout=10) as client:
        connected = await client.post("/connect", json={"data": {"authToken": "t-bob"}})
        refused = await client.post("/rpc", json={"method": "nothing", "user": "bob"})

    assert connected.json()["result"]["user"] == "bob"
    assert refused.json() == {"error": {"code": 104, "message": "method not found"}}


@pytest.mark.timeout(90)
async def test_the_calls_of_its_page(served: dict[str, str], root: Path) -> None:
    """Each `rtbridge call` of the sample's README ends as it says there: all are answered but the last."""
    text = (root / "samples/notes/README.md").read_text()
    calls = re.findall(r"^\$ rtbridge (call .*)$", text, re.MULTILINE)
    codes: list[int | None] = []
    for call in calls:
        address = served["http" if "--http" in call else "builtin"]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "rtbridge", *shlex.split(call), "--address", address, "--timeout", "10s",
            cwd=root, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(25):
            said, _ = await process.communicate()
        codes.append(process.returncode)

    assert codes == [0, 0, 0, 0, 1], said.decode()
    assert "103" in said.decode()


@pytest.mark.parametrize("wire", CONFIGURATIONS)
def test_centrifugo_dials_where_the_sample_listens(notes: Loaded, root: Path, wire: str) -> None:
    """Every endpoint is an address of `.rr.yaml`; over HTTP its path is an event that travels over HTTP."""
    text = (root / f"samples/notes/centrifugo.{wire}.json").read_text()
    endpoints = re.findall(r'"endpoint": "([^"]+)"', text)
    proxy, http = notes.config.centrifuge.proxy_address, notes.config.rtbridge.http_proxy
    assert proxy is not None
    assert http is not None

    if wire == "grpc":
        assert set(endpoints) == {f"grpc://{proxy.host}:{proxy.port}"}
    else:
        paths = {kind for kind, method in METHODS.items() if not method.stream} - {"cache_empty", "channel_state"}
        assert sorted(endpoints) == sorted(f"http://{http.address.host}:{http.address.port}/{path}" for path in paths)


@pytest.mark.parametrize("wire", CONFIGURATIONS)
def test_centrifugo_gives_hooks_their_time(notes: Loaded, root: Path, wire: str) -> None:
    """Hooks are stopped before Centrifugo stops waiting, so that a client gets an answer and not an outage."""
    text = (root / f"samples/notes/centrifugo.{wire}.json").read_text()
    limit = notes.config.rtbridge.limits.hook_timeout

    assert limit is not None
    assert all(float(seconds) > limit for seconds in re.findall(r'"timeout": "(\d+)s"', text))


@pytest.mark.parametrize("wire", CONFIGURATIONS)
def test_rtbridge_finds_nothing_to_change(root: Path, wire: str) -> None:
    """`centrifugo-config --check` misses nothing over gRPC, and over HTTP only what HTTP cannot carry."""
    file = f"samples/notes/centrifugo.{wire}.json"
    own = ["-w", ".", "-c", "samples/notes/.rr.yaml"]
    command = [sys.executable, "-m", "rtbridge", "centrifugo-config", *own, "--check", file]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=30, check=False)
    differences = [line for line in done.stdout.splitlines() if line != "nothing differs"]

    assert done.returncode == (1 if differences else 0), done.stderr
    assert [line for line in differences if not line.startswith(("on_subscribe_uni", "on_subscribe_bi"))] == []
    assert bool(differences) is (wire == "http")


@pytest.mark.real
@pytest.mark.parametrize("wire", CONFIGURATIONS)
async def test_centrifugo_accepts_its_configuration(root: Path, wire: str) -> None:
    """`centrifugo checkconfig` has nothing to say."""
    binary = os.environ.get("RTBRIDGE_CENTRIFUGO") or shutil.which("centrifugo")
    if binary is None:
        pytest.skip("no centrifugo on PATH and no RTBRIDGE_CENTRIFUGO")
    path = root / f"samples/notes/centrifugo.{wire}.json"
    json.loads(path.read_text())
    process = await asyncio.create_subprocess_exec(
        binary, "checkconfig", "-c", str(path), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    async with asyncio.timeout(20):
        said, _ = await process.communicate()

    assert process.returncode == 0, said.decode()
