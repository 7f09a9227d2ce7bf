"""The interface to a place with MLflow stores, for an upgrade: a home, or the local stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.upgrades.files import Extent
from wine_quality.upgrades.locations import Move

Say = Callable[[str], None]


class Place(Protocol):
    """The source's store, the target's, and the copy that becomes the target's.

    Attributes:
        title: Such as ``the embedded store of MLflow 1.26``.
        move: The folder of files that is copied; None where both versions share it.
        backup: The copy of the source's database, in the working folder.
        variables: Of the processes that load model versions, besides this process's own.
    """

    source: MlflowVersion
    target: MlflowVersion
    title: str
    move: Move | None
    backup: Path
    variables: Mapping[str, str]

    def source_database(self) -> AbstractContextManager[Any]:
        """A connection to the source's own database, to read from."""

    def target_database(self) -> AbstractContextManager[Any] | None:
        """A connection to the database in the target's place; None when there is none."""

    def staged_database(self) -> AbstractContextManager[Any]:
        """A connection to the copy that is being upgraded."""

    def obstacles(self) -> list[str]:
        """Obstacles to the upgrade besides those found in the databases, a sentence each."""

    def how_to_clear_target(self) -> str:
        """How to move away a store that is in the target's place, as the end of a sentence."""

    def fingerprint(self) -> str:
        """A hash that changes with every write to the source's database."""

    def back_up(self) -> None:
        """Copy the source's database to ``backup``, and see that the copy is whole."""

    def source_uri(self) -> AbstractContextManager[str]:
        """The URI by which a client of the source's version reads the copy of ``back_up``."""

    def stage(self, upgrade_schema: Callable[[str, Mapping[str, str]], None]) -> None:
        """Make the copy anew, of ``backup``, and have ``upgrade_schema`` upgrade it by its URI and
        with the variables that a process needs to open it."""

    def is_staged(self) -> bool:
        """Whether there is a copy, whole or not, that was not put in place."""

    def copy_files(self, say: Say) -> Extent:
        """Copy the files to where the target's store has its own."""

    def staged_uri(self) -> AbstractContextManager[str]:
        """The URI by which a client of the target's version reads the upgraded copy."""

    def put_in_place(self) -> None:
        """The copy becomes the target's store, in one step."""

    def in_use(self) -> list[str]:
        """Sentences that name the users of the target's store."""

    def put_aside(self, stamp: str) -> str:
        """The target's store gets another name, with ``stamp`` in it, which is returned; empty when
        there is none."""

    def discard_staged(self) -> None:
        """Remove a copy that was not put in place; what the target had stays."""

    def way_back(self) -> list[str]:
        """Sentences on how to go back."""
