"""Real servers on the other end: TLS, gzip, servers that come back, forks, threads, cancelled calls."""

import asyncio
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from rtbridge import ApiFailure
from rtbridge.api.settings import GrpcSettings, HttpSettings, Trust
from tests.api.conftest import client_of, started
from tests.centrifugo import BOUND, find_binary, merged
from tests.embedded.servers import Embedded, RealCentrifugo

pytestmark = pytest.mark.timeout(60)

ROOT = Path(__file__).parents[2]


def tls_of(pems: Any, *, mutual: bool) -> dict[str, Any]:
    """The keys of a server's TLS."""
    found = {"enabled": True, "cert_pem": str(pems.server_cert), "key_pem": str(pems.server_key)}
    return {**found, "client_ca_pem": str(pems.ca)} if mutual else found


@pytest.mark.parametrize("sync", [False, True])
@pytest.mark.parametrize("mutual", [False, True])
@pytest.mark.parametrize("way", ["embedded http", "centrifugo grpc"])
async def test_tls(way: str, mutual: bool, sync: bool, tmp_path: Path, certificates: Any) -> None:
    """Trusted where the authority is; else nothing is said. A client certificate where one is wanted."""
    kind, wire = way.split()
    tls = tls_of(certificates, mutual=mutual)
    over = {"grpc_api": {"tls": tls}} if wire == "grpc" else {"http_server": {"tls": tls}}
    server, grpc = await started(kind, tmp_path, over)
    ours = Trust(
        authority=certificates.ca,
        cert=certificates.client_cert if mutual else None,
        key=certificates.client_key if mutual else None,
    )
    settings: HttpSettings | GrpcSettings
    if wire == "grpc":
        settings = GrpcSettings(target=grpc, key="key", trust=ours, timeout=BOUND)
    else:
        settings = HttpSettings(url=f"https://127.0.0.1:{server.port}/api", key="key", trust=ours, timeout=BOUND)
    try:
        api = client_of(settings, sync=sync)
        assert (await api.publish("room", 1)).offset == 1
        assert (await api.publish("room", 2)).offset == 2
        await api.close()
        wrong = [replace(ours, authority=certificates.stranger_ca), replace(ours, server_name="elsewhere.example")]
        if mutual:
            wrong.append(replace(ours, cert=certificates.stranger_cert, key=certificates.stranger_key))
        for trust in wrong:
            api = client_of(replace(settings, trust=trust), sync=sync)
            with pytest.raises(ApiFailure):
                await api.publish("room", 3)
            await api.close()
        named = client_of(replace(settings, trust=replace(ours, server_name="localhost")), sync=sync)
        assert (await named.history("room")).position.offset == 2
        await named.close()
    finally:
        await server.stop()


@pytest.mark.real
@pytest.mark.parametrize("sync", [False, True])
async def test_gzip(sync: bool, tmp_path: Path) -> None:
    """Centrifugo unpacks what comes; its limit is on what it has unpacked, as the text says."""
    server, grpc = await started("centrifugo", tmp_path)
    api = client_of(GrpcSettings(target=grpc, key="key", compress=True, timeout=BOUND), sync=sync)
    try:
        text = "x" * 1_000_000
        await api.publish("room", text)
        assert (await api.history("room", limit=1)).publications[0].data == text
        with pytest.raises(ApiFailure, match="after decompression larger than max") as caught:
            await api.publish("room", "x" * (5 << 20))
        assert not caught.value.may_have_happened
    finally:
        await api.close()
        await server.stop()


@pytest.mark.parametrize("sync", [False, True])
async def test_an_embedded_server_that_comes_back(sync: bool, tmp_path: Path) -> None:
    """The kept connection is seen to be dead before anything is sent on it, so that no call is lost."""
    server, _ = await started("embedded", tmp_path)
    port = server.port
    api = client_of(HttpSettings(url=f"{server.http}/api", key="key", timeout=BOUND), sync=sync)
    assert (await api.publish("room", 1)).offset == 1
    await server.stop()
    with pytest.raises(ApiFailure) as caught:
        await api.publish("room", 2)
    assert not caught.value.may_have_happened
    config = {"http_server": {"address": "127.0.0.1", "port": port}}
    again = await embedded_at(config)
    try:
        assert (await api.publish("room", 3)).offset == 1
    finally:
        await api.close()
        await again.stop()


async def embedded_at(address: dict[str, Any]) -> Any:
    """A server on a given port."""
    from rtbridge.app import Runtime
    from rtbridge.config import Config, embedded_from
    from rtbridge.embedded import EmbeddedServer
    from tests.api.conftest import CONFIG

    runtime = Runtime(Config())
    await runtime.boot()
    server = EmbeddedServer(runtime.handler, embedded_from(merged(CONFIG, address)))
    await server.start()
    return Embedded(runtime, server)


@pytest.mark.real
@pytest.mark.parametrize("way", ["http", "http-sync", "grpc", "grpc-sync"])
async def test_a_centrifugo_that_comes_back(way: str, tmp_path: Path) -> None:
    """Calls fail while it is gone and work again soon after it is back; none of them is made twice."""
    server, grpc = await started("centrifugo", tmp_path)
    assert isinstance(server, RealCentrifugo)
    settings: HttpSettings | GrpcSettings = HttpSettings(url=f"{server.http}/api", key="key")
    if way.startswith("grpc"):
        settings = GrpcSettings(target=grpc, key="key")
    api = client_of(settings, sync=way.endswith("sync"))
    try:
        assert (await api.publish("room", 1)).offset == 1
        await server.stop()
        with pytest.raises(ApiFailure):
            await api.publish("room", 2)
        config = next(tmp_path.glob("centrifugo-*.json"))
        binary = find_binary()
        assert binary is not None
        process = await asyncio.create_subprocess_exec(
            binary, "-c", config, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
        )
        happened = list[bool]()
        try:
            async with asyncio.timeout(BOUND):
                while True:
                    try:
                        found = await api.publish("room", 3)
                        break
                    except ApiFailure as failure:
                        happened.append(failure.may_have_happened)
            assert (found.offset, set(happened) - {False}) == (1, set())
        finally:
            process.kill()
            await process.wait()
    finally:
        await api.close()


def run(code: str, **environment: str) -> str:
    """What a program prints, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", dedent(code)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_forked_processes(tmp_path: Path) -> None:
    """As under gunicorn: each has a connection of its own, and the parent's goes on."""
    server, _ = await started("embedded", tmp_path)
    code = """
        import os, sys
        from rtbridge.api.connect import open_sync
        from rtbridge.api.settings import HttpSettings

        api = open_sync(HttpSettings(url=os.environ["URL"], key="key", timeout=20.0))
        api.publish("room", "parent")
        children = []
        for number in range(3):
            child = os.fork()
            if not child:
                for _ in range(5):
                    api.publish("room", number)
                os._exit(0)
            children.append(child)
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
        print(api.publish("room", "parent").offset)
        api.close()
    """
    try:
        assert (await asyncio.to_thread(run, code, URL=f"{server.http}/api")) == "17\n"
    finally:
        await server.stop()


async def test_many_at_once(tmp_path: Path) -> None:
    """More calls than connections; threads that share a client."""
    server, _ = await started("embedded", tmp_path)
    for sync in (False, True):
        api = client_of(HttpSettings(url=f"{server.http}/api", key="key", timeout=BOUND), sync=sync)
        found = await asyncio.gather(*(api.publish(f"room{sync}", number) for number in range(300)))
        assert sorted(position.offset for position in found) == list(range(1, 301))
        await api.close()
    await server.stop()


async def test_a_cancelled_call_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its connection is closed, as an answer may still come on it."""
    server, _ = await started("embedded", tmp_path)
    api = client_of(HttpSettings(url=f"{server.http}/api", key="key", timeout=BOUND))
    for number in range(20):
        call = asyncio.ensure_future(api.publish("room", number))
        for _ in range(number):
            await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert await api.presence("room") == {}
    await api.close()
    await server.stop()
