"""The way from a file, a text or a mapping to :class:`~rtbridge.config.model.Config`."""

import os
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec import inspect

from rtbridge.config.centrifugo import explain, explain_in_file
from rtbridge.config.convert import Converter
from rtbridge.config.document import read_document
from rtbridge.config.dotenv import parse_dotenv
from rtbridge.config.embedded import Embedded
from rtbridge.config.faults import Faults, Where, listed, nearest, one_line
from rtbridge.config.interpolate import Interpolation
from rtbridge.config.kinds import Place
from rtbridge.config.model import Config
from rtbridge.config.options import apply_options
from rtbridge.config.roadrunner import sift
from rtbridge.config.tree import Table, Tree, from_python

#: The file that is read when none is named.
DEFAULT_FILE: Final = ".rr.yaml"
#: Far above any hand-written file.
MAX_BYTES: Final = 1024 * 1024


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration and what there is to say about it."""

    config: Config
    #: The file it was read from; None for one in memory.
    path: Path | None = None
    #: One line each: keys that were read over, or that have no effect in this version.
    notices: tuple[str, ...] = ()
    #: Variables without value and default; only ``offline`` lets them pass.
    missing_variables: tuple[str, ...] = ()
    #: What ``.env`` held; the loader leaves the process's own environment alone.
    dotenv: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return f"Loaded(config={self.config!r}, path={self.path!r}, notices={self.notices!r})"


def load_config(
    path: str | Path | None = None,
    *,
    overrides: Sequence[str] = (),
    workdir: Path | None = None,
    environ: Mapping[str, str] | None = None,
    offline: bool = False,
    dotenv: Path | None = None,
    known_events: Sequence[str] | None = None,
) -> Loaded:
    """The configuration of a file.

    Args:
        path: The file, from ``workdir`` on; ``.rr.yaml`` by default.
        overrides: ``key.path=value`` strings, which beat the file.
        workdir: The folder that relative paths start from; the current one by default.
        environ: Variables for ``${VAR}``; the process's environment by default. They beat those of ``.env``.
        offline: Collect variables that are not set instead of refusing them, and look at no other file.
        dotenv: A file of variables that has to exist; by default ``.env`` beside the file, if there is one.
        known_events: Names that ``rtbridge.unhandled`` may use beside ``default``; not checked by default.

    Raises:
        ConfigError: One line for each fault.

    """
    faults = Faults()
    folder = Path.cwd() if workdir is None else workdir
    shown = DEFAULT_FILE if path is None else str(path)
    file = (folder / shown).absolute()
    todo = 'write one that starts with version: "3", or name another'
    text = _read_text(file, shown, todo, faults)
    variables: dict[str, str] = {}
    if dotenv is not None:
        env_file = (folder / dotenv).absolute()
        variables = parse_dotenv(
            _read_text(env_file, str(dotenv), "write it, or name another", faults), str(dotenv), faults
        )
    elif os.path.isfile(env_file := file.parent / ".env"):  # a folder of that name is a virtual environment
        variables = parse_dotenv(_read_text(env_file, ".env", "write it", faults), ".env", faults)
    loading = _Loading(shown, faults, os.environ if environ is None else environ, variables, file.parent, offline)
    tree = read_document(text, shown, faults)
    return loading.finish(tree, overrides, known_events, file)


def parse_config(
    text_or_mapping: str | bytes | Mapping[str, Any],
    *,
    source: str = "<config>",
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    offline: bool = False,
    base_dir: Path | None = None,
    known_events: Sequence[str] | None = None,
) -> Loaded:
    """The configuration of a YAML text, or of a mapping with the same keys and values.

    Args:
        text_or_mapping: The text or the mapping.
        source: Its name in error texts.
        overrides: ``key.path=value`` strings, which beat it.
        environ: Variables for ``${VAR}``; the process's environment by default.
        offline: Collect variables that are not set instead of refusing them, and look at no file.
        base_dir: The folder that relative paths start from; the current one by default.
        known_events: Names that ``rtbridge.unhandled`` may use beside ``default``; not checked by default.

    Raises:
        ConfigError: One line for each fault.

    """
    faults = Faults()
    tree: Tree | None
    if isinstance(text_or_mapping, str | bytes):
        tree = read_document(_decode(text_or_mapping, source, faults), source, faults)
    else:
        tree = from_python(text_or_mapping, Where(source), faults)
    folder = Path.cwd() if base_dir is None else base_dir
    loading = _Loading(source, faults, os.environ if environ is None else environ, {}, folder, offline)
    return loading.finish(tree, overrides, known_events, None)


def embedded_from(mapping: Mapping[str, Any], *, source: str = "<config>", base_dir: Path | None = None) -> Embedded:
    """The section ``rtbridge.embedded`` alone, from a configuration of Centrifugo.

    Args:
        mapping: Its keys and values; ``${VAR}`` is not replaced.
        source: Its name in error texts.
        base_dir: The folder that relative paths start from; the current one by default.

    Raises:
        ConfigError: One line for each fault.

    """
    faults = Faults()
    tree = from_python(mapping, Where(source), faults)
    converter = Converter(Place(Path.cwd() if base_dir is None else base_dir), faults, explain)
    embedded: Embedded = converter.convert(tree, inspect.type_info(Embedded))
    faults.check()
    return embedded


class _Loading:
    """One reading: from a tree to what the caller gets."""

    def __init__(
        self,
        source: str,
        faults: Faults,
        environ: Mapping[str, str],
        dotenv: Mapping[str, str],
        base_dir: Path,
        offline: bool,
    ) -> None:
        self._source = source
        self._faults = faults
        self._environ = {**dotenv, **environ}
        self._dotenv = dotenv
        self._base_dir = base_dir
        self._offline = offline

    def finish(
        self, tree: Tree | None, overrides: Sequence[str], known_events: Sequence[str] | None, path: Path | None
    ) -> Loaded:
        """What the caller gets.

        Raises:
            ConfigError: One line for each fault.

        """
        faults = self._faults
        start = Where(self._source, 0 if tree is None else tree.where.line)
        if tree is None:
            faults.stop(start, "", 'the file is empty, allowed: a mapping that starts with version: "3"')
        if not isinstance(tree, Table):
            faults.stop(start, "", 'found no mapping at the top, allowed: a mapping that starts with version: "3"')
        apply_options(tree, overrides, faults)
        notices = sift(tree, faults)
        interpolation = Interpolation(self._environ, faults, offline=self._offline)
        tree = interpolation.apply(tree)
        assert isinstance(tree, Table)
        converter = Converter(Place(self._base_dir, self._offline), faults, explain_in_file)
        if "version" not in tree.items:
            faults.add(start, "version", 'the key is missing, allowed: version: "3"')
        config: Config = converter.convert(tree, inspect.type_info(Config))
        if known_events is not None:
            _check_events(tree, known_events, faults)
        faults.check()
        lines = [*notices, *converter.notices]
        lines.sort(key=lambda notice: (notice[0].source, notice[0].line))
        return Loaded(
            config=config,
            path=path,
            notices=tuple(one_line(f"{where}: {text}") for where, text in lines),
            missing_variables=tuple(interpolation.missing),
            dotenv=dict(self._dotenv),
        )


def _check_events(tree: Table, known: Sequence[str], faults: Faults) -> None:
    section = tree.items.get("rtbridge")
    unhandled = section.items.get("unhandled") if isinstance(section, Table) else None
    if not isinstance(unhandled, Table):
        return
    names = ["default", *known]
    for event, value in unhandled.items.items():
        if event not in names:
            text = f"unknown event, allowed: {listed(names)}{nearest(event, names)}"
            faults.add(value.where, f"rtbridge.unhandled.{event}", text)


def _read_text(file: Path, shown: str, todo: str, faults: Faults) -> str:
    where = Where(shown)
    try:
        mode = file.stat().st_mode
        if stat.S_ISDIR(mode):
            faults.stop(where, "", "found a directory, allowed: a file")
        if not stat.S_ISREG(mode):
            faults.stop(where, "", "found neither a file nor a link to one, allowed: a file")
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        faults.stop(where, "", f"no such file in {file.parent}; {todo}")
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "the name of a file holds no such character"
        faults.stop(where, "", f"cannot be read: {reason}")
    return _decode(data, shown, faults)


def _decode(data: str | bytes, source: str, faults: Faults) -> str:
    if len(data) > MAX_BYTES:
        faults.stop(Where(source), "", f"more than {MAX_BYTES:,} bytes")
    if isinstance(data, str):
        return data
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        faults.stop(Where(source, line), "", f"byte 0x{data[exc.start]:02X} is not UTF-8; save the file as UTF-8")
