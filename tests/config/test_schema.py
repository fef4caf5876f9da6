"""The JSON Schema says what the model says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from rtbridge.config import json_schema, parse_config
from rtbridge.config.roadrunner import known_keys
from tests.config.written import defaults

FIXTURES = Path(__file__).with_name("fixtures")


def valid(text: str) -> bool:
    """Whether a YAML text passes the schema."""
    schema: Any = json_schema()
    return not list(jsonschema.Draft202012Validator(schema).iter_errors(yaml.safe_load(text)))


def described(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    """Every key with its description."""
    for key, value in schema.get("properties", {}).items():
        yield f"{path}{key}", value.get("description", "")
        yield from described(value, f"{path}{key}.")


def test_it_is_a_schema() -> None:
    schema: Any = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["version"]


def test_every_key_is_described() -> None:
    keys = dict(described(json_schema()))
    assert len(keys) > 70
    assert [key for key, text in keys.items() if not text.endswith(".")] == []
    assert set(known_keys().keys) <= set(keys)


@pytest.mark.parametrize("name", ["centrifuge_only", "quirks"])
def test_files_that_load_pass(name: str) -> None:
    assert valid((FIXTURES / f"{name}.rr.yaml").read_text().replace("SWITCH: on", "SWITCH: 'on'"))


@pytest.mark.parametrize(
    "text",
    [
        "rtbridge: {}",
        "version: 3",
        'version: "3"\nrtbridge: {thread: 1}',
        'version: "3"\nrtbridge: {threads: 1025}',
        'version: "3"\nrtbridge: {threads: abc}',
        'version: "3"\nrtbridge: {drain_timeout: 30}',
        'version: "3"\nrtbridge: {secret: {key: a}}',
        'version: "3"\nrtbridge: {secret: {values: []}}',
        'version: "3"\nrtbridge: {grpc_server: grpcoi}',
        'version: "3"\nrtbridge: {plugins: [""]}',
        'version: "3"\nkv: {a: {}}',
        'version: "3"\nkv: {a: {driver: memory, config: {max_entries: 0}}}',
        'version: "3"\nkv: {a: {driver: redis, config: {max_entries: 1}}}',
    ],
)
def test_files_that_do_not_load_fail(text: str) -> None:
    assert not valid(text)


def test_the_keys_of_a_store_follow_from_its_driver() -> None:
    stores = [
        "a: {driver: memory, config: {max_bytes: 1MiB}}",
        "b: {driver: boltdb, config: {file: rr.db}}",
        "c: {driver: redis, config: {addrs: ['a:1']}}",
        "d: {driver: etcd, config: {hosts: [a]}}",
        "e: {driver: memcached}",
        "f: {driver: memory, config: }",
    ]
    assert valid('version: "3"\nkv:\n  ' + "\n  ".join(stores))
    (redis,) = [
        choice["then"]["properties"]["config"]
        for choice in json_schema()["properties"]["kv"]["additionalProperties"]["allOf"]  # type: ignore[index]
        if choice["if"]["properties"]["driver"]["const"] == "redis"
    ]
    assert redis["properties"]["addrs"]["default"] == ["tcp://127.0.0.1:6379"]


def test_defaults_are_written_as_in_the_file_and_load() -> None:
    schema: Any = json_schema()
    settings = schema["properties"]["rtbridge"]["properties"]
    assert settings["drain_timeout"]["default"] == "30s"
    assert settings["limits"]["properties"]["message_size"]["default"] == "4MiB"
    assert settings["plugins"]["default"] == []
    assert settings["http_proxy"]["default"] is None
    centrifuge = schema["properties"]["centrifuge"]["properties"]
    assert centrifuge["proxy_address"]["default"] == "tcp://127.0.0.1:30000"
    assert "default" not in settings["limits"]
    written = defaults(schema)
    del written["centrifuge"]["pool"]
    loaded = parse_config(written)
    assert loaded.config == parse_config('version: "3"\ncentrifuge: {}').config
