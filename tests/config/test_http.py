"""The section of the HTTP server: what it takes, what it refuses, and in which words."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from rtbridge.config import Http, json_schema, parse_config
from rtbridge.errors import ConfigError

LAYERS = "gzip, headers, http_metrics, proxy_ip_parser, sendfile, static"


def read(section: str, folder: Path, **options: Any) -> Http:
    """The section as it is read from a file in a folder."""
    http = parse_config(f'version: "3"\nhttp: {section}', base_dir=folder, **options).config.http
    assert http is not None
    return http


def fault(text: str, folder: Path) -> str:
    """The text of the error that a file raises, without version, source and line."""
    with pytest.raises(ConfigError) as caught:
        parse_config(f'version: "3"\n{text}', base_dir=folder, source="c")
    return str(caught.value).removeprefix("c:2: ").replace("0.1.0", "VERSION")


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """The folder is found from the file on; extensions count in any case."""
    (tmp_path / "web").mkdir()
    static = "{dir: web, forbid: [.PHP], allow: [.html, .js], response: {X-One: a b, x-two: '2'}}"
    http = read(f"{{address: '0.0.0.0:80', middleware: [static], static: {static}}}", tmp_path)

    assert http.address is not None
    assert (http.address.host, http.address.port) == ("0.0.0.0", 80)
    assert http.static is not None
    assert http.static.dir == tmp_path / "web"
    assert (http.static.forbid, http.static.allow) == ((".php",), (".html", ".js"))
    assert http.static.response == {"X-One": "a b", "x-two": "2"}


def test_no_files_and_no_section(tmp_path: Path) -> None:
    """Files are served where they are asked for, and nothing is served without the section."""
    assert read("{address: '127.0.0.1:0'}", tmp_path).static is None
    assert parse_config('version: "3"').config.http is None
    assert parse_config('version: "3"\nhttp: null').config.http is None


def test_offline_looks_at_no_folder(tmp_path: Path) -> None:
    """Images are built where the files are not."""
    http = read("{address: '127.0.0.1:0', middleware: [static], static: {dir: gone}}", tmp_path, offline=True)

    assert http.static is not None
    assert http.static.dir == tmp_path / "gone"


@pytest.mark.parametrize(
    ("section", "text"),
    [
        ("{}", "http: found neither address nor ssl, allowed: one of them or both"),
        (
            "{address: 'h:1', middleware: [static]}",
            "http: found static, but no http.static, allowed: both or neither",
        ),
        (
            "{address: 'h:1', static: {dir: .}}",
            "http: found http.static, but middleware does not name static, allowed: both or neither",
        ),
        (
            "{address: 'h:1', middleware: [cache]}",
            f"http.middleware.0: found a string 'cache', not implemented in rtbridge VERSION; allowed: {LAYERS}",
        ),
        (
            "{address: 'h:1', middleware: [statik]}",
            f"http.middleware.0: found a string 'statik', allowed: {LAYERS}; did you mean static?",
        ),
        ("{address: 'h:1', middleware: [gzip, gzip]}", "http: found gzip twice in middleware, allowed: once"),
        (
            "{address: 'h:1', trusted_subnets: [private_ranges]}",
            "http: found http.trusted_subnets, but middleware does not name proxy_ip_parser, allowed: both or neither",
        ),
        (
            "{address: 'h:1', trusted_subnets: [10.0.0.1/8]}",
            "http.trusted_subnets.0: found a string '10.0.0.1/8' (10.0.0.1/8 has host bits set), allowed: a network "
            "such as 10.0.0.0/8, an address, or private_ranges",
        ),
        (
            "{address: 'h:1', app: 'shop.web'}",
            "http.app: found a string 'shop.web', allowed: module:attribute, as in shop.web:app, or null",
        ),
        ("{address: 'h:1', lazy_boot: true}", "http: found lazy_boot, but no http.app, allowed: both or neither"),
        (
            "{address: 'h:1', max_request_size: 0}",
            "http.max_request_size: found an integer 0, allowed: an integer from 1 to 1000000",
        ),
        (
            "{address: 'h:1', headers: {cors: {allowed_origin: '*', allow_credentials: true}}}",
            "http.headers.cors: found allow_credentials with every origin allowed, so that any page could act as "
            "whoever looks at it; allowed: the origins by name, or no credentials",
        ),
        (
            "{address: 'h:1', headers: {cors: {allowed_origin_regex: '('}}}",
            "http.headers.cors.allowed_origin_regex: found a string '(' (missing ), unterminated subpattern at "
            "position 0), allowed: a regular expression of Python, or null",
        ),
        (
            "{address: 'h:1', headers: {cors: {allowed_methods: 'GET,,PUT'}}}",
            "http.headers.cors.allowed_methods: found a string 'GET,,PUT', allowed: words, with commas between them",
        ),
        (
            "{address: 'h:1', adress: x}",
            "http.adress: unknown key, allowed: address, ssl, app, lazy_boot, debug, pool, internal_error_code, "
            "max_request_size, access_logs, middleware, static, headers, sendfile, trusted_subnets, uploads; did you "
            "mean address?",
        ),
    ],
)
def test_a_section_that_is_wrong(section: str, text: str, tmp_path: Path) -> None:
    """Key, what was found, what is allowed; RoadRunner's other keys are named as keys of a later version."""
    assert fault(f"http: {section}", tmp_path) == text


@pytest.mark.parametrize(
    ("static", "text"),
    [
        ("{}", "dir: the key is missing, allowed: the path of a folder, relative to the folder of this file"),
        ("{dir: gone}", "dir: found a string 'gone' (no folder at FOLDER/gone), allowed: the path of a folder, "
         "relative to the folder of this file"),
        ("{dir: ''}", "dir: found a string '', allowed: the path of a folder, relative to the folder of this file"),
        ("{dir: 7}", "dir: found an integer 7 (quote it to make it text), allowed: the path of a folder, relative to "
         "the folder of this file"),
        ("{dir: ., forbid: [php]}", "forbid.0: found a string 'php', allowed: the extension of a file, with its dot: "
         ".js"),
        ("{dir: ., allow: [null]}", "allow.0: found nothing (null), allowed: the extension of a file, with its dot: "
         ".js"),
        ("{dir: ., request: {a: b}}", "request: files are sent whatever a request's headers are; "
         "http.headers.request sets those that the application finds"),
        ('{dir: ., response: {a: "b\\n"}}', "response.a: found a string 'b\\n', allowed: visible ASCII characters, "
         "with no space at either end"),
        ("{dir: ., response: {Content-Length: '1'}}", "response: found the key 'Content-Length', allowed: a string "
         "(a header's name, but none that says how a body travels)"),
        ("{dir: ., response: {'a b': c}}", "response: found the key 'a b', allowed: a string (a header's name, but "
         "none that says how a body travels)"),
    ],
)  # fmt: skip
def test_files_that_cannot_be_served(static: str, text: str, tmp_path: Path) -> None:
    """The same for the files."""
    found = fault(f"http: {{address: 'h:1', middleware: [static], static: {static}}}", tmp_path)

    assert found.replace(str(tmp_path), "FOLDER") == f"http.static.{text}"


def test_roadrunners_etags(tmp_path: Path) -> None:
    """Its key is read over with a word, as every file has one."""
    text = 'version: "3"\nhttp: {address: "h:1", middleware: [static], static: {dir: ., calculate_etag: true}}'
    loaded = parse_config(text, base_dir=tmp_path, source="c")

    why = "RoadRunner's key, no meaning here (every file has an ETag)"
    assert loaded.notices == (f"c:2: http.static.calculate_etag: {why}",)


def test_networks_and_lists(tmp_path: Path) -> None:
    """A word stands for the networks that nobody on the internet has; lists are RoadRunner's, with commas."""
    networks = "trusted_subnets: [private_ranges, 203.0.113.7]"
    http = read(
        f"{{address: 'h:1', middleware: [proxy_ip_parser, headers], {networks}, "
        "headers: {cors: {allowed_methods: 'GET , PUT'}}}",
        tmp_path,
    )

    assert http.networks == (
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "fc00::/7", "::1/128", "203.0.113.7/32",
    )  # fmt: skip
    assert http.headers is not None
    assert http.headers.cors is not None
    assert http.headers.cors.allowed_methods == "GET,PUT"


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("wss://rt.example.com", "wss://rt.example.com"),
        ("https://rt.example.com:8443/rt/", "https://rt.example.com:8443/rt"),
        ("ws://[::1]:8000", "ws://[::1]:8000"),
    ],
)
def test_where_clients_reach_the_realtime_server(url: str, read: str) -> None:
    """A base of URLs, without a slash at its end."""
    assert parse_config({"version": "3", "rtbridge": {"public_url": url}}).config.rtbridge.public_url == read


@pytest.mark.parametrize(
    "url",
    [
        "rt.example.com", "ftp://rt.example.com", "ws://", "ws://user@rt.example.com", "ws://a/?b", "ws://a/#b",
        "ws://a b", "ws://a:0", "ws://a:99999", "ws://a;script-src", "ws://a'b", "ws://a,b",
    ],
)  # fmt: skip
def test_where_nobody_can_be_reached(url: str, tmp_path: Path) -> None:
    """What stands in headers and in other URLs holds nothing that would mean more there."""
    found = fault(f'rtbridge: {{public_url: "{url}"}}', tmp_path)

    assert found.startswith(f"rtbridge.public_url: found a string {url!r}")
    assert found.endswith("allowed: a ws, wss, http or https URL: wss://rt.example.com, or null")


def test_the_schema_knows_it(tmp_path: Path) -> None:
    """Editors say the same as far as a schema can."""
    schema = json_schema()
    good = {"address": "h:1", "middleware": ["static"], "static": {"dir": ".", "forbid": [".php"]}}
    jsonschema.validate({"version": "3", "http": good}, schema)
    bads: list[dict[str, Any]] = [
        {**good, "ssl": {}},
        {**good, "middleware": ["cache"]},
        {**good, "static": {"dir": ".", "allow": ["x"]}},
    ]
    for bad in bads:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"version": "3", "http": bad}, schema)


def test_keys_of_the_pool_without_effect(tmp_path: Path) -> None:
    """Each says so; the others are those of centrifuge.pool."""
    pool = {"num_workers": 3, "max_queue_size": 5, "stream_timeout": "1s", "dynamic_allocator": {}, "command": "php x"}
    loaded = parse_config({"version": "3", "http": {"address": "h:1", "pool": pool}}, base_dir=tmp_path)
    assert loaded.config.http is not None
    assert loaded.config.http.pool.num_workers == 3
    assert [line.split(": ")[1] for line in loaded.notices] == [
        "http.pool.command",
        "http.pool.max_queue_size",
        "http.pool.stream_timeout",
        "http.pool.dynamic_allocator",
    ]
