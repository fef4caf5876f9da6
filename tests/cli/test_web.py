"""What the commands say of the HTTP server for browsers, and of the embedded server beside it."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from rtbridge.cli.describe import url
from tests.cli.test_control import _alive, until

CONFIG = """
    http: {address: "127.0.0.1:0", middleware: [static], static: {dir: web}}
    rtbridge:
      entry_points: false
      secret: {values: ["s3cret"]}
      embedded:
        http_server: {address: 127.0.0.1, port: 0}
        client: {allow_anonymous_connect_without_token: true}
"""


@pytest.fixture
def page(project: Any) -> Any:
    """A project with one page and the embedded server."""
    project.write("web/index.html", "<p>hello</p>")
    project.config(CONFIG)
    return project


def test_the_address_can_be_clicked(page: Any, serve: Callable[..., Any]) -> None:
    """It stands in the table, and once more at the end; what browsers talk to wants no secret of Centrifugo's."""
    process = serve()
    process.wait_for("open http")
    address = process.address("web")
    embedded = process.address("embedded")

    assert process.out[3].split() == ["embedded", embedded, "no", "no"]
    assert process.out[4].split() == ["web", address, "no", "no"]
    assert process.out[-2:] == ["ready", f"open {address}"]
    assert httpx.get(address, trust_env=False).text == "<p>hello</p>"


def test_check_says_the_same(page: Any, invoke: Callable[..., Any]) -> None:
    """TLS is the embedded server's own."""
    pem = "-----BEGIN CERTIFICATE-----\\nMIIB\\n-----END CERTIFICATE-----\\n"
    tls = f'{{enabled: true, cert_pem: "{pem}", key_pem: "{pem}"'
    listens = []
    for more in ("}", f', client_ca_pem: "{pem}"}}'):
        found = invoke("check", "-o", f"rtbridge.embedded.http_server.tls={tls}{more}")
        assert found.exit_code == 0, found.stderr
        listens += [line.split() for line in found.stdout.splitlines()[1:3]]

    assert listens == [
        ["embedded", "127.0.0.1:0", "yes", "no"],
        ["web", "http://127.0.0.1:0/", "no", "no"],
        ["embedded", "127.0.0.1:0", "mutual", "no"],
        ["web", "http://127.0.0.1:0/", "no", "no"],
    ]


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("127.0.0.1:8080", "http://127.0.0.1:8080/"),
        ("0.0.0.0:8080", "http://127.0.0.1:8080/"),
        ("[::]:80", "http://[::1]:80/"),
        ("[fd00::1]:80", "http://[fd00::1]:80/"),
        ("shop.internal:80", "http://shop.internal:80/"),
        ("unix:/run/web.sock", "unix:/run/web.sock"),
    ],
)
def test_an_address_as_a_browser_takes_it(address: str, shown: str) -> None:
    """Every interface is no place to go to; this machine is one of them."""
    assert url(address) == shown


SHOP = """
    import os
    from rtbridge.http import Site

    app = Site()

    @app.get("/")
    async def pid(request): return str(os.getpid())
"""


@pytest.fixture
def shop(project: Any) -> Any:
    """A project with an application, and nothing else that listens but the control RPC."""
    project.write("shop.py", SHOP)
    project.config(
        f"""
        http: {{address: "127.0.0.1:0", app: "shop:app", pool: {{num_workers: 2}}}}
        rpc: {{listen: "unix://{project.folder}/rpc.sock"}}
        rtbridge: {{entry_points: false}}
        """
    )
    return project


def test_http_workers(shop: Any, serve: Callable[..., Any], invoke: Callable[..., Any]) -> None:
    """Shown, replaced and ended like others; those of a parent that is killed end by themselves."""
    process = serve()
    process.shows("^workers  2 for HTTP$")
    address = process.address("web")
    found = invoke("workers")
    lines = found.stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [["http", "1"], ["http", "2"]]
    before = {int(line.split()[2]) for line in lines[1:3]}
    assert int(httpx.get(address, trust_env=False).text) in before
    assert invoke("reload").stdout == "reloaded: 2 workers take calls\n"
    pid = int(httpx.get(address, trust_env=False).text)
    assert pid not in before
    process.signal(signal.SIGKILL)
    process.end()
    until(lambda: not _alive(pid), "the worker outlives its parent")


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("http.pool.debug=true", "workers  HTTP in this process"),
        ("centrifuge.pool.debug=true", "workers  none: everything in one process"),
        ('rtbridge.http_proxy.address="127.0.0.1:0"', "workers  2 for events, 2 for HTTP"),
    ],
)
def test_check_says_where_http_runs(shop: Any, invoke: Callable[..., Any], option: str, text: str) -> None:
    workers = ["-o", "centrifuge.pool.num_workers=2", "-o", "centrifuge.proxy_address=null"]
    found = invoke("check", "-o", option, *([] if option.startswith("centrifuge") else workers))
    assert found.exit_code == 0, found.stderr
    assert text in found.stdout.splitlines()


def test_curl(page: Any, serve: Callable[..., Any], tmp_path: Path) -> None:
    """A client that everybody has: heads, conditions, ranges, a download that is taken up again."""
    curl = shutil.which("curl")
    if curl is None:
        assert not os.environ.get("CI"), "curl is not installed"
        pytest.skip("curl is not installed")
    content = bytes(range(256)) * 1000
    (page.folder / "web" / "data.bin").write_bytes(content)
    address = serve().address("web")
    target = tmp_path / "data.bin"

    def run(*arguments: str) -> bytes:
        command = [curl, "--silent", "--show-error", "--fail", "--noproxy", "*", "--max-time", "20", *arguments]
        return subprocess.run(command, check=True, capture_output=True, timeout=30).stdout

    head = run("--head", f"{address}data.bin").decode().lower()
    assert "content-length: 256000" in head
    assert "accept-ranges: bytes" in head
    etag = next(line.split(": ")[1] for line in head.splitlines() if line.startswith("etag"))
    assert run("--range", "100-199", f"{address}data.bin") == content[100:200]
    code = ("--output", str(tmp_path / "nothing"), "--write-out", "%{http_code}")
    assert run("--header", f"If-None-Match: {etag}", *code, f"{address}data.bin") == b"304"
    target.write_bytes(content[:5000])
    run("--continue-at", "-", "--output", str(target), f"{address}data.bin")
    assert target.read_bytes() == content
