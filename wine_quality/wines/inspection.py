"""The files of a streamed run before their rows are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from wine_quality.engines.input_files import LeftOut
from wine_quality.escaping import escaped
from wine_quality.wines.raw import FILES_SHOWN, DataOrigin, RawWines


@dataclass(frozen=True)
class InspectedFile:
    """One file as it was when it was inspected; see ``engines.batches.SourceFile``."""

    path: str
    bytes: int
    version: str
    rows: int | None


@dataclass(frozen=True)
class Inspection(RawWines):
    """Files whose columns keep the contract; no row was read.

    Attributes:
        engine: The engine that inspected them.
        source: What the config names, as it may be shown.
        training_data: newest or accumulated.
        files: None when only what came before is used.
        left_out: Files of the place that may not be read.
    """

    is_streamed = True

    engine: str
    source: str
    training_data: str
    files: Sequence[InspectedFile] = ()
    left_out: Sequence[LeftOut] = ()

    @property
    def origin(self) -> DataOrigin:
        return DataOrigin(
            source=self.source, training_data=self.training_data, training_engine=self.engine
        )

    @property
    def versions(self) -> dict[str, str]:
        """Version of each file, by path."""
        return {file.path: file.version for file in self.files}

    def conclusion(self) -> str:
        if not self.files:
            return "No file arrived; those accepted kept the contract when they did."
        return (
            f"The columns of {len(self.files)} file(s) keep the contract; train_test_split reads "
            "the rows."
        )

    def facts(self) -> dict[str, Any]:
        counts = [file.rows for file in self.files if file.rows is not None]
        known = len(counts) == len(self.files) > 0
        return {
            "source": self.source,
            "training_engine": self.engine,
            "files": len(self.files),
            "bytes": sum(file.bytes for file in self.files),
            **({"dagster/row_count": sum(counts)} if known else {}),
            **({"files_left_out": len(self.left_out)} if self.left_out else {}),
        }

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        shown = [
            {**asdict(file), "path": escaped(file.path), "rows": file.rows or "?"}
            for file in self.files[:FILES_SHOWN]
        ] or [{"path": "none", "bytes": 0, "version": "", "rows": 0}]
        left_out = [one._asdict() for one in self.left_out[:FILES_SHOWN]]
        return {"files_shown": shown, **({"left_out": left_out} if left_out else {})}

    def to_stored(self) -> dict[str, Any]:
        """The fields, for JSON."""
        left_out = [one._asdict() for one in self.left_out]
        return {**asdict(self), "left_out": left_out}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Inspection:
        """Restore an inspection from ``to_stored``, perhaps of an older checkout."""
        return cls(
            engine=plain["engine"],
            source=plain["source"],
            training_data=plain["training_data"],
            files=[InspectedFile(**file) for file in plain["files"]],
            left_out=[LeftOut(**one) for one in plain.get("left_out", ())],
        )
