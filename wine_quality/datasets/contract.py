"""The data contract: eleven physico-chemical measurements and a quality score.

Columns, units and meaning: Cortez et al., Decision Support Systems 47(4), 2009.
The ranges are physically sane and hold for the red and the white UCI file.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

ROWS_SHOWN = 5


@dataclass(frozen=True)
class ColumnContract:
    """One column: its type, unit and the inclusive range its values must lie in."""

    name: str
    dtype: str
    unit: str
    description: str
    minimum: float
    maximum: float


@dataclass(frozen=True)
class Violation:
    """One broken rule; ``rows`` are the first line numbers in the file (the header is line 1)."""

    column: str
    problem: str
    count: int = 0
    rows: tuple[int, ...] = ()

    def __str__(self) -> str:
        where = f" in {self.count} row(s), first at line(s) {list(self.rows)}" if self.rows else ""
        return f"column {self.column!r}: {self.problem}{where}"


COLUMNS: Mapping[str, ColumnContract] = {
    column.name: column
    for column in (
        ColumnContract("fixed acidity", "float", "g/dm³", "Tartaric acid", 0, 30),
        ColumnContract("volatile acidity", "float", "g/dm³", "Acetic acid", 0, 5),
        ColumnContract("citric acid", "float", "g/dm³", "Citric acid", 0, 5),
        ColumnContract("residual sugar", "float", "g/dm³", "Sugar left", 0, 300),
        ColumnContract("chlorides", "float", "g/dm³", "Sodium chloride", 0, 2),
        ColumnContract("free sulfur dioxide", "float", "mg/dm³", "Free SO₂", 0, 1000),
        ColumnContract("total sulfur dioxide", "float", "mg/dm³", "Total SO₂", 0, 1500),
        ColumnContract("density", "float", "g/cm³", "Density", 0.9, 1.2),
        ColumnContract("pH", "float", "1", "Acidity", 1, 8),
        ColumnContract("sulphates", "float", "g/dm³", "Potassium sulphate", 0, 10),
        ColumnContract("alcohol", "float", "vol %", "Alcohol", 0, 30),
        ColumnContract("quality", "int", "score", "Median of at least three tasters", 0, 10),
    )
}
TARGET = "quality"
FEATURES: tuple[str, ...] = tuple(name for name in COLUMNS if name != TARGET)


def check_contract(
    frame: pd.DataFrame, columns: Mapping[str, ColumnContract] = COLUMNS
) -> list[Violation]:
    """Every violation at once, columns first; an empty list when the frame keeps the contract.

    Args:
        columns: By name; those of the wines, or of any other table of numbers.
    """
    violations = check_column_names([str(name) for name in frame.columns], list(columns))
    present = [name for name in columns if name in frame.columns]
    return violations + [v for name in present for v in check_numbers(frame[name], columns[name])]


def check_column_names(names: list[str], wanted: Sequence[str] = tuple(COLUMNS)) -> list[Violation]:
    """The columns that are missing, with the names they may have, and unknown columns."""
    missing = [name for name in wanted if name not in names]
    extra = [name for name in names if name not in wanted]
    found = []
    for name in missing:
        near = difflib.get_close_matches(plain_name(name), map(plain_name, extra), n=1, cutoff=0.7)
        near_name = next((found for found in extra if plain_name(found) in near), None)
        hint = f"; the file has {near_name[:80]!r}, did you mean that?" if near_name else ""
        found.append(Violation(name, f"is missing{hint}"))
    shown = [Violation(name[:80], "is not in the contract") for name in extra[:ROWS_SHOWN]]
    if len(extra) > ROWS_SHOWN:
        shown.append(Violation("…", f"{len(extra) - ROWS_SHOWN} more columns not in the contract"))
    return found + shown


def plain_name(name: str) -> str:
    """The name without case, spaces and underscores."""
    return re.sub(r"[\W_]+", " ", name.lower()).strip()


def column_schema(contract: ColumnContract):
    """The pandera checks of one column, as a series schema over floats."""
    pa = _pandera()

    span = f"lies outside {contract.minimum:g} to {contract.maximum:g} {contract.unit}"
    checks = [pa.Check.in_range(contract.minimum, contract.maximum, error=span)]
    if contract.dtype == "int":
        checks.append(pa.Check(lambda s: s % 1 == 0, error="is not a whole number"))
    return pa.SeriesSchema(float, checks=checks, nullable=False, name=contract.name)


def check_numbers(column: pd.Series, contract: ColumnContract) -> list[Violation]:
    """Every violation in one column of numbers."""
    import numpy as np
    import pandas as pd

    name = contract.name
    if column.dtype == bool:
        column = column.astype(str)  # "True" is not a 1
    try:
        numbers = pd.to_numeric(column, errors="coerce").astype(float)
    except OverflowError:
        # A whole number that no float can hold is infinite, as 1e999 is.
        column = column.mask(column.map(_is_huge), np.inf)
        numbers = pd.to_numeric(column, errors="coerce").astype(float)
    empty = column.isna()
    text = numbers.isna() & ~empty
    infinite = pd.Series(np.isinf(numbers.to_numpy()), index=column.index)
    found = [
        _violation(name, problem, mask)
        for problem, mask in (
            ("is empty or NaN", empty),
            (f"holds text, such as {_first(column, text)!r}", text),
            ("is infinite", infinite),
        )
        if mask.any()
    ]
    return found + _range_violations(contract, numbers[~(numbers.isna() | infinite)])


def _is_huge(value: object) -> bool:
    digits = str(value).strip().lstrip("+-")
    return len(digits) > sys.float_info.max_10_exp and digits.isdigit()


def _range_violations(contract: ColumnContract, numbers: pd.Series) -> list[Violation]:
    import pandera.errors

    try:
        column_schema(contract).validate(numbers, lazy=True)
    except pandera.errors.SchemaErrors as errors:
        cases = errors.failure_cases
        return [
            _violation_at_rows(contract.name, str(problem), [int(i) for i in group["index"]])
            for problem, group in cases.groupby("check", sort=False)
        ]
    return []


def _first(column: pd.Series, mask: pd.Series) -> str:
    return str(column[mask].iloc[0])[:40] if mask.any() else ""


def _violation(name: str, problem: str, mask: pd.Series) -> Violation:
    return _violation_at_rows(name, problem, [int(i) for i in mask.index[mask]])


def _violation_at_rows(name: str, problem: str, rows: list[int]) -> Violation:
    lines = tuple(row + 2 for row in sorted(rows)[:ROWS_SHOWN])
    return Violation(name, problem, len(rows), lines)


def conform(frame: pd.DataFrame) -> pd.DataFrame:
    """The contract's columns in its order: features float64, quality int64.

    Only for a frame that keeps the contract.
    """
    types = {c.name: "int64" if c.dtype == "int" else "float64" for c in COLUMNS.values()}
    return frame[list(COLUMNS)].astype(types)


def summarize(violations: Sequence[object], shown: int = 10) -> str:
    """All violations in one message of bounded length."""
    text = "; ".join(str(violation) for violation in violations[:shown])
    rest = len(violations) - shown
    return f"{text}; and {rest} more." if rest > 0 else f"{text}."


def _pandera():
    """pandera's pandas API: a module of its own since 0.24, the top level before."""
    import importlib.util

    name = "pandera.pandas" if importlib.util.find_spec("pandera.pandas") else "pandera"
    return importlib.import_module(name)
