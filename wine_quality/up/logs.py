"""The log files of `make up`, of bounded size, and what of them is shown on the terminal."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from wine_quality.up.shown_lines import FailuresShown, ShownLines

LARGEST = 10 << 20
"""Bytes of a log file, which then becomes the one before (``.1``) and begins anew."""

_POLL_SECONDS = 0.2


class Logs:
    """A log file for each process, in one folder.

    Args:
        say: Called with each line to show.
        url: Of the Dagster UI.
    """

    def __init__(self, folder: Path, url: str, say: Callable[[str], None]) -> None:
        self._folder, self._url, self._say = folder, url, say
        self._followed: list[_Followed] = []
        self._failures = FailuresShown()

    @property
    def folder(self) -> Path:
        return self._folder

    def file_for(self, name: str) -> Path:
        """The empty log file of a process, what was there before kept beside it."""
        slug = re.sub(r"[^a-z0-9.]+", "-", name.lower().replace("'s", ""))
        file = self._folder / f"{slug}.log"
        # For a process that is started again, its last lines are shown first.
        self.look()
        self._followed = [one for one in self._followed if one.file != file]
        if file.exists():
            file.replace(_before(file))
        file.touch()
        self._followed.append(_Followed(file, ShownLines(self._url, self._failures)))
        return file

    def bound(self, file: Path) -> None:
        """Keep a file small of which nothing is shown."""
        self._followed.append(_Followed(file, None))

    async def follow(self) -> None:
        """Show what is written, and keep the files small, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_POLL_SECONDS)

    def look(self) -> None:
        """Show the lines written since the last look."""
        for followed in self._followed:
            followed.read(self._say)


class _Followed:
    def __init__(self, file: Path, lines: ShownLines | None) -> None:
        self.file, self._lines = file, lines
        self._at = 0
        self._rest = b""

    def read(self, say: Callable[[str], None]) -> None:
        try:
            size = self.file.stat().st_size
        except FileNotFoundError:
            return
        if size > self._at and self._lines is not None:
            with self.file.open("rb") as file:
                file.seek(self._at)
                *lines, self._rest = (self._rest + file.read(size - self._at)).split(b"\n")
            for line in lines:
                shown = self._lines.shown(line.decode(errors="replace"))
                if shown is not None:
                    say(shown)
        self._at = size
        if size > LARGEST:
            # The process holds it open, and appends: what it writes next is at the beginning.
            shutil.copyfile(self.file, _before(self.file))
            with self.file.open("r+b") as file:
                file.truncate(0)
            self._at = 0


def _before(file: Path) -> Path:
    return file.with_name(f"{file.name}.1")
