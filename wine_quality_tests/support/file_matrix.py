"""Files that people have, and what reading each comes to, on every engine alike.

``python -m wine_quality_tests.support.file_matrix`` prints ``docs/file-matrix.md``.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from wine_quality.paths import PACKAGED_RED_WINE

HEADER, *ROWS = [line.replace('"', "") for line in PACKAGED_RED_WINE.read_text().splitlines()[:9]]
NAMES = HEADER.split(";")
PLAIN = [HEADER, *ROWS]
NAME = "wines.csv"
"""The name for which ``FILE`` stands in the sentences."""


@dataclass(frozen=True)
class Case:
    """One file.

    Attributes:
        title: What it is, for people.
        content: Its bytes.
        rows: Which of ``ROWS`` it holds; None when it is refused.
        sentence: What is said then; ``FILE`` is the file.
        suffix: Of its name.
    """

    title: str
    content: bytes
    rows: int | None = len(ROWS)
    sentence: str = ""
    suffix: str = ".csv"


def text(lines: list[str], end: str = "\n", encoding: str = "utf-8") -> bytes:
    return "".join(line + end for line in lines).encode(encoding)


def each(change: Callable[[str], str]) -> list[str]:
    return [change(line) for line in PLAIN]


def with_row(number: int, row: str) -> list[str]:
    """In place of the line of this number."""
    return [*PLAIN[: number - 1], row, *PLAIN[number:]]


def with_value(value: str, number: int = 4, column: int = 0) -> list[str]:
    fields = PLAIN[number - 1].split(";")
    fields[column] = value
    return with_row(number, ";".join(fields))


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def _commas(line: str) -> str:
    return line.replace(".", ",")


_RED = text(PLAIN)
_BROKEN = "FILE breaks the data contract. "
_QUOTED = [";".join(f'"{field}"' for field in line.split(";")) for line in PLAIN]
_SHUFFLED = [";".join(reversed(line.split(";"))) for line in PLAIN]

READ = (
    Case("semicolons, the UCI's own", _RED),
    Case("commas", _RED.replace(b";", b",")),
    Case("tabs", _RED.replace(b";", b"\t"), suffix=".tsv"),
    Case("pipes", _RED.replace(b";", b"|")),
    Case("`sep=;` in the first line (Excel)", text(["sep=;", *PLAIN])),
    Case("`sep=` and a tab, with a byte order mark", text(["\ufeffsep=\t"], "\r\n")
         + _RED.replace(b";", b"\t")),
    Case("a separator of its own, named by `sep=^`", text(["sep=^", *each(
        lambda line: line.replace(";", "^"))])),
    Case("every field in quotes", text(_QUOTED)),
    Case("spaces around fields", text(each(lambda line: line.replace(";", " ; ")))),
    Case("quotes after spaces", text(
        [_QUOTED[0], *(row.replace(";", "; ") for row in _QUOTED[1:])])),
    Case("columns in another order", text(_SHUFFLED)),
    Case("`;` at the end of each line", text(each(lambda line: line + ";"))),
    Case("`;` at the end of each row, not of the header", text([HEADER, *(r + ";" for r in ROWS)])),
    Case("`;` at the end of the header alone", text([HEADER + ";", *ROWS])),
    Case("several empty columns at the end", text(each(lambda line: line + ";;;"))),
    Case("rows of separators alone at the end (Excel)", text([*PLAIN, ";" * 11, ";" * 11])),
    Case("empty lines between rows", text([HEADER, "", *ROWS[:3], "", "", *ROWS[3:], ""])),
    Case("lines of spaces between rows", text([HEADER, *ROWS[:3], "   ", *ROWS[3:]])),
    Case("empty lines above the header", text(["", "", *PLAIN])),
    Case("comments (#) above the header", text(["# made by hand", "# in 2026", *PLAIN])),
    Case("lines that end as on Windows", text(PLAIN, "\r\n")),
    Case("lines that end as on old Macs", text(PLAIN, "\r")),
    Case("lines that end in two ways", text(PLAIN[:4], "\r\n") + text(PLAIN[4:])),
    Case("no end of the last line", _RED[:-1]),
    Case("a byte order mark (Excel's UTF-8)", b"\xef\xbb\xbf" + _RED),
    Case("UTF-16, tabs (Excel's Unicode text)", text(
        each(lambda line: line.replace(";", "\t")), "\r\n", "utf-16")),
    Case("UTF-16, the other byte order", b"\xfe\xff" + text(PLAIN, encoding="utf-16-be")),
    Case("UTF-16 without a mark", text(PLAIN, encoding="utf-16-le")),
    Case("decimal commas", text(each(_commas))),
    Case("decimal commas, tabs", text(each(lambda line: _commas(line).replace(";", "\t")))),
    Case("decimal commas in quotes between commas", text(
        [_commas(line).replace(";", ",") for line in _QUOTED])),
    Case("numbers with exponents", text([HEADER, *(row.replace("0.9978", "9.978e-1")
                                                   for row in ROWS)])),
    Case("digits apart by `_`, as in SQL and Python (`9_4` is 94)", text(
        [HEADER, *(row.replace(";34;", ";3_4;") for row in ROWS)])),
    Case("gzip", gzip.compress(_RED), suffix=".csv.gz"),
    Case("gzip of another name", gzip.compress(_RED)),
    Case("gzip in two parts", gzip.compress(text(PLAIN[:5])) + gzip.compress(text(PLAIN[5:]))),
    Case("gzip of UTF-16", gzip.compress(text(PLAIN, encoding="utf-16"))),
)  # fmt: skip

REFUSED = (
    Case("a word for a number", text(with_value("sour")), None, _BROKEN
         + "column 'fixed acidity': holds text, such as 'sour' in 1 row(s), first at line(s) [4]."),
    Case("the same below empty lines", text(["", "sep=;", "", *with_value("sour")]), None,
         _BROKEN + "column 'fixed acidity': holds text, such as 'sour' in 1 row(s), first at "
         "line(s) [7]."),
    Case("an empty value", text(with_value("", 5, 8)), None, _BROKEN
         + "column 'pH': is empty or NaN in 1 row(s), first at line(s) [5]."),
    Case("`NA` for a value", text(with_value("NA", 5, 8)), None, _BROKEN
         + "column 'pH': is empty or NaN in 1 row(s), first at line(s) [5]."),
    Case("a value out of range below empty lines", text([HEADER, "", "", *with_value("99", 3)[1:]]),
         None, _BROKEN + "column 'fixed acidity': lies outside 0 to 30 g/dm³ in 1 row(s), first at "
         "line(s) [5]."),
    Case("two faults", text([*with_value("-1", 3)[:3], *with_value("6.5", 4, 11)[3:]]), None,
         _BROKEN + "column 'fixed acidity': lies outside 0 to 30 g/dm³ in 1 row(s), first at "
         "line(s) [3]; column 'quality': is not a whole number in 1 row(s), first at line(s) [4]."),
    Case("True for a number", text(with_value("True", 6, 2)), None, _BROKEN
         + "column 'citric acid': holds text, such as 'True' in 1 row(s), first at line(s) [6]."),
    Case("one decimal comma among points", text(with_value("7,4")), None, _BROKEN
         + "column 'fixed acidity': holds text, such as '7,4' (where other numbers have a decimal "
         "point) in 1 row(s), first at line(s) [4]."),
    Case("thousands with commas", text(with_value("1,234.5", 4, 6)), None, _BROKEN
         + "column 'total sulfur dioxide': holds text, such as '1,234.5' in 1 row(s), first at "
         "line(s) [4]."),
    Case("files joined with their headers", text([*PLAIN, *PLAIN]), None, _BROKEN + "; ".join(
        f"column '{name}': holds its own name, as where files were joined with their headers in 1 "
        "row(s), first at line(s) [10]" for name in NAMES[:10]) + "; and 2 more."),
    Case("a missing column", text(each(lambda line: line.rpartition(";")[0])), None,
         _BROKEN + "column 'quality': is missing."),
    Case("a misspelt column", text(PLAIN).replace(b"alcohol", b"alchohol"), None, _BROKEN
         + "column 'alcohol': is missing; the file has 'alchohol', did you mean that?; column "
         "'alchohol': is not in the contract."),
    Case("a column too many",
         text(each(lambda line: line + ";red")).replace(b";red", b";colour", 1), None,
         _BROKEN + "column 'colour': is not in the contract."),
    Case("row numbers in a column without a name (pandas, R)", text(
        [f"{number or ''};{line}" for number, line in enumerate(PLAIN)]), None,
         "FILE has a first column without a name, as pandas and R write row numbers. Save it "
         "without them (pandas: index=False; R: row.names=FALSE)."),
    Case("a row too short", text(with_row(5, "7.4;0.7;0")), None,
         "FILE has 3 field(s) in line 5, where the header names 12."),
    Case("a row too long", text(with_row(5, ROWS[0] + ";9")), None,
         "FILE has 13 field(s) in line 5, where the header names 12."),
    Case("cut short", _RED[:-20], None, "FILE has 8 field(s) in line 9, where the header names 12, "
         "and the file ends there. It may be cut short: fetch it again."),
    Case("decimal commas between commas", _RED.replace(b".", b",").replace(b";", b","), None,
         "FILE has 20 field(s) in line 2, where the header names 12. If numbers have a decimal "
         "comma, separate the columns by ;."),
    Case("a title above the header", text(["Wines of 2026", "", *PLAIN]), None,
         "FILE names its columns in line 3, below what is not a table, such as 'Wines of 2026'. "
         "Delete the lines above."),
    Case("no header", text(ROWS), None,
         "FILE begins with numbers. Begin the file with the names of its columns."),
    Case("a header and no rows", text([HEADER]), None, "FILE has a header and no rows."),
    Case("a column named twice", text(PLAIN).replace(b"citric acid", b"pH"), None,
         "FILE names columns twice: ['pH']."),
    Case("one column", text(["wine", "red"]), None,
         "FILE names one column in its first line: 'wine'. Begin the file with the names of its "
         "columns, with ; or , or a tab or | between them."),
    Case("each line in quotes as a whole", text([f'"{line}"' for line in PLAIN]), None,
         "FILE has each line in quotes as a whole, so it has one column. Save the table as CSV "
         "again, from the program that it comes from."),
    Case("a quote that is not closed", text(with_value('"7.4')), None,
         "FILE opens a quote in line 4 that is not closed there."),
    Case("Latin-1", text(with_value("7,4 größer"), encoding="latin-1"), None,
         "FILE is not UTF-8 text (line 4). Save it as CSV UTF-8."),
    Case("a zero byte", text(with_value("7\0")), None, "FILE is binary, not text (line 4)."),
    Case("empty", b"", None, "FILE is empty."),
    Case("gzip of nothing", gzip.compress(b""), None, "FILE is empty."),
    Case("gzip cut short", gzip.compress(_RED)[:-40], None,
         "FILE is gzip that is cut short or damaged. Fetch it again."),
    Case("gzip of gzip", gzip.compress(gzip.compress(_RED)), None,
         "FILE is compressed twice. Unpack it."),
    Case("ZIP", zipped("wines.csv", _RED), None,
         "FILE is a ZIP archive. Unpack it, or compress the file by gzip."),
    Case("Excel workbook (.xlsx)", zipped("xl/workbook.xml", b"<workbook/>"), None,
         "FILE is an Excel workbook (.xlsx). Save the sheet as CSV UTF-8."),
    Case("Excel workbook (.xls)", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), None,
         "FILE is an old Excel workbook (.xls). Save the sheet as CSV."),
    Case("bzip2", bz2.compress(_RED), None,
         "FILE is compressed by bzip2. Unpack it, or compress it by gzip."),
    Case("xz", lzma.compress(_RED), None,
         "FILE is compressed by xz. Unpack it, or compress it by gzip."),
    Case("Parquet under another name", b"PAR1" + bytes(100), None,
         "FILE is Parquet. Set the training engine duckdb or spark, and end its name with "
         ".parquet."),
    Case("JSON", b'[{"fixed acidity": 7.4}]', None,
         "FILE is JSON, not a CSV file. Save the table as CSV."),
    Case("an HTML page", b"<!DOCTYPE html><html><title>Please sign in</title></html>", None,
         "FILE is an HTML page titled 'Please sign in', not a CSV file. Check the URL."),
    Case("a store's error", b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', None,
         "FILE is XML with the error 'AccessDenied', not a CSV file. Check the URL."),
    Case("a Git LFS pointer", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", None,
         "FILE is a Git LFS pointer, not the file. Fetch it: git lfs pull."),
)  # fmt: skip

CASES = (*READ, *REFUSED)


def outcome_in_memory(path: Path) -> tuple[list[list[float]] | None, str]:
    """The rows in the contract's order, or what is said."""
    from wine_quality.history.wine_history import WineHistory
    from wine_quality.wines.loading import RawWineCsvConfig, WinesRefusedError, load_wines

    history = WineHistory(base_path=str(path.parent / "history"))
    try:
        wines = load_wines(RawWineCsvConfig(csv_url=str(path)), history=history)
    except WinesRefusedError as error:
        return None, str(error).replace(str(path), "FILE")
    return wines.frame.to_numpy().tolist(), ""


def outcome_streamed(path: Path, engine: str) -> tuple[list[list[float]] | None, str]:
    """The same of a streaming engine."""
    from wine_quality.engines.membership import Membership
    from wine_quality.engines.resource import EngineChoice, TrainingEngine
    from wine_quality.history.wine_history import WineHistory
    from wine_quality.wines.loading import RawWineCsvConfig, WinesRefusedError
    from wine_quality.wines.streaming import aggregate, inspect_files

    history = WineHistory(base_path=str(path.parent / f"history-{engine}"))
    reading = TrainingEngine(engine=EngineChoice(engine), spark_master="local[1]")
    try:
        inspection = inspect_files(RawWineCsvConfig(csv_url=str(path)), reading, history)
        done = aggregate(
            inspection, Membership(0.5, 2, seed=1), reading, history, lambda _line: None
        )
    except WinesRefusedError as error:
        return None, str(error).replace(str(path), "FILE")
    return done.split.sample.wines.T.tolist(), ""


def table() -> str:
    """``docs/file-matrix.md``, from what the engines do."""
    lines = [
        "# Files that people have",
        "",
        "Made by `make file-matrix`, and held by the tests: each file is read in memory (pandas), "
        "by DuckDB and by Spark, and each of them has the same rows, or says the same sentence. "
        "`FILE` is the file's path or URL.",
        "",
        "| file | what comes of it |",
        "|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        os.environ.setdefault("WINE_QUALITY_ALLOWED_ROOTS", tempfile.gettempdir())
        for number, case in enumerate(CASES):
            path = write(case, Path(folder), number)
            rows, message = outcome_in_memory(path)
            message = message.replace("|", "\\|") if rows is None else "is read"
            lines.append(f"| {case.title.replace('|', chr(92) + '|')} | {message} |")
    return "\n".join([*lines, ""])


def write(case: Case, folder: Path, number: int = 0) -> Path:
    place = folder / str(number)
    place.mkdir(parents=True, exist_ok=True)
    path = place / f"wines{case.suffix}"
    path.write_bytes(case.content)
    return path


if __name__ == "__main__":
    sys.stdout.write(table())
