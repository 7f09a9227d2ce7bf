"""From bytes to a data frame, refusing what cannot be a wine file before pandas sees it."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

from wine_quality.escaping import ShownError

if TYPE_CHECKING:
    import pandas as pd

MAX_COLUMNS = 1000
MAX_HEADER = 100_000
"""Characters; the csv module reads no field much longer."""
_SHOWN = 80


class DataFormatError(ShownError):
    """The content is not a CSV of wines; the message says why."""


def detect_separator(header: str) -> str:
    """``;`` or ``,``, whichever the header holds more of outside quotes."""
    bare = re.sub(r'"[^"]*"', "", header)
    return ";" if bare.count(";") >= bare.count(",") else ","


def parse_wine_csv(content: bytes, name: str) -> pd.DataFrame:
    """Parse a header and rows; values that are not numbers stay text for the contract to name.

    Raises:
        DataFormatError: empty, an HTML page, not UTF-8, ragged rows, duplicate or too many columns.
    """
    import pandas as pd

    text = _decode(content, name)
    separator = _separator_of(text, name)
    try:
        # In one piece: of a long file's pieces one may be taken for numbers, another for booleans.
        frame = pd.read_csv(
            io.StringIO(text), sep=separator, float_precision="round_trip", low_memory=False
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise DataFormatError(f"{name} cannot be parsed as CSV: {str(error).strip()}") from error
    if not isinstance(frame.index, pd.RangeIndex):
        # pandas takes the first columns for row labels then.
        raise DataFormatError(
            f"{name} has rows with more fields than its header names. Name every column, and end "
            f"no row with {separator!r}."
        )
    if frame.empty:
        raise DataFormatError(f"{name} has a header and no rows.")
    return frame


def separator_at(start: bytes, name: str) -> str:
    """The separator of a file that is not read here, from its first bytes.

    Args:
        start: Whole, or more than ``4 * MAX_HEADER`` bytes.

    Raises:
        DataFormatError: as ``parse_wine_csv``.
    """
    if start.startswith(b"PAR1"):
        raise DataFormatError(f"{name} is Parquet. End its name with .parquet.")
    line = re.split(rb"[\r\n]", start.lstrip(b"\xef\xbb\xbf \t\r\n"), maxsplit=1)[0]
    # A header that is longer is refused, wherever it was cut.
    return _separator_of(_decode(line[: 4 * MAX_HEADER] or b"", name), name)


def _separator_of(text: str, name: str) -> str:
    header = re.split(r"[\r\n]", text, maxsplit=1)[0]
    separator = detect_separator(header)
    _check_header(header, separator, name)
    return separator


def _decode(content: bytes, name: str) -> str:
    if not content.strip():
        raise DataFormatError(f"{name} is empty.")
    start = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        title = re.search(rb"<title[^>]*>([^<]{1,200})", content[:65536], re.IGNORECASE)
        words = f" titled {title[1].decode('utf-8', 'replace').strip()!r}" if title else ""
        raise DataFormatError(f"{name} is an HTML page{words}, not a CSV file. Check the URL.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataFormatError(f"{name} is not UTF-8 text (byte {error.start}).") from error
    if "\0" in text:
        raise DataFormatError(f"{name} is binary, not text.")
    return text.lstrip()


def _check_header(header: str, separator: str, name: str) -> None:
    count = header.count(separator) + 1
    if count > MAX_COLUMNS:
        raise DataFormatError(f"{name} has {count} columns; at most {MAX_COLUMNS} are read.")
    if len(header) > MAX_HEADER:
        raise DataFormatError(
            f"{name} has a first line of {len(header)} characters; the header may have "
            f"{MAX_HEADER}. Begin the file with the names of its columns."
        )
    names = [column.strip() for column in next(csv.reader([header], delimiter=separator), [])]
    repeated = sorted({column for column in names if names.count(column) > 1})
    if repeated:
        shown = [column[:_SHOWN] for column in repeated[:5]]
        raise DataFormatError(f"{name} names columns twice: {shown}.")
