"""``python -m rtbridge._codegen``: renders everything that follows from the proto files.

Needs grpcio-tools and ruff (the ``dev`` group). With ``--check`` it writes nothing and fails when a file is stale.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2

from rtbridge._codegen import (
    model,
    render_api,
    render_docs,
    render_events,
    render_hooks,
    render_json,
    render_messages,
    render_proto,
)

PROXY = "centrifugo/proxy.proto"
API = "centrifugo/api.proto"
CLIENT = "centrifuge/client.proto"
PROTOS = (PROXY, API, CLIENT, "grpc/health.proto", "grpc/reflection.proto", "rtbridge/control.proto")

#: What the methods of the server API's clients are rendered from: a module of the package that runs.
COMMANDS = "rtbridge/api/commands.py"

#: Of the client protocol, what the server reads and what it writes.
READ = ("Command", "ConnectRequest", "EmulationRequest")
WRITTEN = ("Reply", "Push")


def compile_protos(folder: Path) -> descriptor_pb2.FileDescriptorSet:
    """The descriptor set of the proto files, comments included."""
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch, "set.binpb")
        command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", "--include_source_info"]
        subprocess.run([*command, f"--descriptor_set_out={target}", *PROTOS], check=True)
        return descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes())


def stripped(files: descriptor_pb2.FileDescriptorSet) -> bytes:
    """The set without comments, as the package ships it."""
    bare = descriptor_pb2.FileDescriptorSet()
    bare.CopyFrom(files)
    for file in bare.file:
        file.ClearField("source_code_info")
    return bare.SerializeToString(deterministic=True)


def formatted(text: str) -> str:
    """The text of a module as the project formats it."""
    config = Path(__file__).parents[2] / "pyproject.toml"
    options = ["--config", str(config)] if config.exists() else []
    for step in (["check", "--fix", "--quiet", "--exit-zero", "--select", "I,F401,RUF022"], ["format", "--quiet"]):
        command = [sys.executable, "-m", "ruff", *step, *options, "--stdin-filename", "_generated.py", "-"]
        text = subprocess.run(command, input=text, text=True, capture_output=True, check=True).stdout
    return text


def outputs(proto: Path) -> dict[str, bytes]:
    """Every generated file, by its path in the project."""
    files = compile_protos(proto)
    service = model.read(files, PROXY)
    api = model.read_messages(files, API)
    commands = (Path(__file__).parents[2] / COMMANDS).read_text(encoding="utf-8")
    modules = {
        "rtbridge/events/_generated.py": render_events.render(service),
        "rtbridge/codec/_proto_generated.py": render_proto.render(service),
        "rtbridge/codec/_json_generated.py": render_json.render(service),
        "rtbridge/hooks/_generated.py": render_hooks.render(service),
        "rtbridge/embedded/_client_generated.py": render_messages.render_protocol(
            model.read_messages(files, CLIENT), "The messages of the client protocol.", read=READ, written=WRITTEN
        ),
        "rtbridge/api/_generated.py": render_messages.render_calls(api, "The messages and methods of the server API."),
        "rtbridge/api/_methods_generated.py": render_api.render(commands, COMMANDS),
        "rtbridge/api/_proto_generated.py": render_messages.render_calls_proto(
            api, "The messages of the server API in protobuf.", "rtbridge.api._generated"
        ),
    }
    return {
        "rtbridge/codec/descriptors.binpb": stripped(files),
        "docs/hooks.md": render_docs.render(service).encode(),
        **{path: formatted(text).encode() for path, text in modules.items()},
    }


def main(arguments: list[str] | None = None) -> int:
    """Write what changed, or with ``--check`` name what is stale and answer 1."""
    parser = argparse.ArgumentParser(prog="python -m rtbridge._codegen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when a file is stale")
    parser.add_argument("--root", type=Path, default=Path(__file__).parents[2], help="the project to read and write")
    options = parser.parse_args(arguments)
    stale: list[str] = []
    for name, content in outputs(options.root / "proto").items():
        path = options.root / name
        if path.exists() and path.read_bytes() == content:
            continue
        stale.append(name)
        if not options.check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for name in stale:
        sys.stdout.write(f"{'stale' if options.check else 'written'}: {name}\n")
    return 1 if options.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
