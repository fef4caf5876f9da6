"""``rtbridge serve`` in a process of its own: start, refusal to start, signals, drain."""

import json
import signal
import socket
import sys
from collections.abc import Callable
from typing import Any

import pytest

Start = Callable[..., Any]


def test_the_table_says_what_listens_where(chat: Any, serve: Start) -> None:
    """Wire, address as bound, TLS, secret, plugins and answered events are printed before `ready`."""
    process = serve("-o", "centrifuge.pool.num_workers=2")
    grpc, http = process.address("gRPC"), process.address("HTTP")
    assert grpc.startswith("127.0.0.1:")
    assert not grpc.endswith(":0")
    assert process.out[2].split() == ["listens", "address", "TLS", "secret"]
    assert process.out[3].split() == ["gRPC", grpc, "no", "yes", "(x-proxy-key)"]
    assert process.out[4].split() == ["HTTP", http, "no", "yes", "(x-proxy-key)"]
    assert process.out[6:10] == [
        "plugins  1: chat.hooks",
        "answers  connect, refresh, subscribe, publish, rpc (2 hooks, 3 routes)",
        "workers  2",
        "",
    ]


def test_with_json_logs_nothing_is_printed_that_is_no_json(chat: Any, start: Start) -> None:
    """The table becomes records, since both streams often end in one place."""
    process = start("serve", "-o", "logs.encoding=json")
    process.wait_for('"msg": "ready"')
    process.signal()
    assert process.end() == 0
    assert process.out == []
    records = [json.loads(line) for line in process.err]
    listens = [record for record in records if "transport" in record]
    assert [(r["transport"], r["tls"], r["secret"]) for r in listens] == [
        ("gRPC", "no", "yes (x-proxy-key)"),
        ("HTTP", "no", "yes (x-proxy-key)"),
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_exit_code_0(chat: Any, serve: Start, number: int) -> None:
    """SIGTERM and SIGINT drain and end the process and its workers cleanly, on_shutdown hooks included."""
    chat.write(
        "chat/life.py",
        """
        from rtbridge import hookimpl
        @hookimpl
        def on_boot(config): print("boot", flush=True)
        @hookimpl
        def on_ready(config): print("on_ready", flush=True)
        @hookimpl
        async def on_shutdown(config): print("shutdown", flush=True)
        """,
    )
    process = serve("-o", "rtbridge.plugins=[chat.hooks, chat.life]", "-o", "centrifuge.pool.num_workers=1")
    process.wait_for("on_ready")
    process.signal(number)
    assert process.end() == 0
    assert process.out[0] == "boot"
    assert process.out[-2:] == ["on_ready", "shutdown"]
    assert any(f"{signal.Signals(number).name}: taking no new calls" in line for line in process.err)


SLOW = """
    import asyncio, pathlib, time
    from rtbridge import hookimpl, RPCResult

    @hookimpl
    async def on_rpc(event):
        print("begun", flush=True)
        while not pathlib.Path("go").exists():
            await asyncio.sleep(0.01)
        return RPCResult(data="done")

    @hookimpl
    def on_publish(event):
        print("begun", flush=True)
        time.sleep(600)
"""


def test_calls_under_way_are_answered_before_the_end(chat: Any, serve: Start, start: Start) -> None:
    """A call that runs when SIGTERM comes gets its answer; after that the process ends."""
    chat.write("slow.py", SLOW)
    process = serve("-o", "rtbridge.plugins=[slow]")
    calling = start("call", "rpc", "--method", "x", "--timeout", "20s", "--address", process.address("gRPC"))
    process.wait_for("^begun$")
    process.signal()
    process.wait_for("taking no new calls")
    chat.write("go", "")
    assert calling.end() == 0
    assert json.loads("\n".join(calling.out)) == {"result": {"data": "done"}}
    assert process.end() == 0


def test_the_drain_is_bounded(chat: Any, serve: Start, start: Start) -> None:
    """A hook that does not end is waited for as long as rtbridge.drain_timeout says."""
    chat.write("slow.py", SLOW)
    process = serve("-o", "rtbridge.plugins=[slow]", "-o", "rtbridge.drain_timeout=100ms")
    start("call", "rpc", "--method", "x", "--timeout", "20s", "--address", process.address("gRPC"))
    process.wait_for("^begun$")
    process.signal()
    assert process.end() == 0


def test_a_second_signal_ends_it_at_once(chat: Any, serve: Start, start: Start) -> None:
    """Exit code 1, while a hook still runs."""
    chat.write("slow.py", SLOW)
    process = serve("-o", "rtbridge.plugins=[slow]")
    address = process.address("gRPC")
    start("call", "publish", "--channel", "x", "--data", "1", "--timeout", "20s", "--address", address)
    process.wait_for("^begun$")
    process.signal()
    process.wait_for("taking no new calls")
    process.signal(signal.SIGINT)
    assert process.end() == 1
    assert any("SIGINT again: ending at once" in line for line in process.err)


def test_a_signal_during_the_boot_ends_it(chat: Any, start: Start) -> None:
    """Nothing has to listen for a signal to be heard."""
    chat.write(
        "boot.py",
        """
        import asyncio
        from rtbridge import hookimpl
        @hookimpl
        async def on_boot(config):
            print("booting", flush=True)
            await asyncio.sleep(600)
        """,
    )
    process = start("serve", "-o", "rtbridge.plugins=[boot]")
    process.wait_for("^booting$")
    process.signal()
    assert process.end() == 0
    assert "ready" not in process.out


def test_streams_end_with_the_process_and_do_not_hold_it(chat: Any, serve: Start, start: Start) -> None:
    """An open subscription stream is ended by the bridge, long before drain_timeout."""
    chat.write(
        "stream.py",
        """
        import asyncio
        from rtbridge import Publication, SubscribeResult, hookimpl
        @hookimpl
        async def on_subscribe_unidirectional(event):
            yield SubscribeResult()
            print("streaming", flush=True)
            await asyncio.sleep(600)
            yield Publication(data=1)
        """,
    )
    process = serve("-o", "rtbridge.plugins=[stream]", "-o", "rtbridge.drain_timeout=600s")
    reader = """
        import sys, grpc
        from rtbridge.codec.descriptors import message_class
        package = "centrifugal.centrifugo.proxy."
        channel = grpc.insecure_channel(sys.argv[1])
        path = "/centrifugal.centrifugo.proxy.CentrifugoProxy/SubscribeUnidirectional"
        request = message_class(package + "SubscribeRequest")(channel="x").SerializeToString()
        try:
            for _ in channel.unary_stream(path)(request, metadata=(("x-proxy-key", "s3cret"),)):
                pass
        except grpc.RpcError as exc:
            print(exc.code().name, flush=True)
        sys.exit()
        """
    listening = start(process.address("gRPC"), prelude=reader)
    process.wait_for("^streaming$")
    process.signal()
    assert process.end() == 0
    listening.end()
    assert listening.out == ["INTERNAL"]


@pytest.mark.parametrize("wire", ["gRPC", "HTTP"])
def test_a_port_in_use_is_one_message_and_exit_code_2(chat: Any, start: Start, wire: str) -> None:
    """What had been started is stopped again, and there is no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        key = "centrifuge.proxy_address" if wire == "gRPC" else "rtbridge.http_proxy.address"
        process = start("serve", "-o", f"{key}=127.0.0.1:{port}")
        assert process.end() == 2
    assert process.out == []
    # gRPC's core may put a line of its own before it.
    told = [line for line in process.err if line.startswith("rtbridge: ")]
    assert len(told) == 1
    assert told[0].startswith(f"rtbridge: {wire} cannot listen on 127.0.0.1:{port}: ")
    assert not any("Traceback" in line for line in process.err)


def test_nothing_to_serve_names_the_keys(project: Any, start: Start) -> None:
    """A configuration without an address says which keys there are."""
    project.config("logs: {level: info}")
    process = start("serve")
    assert process.end() == 2
    assert process.err == [
        "rtbridge: nothing listens: set rtbridge.embedded (clients), centrifuge.proxy_address (gRPC) or "
        "rtbridge.http_proxy.address (HTTP), or several"
    ]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("centrifuge: {proxy_adress: x}", "unknown key"),
        ("centrifuge: [", ".rr.yaml:"),
        ("rtbridge: {threads: many}", "rtbridge.threads"),
        ("kv: {a: {}}", "the key is missing"),
    ],
)
def test_a_bad_configuration_is_told_without_a_traceback(project: Any, start: Start, config: str, message: str) -> None:
    """The file, the key and what is allowed; exit code 2."""
    project.config(config)
    process = start("serve")
    assert process.end() == 2
    assert process.out == []
    assert process.err[0].startswith("rtbridge: .rr.yaml")
    assert any(message in line for line in process.err)
    assert not any("Traceback" in line for line in process.err)


def test_a_missing_file_says_where_it_was_looked_for(project: Any, start: Start) -> None:
    """No .rr.yaml in the folder."""
    process = start("serve")
    assert process.end() == 2
    assert process.err[0].startswith(f"rtbridge: .rr.yaml: no such file in {project.folder}")


@pytest.mark.parametrize(
    ("plugin", "message"),
    [
        ("nowhere", "plugin nowhere cannot be imported: ModuleNotFoundError: No module named 'nowhere'"),
        ("needy", "needy.py:1): ModuleNotFoundError: No module named 'a_package_that_is_not_there'"),
        ("typo", "there is no such hook; did you mean on_connect?"),
        ("broken", "(ValueError: wrong)"),
    ],
)
def test_a_plugin_that_cannot_be_used_is_told_without_a_traceback(
    chat: Any, start: Start, plugin: str, message: str
) -> None:
    """The plugin and the reason; exit code 2."""
    chat.write("needy.py", "import a_package_that_is_not_there")
    chat.write("typo.py", "from rtbridge import hookimpl\n@hookimpl\ndef on_conect(event): ...\n")
    chat.write(
        "broken.py", "from rtbridge import hookimpl\n@hookimpl\ndef on_boot(config): raise ValueError('wrong')\n"
    )
    process = start("serve", "-o", f"rtbridge.plugins=[{plugin}]")
    assert process.end() == 2
    told = [line for line in process.err if line.startswith("rtbridge: ")]
    assert len(told) == 1
    assert message.strip("()") in told[0]
    assert not any("Traceback" in line for line in process.err)


def test_a_missing_working_directory_is_told(project: Any, start: Start) -> None:
    """-w that does not exist."""
    process = start("serve", "-w", "nowhere")
    assert process.end() == 2
    assert process.err == ["rtbridge: -w nowhere: No such file or directory"]


def test_warnings_and_notices_are_logged_at_start(project: Any, serve: Start) -> None:
    """Keys without effect, events that nobody answers, and an open port each give a warning."""
    project.config(
        """
        centrifuge:
          proxy_address: "tcp://0.0.0.0:0"
          pool: {num_workers: 1, stream_timeout: 5s}
        rtbridge: {entry_points: false}
        """
    )
    process = serve()
    for kind in ("connect", "subscribe", "publish", "rpc"):
        process.shows(rf"WARNING.*nobody answers {kind}: every one is denied \(disconnect 4500\)")
    process.shows(r"WARNING.*centrifuge\.pool\.stream_timeout: has no effect")
    process.shows(r"WARNING.*with neither TLS nor a secret")


def test_lazy_boot_waits_for_the_first_event(chat: Any, serve: Start, start: Start) -> None:
    """With centrifuge.lazy_boot, on_boot hooks run when the first event comes."""
    chat.write(
        "chat/life.py",
        "from rtbridge import hookimpl\n@hookimpl\ndef on_boot(config): print('boot', flush=True)\n",
    )
    process = serve("-o", "rtbridge.plugins=[chat.hooks, chat.life]", "-o", "centrifuge.lazy_boot=true")
    assert "boot" not in process.out
    calling = start("call", "rpc", "--method", "echo", "--address", process.address("gRPC"))
    assert calling.end() == 0
    process.wait_for("^boot$")


LOOP = """
    import asyncio
    from rtbridge import hookimpl
    @hookimpl
    async def on_boot(config): print("loop", type(asyncio.get_running_loop()).__module__, flush=True)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="uvloop does not exist for Windows")
def test_uvloop_runs_it_where_it_is_installed(chat: Any, serve: Start, start: Start) -> None:
    """The extra `fast` needs no configuration."""
    chat.write("loop.py", LOOP)
    process = serve("-o", "rtbridge.plugins=[chat.hooks, loop]")
    assert "loop uvloop" in process.out
    calling = start("call", "rpc", "--method", "echo", "--data", "1", "--address", process.address("gRPC"))
    assert calling.end() == 0


def test_without_uvloop_asyncio_runs_it(chat: Any, serve: Start) -> None:
    """A missing uvloop is no error."""
    chat.write("loop.py", LOOP)
    alone = "centrifuge.pool.debug=true"  # the prelude is for this process
    process = serve("-o", "rtbridge.plugins=[loop]", "-o", alone, prelude="import sys; sys.modules['uvloop'] = None")
    assert process.out[0].startswith("loop asyncio.")


def test_signals_are_heard_where_the_loop_cannot_take_them(chat: Any, serve: Start) -> None:
    """As on Windows, whose loops have no add_signal_handler, signal.signal takes over."""
    process = serve(
        "-o",
        "centrifuge.pool.debug=true",
        prelude="""
        import asyncio, sys, types
        class Loop(asyncio.SelectorEventLoop):
            def add_signal_handler(self, *arguments): raise NotImplementedError
        sys.modules["uvloop"] = types.SimpleNamespace(new_event_loop=Loop)
        """,
    )
    process.signal()
    assert process.end() == 0


def test_the_working_directory_comes_first(project: Any, serve: Start, tmp_path: Any) -> None:
    """-w: plugins are found there, before anything else, relative paths start there, and the process stands there."""
    project.write("app/json_like.py", "import os\nprint('cwd', os.getcwd(), flush=True)\n")
    project.write("app/conf/.rr.yaml", 'version: "3"\ncentrifuge: {proxy_address: "127.0.0.1:0"}\n')
    process = serve("-w", "app", "-c", "conf/.rr.yaml", "-o", "rtbridge.plugins=[json_like]")
    assert process.out[0] == f"cwd {(project.folder / 'app').resolve()}"


def test_without_w_plugins_are_found_beside_the_configuration(project: Any, serve: Start, tmp_path: Any) -> None:
    """-c: the file's folder comes first on the path; the process stays where it is."""
    project.write("app/near.py", "import os\nprint('cwd', os.getcwd(), flush=True)\n")
    project.write("app/.rr.yaml", 'version: "3"\ncentrifuge: {proxy_address: "127.0.0.1:0"}\n')
    process = serve("-c", "app/.rr.yaml", "-o", "rtbridge.plugins=[near]")
    assert process.out[0] == f"cwd {project.folder.resolve()}"


def test_hooks_see_dotenv_and_server_env(project: Any, serve: Start) -> None:
    """What is set already beats .env; server.env beats both."""
    project.write("mine.env", "A=dotenv\nB=dotenv\nC=dotenv\n")
    project.write("env.py", "import os\nprint('env', *(os.environ[n] for n in 'ABC'), flush=True)\n")
    project.config(
        """
        centrifuge: {proxy_address: "127.0.0.1:0"}
        server: {env: {C: "${A}+server"}}
        rtbridge: {plugins: [env]}
        """
    )
    process = serve("--dotenv", "mine.env", B="set")
    assert process.out[0] == "env dotenv set dotenv+server"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no Unix sockets in asyncio")
def test_unix_sockets(chat: Any, serve: Start, start: Start, tmp_path: Any) -> None:
    """Both wires listen on paths and can be called there."""
    grpc, http = tmp_path / "g.sock", tmp_path / "h.sock"
    options = ["-o", f"centrifuge.proxy_address=unix://{grpc}", "-o", f"rtbridge.http_proxy.address=unix://{http}"]
    process = serve(*options)
    for wire in ((), ("--http",)):
        calling = start("call", "rpc", "--method", "echo", "--data", "[1]", *wire, *options)
        assert calling.end() == 0
        assert json.loads("\n".join(calling.out)) == {"result": {"data": [1]}}
    process.signal()
    assert process.end() == 0
