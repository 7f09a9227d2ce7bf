"""A CSV file record by record: slower than pandas and DuckDB, and the one that decides.

What either of them cannot read, or finds against the contract, is read here: so a file is taken or
refused alike in memory and streamed, in the same words, by the lines of the file.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from wine_quality.datasets.contract import (
    COLUMNS,
    ROWS_SHOWN,
    ColumnContract,
    Violation,
    check_column_names,
)
from wine_quality.datasets.dialect import Dialect
from wine_quality.datasets.text_rows import Opener, text_rows

if TYPE_CHECKING:
    import numpy as np

NAMES = tuple(COLUMNS)
ROWS_PER_PORTION = 1 << 14
ROWS_AFTER_A_FAULT = 1_000_000
"""So many rows below the first fault are still searched for others."""
_SHOWN = 40


class Records(NamedTuple):
    """Consecutive rows.

    Attributes:
        columns: The contract's in its order, each of shape (n,); NaN where there is no number.
        lines: In which line of the file each row begins, from 1.
        texts: By column: for each row the text there that is not a number, else an empty text. A
            column of numbers only is left out.
    """

    columns: Sequence[np.ndarray]
    lines: Sequence[int]
    texts: dict[str, list[str]]


def read_records(
    open_file: Opener,
    dialect: Dialect,
    name: str,
    contract: Mapping[str, ColumnContract] = COLUMNS,
) -> Iterator[Records]:
    """All rows; lines without any value are skipped.

    Args:
        dialect: Its names are the contract's, in any order.
        contract: The columns, by name and in their order.

    Raises:
        DataFormatError: rows of another length, no text, cut short; the message names the line.
        OSError: the file cannot be read.
    """
    places = [dialect.names.index(column) for column in contract]
    rows = text_rows(open_file, dialect, name)
    while True:
        portion = list(itertools.islice(rows, ROWS_PER_PORTION))
        if not portion:
            return
        fields = list(zip(*(row for _, row in portion), strict=True))
        columns, texts = [], {}
        for column, place in zip(contract, places, strict=True):
            numbers, others = _numbers(fields[place], dialect.decimal)
            columns.append(numbers)
            if others:
                texts[column] = others
        yield Records(columns, [line for line, _ in portion], texts)


def find_violations(
    open_file: Opener,
    dialect: Dialect,
    name: str,
    contract: Mapping[str, ColumnContract] = COLUMNS,
) -> list[Violation]:
    """The violations of the contract, column by column: names first, then values.

    Raises:
        DataFormatError: see ``read_records``.
        OSError: the file cannot be read.
    """
    found = check_column_names(list(dialect.names), list(contract))
    if found:
        return found
    faults: dict[tuple[int, int], _Fault] = {}
    rows, first = 0, None
    for records in read_records(open_file, dialect, name, contract):
        _add_faults(faults, records, dialect, contract)
        rows += len(records.lines)
        first = rows if faults and first is None else first
        if first is not None and rows > first + ROWS_AFTER_A_FAULT:
            break
    return [faults[key].violation() for key in sorted(faults)]


@dataclass
class _Fault:
    column: str
    problem: str
    count: int
    lines: list[int]

    def violation(self) -> Violation:
        return Violation(self.column, self.problem, self.count, tuple(self.lines))


def _add_faults(
    faults: dict[tuple[int, int], _Fault],
    records: Records,
    dialect: Dialect,
    columns: Mapping[str, ColumnContract],
) -> None:
    import numpy as np

    for number, (name, contract) in enumerate(columns.items()):
        column, texts = records.columns[number], records.texts.get(name, [])
        for rule, (problem, mask) in enumerate(_broken_rules(column, contract, texts)):
            if not mask.any():
                continue
            rows = np.flatnonzero(mask)
            if not problem:
                problem = _text_problem(name, texts[rows[0]], dialect)
            known = faults.setdefault((number, rule), _Fault(name, problem, 0, []))
            known.count += len(rows)
            lines = [records.lines[row] for row in rows[:ROWS_SHOWN]]
            known.lines = [*known.lines, *lines][:ROWS_SHOWN]


def _broken_rules(
    column: np.ndarray, contract: ColumnContract, texts: Sequence[str]
) -> Iterator[tuple[str, np.ndarray]]:
    """The rules in order, each with the rows that break it, (n,); the problem of text is empty."""
    import numpy as np

    lowest, highest = column.min(), column.max()
    within = contract.minimum <= lowest and highest <= contract.maximum
    within = within and bool(np.isfinite([lowest, highest]).all())
    if within and (contract.dtype != "int" or bool((np.rint(column) == column).all())):
        return
    missing, infinite = np.isnan(column), np.isinf(column)
    text = np.array([bool(one) for one in texts]) if texts else np.zeros(len(column), bool)
    with np.errstate(invalid="ignore"):
        outside = (column < contract.minimum) | (column > contract.maximum)
        part = (column % 1 != 0) & (contract.dtype == "int")
    yield "is empty or NaN", missing & ~text
    yield "", text
    yield "is infinite", infinite
    yield (
        f"lies outside {contract.minimum:g} to {contract.maximum:g} {contract.unit}".rstrip(),
        outside & ~infinite,
    )
    yield "is not a whole number", part & ~missing & ~infinite


def _text_problem(column: str, text: str, dialect: Dialect) -> str:
    if text == column:
        return "holds its own name, as where files were joined with their headers"
    message = f"holds text, such as {text[:_SHOWN]!r}"
    if dialect.decimal == "." and re.fullmatch(r"[+-]?\d*,\d+", text):
        return f"{message} (where other numbers have a decimal point)"
    if dialect.decimal == "," and re.fullmatch(r"[+-]?\d*\.\d+", text):
        return f"{message} (where other numbers have a decimal comma)"
    return message


def _numbers(fields: Sequence[str], decimal: str) -> tuple[np.ndarray, list[str]]:
    """Numbers, NaN where there is none; and the texts, if there are any."""
    import numpy as np

    if decimal == ".":
        try:
            return np.array([float(field) for field in fields]), []
        except ValueError:
            pass
    numbers = np.full(len(fields), np.nan)
    texts = [""] * len(fields)
    for row, field in enumerate(fields):
        try:
            numbers[row] = _number(field, decimal)
        except ValueError:
            texts[row] = _no_text(field)
    return numbers, texts if any(texts) else []


def _number(field: str, decimal: str) -> float:
    if decimal == ",":
        if "." in field:
            raise ValueError(field)
        field = field.replace(",", ".", 1)
    return float(field)


def _no_text(field: str) -> str:
    """The field as text; empty for pandas' markers of a missing value."""
    bare = field.strip()
    return "" if bare.lower() in _MISSING else bare


_MISSING = frozenset(
    [
        "",
        "#n/a",
        "#n/a n/a",
        "#na",
        "-1.#ind",
        "-1.#qnan",
        "1.#ind",
        "1.#qnan",
        "<na>",
        "n/a",
        "na",
        "null",
        "none",
    ]
)
