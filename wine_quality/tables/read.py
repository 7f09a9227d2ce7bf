"""A table from a file or an address, held against the contract of its data set."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from wine_quality.datasets.contract import (
    ColumnContract,
    Violation,
    check_column_names,
    check_numbers,
)
from wine_quality.datasets.dialect import HEAD_BYTES, DataFormatError, detect_dialect
from wine_quality.datasets.parquet import safe_parquet
from wine_quality.datasets.parse import BrokenContractError, unpack
from wine_quality.sources.source import SourceError, SourceLimits, read_source
from wine_quality.tables.dataset import Column, Dataset

if TYPE_CHECKING:
    import pandas as pd

PARQUET = b"PAR1"
_TYPES: Mapping[str, str] = {"float": "float64", "int": "int64", "text": "object"}
_LINES_SHOWN = 5


@dataclass(frozen=True, eq=False)
class Table:
    """Rows that keep the contract.

    Attributes:
        frame: The data set's columns in its order: features float64, a target of classes or whole
            numbers int64, text as it stands; the index is the row's number from 0.
        source: Where they come from, without secrets.
        sha256: Of the file.
    """

    frame: pd.DataFrame
    source: str
    sha256: str


def read_table(
    dataset: Dataset,
    source: str = "",
    limits: SourceLimits = SourceLimits(),  # noqa: B008 - frozen
    trusted: bool = False,
    report: Callable[[str], None] | None = None,
) -> Table:
    """Read all rows of a CSV or Parquet file.

    Args:
        source: ``https://``, ``http://``, ``s3://``, ``file://`` or a path; empty: the sample.
        trusted: Whether a path comes from code and not from run config: it may then lie anywhere.

    Raises:
        SourceError: it cannot be read, or may not be.
        DataFormatError: it is not a table.
        BrokenContractError: a table, and not one of this data set.
    """
    if not source and dataset.sample is None:
        raise SourceError(f"the data set {dataset.name} has no sample: name a source.")
    path = Path(source) if source else cast(Path, dataset.sample)
    if not source or (trusted and "://" not in source and path.exists()):
        content, shown = _read_file(path, limits), path.name
        sha256 = hashlib.sha256(content).hexdigest()
    else:
        found = read_source(source, limits, report)
        content, shown, sha256 = found.content, found.url, found.sha256
    raw = _parse(dataset, content, shown, limits)
    violations = find_violations(dataset, raw)
    if violations:
        raise BrokenContractError(shown, violations)
    return Table(conform(dataset, raw), shown, sha256)


def _read_file(path: Path, limits: SourceLimits) -> bytes:
    if path.stat().st_size > limits.max_bytes:
        raise SourceError(f"{path} is over {limits.max_bytes / 2**20:g} MB ({limits.size_setting})")
    return path.read_bytes()


def _parse(dataset: Dataset, content: bytes, name: str, limits: SourceLimits) -> pd.DataFrame:
    import pandas as pd

    if content.startswith(PARQUET):
        try:
            return safe_parquet().read_table(io.BytesIO(content)).to_pandas()
        except (OSError, ValueError) as error:  # Arrow's own errors are of these kinds
            raise DataFormatError(f"{name} is a damaged Parquet file: {error}") from error
    dialect = detect_dialect(content[:HEAD_BYTES], name, dataset.by_name)
    if dialect.gzipped:
        plain = unpack(content, name, limits.max_bytes, limits.size_setting)
        if plain is None:
            raise DataFormatError(f"{name} is gzip that is damaged. Fetch it again.")
        content = plain
    texts = {one.name: str for one in dataset.columns if one.dtype == "text"}
    try:
        frame = pd.read_csv(
            io.BytesIO(content),
            sep=dialect.separator,
            decimal=dialect.decimal,
            header=None,
            skiprows=dialect.header_line,
            names=list(dialect.names),
            dtype={column: texts[column] for column in dialect.names if column in texts},
            encoding=dialect.encoding,
            float_precision="round_trip",
            low_memory=False,
        )
    except (UnicodeDecodeError, ValueError) as error:  # pandas' ParserError is a ValueError
        raise DataFormatError(
            f"{name} is not a table of {len(dialect.names)} columns: {error}"
        ) from (error)
    # pandas takes the first columns for row labels where rows have more fields than names.
    if not isinstance(frame.index, pd.RangeIndex):
        raise DataFormatError(f"{name} has rows with more fields than its header has names.")
    if frame.empty:
        raise DataFormatError(f"{name} has a header and no rows.")
    return frame


def find_violations(dataset: Dataset, frame: pd.DataFrame) -> list[Violation]:
    """All violations, columns first; an empty list when the frame keeps the contract."""
    found = check_column_names([str(name) for name in frame.columns], list(dataset.by_name))
    for column in dataset.columns:
        if column.name in frame.columns:
            found += _check_values(frame[column.name], column)
    return found


def _check_values(values: pd.Series, column: Column) -> Sequence[Violation]:
    if column.dtype != "text":
        return check_numbers(values, cast(ColumnContract, column))
    problems = [("is empty", values.isna())]
    if column.values:
        other = ~values.isna() & ~values.isin(column.values)
        shown = str(values[other].iloc[0])[:40] if other.any() else ""
        problems.append((f"holds {shown!r}, which is none of its values", other))
    return [
        Violation(
            column.name,
            problem,
            int(mask.sum()),
            tuple(int(row) + 2 for row in mask.index[mask][:_LINES_SHOWN]),
        )
        for problem, mask in problems
        if mask.any()
    ]


def conform(dataset: Dataset, frame: pd.DataFrame) -> pd.DataFrame:
    """The columns in their order and types. Only for a frame that keeps the contract.

    Features are float64 also where they are whole numbers: a model's signature then takes both.
    """
    types = {
        one.name: _TYPES["float" if one.name in dataset.features else one.dtype]
        for one in dataset.columns
    }
    return frame[list(types)].astype(types)
