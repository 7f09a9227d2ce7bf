"""A run in a comparison, of any MLflow version. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ComparedRun:
    """The data of an MLflow run that a comparison shows.

    Attributes:
        version: Key of the MLflow version whose client read it.
        store: The server or embedded store that it is in, in words.
        started, ended: Milliseconds since 1970; None while there is none.
        data_sha256: Of the training data; empty where the run has no such tag.
        params: As MLflow keeps them, which is text.
        coefficients: By feature, and ``intercept``; empty where the run logged no training record.
        registered: Each registered version that was made of it, with its role, in words.
        url: Where people see it; empty where no UI shows it.
        notes: Parts of it that could not be read, and why.
    """

    version: str
    client: str
    store: str
    run_id: str
    name: str
    experiment: str
    status: str
    started: int | None = None
    ended: int | None = None
    dagster_run: str = ""
    data_sha256: str = ""
    git_commit: str = ""
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    coefficients: Mapping[str, float] = field(default_factory=dict)
    registered: tuple[str, ...] = ()
    url: str = ""
    notes: tuple[str, ...] = ()

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ComparedRun:
        """Make a run from the fields of ``dataclasses.asdict``, read back from JSON."""
        lists = {name: tuple(plain[name]) for name in ("registered", "notes")}
        return cls(**{**plain, **lists})
