"""The pages of the documentation, taken apart."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_FILE = re.compile(r"`([\w./-]+\.(?:py|yaml))`:\s*\Z")
_NO_RUN = re.compile(r"<!-- no-run: (.+?) -->\s*\Z")


class Block(NamedTuple):
    """One fenced block of a page."""

    page: Path
    line: int
    language: str
    code: str
    #: The file that the text before it names, as in "`hooks.py`:" and "`.rr.yaml`:".
    file: str
    #: Why it is not executed, or "".
    exempt: str


class Page(NamedTuple):
    """One page."""

    path: Path
    text: str

    def blocks(self, language: str) -> list[Block]:
        """Its blocks in one language."""
        return [block for block in self._blocks() if block.language == language]

    def _blocks(self) -> Iterator[Block]:
        for found in _FENCE.finditer(self.text):
            before = self.text[: found.start()]
            file, exempt = _FILE.search(before), _NO_RUN.search(before)
            yield Block(
                page=self.path,
                line=before.count("\n") + 2,
                language=found[1],
                code=found[2],
                file=file[1] if file else "",
                exempt=exempt[1] if exempt else "",
            )


def paths() -> list[Path]:
    """Every page there is; the README of the project may not be written yet."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "samples").glob("*/*.md"))]
    return [path for path in found if path.exists()]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `page` runs once for each page."""
    if "page" in metafunc.fixturenames:
        pages = [Page(path, path.read_text(encoding="utf-8")) for path in paths()]
        metafunc.parametrize("page", pages, ids=[str(page.path.relative_to(ROOT)) for page in pages])


@pytest.fixture
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture
def read() -> Callable[[str], Page]:
    """One page, by its path in the project."""
    return lambda path: Page(ROOT / path, (ROOT / path).read_text(encoding="utf-8"))


@pytest.fixture
def docs() -> dict[str, str]:
    """The text of each page of `docs/`, by its name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))}
