"""Reads a configuration file of Centrifugo: JSON, YAML or TOML, by the file's name."""

import json
import tomllib
from pathlib import Path
from typing import Any, cast

import yaml

from rtbridge.errors import ConfigError


def read_source(path: Path) -> dict[str, Any]:
    """The configuration.

    Raises:
        ConfigError: The file cannot be read, or holds no configuration.

    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as exc:
        raise ConfigError(f"{path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: not UTF-8") from exc
    try:
        tree = _parse(path.suffix.lower(), text)
    except (ValueError, yaml.YAMLError, RecursionError) as exc:
        mark, line = getattr(exc, "problem_mark", None), getattr(exc, "lineno", None)
        line = mark.line + 1 if mark is not None else line
        where = f":{line}" if line is not None else ""
        raise ConfigError(f"{path}{where}: cannot be read as {path.suffix.lstrip('.').upper() or 'JSON'}") from exc
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: found no mapping at the top")
    return cast("dict[str, Any]", tree)


def _parse(suffix: str, text: str) -> object:
    if suffix in (".yaml", ".yml"):
        return yaml.safe_load(text)
    return tomllib.loads(text) if suffix == ".toml" else json.loads(text)
