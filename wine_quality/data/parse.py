"""From bytes to a data frame, refusing what cannot be a wine file before pandas sees it."""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

MAX_COLUMNS = 1000


class DataFormatError(Exception):
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
    header = text.split("\n", 1)[0].rstrip("\r")
    separator = detect_separator(header)
    _check_header(header, separator, name)
    try:
        frame = pd.read_csv(
            io.StringIO(text), sep=separator, float_precision="round_trip", index_col=False
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError) as error:
        raise DataFormatError(f"{name} cannot be parsed as CSV: {error}") from error
    if frame.empty:
        raise DataFormatError(f"{name} has a header and no rows.")
    return frame


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
    names = [column.strip() for column in next(csv.reader([header], delimiter=separator), [])]
    repeated = sorted({column for column in names if names.count(column) > 1})
    if repeated:
        raise DataFormatError(f"{name} names columns twice: {repeated[:5]}.")
