"""h2spec, the conformance test of HTTP/2 servers, against a server that runs."""

import asyncio
import shutil
import subprocess
from pathlib import Path
from typing import Any, Final, NamedTuple
from xml.etree import ElementTree

import pytest

# The first test builds h2spec, which takes minutes where Go's caches are empty; each wait has its own bound.
pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

SHARED = True

#: Cases of v2.2.1 without its strict ones.
CASES: Final = 145

#: The bar: how many have to pass.
PASS: Final = 140

#: Seconds that h2spec waits for what a case wants; some cases are about what must not come, and take that long.
PATIENCE: Final = 4

#: Case → why it does not pass, and need not.
EXCEPTIONS: Final[dict[str, str]] = {}


class Case(NamedTuple):
    """One case as h2spec reports it.

    Attributes:
        name: Its section and title.
        passed: Whether it passed.
        why: What h2spec says where it did not.

    """

    name: str
    passed: bool
    why: str


@pytest.fixture(scope="session")
def h2spec(go: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built at the version that ``h2spec/go.mod`` names."""
    folder = tmp_path_factory.mktemp("h2spec")
    for source in (Path(__file__).parent / "h2spec").iterdir():
        shutil.copy(source, folder)
    command = [str(go), "build", "-trimpath", "-o", "h2spec", "github.com/summerwind/h2spec/cmd/h2spec"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(f"{' '.join(command)}\n{done.stdout}{done.stderr}", pytrace=False)
    return folder / "h2spec"


def read(report: Path) -> list[Case]:
    """The cases of a JUnit report."""
    cases = []
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        for case in suite.iter("testcase"):
            bad = [each for each in case if each.tag in ("failure", "error", "skipped")]
            name = f"{case.get('package')} {case.get('classname')}"
            cases.append(Case(name, not bad, " ".join("".join(each.itertext()).strip() or each.tag for each in bad)))
    return cases


async def test_h2spec(h2spec: Path, server: Any, bystander: Any, tmp_path: Path, record_property: Any) -> None:
    """At least 140 of the 145 cases pass, each exception is argued, and another connection is served all the while."""
    host, _, port = server.address.rpartition(":")
    report = tmp_path / "report.xml"
    path = "/centrifugal.centrifugo.proxy.CentrifugoProxy/RPC"
    command = [h2spec, "-h", host, "-p", port, "-P", path, "-j", report, "-o", str(PATIENCE)]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        async with asyncio.timeout(400):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert report.exists(), output.decode()
    cases = read(report)
    failed = {case.name: case.why for case in cases if not case.passed}
    record_property("h2spec", f"{len(cases) - len(failed)} of {len(cases)}")
    print(f"h2spec: {len(cases) - len(failed)} of {len(cases)} pass")
    assert failed.keys() == EXCEPTIONS.keys(), "\n".join(f"{name}: {why}" for name, why in failed.items())
    assert len(cases) == CASES
    assert len(cases) - len(failed) >= PASS
