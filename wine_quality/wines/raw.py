"""Output of ``raw_wine_csv``, and the origin that is kept with the values and the model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from wine_quality.engines.input_files import LeftOut
    from wine_quality.history.accepted_files import AcceptedFile

FILES_SHOWN = 50
"""No more of them than can be read."""


@dataclass(frozen=True)
class DataOrigin:
    """The source of wines, and their division into parts.

    Attributes: None where it does not apply, or where a value of an older checkout lacks it.
        data_sha256: Of all rows.
        source: Address, path or name, as it may be shown.
        training_data: newest or accumulated.
        data_files: How many.
        conflicts: Which rows count when accumulated files contradict each other.
        training_engine: Of streamed wines.
        split: ``wines.split.BY_VALUES`` or ``SHUFFLED``.
        test_fraction: Share held out.
        split_seed: Of the division.
        folds: Of streamed wines.
    """

    data_sha256: str | None = None
    source: str | None = None
    training_data: str | None = None
    data_files: int | None = None
    conflicts: str | None = None
    training_engine: str | None = None
    split: str | None = None
    test_fraction: float | None = None
    split_seed: int | None = None
    folds: int | None = None

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> DataOrigin:
        """Restore from ``to_plain``, perhaps of another checkout; unknown fields are ignored."""
        known = {field.name for field in fields(cls)}
        return cls(**{name: value for name, value in plain.items() if name in known})

    def to_plain(self) -> dict[str, Any]:
        """The fields that are not None, for JSON and for a frame's ``attrs``."""
        return {name: value for name, value in asdict(self).items() if value is not None}


class RawWines(ABC):
    """Wines that were loaded, or files that were inspected.

    Attributes:
        is_streamed: Whether their rows are still to be read.
        file_sha256: Of the file that was read; None when none was.
        left_out: Files of the place that may not be read.
        accepted: The file as the history holds it now, when it was accepted.
    """

    is_streamed: ClassVar[bool]
    file_sha256: str | None = None
    left_out: Sequence[LeftOut] = ()

    @property
    @abstractmethod
    def origin(self) -> DataOrigin:
        """Origin of the wines, without ``data_sha256`` while the rows are still to be read."""

    @property
    def accepted(self) -> Sequence[AcceptedFile]:
        return ()

    @property
    def keys(self) -> set[str]:
        """Keys of the files that the history is known to hold."""
        return set()

    @abstractmethod
    def conclusion(self) -> str:
        """The result of the contract's check, in a sentence."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Numbers and texts to show, by name."""

    @abstractmethod
    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Records to show, by name."""
