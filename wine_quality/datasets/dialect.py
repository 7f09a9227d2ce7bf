"""How a CSV file is written: found once from its first bytes, for every engine alike."""

from __future__ import annotations

import codecs
import csv
import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass

from wine_quality.datasets.contract import COLUMNS, plain_name
from wine_quality.datasets.file_kinds import other_kind
from wine_quality.escaping import ShownError

MAX_COLUMNS = 1000
MAX_HEADER = 100_000
"""Characters; the csv module reads no field much longer."""
HEAD_BYTES = 8 * MAX_HEADER
"""Bytes at the beginning of a file that are inspected, before and after it is unpacked."""
SEPARATORS = (";", ",", "\t", "|")
GZIP = b"\x1f\x8b"
_SHOWN = 80
_HEADER_WITHIN = 20
_SAMPLED_LINES = 50
_LINE_END = re.compile(r"\r\n|\r|\n")
_SEP_LINE = re.compile(r"\ufeff?\s*\"?sep=(.)\"?[;,\s]*", re.IGNORECASE)


class DataFormatError(ShownError):
    """The content is not a CSV of wines; the message names the cause."""


@dataclass(frozen=True)
class Dialect:
    """The dialect of a CSV file.

    Attributes:
        names: The header's, without spaces around them.
        separator: Between fields.
        decimal: ``.`` or ``,`` in numbers.
        header_line: The header's line, from 1; what is above is skipped.
        encoding: As Python calls it; a byte order mark does not belong to the text.
        gzipped: Whether the text is compressed.
        line_end: a newline, a carriage return or both; None where lines end in more than one way.
    """

    names: tuple[str, ...]
    separator: str = ";"
    decimal: str = "."
    header_line: int = 1
    encoding: str = "utf-8-sig"
    gzipped: bool = False
    line_end: str | None = "\n"


def detect_dialect(head: bytes, name: str, columns: Iterable[str] = COLUMNS) -> Dialect:
    """The dialect of a file.

    Args:
        head: Its first ``HEAD_BYTES`` bytes, or all of them.
        name: For errors.
        columns: Names that make a line the header, wherever it stands, by half of them.

    Raises:
        DataFormatError: empty, no text, no table, or not to be read in one way only.
    """
    gzipped = head.startswith(GZIP)
    whole = len(head) < HEAD_BYTES
    if gzipped:
        head, whole = _unpacked_head(head, name)
    kind = "is compressed twice. Unpack it" if head.startswith(GZIP) else other_kind(head)
    if kind:
        raise DataFormatError(f"{name} {kind}.")
    encoding = _encoding_of(head, name)
    text = _decoded(head, encoding, name)
    if not text.strip():
        raise DataFormatError(f"{name} is empty.")
    lines = _LINE_END.split(text)
    if not whole and len(lines) > 1:
        lines.pop()  # it may be cut
    known = frozenset(map(plain_name, columns))
    number, separator = _header_of(lines, name, known)
    names = _names_of(lines[number], separator, name, known)
    decimal = _decimal_of(lines[number + 1 :][:_SAMPLED_LINES], separator)
    ends = set(_LINE_END.findall(text.removesuffix("\r")))
    line_end = "\n" if not ends else ends.pop() if len(ends) == 1 else None
    return Dialect(names, separator, decimal, number + 1, encoding, gzipped, line_end)


def split_line(line: str, separator: str) -> list[str]:
    """The fields of one line, without spaces around them."""
    try:
        fields = next(csv.reader([line], delimiter=separator, skipinitialspace=True), [])
    except csv.Error:
        return [line]
    return [field.strip() for field in fields]


def _unpacked_head(head: bytes, name: str) -> tuple[bytes, bool]:
    unpacking = zlib.decompressobj(wbits=31)
    try:
        unpacked = unpacking.decompress(head, HEAD_BYTES)
    except zlib.error as error:
        raise DataFormatError(f"{name} is gzip that is damaged. Fetch it again.") from error
    return unpacked, len(unpacked) < HEAD_BYTES and len(head) < HEAD_BYTES


def _encoding_of(head: bytes, name: str) -> str:
    if head.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise DataFormatError(f"{name} is UTF-32 text. Save it as UTF-8.")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    # Without a mark, of what is mostly ASCII every other byte is zero.
    even, odd = head[0:2000:2], head[1:2000:2]
    for zeros, others, encoding in ((odd, even, "utf-16-le"), (even, odd, "utf-16-be")):
        if len(zeros) > 8 and zeros.count(0) > 0.9 * len(zeros) and not others.count(0):
            return encoding
    return "utf-8-sig"


def _decoded(head: bytes, encoding: str, name: str) -> str:
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(head)
    except UnicodeDecodeError as error:
        kind = "UTF-8" if encoding == "utf-8-sig" else "UTF-16"
        line = len(re.findall(rb"\r\n|\r|\n", head[: error.start])) + 1
        raise not_text(name, kind, line) from error
    if "\0" in text:
        raise binary(name, len(_LINE_END.findall(text[: text.index("\0")])) + 1)
    return text


def not_text(name: str, encoding: str, line: int) -> DataFormatError:
    return DataFormatError(f"{name} is not {encoding} text (line {line}). Save it as CSV UTF-8.")


def binary(name: str, line: int) -> DataFormatError:
    return DataFormatError(f"{name} is binary, not text (line {line}).")


def _header_of(lines: list[str], name: str, known: frozenset[str]) -> tuple[int, str]:
    """The header's place among the lines, and its separator."""
    filled = [number for number, line in enumerate(lines) if line.strip(" \t\ufeff;,|")]
    if not filled:
        raise DataFormatError(f"{name} holds separators and nothing else.")
    named = _SEP_LINE.fullmatch(lines[filled[0]])
    given = named[1] if named else None
    if given:
        filled = filled[1:]
        if not filled:
            raise DataFormatError(f"{name} has no line after {lines[0][:_SHOWN]!r}.")
    choices = (given,) if given else SEPARATORS
    for place, number in enumerate(filled[:_HEADER_WITHIN]):
        separator = max(choices, key=lambda one: _known_names(lines[number], one, known))
        if _known_names(lines[number], separator, known) >= max(1, len(known) // 2):
            _check_above([lines[above] for above in filled[:place]], number + 1, name)
            return number, separator
    first = lines[filled[0]]
    return filled[0], given or _separator_by_count(first)


def _known_names(line: str, separator: str, known: frozenset[str]) -> int:
    if len(line) > MAX_HEADER:
        return 0
    return sum(plain_name(field) in known for field in split_line(line, separator))


def _separator_by_count(header: str) -> str:
    bare = re.sub(r'"[^"]*"', "", header)
    return max(SEPARATORS, key=bare.count)


def _check_above(above: list[str], header_line: int, name: str) -> None:
    other = [line for line in above if not line.lstrip().startswith("#")]
    if other:
        raise DataFormatError(
            f"{name} names its columns in line {header_line}, below what is not a table, such as "
            f"{other[0].strip()[:_SHOWN]!r}. Delete the lines above."
        )


def _names_of(header: str, separator: str, name: str, known: frozenset[str]) -> tuple[str, ...]:
    if header.count(separator) >= MAX_COLUMNS:
        raise DataFormatError(f"{name} has more than {MAX_COLUMNS} columns.")
    if len(header) > MAX_HEADER:
        raise DataFormatError(
            f"{name} has a first line of more than {MAX_HEADER} characters. Begin the file "
            "with the names of its columns."
        )
    names = split_line(header.rstrip(), separator)
    while len(names) > 1 and not names[-1]:
        names.pop()
    if len(names) == 1:
        _refuse_one_column(names[0], name, known)
    if all(_is_number(one) for one in names):
        raise DataFormatError(
            f"{name} begins with numbers. Begin the file with the names of its columns."
        )
    if names[0] in ("", "Unnamed: 0") and set(map(plain_name, names)) >= known:
        raise DataFormatError(
            f"{name} has a first column without a name, as pandas and R write row numbers. Save "
            "it without them (pandas: index=False; R: row.names=FALSE)."
        )
    repeated = sorted({column for column in names if names.count(column) > 1})
    if repeated:
        shown = [column[:_SHOWN] for column in repeated[:5]]
        raise DataFormatError(f"{name} names columns twice: {shown}.")
    return tuple(names)


def _refuse_one_column(only: str, name: str, known: frozenset[str]) -> None:
    if max(_known_names(only, one, known) for one in SEPARATORS) >= max(1, len(known) // 2):
        raise DataFormatError(
            f"{name} has each line in quotes as a whole, so it has one column. Save the table as "
            "CSV again, from the program that it comes from."
        )
    raise DataFormatError(
        f"{name} names one column in its first line: {only[:_SHOWN]!r}. Begin the file with the "
        "names of its columns, with ; or , or a tab or | between them."
    )


def _is_number(text: str) -> bool:
    return bool(re.fullmatch(r"[+-]?[\d.,]*\d[\d.,]*(e[+-]?\d+)?", text, re.IGNORECASE))


def _decimal_of(lines: list[str], separator: str) -> str:
    """``,`` where numbers of the first rows are written with it, and none with a point."""
    fields = [field for line in lines for field in split_line(line, separator)]
    commas = sum(bool(re.fullmatch(r"[+-]?\d*,\d+", field)) for field in fields)
    points = sum(bool(re.fullmatch(r"[+-]?\d*\.\d+", field)) for field in fields)
    return "," if commas and not points else "."
