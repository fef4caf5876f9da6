"""Generated files are what the generator makes of the proto today, and the same tomorrow."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rtbridge._codegen import __main__ as generator

#: Made of something else than the proto of the proxy.
MESSAGES = {
    "rtbridge/api/_generated.py": "proto/centrifugo/api.proto",
    "rtbridge/api/_methods_generated.py": "rtbridge/api/commands.py",
    "rtbridge/api/_proto_generated.py": "proto/centrifugo/api.proto",
    "rtbridge/embedded/_client_generated.py": "proto/centrifuge/client.proto",
}

GENERATED = {
    *MESSAGES,
    "docs/hooks.md",
    "rtbridge/codec/_json_generated.py",
    "rtbridge/codec/_proto_generated.py",
    "rtbridge/codec/descriptors.binpb",
    "rtbridge/events/_generated.py",
    "rtbridge/hooks/_generated.py",
}

DIGEST = """
import hashlib, pathlib, sys
from rtbridge._codegen import __main__ as generator, model
from rtbridge._codegen import render_docs, render_events, render_hooks, render_json, render_messages, render_proto
files = generator.compile_protos(pathlib.Path(sys.argv[1]))
service = model.read(files, generator.PROXY)
client, api = (model.read_messages(files, name) for name in (generator.CLIENT, generator.API))
renderers = (render_docs, render_events, render_hooks, render_json, render_proto)
text = "".join(renderer.render(service) for renderer in renderers)
text += render_messages.render_protocol(client, "", read=generator.READ, written=generator.WRITTEN)
text += render_messages.render_calls(api, "") + render_messages.render_calls_proto(api, "", "structs")
print(hashlib.sha256(text.encode() + generator.stripped(files)).hexdigest())
"""


@pytest.mark.timeout(120)
def test_the_checked_in_files_are_those_that_the_proto_gives(root: Path) -> None:
    """Fails when the proto or a renderer changed and `python -m rtbridge._codegen` was not run."""
    found = generator.outputs(root / "proto")
    assert set(found) == GENERATED
    stale = [name for name, content in found.items() if (root / name).read_bytes() != content]
    assert not stale, "stale; run python -m rtbridge._codegen"


def test_every_generated_file_says_so(root: Path) -> None:
    """Whoever opens one reads where to change it."""
    for name in GENERATED - {"rtbridge/codec/descriptors.binpb"}:
        source = MESSAGES.get(name, "proto/centrifugo/proxy.proto")
        assert f"Generated from {source} by `python -m rtbridge._codegen`" in (root / name).read_text()


def test_the_output_does_not_depend_on_the_order_of_hashes(root: Path) -> None:
    """Two processes with different hash seeds render the same bytes."""
    digests = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        command = [sys.executable, "-c", DIGEST, str(root / "proto")]
        digests.add(subprocess.run(command, env=environment, check=True, capture_output=True, timeout=60).stdout)
    assert len(digests) == 1


def test_the_shipped_descriptors_have_no_comments(root: Path) -> None:
    """Comments are for the generator; the package does not carry them."""
    files = generator.compile_protos(root / "proto")
    bare = generator.stripped(files)
    assert b"A client connects without a token" in files.SerializeToString()
    assert b"A client connects without a token" not in bare
    assert len(bare) < len(files.SerializeToString()) / 2


@pytest.mark.timeout(120)
def test_the_command_writes_what_changed_and_check_writes_nothing(
    tmp_path: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` names stale files and answers 1; without it they are written, and a second run has nothing to do."""
    shutil.copytree(root / "proto", tmp_path / "proto")
    assert generator.main(["--root", str(tmp_path)]) == 0
    assert set(capsys.readouterr().out.split()) == {"written:", *GENERATED}
    assert {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()} >= GENERATED

    assert generator.main(["--check", "--root", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""

    page = tmp_path / "docs/hooks.md"
    page.write_text("edited by hand")
    assert generator.main(["--check", "--root", str(tmp_path)]) == 1
    assert capsys.readouterr().out == "stale: docs/hooks.md\n"
    assert page.read_text() == "edited by hand"


def test_the_package_ships_the_descriptors_that_were_checked_in(root: Path) -> None:
    """What the codec loads is the generated file."""
    from rtbridge.codec.descriptors import descriptor_set

    loaded = descriptor_set().SerializeToString(deterministic=True)
    shipped = (root / "rtbridge/codec/descriptors.binpb").read_bytes()
    assert hashlib.sha256(loaded).digest() == hashlib.sha256(shipped).digest()
