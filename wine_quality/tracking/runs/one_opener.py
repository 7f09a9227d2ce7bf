"""One process of a Dagster run at a time opens its MLflow run; the next finds what it made."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from wine_quality.paths import home


@contextmanager
def one_opener(dagster_run_id: str) -> Iterator[None]:
    """Wait until no other process of this machine opens the run's MLflow run.

    Steps on several machines are not kept apart: ``OpenRun.open`` settles which run they share.
    """
    folder = home() / "opening"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / dagster_run_id
    while True:
        with path.open("a") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            try:
                is_it = os.path.samestat(os.fstat(guard.fileno()), path.stat())
            except FileNotFoundError:
                is_it = False
            if not is_it:
                continue  # the one that held it has removed the file since
            try:
                yield
            finally:
                path.unlink()
            return
