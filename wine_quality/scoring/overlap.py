"""Reading ahead and writing behind, a thread each, while the model predicts.

Arrow, DuckDB and NumPy leave the interpreter to other threads while they work. At most one batch
waits on either side, so that memory stays flat.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")
_END: Any = object()


@contextmanager
def cores_for_both() -> Iterator[None]:
    """BLAS leaves a core to the reader and one to the writer, if there are so many.

    Its idle threads spin while they wait for the next matrix, and would take the time of both.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(max(1, len(os.sched_getaffinity(0)) - 2), user_api="blas"):
        yield


def read_ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items, and errors; each is read while the one before is used."""
    with ThreadPoolExecutor(1, "read-ahead") as reader:
        following = reader.submit(next, items, _END)
        while (item := following.result()) is not _END:
            following = reader.submit(next, items, _END)
            yield item


class WriteBehind:
    """Calls functions in their order in another thread; a context that ends with the last call."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "write-behind")
        self._last: Future[None] | None = None

    def call(self, function: Callable[..., None], *arguments: Any) -> None:
        """Have it called after the one before; raises what that has raised."""
        self.wait()
        self._last = self._thread.submit(function, *arguments)

    def wait(self) -> None:
        """Until all is done; raises what the last call has raised."""
        last, self._last = self._last, None
        if last is not None:
            last.result()

    def __enter__(self) -> WriteBehind:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.shutdown()
