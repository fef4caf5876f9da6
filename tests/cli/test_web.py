"""What the commands say of the HTTP server for browsers, and of the embedded server beside it."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from rtbridge.cli.describe import url

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
