"""What docs/debugging.md shows: ``print`` and ``breakpoint()`` in a hook, with one process in all."""

import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from tests.docs.conftest import ROOT, Page

Start = Callable[..., Any]


@pytest.fixture
def page(project: Any) -> Page:
    """The page, its files written down; the address is a free one."""
    path = ROOT / "docs" / "debugging.md"
    page = Page(path, path.read_text().replace("127.0.0.1:30000", "127.0.0.1:0"))
    for block in page.blocks("yaml") + page.blocks("python"):
        if block.file:
            project.write(block.file, block.code)
    return page


def test_a_breakpoint_has_the_terminal(page: Page, project: Any, start: Start) -> None:
    """As the page shows it: what is printed, what is asked there, and what it says."""
    shown, *_ = (block.code.splitlines() for block in page.blocks("console"))
    assert shown[0] == "$ rtbridge serve"
    typed = [line.removeprefix("(Pdb) ") for line in shown if line.startswith("(Pdb) ")]
    process = start("serve", stdin=subprocess.PIPE)
    process.type("".join(f"{line}\n" for line in typed))
    process.wait_for(r"^ready$")
    call = start(
        "call",
        "rpc",
        "--method",
        "price",
        "--data",
        '"tea"',
        "--user",
        "ann",
        "--timeout",
        "20s",
        "--address",
        process.address("gRPC"),
    )
    assert call.end() == 0, call.err
    process.signal()
    assert process.end() == 0
    printed = "\n".join(process.out).replace("(Pdb) ", "")
    place = printed.index("asked for tea\n")
    for line in shown[1:]:
        if not line.startswith((">", "->", "(Pdb)")):  # where it stops depends on the version of Python
            place = printed.index(line, place)
    assert str(project.folder / "shop.py") in printed


def test_a_worker_prints_and_has_no_terminal(page: Page, project: Any, start: Start) -> None:
    """What a worker prints comes out all the same; a breakpoint in it fails its own call and no other."""
    config = next(block.code for block in page.blocks("yaml") if block.file)
    project.write(".rr.yaml", config.replace("{debug: true}", "{num_workers: 1}"))
    process = start("serve")
    process.wait_for(r"^ready$")
    call = start(
        "call", "rpc", "--method", "price", "--data", '"tea"', "--user", "ann", "--address", process.address("gRPC")
    )
    process.wait_for(r"^asked for tea$")
    assert call.end() != 0
    assert "temporary" in "\n".join(call.out + call.err)
