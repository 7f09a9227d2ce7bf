"""The rows of a CSV file as text, with their lines."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Callable, Iterator
from typing import IO

from wine_quality.datasets.dialect import DataFormatError, Dialect, binary, not_text

_MAX_LINE = 1 << 20
_UNDECODED = re.compile("[\udc80-\udcff]")

Opener = Callable[[], "IO[bytes]"]
"""Opens the file, as it lies there, from its beginning."""


def text_rows(open_file: Opener, dialect: Dialect, name: str) -> Iterator[tuple[int, list[str]]]:
    """Line and fields of each row, as many as there are names."""
    width = len(dialect.names)
    with open_file() as file:
        lines = _Lines(file, dialect, name)
        for _ in range(dialect.header_line):
            next(lines, None)
        reader = csv.reader(lines, delimiter=dialect.separator, skipinitialspace=True)
        while True:
            line = lines.number + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                if lines.number > line:
                    raise _open_quote(name, line) from error
                raise DataFormatError(f"{name} has a very long field in line {line}.") from error
            if len(row) > width and not any(map(str.strip, row[width:])):
                del row[width:]  # the line ends with separators
            if not any(map(str.strip, row)):
                continue
            if lines.number > line and not _has_allowed_fields(row, width):
                raise _open_quote(name, line)
            if len(row) != width:
                raise _other_length(name, line, len(row), width, dialect, lines.ended_open)
            yield line, row


def _has_allowed_fields(row: list[str], width: int) -> bool:
    return len(row) == width and not any("\n" in field.strip() for field in row)


def _open_quote(name: str, line: int) -> DataFormatError:
    return DataFormatError(f"{name} opens a quote in line {line} that is not closed there.")


def _other_length(
    name: str, line: int, fields: int, width: int, dialect: Dialect, cut: bool
) -> DataFormatError:
    hint = ""
    if fields < width and cut:
        hint = ", and the file ends there. It may be cut short: fetch it again"
    elif fields > width and dialect.separator == ",":
        hint = ". If numbers have a decimal comma, separate the columns by ;"
    return DataFormatError(
        f"{name} has {fields} field(s) in line {line}, where the header names {width}{hint}."
    )


class _Lines:
    """The lines of a file as text; ``number`` is that of the last one."""

    def __init__(self, file: IO[bytes], dialect: Dialect, name: str) -> None:
        self._name = name
        self._is_utf8 = dialect.encoding == "utf-8-sig"
        raw = gzip.GzipFile(fileobj=file) if dialect.gzipped else file
        # Bytes that are not UTF-8 are let through and refused below, where their line is known.
        errors = "surrogateescape" if self._is_utf8 else "strict"
        self._text = io.TextIOWrapper(raw, dialect.encoding, errors)  # type: ignore[arg-type]
        self.number = 0
        self.ended_open = False

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        try:
            line = self._text.readline(_MAX_LINE)
        except UnicodeDecodeError as error:
            raise not_text(self._name, "UTF-16", self.number + 1) from error
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise DataFormatError(
                f"{self._name} is gzip that is cut short or damaged. Fetch it again."
            ) from error
        if not line:
            raise StopIteration
        self.number += 1
        self.ended_open = not line.endswith("\n")
        if len(line) == _MAX_LINE and self.ended_open:
            raise DataFormatError(
                f"{self._name} has more than {_MAX_LINE} characters in line {self.number}."
            )
        if "\0" in line:
            raise binary(self._name, self.number)
        if self._is_utf8 and not line.isascii() and _UNDECODED.search(line):
            raise not_text(self._name, "UTF-8", self.number)
        return line
