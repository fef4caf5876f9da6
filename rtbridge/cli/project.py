"""The options that most commands share, and what they name: a configuration in a working directory."""

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from rtbridge.app import Runtime, load, use_environment
from rtbridge.config import Loaded
from rtbridge.config.values import parse_duration
from rtbridge.errors import ConfigError

F = TypeVar("F", bound=Callable[..., Any])


class Chosen(NamedTuple):
    """What the shared options say."""

    config: str | None
    overrides: tuple[str, ...]
    workdir: str | None
    dotenv: str | None

    @property
    def names_a_file(self) -> bool:
        """Whether a configuration was asked for, rather than looked for."""
        return bool(self.config or self.overrides or self.workdir or self.dotenv)

    def go(self) -> None:
        """Change to the directory that ``-w`` names.

        Raises:
            ConfigError: It cannot be entered.

        """
        if self.workdir is not None:
            try:
                os.chdir(self.workdir)
            except OSError as exc:
                raise ConfigError(f"-w {self.workdir}: {exc.strerror}") from exc

    def load(self, *, offline: bool = False, environ: Mapping[str, str] | None = None) -> Loaded:
        """The configuration, read from the directory that this process is in.

        Args:
            offline: Collect variables that are not set instead of refusing them.
            environ: Variables; the process's environment by default.

        Raises:
            ConfigError: It cannot be used.

        """
        dotenv = Path(self.dotenv) if self.dotenv is not None else None
        return load(self.config, overrides=self.overrides, offline=offline, dotenv=dotenv, environ=environ)


def project_options(command: F) -> F:
    """Give a command ``-c``, ``-o``, ``-w`` and ``--dotenv``; it takes them as ``chosen``."""

    def gather(
        config: str | None, overrides: tuple[str, ...], workdir: str | None, dotenv: str | None, **own: Any
    ) -> Any:
        return command(chosen=Chosen(config, overrides, workdir, dotenv), **own)

    gather.__name__, gather.__doc__ = command.__name__, command.__doc__
    gather.__dict__.update(command.__dict__)
    wrapped: Any = gather
    for option in (
        click.option(
            "--dotenv", metavar="FILE", help="Read variables from this file; by default .env beside the file."
        ),
        click.option("-w", "--workdir", metavar="DIR", help="Work in this directory; the other paths start from it."),
        click.option(
            "-o", "--override", "overrides", metavar="KEY=VALUE", multiple=True, help="Replace one key; repeatable."
        ),
        click.option("-c", "--config", metavar="FILE", help="The configuration; .rr.yaml by default."),
    ):
        wrapped = option(wrapped)
    result: F = wrapped
    return result


def enter(chosen: Chosen, *, offline: bool = False) -> Loaded:
    """The configuration that the options name, after going where it is at home.

    The working directory is changed to ``-w``; that folder, or else the one of the configuration, comes first where
    modules are looked for. Variables of ``.env`` join the environment unless they are set already, then ``server.env``
    does.

    Raises:
        ConfigError: The directory or the configuration cannot be used.

    """
    chosen.go()
    loaded = chosen.load(offline=offline)
    home = Path.cwd() if chosen.workdir is not None or loaded.path is None else loaded.path.parent
    sys.path.insert(0, str(home))
    for name, value in loaded.dotenv.items():
        os.environ.setdefault(name, value)
    use_environment(loaded.config)
    return loaded


def bring_up(chosen: Chosen) -> tuple[Loaded, Runtime]:
    """The configuration and its runtime, plugins registered and not yet booted.

    Raises:
        SetupError: The configuration or a plugin cannot be used.

    """
    loaded = enter(chosen)
    return loaded, Runtime(loaded.config)


def timeout_seconds(text: str) -> float:
    """What ``--timeout`` says, in seconds.

    Raises:
        click.UsageError: It is no duration above zero.

    """
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = 0.0
    if seconds <= 0:
        raise click.UsageError(f"--timeout {text}: a duration above zero is wanted, such as 1s or 500ms")
    return seconds
