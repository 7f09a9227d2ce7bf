"""CSV files: shapes and values that people, spreadsheets and broken transfers make."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from wine_quality.datasets.contract import COLUMNS
from wine_quality.history.wine_history import WineHistory
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.wines.loading import RawWineCsvConfig, WinesRefusedError, load_wines
from wine_quality_tests.fuzz.damage import damaged
from wine_quality_tests.fuzz.outcome import kept, require_clear, require_nothing_kept

LINES = [line.split(";") for line in PACKAGED_RED_WINE.read_text().splitlines()[:7]]
NAMES = list(COLUMNS)
GOOD = "\n".join(";".join(line) for line in LINES).encode()

ODD_CELLS = st.sampled_from(
    ["", " ", "NaN", "nan", "NA", "null", "None", "inf", "-inf", "Infinity", "1e999", "-1e999"]
    + ["1e-400", "9" * 40, "9" * 400, "-0", "+5", " 5 ", "5.", ".5", "5,0", "1_0", "0x5", "5e0"]
    + ["5d0", "٣", "5%", "$5", "5 g", "True", "false", "2020-01-01", "10:30", "1+0j", "=1+1"]
    + ['"5"', '"5', '5"', "'5'", '""', "5\0", "\u00a05", "5\u2028", "#5", "\\N", "x" * 200_000]
    + ["18446744073709551616", "-9223372036854775809", "5.0000000000000001", "1e308", "[5]"]
) | st.floats().map(repr)
ODD_NAMES = st.sampled_from(
    ["", " ", "PH", "pH ", "pН", "p H", "ｐH", "pH.1", "Unnamed: 0", "index", "quality"]
    + ["file_row_number", "alcohol\u200b", "al\u0301cohol", "x" * 5000, "x" * 150_000, '"pH', "#pH"]
    + ["__proto__", "a;b", "a\rb", '"a\nb"', "colour", "fixed_acidity", "0", "NaN"]
) | st.text(max_size=6)
ENCODINGS = st.sampled_from(
    ["utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp037", "utf-7"]
)


@st.composite
def shaped(draw: st.DrawFn) -> bytes:
    """A good file after one to three changes of its cells, its rows or how it is written."""
    table = [list(line) for line in LINES[: draw(st.integers(1, 6))]]
    separator, end, encoding = ";", "\n", "utf-8"
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.integers(0, 12))
        at = draw(st.integers(0, len(table) - 1))
        row = table[at]
        column = draw(st.integers(0, len(row) - 1)) if row else 0
        if kind in (0, 1) and row:
            row[column] = draw(ODD_NAMES if at == 0 else ODD_CELLS)
        elif kind == 2:
            cell = draw(ODD_CELLS)
            for other in table[1:]:
                if column < len(other):
                    other[column] = cell
        elif kind == 3:
            row.insert(column, draw(ODD_CELLS))
        elif kind == 4 and row:
            row.pop(column)
        elif kind == 5:
            name = draw(ODD_NAMES | st.sampled_from(NAMES))
            for number, other in enumerate(table):
                other.append(name if number == 0 else "1")
        elif kind == 6:
            for other in table:
                if column < len(other):
                    other.pop(column)
        elif kind == 7:
            table.insert(at, draw(st.sampled_from([[], [""], [""] * 12, ["# wines"], table[0]])))
        elif kind == 8:
            separator = draw(st.sampled_from([",", "\t", "|", " ", ";;", ":", "; "]))
        elif kind == 9:
            end = draw(st.sampled_from(["\r\n", "\r", "\n\n", "\n\r", "\u2028", "\x0b", ";\n", ""]))
        elif kind == 10:
            encoding = draw(ENCODINGS)
        elif kind == 11:
            table[1:] = draw(st.permutations(table[1:]))
            for other in table:
                other[:] = other[::-1]
        else:
            table = table * draw(st.integers(0, 3)) or [[]]
    text = end.join(separator.join(row) for row in table) + draw(st.sampled_from(["", end]))
    return text.encode(encoding, "replace")


FILES = shaped() | damaged(GOOD) | st.binary(max_size=200)


def expected_rows(content: bytes) -> list[list[float]]:
    """The wines of a file that was accepted, read by another parser, in the contract's order.

    Raises:
        ValueError: it is no table of numbers under the contract's names.
    """
    marked = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    lines = re.split(r"\r\n|\r|\n", content.decode("utf-16" if marked else "utf-8-sig"))
    while not lines[0].strip(" \t\ufeff;,|") or lines[0].lstrip().startswith("#"):
        lines.pop(0)
    separator = max(";,\t|", key=lines[0].count)
    csv.field_size_limit(1 << 30)
    rows = list(csv.reader(lines, delimiter=separator, skipinitialspace=True))
    rows = [row for row in rows if any(map(str.strip, row))]
    names, wines = [name.strip() for name in rows[0] if name.strip()], rows[1:]
    if sorted(names) != sorted(NAMES):
        raise ValueError(f"columns {names}")
    order = [names.index(name) for name in NAMES]
    if any(len(row) < len(names) or any(map(str.strip, row[len(names) :])) for row in wines):
        raise ValueError("a row of another length")
    has_commas = not any("." in field for row in wines for field in row)
    return [
        [float(row[at].replace(",", ".") if has_commas else row[at]) for at in order]
        for row in wines
    ]


def require_contract(wines: list[list[float]]) -> None:
    for row in wines:
        for value, contract in zip(row, COLUMNS.values(), strict=True):
            assert contract.minimum <= value <= contract.maximum, (contract.name, value)
            assert contract.dtype == "float" or value == int(value), (contract.name, value)


def require_same(found: Any, content: bytes) -> None:
    """A frame is the file's, number for number."""
    wines = expected_rows(content)
    assert found.to_numpy(dtype=float).tolist() == wines, "not the numbers of the file"
    require_contract(wines)


def check_loaded(content: bytes, folder: Path) -> str:
    path = folder / "wines.csv"
    path.write_bytes(content)
    history = WineHistory(base_path=str(folder / "history"))
    try:
        loaded = load_wines(RawWineCsvConfig(csv_url=str(path)), history=history)
    except WinesRefusedError as error:
        require_clear(error, str(path))
        require_nothing_kept(history)
        return "refused"
    require_same(loaded.frame, content)
    assert kept(history) == 1
    return "accepted"
