"""The project's proto, as it is and with changes."""

import importlib.util
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

from rtbridge._codegen import __main__ as generator
from rtbridge._codegen import model

ROOT = Path(__file__).parents[2]

Edit = Callable[[str, str], str]


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """protoc and ruff, without which nothing can be generated."""
    missing = [name for name in ("grpc_tools", "ruff") if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("CI"):
        pytest.fail(f"{' and '.join(missing)} cannot be imported; the dev group has them")
    if missing:
        pytest.skip(f"generating needs {' and '.join(missing)} of the dev group")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def compiled(tools: None) -> descriptor_pb2.FileDescriptorSet:
    """The descriptor set of the project's protos, comments included."""
    return generator.compile_protos(ROOT / "proto")


@pytest.fixture(scope="session")
def service(compiled: descriptor_pb2.FileDescriptorSet) -> model.Service:
    """What the generator makes of them."""
    return model.read(compiled, generator.PROXY)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], model.Service]:
    """Reads a proxy proto given as text, as the generator would."""

    def reader(text: str) -> model.Service:
        folder = tmp_path / "proto"
        shutil.copytree(ROOT / "proto", folder)
        (folder / generator.PROXY).write_text(text)
        return model.read(generator.compile_protos(folder), generator.PROXY)

    return reader


@pytest.fixture
def proto() -> str:
    """The project's proxy proto."""
    return (ROOT / "proto" / generator.PROXY).read_text()
