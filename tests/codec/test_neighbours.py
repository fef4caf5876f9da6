"""Other packages bring protobuf messages of Centrifugo, too; rtbridge stays out of their way."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def run(script: str) -> str:
    """The output of a new process."""
    command = [sys.executable, "-W", "error::ImportWarning", "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


OURS = """
import rtbridge, rtbridge.codec
from rtbridge.events import Call
body = rtbridge.codec.descriptors.message_class("centrifugal.centrifugo.proxy.ConnectRequest")(client="c")
assert rtbridge.codec.PROTO["connect"].decode(body.SerializeToString(), Call()).client == "c"
"""

THEIRS = """
import centrifuge
import centrifuge.protocol.client_pb2 as client
assert client.Error(code=1).SerializeToString() == bytes([8, 1])
"""


@pytest.mark.parametrize("scripts", [(OURS, THEIRS, OURS), (THEIRS, OURS, THEIRS)], ids=["first", "second"])
def test_next_to_centrifuge_python(scripts: tuple[str, ...]) -> None:
    """Both can be imported in one process, in either order, and both work."""
    run("".join(scripts))


def test_nothing_is_put_into_the_default_pool() -> None:
    """No module of rtbridge registers a message there or imports a generated one that does."""
    script = """
import importlib, pkgutil, sys
from google.protobuf import descriptor_pool
import rtbridge
for module in pkgutil.walk_packages(rtbridge.__path__, "rtbridge."):
    if not module.name.endswith(("__main__", ".django")):  # that one wants settings
        importlib.import_module(module.name)
from rtbridge.codec.descriptors import descriptor_set
default = descriptor_pool.Default()
for file in descriptor_set().file:
    for message in file.message_type:
        try:
            default.FindMessageTypeByName(f"{file.package}.{message.name}")
        except KeyError:
            continue
        print(f"{file.package}.{message.name}")
for name, module in sys.modules.items():
    if name.endswith(("_pb2", "_pb2_grpc")) and not name.startswith("google.protobuf."):
        print(name)
"""
    assert run(script) == ""
