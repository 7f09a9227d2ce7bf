"""From bytes to a data frame of wines that keep the contract."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from wine_quality.datasets.contract import COLUMNS, Violation, check_contract, conform, summarize
from wine_quality.datasets.dialect import HEAD_BYTES, DataFormatError, Dialect, detect_dialect
from wine_quality.datasets.records import NAMES, find_violations, read_records
from wine_quality.escaping import ShownError

if TYPE_CHECKING:
    import pandas as pd


class BrokenContractError(ShownError):
    """Values or columns that are against the contract.

    Attributes:
        violations: All of them.
    """

    def __init__(self, name: str, violations: Sequence[Violation]) -> None:
        self.violations = tuple(violations)
        super().__init__(f"{name} breaks the data contract. {summarize(violations)}")


def parse_wine_csv(content: bytes, name: str, max_bytes: int | None = None) -> pd.DataFrame:
    """The contract's columns in its order, the index the row's number from 0.

    Args:
        content: The file, as text or compressed by gzip.
        name: For errors.
        max_bytes: It may unpack to; None: to any size.

    Raises:
        DataFormatError: no text, no table, or rows of different lengths.
        BrokenContractError: a table, and not one of wines.
    """
    dialect = detect_dialect(content[:HEAD_BYTES], name)
    if sorted(dialect.names) == sorted(NAMES):
        unpacked = unpack(content, name, max_bytes) if dialect.gzipped else content
        frame = _by_pandas(unpacked, dialect)
        if frame is not None:
            return conform(frame)
    return _by_records(content, dialect, name)


def _by_pandas(content: bytes | None, dialect: Dialect) -> pd.DataFrame | None:
    """All numbers, within the contract; None where pandas is not so sure."""
    import pandas as pd

    if content is None:
        return None
    try:
        text = content.decode(dialect.encoding)
        # In one piece: of a long file's pieces one may be taken for numbers, another for booleans.
        frame = pd.read_csv(
            io.StringIO(text[_end_of_header(text, dialect.header_line) :]),
            sep=dialect.separator,
            decimal=dialect.decimal,
            header=None,
            names=list(dialect.names),
            float_precision="round_trip",
            low_memory=False,
        )
    except (UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError, ValueError):
        return None
    # pandas takes the first columns for row labels where rows have more fields than names.
    numeric = all(kind.kind in "iuf" for kind in frame.dtypes)
    if not isinstance(frame.index, pd.RangeIndex) or frame.empty or not numeric:
        return None
    return None if "\0" in text or check_contract(frame) else frame


def _end_of_header(text: str, header_line: int) -> int:
    ends = re.finditer(r"\r\n|\r|\n", text)
    end = 0
    for _ in range(header_line):
        found = next(ends, None)
        end = found.end() if found else len(text)
    return end


def _by_records(content: bytes, dialect: Dialect, name: str) -> pd.DataFrame:
    import numpy as np
    import pandas as pd

    def opened() -> io.BytesIO:
        return io.BytesIO(content)

    violations = find_violations(opened, dialect, name)
    if violations:
        raise BrokenContractError(name, violations)
    portions = [records.columns for records in read_records(opened, dialect, name)]
    if not portions:
        raise DataFormatError(f"{name} has a header and no rows.")
    columns = [np.concatenate(column) for column in zip(*portions, strict=True)]
    return conform(pd.DataFrame(dict(zip(COLUMNS, columns, strict=True))))


def unpack(
    content: bytes,
    name: str,
    max_bytes: int | None,
    setting: str = "raw_wine_csv's max_megabytes",
) -> bytes | None:
    """Text that gzip compressed; None where it cannot be unpacked to its end.

    Raises:
        DataFormatError: it unpacks to more than ``max_bytes``; names the setting.
    """
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            unpacked = file.read(-1 if max_bytes is None else max_bytes + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        return None
    if max_bytes is not None and len(unpacked) > max_bytes:
        raise DataFormatError(
            f"{name} unpacks to more than the limit of {max_bytes / 2**20:g} MB ({setting}). "
            "Raise the limit if this is the right file."
        )
    return unpacked
