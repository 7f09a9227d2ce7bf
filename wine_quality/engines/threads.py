"""The pieces of a pass, worked on in threads that report how far they are."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from wine_quality.engines.batches import Piece, SourceFile

Progress = Callable[[int, "int | None"], None]
"""Called with the rows read so far, and with all there are where that is known."""

Found = TypeVar("Found")

_SECONDS_BETWEEN_LINES = 5.0


def in_threads(
    work: Callable[[Piece], Found], pieces: Iterable[Piece], threads: int
) -> Iterator[Found]:
    """Results in the pieces' order; the first error stops what has not begun."""
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(work, piece) for piece in pieces]
        try:
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS's own threads would only wait for each other on matrices as small as these."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


class Report:
    """Adds up the rows that the threads have read."""

    def __init__(self, files: Sequence[SourceFile], progress: Progress | None = None) -> None:
        rows = [file.rows for file in files]
        self._all = None if None in rows else sum(count or 0 for count in rows)
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()

    def add(self, rows: int) -> None:
        if self._progress is None:
            return
        with self._lock:
            self._done += rows
            self._progress(self._done, self._all)


def progress_lines(say: Callable[[str], None], doing: str) -> Callable[[int, int | None], None]:
    """A line every few seconds; none for what is over sooner."""
    last = time.monotonic()

    def report(done: int, of: int | None) -> None:
        nonlocal last
        if time.monotonic() - last < _SECONDS_BETWEEN_LINES:
            return
        last = time.monotonic()
        share = f" of {of:,} ({done / of:.0%})" if of else ""
        say(f"{doing} {done:,}{share} rows …")

    return report
