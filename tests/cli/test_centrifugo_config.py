"""``rtbridge centrifugo-config``: what is printed, what --check finds, and what Centrifugo itself says of it."""

import copy
import json
import os
import shutil
import subprocess
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from click.testing import Result

from rtbridge.centrifugo.build import EMULATED_HEADERS, HTTP_HEADERS, SECRET_VARIABLE
from rtbridge.centrifugo.reach import Reach, reach_of_patterns

Invoke = Callable[..., Result]

EVERY = """
    from rtbridge import hookimpl
    from rtbridge.events import METHODS

    def make(kind):
        async def hook(event): ...
        async def stream(event):
            yield
        made = stream if METHODS[kind].stream else hook
        made.__name__ = made.__qualname__ = f"on_{kind}"
        return hookimpl(made)

    for kind in METHODS:
        globals()[f"on_{kind}"] = make(kind)
"""

ROUTED = """
    from rtbridge import Router, hookimpl

    @hookimpl
    async def on_sub_refresh(event): ...

    router = Router()

    @router.on_subscribe("chat:{room}")
    async def enter(event, meta): ...

    @router.on_publish("chat:*")
    async def clean(event): ...

    @router.on_subscribe("news")
    async def news(event): ...

    @router.on_subscribe_bidirectional("live:{match}")
    async def live(event):
        yield

    @router.on_map_publish("board:*")
    async def board(event): ...

    @router.on_shared_poll_refresh("price:*")
    async def price(event): ...

    @router.on_rpc("rooms:create")
    async def create(event): ...

    @router.on_rpc("ping")
    async def ping(event): ...
"""


@pytest.fixture
def routed(project: Any) -> Any:
    """A project whose patterns name namespaces."""
    project.write("routed.py", ROUTED)
    project.config(
        """
        centrifuge: {proxy_address: "tcp://0.0.0.0:30000"}
        rtbridge: {plugins: [routed], entry_points: false}
        """
    )
    return project


@pytest.fixture
def every(project: Any) -> Any:
    """A project that answers every event there is, on both wires, with a secret."""
    project.write("every.py", EVERY)
    project.config(
        """
        centrifuge: {proxy_address: "tcp://127.0.0.1:30000"}
        rtbridge:
          plugins: [every]
          entry_points: false
          http_proxy: {address: "127.0.0.1:30001"}
          secret: {values: ["s3cret"]}
        """
    )
    return project


def _printed(invoke: Invoke, *arguments: str) -> tuple[dict[str, Any], list[str]]:
    found = invoke("centrifugo-config", *arguments)
    assert found.exit_code == 0, found.output
    config: dict[str, Any] = json.loads(found.stdout)
    return config, found.stderr.splitlines()


def test_grpc_for_the_hooks_that_exist(chat: Any, invoke: Invoke) -> None:
    """Endpoint, switch, timeout, headers, meta and the secret's variable; nothing for events without a hook."""
    config, notes = _printed(invoke, "--endpoint", "backend:30000")
    common = {
        "endpoint": "grpc://backend:30000",
        "timeout": "1s",
        "http_headers": list(HTTP_HEADERS),
        "emulated_headers": list(EMULATED_HEADERS),
    }
    secret = {"grpc": {"static_metadata": {"x-proxy-key": f"${{{SECRET_VARIABLE}}}"}}}
    meta = {"include_connection_meta": True}
    assert config == {
        "client": {
            "proxy": {
                "connect": {"enabled": True, **common, **secret},
                "refresh": {"enabled": True, **common, **meta, **secret},
            }
        },
        "channel": {
            "proxy": {"subscribe": common | meta | secret, "publish": common | meta | secret},
            "namespaces": [{"name": "chat", "subscribe_proxy_enabled": True, "publish_proxy_enabled": True}],
        },
        "rpc": {"proxy": common | meta | secret, "without_namespace": {"proxy_enabled": True}},
    }
    assert notes == [f"note: start Centrifugo with {SECRET_VARIABLE} set to the value of rtbridge.secret"]
    assert "s3cret" not in json.dumps(config)


def test_http_has_one_path_for_each_event(every: Any, invoke: Invoke) -> None:
    """Streams stay on gRPC, and the secret is a header."""
    config, _ = _printed(invoke, "--http")
    proxies = {**config["client"]["proxy"], **config["channel"]["proxy"], "rpc": config["rpc"]["proxy"]}
    stream = proxies.pop("subscribe_stream")
    assert stream["endpoint"] == "grpc://127.0.0.1:30000"
    assert {name: proxy["endpoint"] for name, proxy in proxies.items()} == {
        name: f"http://127.0.0.1:30001/{name}" for name in proxies
    }
    assert proxies["connect"]["http"] == {"static_headers": {"x-proxy-key": f"${{{SECRET_VARIABLE}}}"}}
    assert "http_headers" not in proxies["shared_poll_refresh"]


def test_http_alone_leaves_streams_out(every: Any, invoke: Invoke) -> None:
    """Without a gRPC address there is nowhere for them to go."""
    every.config('rtbridge: {plugins: [every], entry_points: false, http_proxy: {address: "127.0.0.1:30001"}}')
    config, notes = _printed(invoke)
    assert "subscribe_stream" not in config["channel"]["proxy"]
    assert "note: on_subscribe_unidirectional is left out: streams travel over gRPC only" in notes
    assert config["client"]["proxy"]["connect"]["endpoint"] == "http://127.0.0.1:30001/connect"


def test_patterns_become_namespaces(routed: Any, invoke: Invoke) -> None:
    """A literal namespace gets the switches of what listens there; a plain hook goes along; kinds are kept apart."""
    config, notes = _printed(invoke)
    assert config["channel"]["without_namespace"] == {
        "subscribe_proxy_enabled": True,
        "sub_refresh_proxy_enabled": True,
    }
    spaces = {space.pop("name"): space for space in config["channel"]["namespaces"]}
    assert spaces == {
        "chat": {
            "subscribe_proxy_enabled": True,
            "publish_proxy_enabled": True,
            "sub_refresh_proxy_enabled": True,
        },
        "live": {"subscribe_stream_proxy_enabled": True, "subscribe_stream_proxy_bidirectional": True},
        "board": {
            "subscription_type": "map",
            "map": {"mode": "ephemeral", "key_ttl": "60s", "publish_proxy_enabled": True},
        },
        "price": {"subscription_type": "shared_poll"},
    }
    assert config["rpc"]["without_namespace"] == {"proxy_enabled": True}
    assert config["rpc"]["namespaces"] == [{"name": "rooms", "proxy_enabled": True}]
    assert config["rpc"]["proxy"]["endpoint"] == "grpc://127.0.0.1:30000"
    assert notes == [
        "note: shared poll needs CENTRIFUGO_SHARED_POLL_HMAC_SECRET_KEY in Centrifugo's environment",
        "note: Centrifugo 6.9.1 answers map_publish with error 107 even when a hook allows it",
        "note: Centrifugo 6.9.1 refuses map subscriptions that a subscribe proxy allowed, so that proxy is off in map "
        "namespaces: let clients in with allow_subscribe_for_client or a subscription token",
        "note: sub_refresh: hooks listen in every namespace; your other namespaces need the switch, too",
    ]


def test_what_centrifugo_cannot_combine_is_said(project: Any, invoke: Invoke) -> None:
    """One-letter namespaces, a stream beside a publish, two types in one namespace, a stream without a namespace."""
    project.write(
        "odd.py",
        """
        from rtbridge import Router
        router = Router()
        async def hook(event): ...
        async def stream(event):
            yield
        router.on_subscribe("r:{x}")(hook)
        router.on_publish("mix:*")(hook)
        router.on_subscribe_unidirectional("mix:*")(stream)
        router.on_subscribe_unidirectional("both:*")(stream)
        router.on_subscribe_bidirectional("both:*")(stream)
        router.on_map_publish("two:*")(hook)
        router.on_shared_poll_refresh("two:*")(hook)
        router.on_publish("plain")(hook)
        router.on_map_remove("alone")(hook)
        """,
    )
    project.config('centrifuge: {proxy_address: "127.0.0.1:1"}\nrtbridge: {plugins: [odd], entry_points: false}\n')
    config, notes = _printed(invoke)
    text = "\n".join(notes)
    assert "'r' cannot be a namespace" in text
    assert "namespace mix: Centrifugo does not combine a stream with publish, so on_subscribe_unidirectional" in text
    assert "namespace both: one kind of stream only, so on_subscribe_unidirectional is never called there" in text
    assert "namespace two: on_shared_poll_refresh is never called there, its channels are of the type map" in text
    assert "on_map_remove is never called: channels without a namespace have publish_proxy_enabled already" in text
    assert [space["name"] for space in config["channel"]["namespaces"]] == ["mix", "both", "two"]


@pytest.mark.parametrize(
    ("options", "endpoint"),
    [
        ((), "grpc://127.0.0.1:30000"),
        (("--endpoint", "backend"), "grpc://backend:30000"),
        (("--endpoint", "backend:7"), "grpc://backend:7"),
        (("--endpoint", "::1"), "grpc://[::1]:30000"),
        (("--endpoint", "[::1]:7"), "grpc://[::1]:7"),
        (("--endpoint", "dns:///backend:7"), "dns:///backend:7"),
        (("-o", "centrifuge.proxy_address='[::]:5'"), "grpc://[::1]:5"),
        (("-o", "centrifuge.proxy_address=unix:///run/rt.sock"), "unix:///run/rt.sock"),
        (("--http", "--endpoint", "https://shop.example/rt/"), "https://shop.example/rt/connect"),
        (("--http", "--endpoint", "backend"), "http://backend:30001/connect"),
        (("--http", "--endpoint", "backend:7"), "http://backend:7/connect"),
    ],
)
def test_endpoints(every: Any, invoke: Invoke, options: tuple[str, ...], endpoint: str) -> None:
    """A host takes the configured port; 0.0.0.0 is nothing to dial; a whole URL stands as it is."""
    config, _ = _printed(invoke, *options)
    assert config["client"]["proxy"]["connect"]["endpoint"] == endpoint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "centrifuge.proxy_address=127.0.0.1:0"), "centrifuge.proxy_address names no host and port; say with"),
        (("--http", "-o", "rtbridge.http_proxy=null"), "rtbridge.http_proxy.address names no host and port"),
        (("--http", "-o", "rtbridge.http_proxy.address=unix:///x"), "rtbridge.http_proxy.address names no host"),
        (("-o", "rtbridge.plugins=[]"), "no hook answers an event that Centrifugo could be told to send"),
        (("--check", "nowhere.json"), "nowhere.json: No such file or directory"),
        (("--check", "bad.json"), "bad.json:2: cannot be read as JSON"),
        (("--check", "bad.yaml"), "bad.yaml:2: cannot be read as YAML"),
        (("--check", "bad.toml"), "bad.toml: cannot be read as TOML"),
        (("--check", "list.json"), "list.json: found no mapping at the top"),
        (("--check", "latin.json"), "latin.json: not UTF-8"),
    ],
)
def test_what_cannot_be_done_is_exit_code_2(every: Any, invoke: Invoke, options: tuple[str, ...], message: str) -> None:
    """One message, naming the key, the option or the file."""
    every.write("bad.json", '{\n"a": }')
    every.write("bad.yaml", "a: 1\nb: [")
    every.write("bad.toml", "a = ")
    every.write("list.json", "[]")
    (every.folder / "latin.json").write_bytes(b'{"a": "\xff"}')
    found = invoke("centrifugo-config", *options)
    assert found.exit_code == 2
    assert found.stderr.startswith(f"rtbridge: {message}")


def test_a_timeout_that_is_none(every: Any, invoke: Invoke) -> None:
    """It is a mistake on the command line, as with every command that has the option."""
    found = invoke("centrifugo-config", "-o", "centrifuge={}", "--timeout", "x")
    assert found.exit_code == 2
    assert "Error: --timeout x: a duration above zero is wanted" in found.stderr


def test_tls_and_its_files(chat: Any, invoke: Invoke, certificates: Any) -> None:
    """TLS is switched on; files are written as given; what is missing is a note."""
    files = f"cert: {certificates}/server.pem, key: {certificates}/server.key, client_ca: {certificates}/ca.pem"
    options = ["-o", f"rtbridge.tls={{{files}}}", "-o", "centrifuge.proxy_address=127.0.0.1:30000"]
    config, notes = _printed(invoke, *options)
    assert config["rpc"]["proxy"]["grpc"]["tls"] == {"enabled": True}
    assert any("give --cacert" in note for note in notes)
    assert any("give --cert and --key" in note for note in notes)
    given = ["--cacert", "/etc/ca.pem", "--cert", "/etc/c.pem", "--key", "/etc/c.key"]
    config, notes = _printed(invoke, *options, *given)
    tls = {"enabled": True, "server_ca_pem": "/etc/ca.pem", "cert_pem": "/etc/c.pem", "key_pem": "/etc/c.key"}
    assert config["rpc"]["proxy"]["grpc"]["tls"] == tls
    assert len(notes) == 1
    config, _ = _printed(invoke, "--http", "--endpoint", "backend:7", *options, *given)
    assert config["rpc"]["proxy"]["endpoint"] == "https://backend:7/rpc"
    assert config["rpc"]["proxy"]["http"]["tls"] == tls


def test_clients_cannot_send_the_secret_themselves(every: Any, invoke: Invoke) -> None:
    """A forwarded header beats a static one in Centrifugo, so the secret's name is never forwarded."""
    config, _ = _printed(invoke, "-o", "rtbridge.secret.key=authorization")
    proxy = config["client"]["proxy"]["connect"]
    assert "Authorization" not in proxy["http_headers"] + proxy["emulated_headers"]
    config, _ = _printed(invoke, "-o", "rtbridge.secret.key=x.key")
    pairs = config["client"]["proxy"]["connect"]["grpc"]["static_metadata"]
    assert pairs == [{"key": "x.key", "value": f"${{{SECRET_VARIABLE}}}"}]


def test_the_timeout_is_longer_than_hooks_may_take(every: Any, invoke: Invoke) -> None:
    """Otherwise Centrifugo gives up first."""
    config, _ = _printed(invoke, "-o", "rtbridge.limits.hook_timeout=2500ms")
    assert config["client"]["proxy"]["connect"]["timeout"] == "4s"
    config, _ = _printed(invoke, "--timeout", "1500ms")
    assert config["client"]["proxy"]["connect"]["timeout"] == "1500ms"


@pytest.mark.parametrize("wire", ["--grpc", "--http"])
@pytest.mark.parametrize("name", ["routed", "every"])
def test_check_accepts_what_was_printed(request: pytest.FixtureRequest, invoke: Invoke, wire: str, name: str) -> None:
    """The two directions agree, in JSON and in YAML."""
    project = request.getfixturevalue(name)
    options = ["-o", "rtbridge.http_proxy.address=127.0.0.1:30001"]
    for form, read in (("json", json.loads), ("yaml", yaml.safe_load)):
        printed = invoke("centrifugo-config", wire, "--format", form, *options)
        assert isinstance(read(printed.stdout), dict)
        file = project.write(f"centrifugo.{form}", printed.stdout)
        found = invoke("centrifugo-config", "--check", str(file), *options)
        assert (found.exit_code, found.stdout) == (0, "nothing differs\n")


GRPC = {"endpoint": "grpc://backend:30000", "grpc": {"credentials_key": "X-Proxy-Key", "credentials_value": ""}}


def _fits() -> dict[str, Any]:
    """A configuration by hand that fits the chat project over gRPC."""
    whole = {
        "client": {"proxy": {"connect": {"enabled": True, **GRPC}, "refresh": {"enabled": "true", **GRPC}}},
        "channel": {
            "proxy": {"subscribe": dict(GRPC), "publish": {**GRPC, "include_connection_meta": True}},
            "namespaces": [{"name": "chat", "subscribe_proxy_enabled": True, "publish_proxy_enabled": True}],
        },
        "rpc": {"proxy": dict(GRPC), "without_namespace": {"proxy_enabled": True}},
    }
    return copy.deepcopy(whole)


def _set(config: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    at: Any = config
    for key in parents:
        at = at[int(key)] if isinstance(at, list) else at.setdefault(key, {})
    if value is None:
        del at[last]
    else:
        at[last] = value


@pytest.mark.parametrize(
    ("path", "value", "difference"),
    [
        (
            "channel.without_namespace",
            {"sub_refresh_proxy_enabled": True},
            "channel.without_namespace.sub_refresh_proxy_enabled is on and no hook answers sub_refresh: it is denied "
            "(expired: true)",
        ),
        ("client.proxy.refresh.enabled", False, "on_refresh is never called: client.proxy.refresh.enabled is off"),
        (
            "channel.namespaces.0.publish_proxy_enabled",
            False,
            "on_publish listens in namespace chat and is never called there: publish_proxy_enabled is off",
        ),
        (
            "channel.namespaces.0.name",
            "talk",
            "on_subscribe listens in namespace chat, which channel.namespaces does not define: error 102",
        ),
        (
            "channel.without_namespace",
            {"publish_proxy_enabled": True},
            "channel.without_namespace.publish_proxy_enabled is on and no pattern of on_publish matches there (without "
            "a namespace)",
        ),
        (
            "rpc.namespaces",
            [{"name": "ns", "proxy_enabled": True}],
            "rpc.namespaces[ns].proxy_enabled is on and no pattern of on_rpc matches there (namespace ns)",
        ),
        ("rpc.without_namespace", {}, "on_rpc is never called: proxy_enabled is on in no namespace of rpc"),
        ("rpc.proxy", None, "rpc.proxy is not defined, and rpc.without_namespace.proxy_enabled is on"),
        ("rpc.proxy.endpoint", "", "rpc.proxy.endpoint is missing: Centrifugo does not start"),
        (
            "rpc.proxy",
            {
                "endpoint": "http://backend/call",
                "http": {"static_headers": [{"key": "X-Proxy-Key", "value": "s3cret"}]},
            },
            "rpc.proxy.endpoint ends in /call, and rtbridge takes rpc at /rpc",
        ),
        (
            "rpc.proxy",
            {"endpoint": "https://backend/rpc", "http": {"static_headers": {"x-proxy-key": "${CENTRIFUGO_VAR_X}"}}},
            "rpc.proxy.endpoint is https:// and rtbridge serves no TLS",
        ),
        (
            "rpc.proxy.grpc",
            {"tls": {"enabled": True}, "static_metadata": {"x-proxy-key": "s3cret"}},
            "rpc.proxy.grpc.tls.enabled is on and rtbridge serves no TLS",
        ),
        (
            "rpc.proxy.grpc",
            {},
            "rpc.proxy: rtbridge refuses its calls, there is no x-proxy-key in grpc.static_metadata",
        ),
        (
            "rpc.proxy.grpc.credentials_value",
            "other",
            "rpc.proxy: rtbridge refuses its calls, x-proxy-key has a value that rtbridge.secret.values does not hold",
        ),
        (
            "rpc.proxy.emulated_headers",
            ["X-Proxy-Key"],
            "rpc.proxy.emulated_headers lets clients send x-proxy-key themselves: remove it",
        ),
        (
            "rpc.proxy.timeout",
            "0s",
            "rpc.proxy.timeout is '0s', which is no positive duration: Centrifugo does not start",
        ),
        (
            "channel.proxy.publish.include_connection_meta",
            None,
            "channel.proxy.publish.include_connection_meta is off and chat.hooks.clean takes meta",
        ),
        (
            "channel.namespaces.0.publish_proxy_name",
            "other",
            "proxies[other] is not defined, and channel.namespaces[chat].publish_proxy_enabled is on",
        ),
    ],
)
def test_check_finds_the_difference(chat: Any, invoke: Invoke, path: str, value: Any, difference: str) -> None:
    """Exit code 1, one line each; the same file without it has nothing to say."""
    config = _fits()
    file = chat.write("centrifugo.json", json.dumps(config))
    assert invoke("centrifugo-config", "--check", str(file)).stdout == "nothing differs\n"
    _set(config, path, value)
    file = chat.write("centrifugo.json", json.dumps(config))
    found = invoke("centrifugo-config", "--check", str(file))
    assert found.exit_code == 1
    assert difference in found.stdout.splitlines()
    assert "s3cret" not in found.output


def test_check_follows_named_proxies(chat: Any, invoke: Invoke) -> None:
    """A namespace's own proxy is looked at in place of the default one, and a shared endpoint has one path only."""
    config = _fits()
    named = {"name": "own", "endpoint": "http://backend/publish", "http": {"static_headers": {"X-Proxy-Key": "s3cret"}}}
    config["proxies"] = [{**named, "include_connection_meta": True, "timeout": "2s"}]
    config["channel"]["namespaces"][0] |= {"publish_proxy_name": "own", "subscribe_proxy_name": "own"}
    file = chat.write("centrifugo.json", json.dumps(config))
    found = invoke("centrifugo-config", "--check", str(file))
    assert found.stdout == "proxies[own].endpoint ends in /publish, and rtbridge takes subscribe at /subscribe\n"


def test_check_knows_what_rtbridge_serves(chat: Any, invoke: Invoke) -> None:
    """A wire that is not served, TLS on one side only, hooks slower than the proxy's patience."""
    chat.config(
        """
        rtbridge:
          plugins: [chat.hooks]
          entry_points: false
          http_proxy: {address: "127.0.0.1:1"}
          limits: {hook_timeout: 5s}
        """
    )
    file = chat.write("centrifugo.json", json.dumps(_fits()))
    found = invoke("centrifugo-config", "--check", str(file)).stdout.splitlines()
    assert "rpc.proxy.endpoint is gRPC and centrifuge.proxy_address is not configured" in found
    slow = "rpc.proxy.timeout is 1s and hooks may take 5s (rtbridge.limits.hook_timeout): Centrifugo gives up first"
    assert slow in found


def test_check_tells_the_two_streams_apart_and_keeps_them_off_http(every: Any, invoke: Invoke) -> None:
    """A stream's endpoint is gRPC; which hook is called is the namespace's choice."""
    printed, _ = _printed(invoke)
    printed["channel"]["proxy"]["subscribe_stream"] = {
        "endpoint": "http://backend/x",
        "http": {"static_headers": {"x-proxy-key": "s3cret"}},
    }
    printed["channel"]["namespaces"] = [
        space for space in printed["channel"]["namespaces"] if space["name"] not in ("bidirectional", "poll")
    ]
    file = every.write("centrifugo.json", json.dumps(printed))
    assert invoke("centrifugo-config", "--check", str(file)).stdout.splitlines() == [
        "on_subscribe_bidirectional is never called: subscribe_stream_proxy_enabled is on in no namespace of channel",
        "on_shared_poll_refresh is never called: subscription_type is on in no namespace of channel",
        "channel.proxy.subscribe_stream.endpoint is HTTP and subscribe_unidirectional travels over gRPC only: "
        "Centrifugo does not start",
    ]


def test_check_with_http_does_not_ask_for_streams(every: Any, invoke: Invoke) -> None:
    """Streams cannot travel over HTTP, so with --http their absence is no difference."""
    only_http = ["--http", "-o", "centrifuge={proxy_address: null}"]
    printed = invoke("centrifugo-config", *only_http)
    assert printed.exit_code == 0
    file = every.write("centrifugo.json", printed.stdout)
    assert invoke("centrifugo-config", "--check", str(file), *only_http).stdout == "nothing differs\n"
    found = invoke("centrifugo-config", "--check", str(file), *only_http[1:])
    assert [line.split()[0] for line in found.stdout.splitlines()] == [
        "on_subscribe_unidirectional",
        "on_subscribe_bidirectional",
    ]


def test_check_tells_every_kind_of_switch(routed: Any, invoke: Invoke) -> None:
    """Polls without a hook, channels without a namespace, wires and timeouts that are not there."""
    routed.write(
        "few.py",
        """
        from rtbridge import Router
        router = Router()
        @router.on_subscribe("news")
        async def news(event): ...
        @router.on_subscribe("chat:*")
        async def chat(event): ...
        @router.on_rpc("x:y")
        async def odd(event): ...
        @router.on_rpc("ping")
        async def ping(event): ...
        """,
    )
    theirs = {
        "channel": {
            "proxy": {"subscribe": {"endpoint": "http://backend/subscribe", "timeout": "soon"}},
            "namespaces": [
                {"name": "chat", "subscribe_proxy_enabled": True},
                {"name": "poll", "subscription_type": "shared_poll"},
            ],
        },
        "rpc": {"proxy": {"endpoint": "backend:30000"}, "without_namespace": {"proxy_enabled": True}},
    }
    file = routed.write("centrifugo.json", json.dumps(theirs))
    found = invoke("centrifugo-config", "--check", str(file), "-o", "rtbridge.plugins=[few]")
    assert found.stdout.splitlines() == [
        "on_subscribe is never called without a namespace: channel.without_namespace.subscribe_proxy_enabled is off",
        "channel.namespaces[poll].subscription_type is shared_poll and no hook answers shared_poll_refresh: it is "
        "denied (error 108 (not available))",
        "channel.proxy.subscribe.endpoint is HTTP and rtbridge.http_proxy is not configured",
        "channel.proxy.subscribe.timeout is 'soon', which is no positive duration: Centrifugo does not start",
    ]


def test_sample_names_give_way_and_single_channels_stay_without_a_namespace(project: Any, invoke: Invoke) -> None:
    """A namespace of one's own called `map` is not made a map; a stream on `ticker` is switched on without one."""
    project.write(
        "names.py",
        """
        from rtbridge import Router, hookimpl
        router = Router()
        @router.on_publish("map:*")
        async def publish(event): ...
        @router.on_subscribe_unidirectional("ticker")
        async def tick(event):
            yield
        @hookimpl
        async def on_map_publish(event): ...
        """,
    )
    project.config('centrifuge: {proxy_address: "127.0.0.1:1"}\nrtbridge: {plugins: [names], entry_points: false}\n')
    config, _ = _printed(invoke)
    assert [space["name"] for space in config["channel"]["namespaces"]] == ["map", "map_"]
    assert "map" not in config["channel"]["namespaces"][0]
    assert config["channel"]["without_namespace"] == {
        "subscribe_stream_proxy_enabled": True,
        "subscribe_stream_proxy_bidirectional": False,
    }


def test_check_reads_toml(chat: Any, invoke: Invoke) -> None:
    """Centrifugo's third format."""
    text = '[client.proxy.connect]\nenabled = true\nendpoint = "grpc://x:1"\n'
    assert tomllib.loads(text)
    file = chat.write("centrifugo.toml", text)
    found = invoke("centrifugo-config", "--check", str(file))
    assert found.exit_code == 1
    assert "on_refresh is never called: client.proxy.refresh.enabled is off" in found.stdout


@pytest.mark.parametrize(
    ("pattern", "reach"),
    [
        ("news", Reach((), True, ())),
        ("chat:{room}", Reach(("chat",), False, ())),
        ("$chat:x", Reach(("chat",), False, ())),
        ("{room}", Reach((), True, ())),
        ("{ns}:x", Reach((), False, ("",))),
        ("pre{ns}:x", Reach((), False, ("pre",))),
        ("*", Reach((), True, ("",))),
        ("chat*", Reach((), True, ("chat",))),
        ("*:x", Reach((), False, ("",))),
    ],
)
def test_what_a_pattern_reaches(pattern: str, reach: Reach) -> None:
    """Named namespaces, channels without one, and namespaces that are left open."""
    assert reach_of_patterns([pattern]) == reach


def test_an_open_pattern_covers_what_it_begins() -> None:
    """`chat*` matches `chatter:1`, and not `news:1`."""
    reach = reach_of_patterns(["chat*"])
    assert reach.covers("chatter")
    assert not reach.covers("news")
    assert not reach.everywhere


@pytest.fixture
def centrifugo() -> str:
    """The real one, which cannot be had everywhere, under CI neither."""
    found = os.environ.get("RTBRIDGE_CENTRIFUGO") or shutil.which("centrifugo")
    if not found:
        pytest.skip("no centrifugo on PATH or in RTBRIDGE_CENTRIFUGO")
    return found


@pytest.mark.real
@pytest.mark.parametrize("wire", ["--grpc", "--http"])
@pytest.mark.parametrize("form", ["json", "yaml"])
@pytest.mark.parametrize("name", ["routed", "every"])
def test_centrifugo_accepts_it(
    request: pytest.FixtureRequest, invoke: Invoke, centrifugo: str, wire: str, form: str, name: str
) -> None:
    """`centrifugo checkconfig --strict` knows every key; without the secret's variable it refuses to start."""
    project = request.getfixturevalue(name)
    options = ["-o", "rtbridge.http_proxy.address=127.0.0.1:30001"]
    file = project.write(f"c.{form}", invoke("centrifugo-config", wire, "--format", form, *options).stdout)
    command = [centrifugo, "checkconfig", "--strict", "-c", str(file)]
    environment = {**os.environ, "CENTRIFUGO_SHARED_POLL_HMAC_SECRET_KEY": "x"}
    whole = subprocess.run(
        command, env={**environment, SECRET_VARIABLE: "s3cret"}, capture_output=True, text=True, timeout=20, check=False
    )
    assert (whole.returncode, whole.stdout) == (0, "")
    if name == "every":
        bare = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
        assert bare.returncode == 1
        assert f'environment variable "{SECRET_VARIABLE}" not found' in bare.stdout
