"""How long MLflow's client tries again before it gives a request up."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

_TRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"

# Seconds between tries at a server that is away: 0, 2, 4, 8, 16, 32, 64. By default MLflow 3 waits
# for up to two minutes before a try, and 2.1.1 gives up after one, as does 1.26, which has no such
# variables.
PATIENCE = {_TRIES: "7", "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1"}
_OF_STEPS = "5"


def set_retries_of_client() -> None:
    """For this process, unless its environment sets other values."""
    for name, value in PATIENCE.items():
        os.environ.setdefault(name, value)


def retries_up_to(most: int) -> int:
    """Number of retries: ``most``, or fewer where the environment sets fewer."""
    given = os.environ.get(_TRIES, "")
    return min(most, int(given)) if given.isdecimal() else most


@contextmanager
def fewer_retries_of_client() -> Iterator[None]:
    """For what Dagster tries again afterwards: 0, 2, 4, 8 and 16 seconds, so that the end of an
    outage is noticed soon. A number that somebody else has set stays."""
    before = os.environ.get(_TRIES)
    if before == PATIENCE[_TRIES]:
        os.environ[_TRIES] = _OF_STEPS
    try:
        yield
    finally:
        if before is not None:
            os.environ[_TRIES] = before
