"""The commands that stand in the documentation."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from wine_quality.paths import PROJECT_ROOT

_BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_IN_TEXT = re.compile(r"`((?:make|wine-quality) [^`]+)`", re.DOTALL)


@dataclass(frozen=True)
class DocsCommand:
    """One command as a person would paste it; a comment behind it is cut off."""

    page: str
    text: str

    @property
    def words(self) -> list[str]:
        return shlex.split(self.text, comments=True)


def pages() -> list[Path]:
    """README and its like, and every page that is no decision of the past."""
    docs = PROJECT_ROOT / "docs"
    own = [PROJECT_ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    return own + [page for page in sorted(docs.rglob("*.md")) if page.parent.name != "decisions"]


def commands_of_blocks() -> list[DocsCommand]:
    """Each command of the ``sh`` blocks, in the order of the pages."""
    return [
        DocsCommand(page.relative_to(PROJECT_ROOT).as_posix(), command)
        for page in pages()
        for block in _BLOCK.findall(page.read_text())
        for command in _commands(block)
    ]


def commands_in_text() -> list[DocsCommand]:
    """``make`` and ``wine-quality`` commands within sentences and tables."""
    return [
        DocsCommand(page.relative_to(PROJECT_ROOT).as_posix(), " ".join(command.split()))
        for page in pages()
        for command in _IN_TEXT.findall(_FENCED.sub("", page.read_text()))
    ]


def _commands(block: str) -> Iterator[str]:
    """Lines, those joined that a quote goes on over."""
    open_lines = ""
    for line in block.splitlines():
        open_lines += line
        try:
            words = shlex.split(open_lines, comments=True)
        except ValueError:  # a quote is still open
            open_lines += "\n"
            continue
        if words:
            yield open_lines.strip()
        open_lines = ""
    assert not open_lines.strip(), f"a quote is never closed: {block}"
