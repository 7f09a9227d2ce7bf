"""Recognizes files that are not CSV by their first bytes, with advice for each kind."""

from __future__ import annotations

import re

_KINDS: tuple[tuple[bytes, str], ...] = (
    (
        b"PAR1",
        "is Parquet. Set the training engine duckdb or spark, and end its name with .parquet",
    ),
    (b"\xd0\xcf\x11\xe0", "is an old Excel workbook (.xls). Save the sheet as CSV"),
    (b"BZh", "is compressed by bzip2. Unpack it, or compress it by gzip"),
    (b"\xfd7zXZ\x00", "is compressed by xz. Unpack it, or compress it by gzip"),
    (b"\x28\xb5\x2f\xfd", "is compressed by zstd. Unpack it, or compress it by gzip"),
    (b"\x04\x22\x4d\x18", "is compressed by lz4. Unpack it, or compress it by gzip"),
    (b"7z\xbc\xaf\x27\x1c", "is a 7-Zip archive. Unpack it"),
    (b"Rar!", "is a RAR archive. Unpack it"),
    (b"%PDF", "is a PDF document. Save the table as CSV"),
    (b"{\\rtf", "is a text document (RTF). Save the table as CSV"),
    (b"ARROW1", "is Arrow (Feather). Save it as CSV or Parquet"),
    (b"ORC", "is ORC. Save it as CSV or Parquet"),
    (b"Obj\x01", "is Avro. Save it as CSV or Parquet"),
    (b"SQLite format 3\x00", "is an SQLite database. Save the table as CSV"),
    (b"\x89HDF", "is HDF5. Save it as CSV or Parquet"),
    (b"\x93NUMPY", "is a NumPy array. Save it as CSV or Parquet"),
    (b"\x80\x04\x95", "is a Python pickle. Save it as CSV or Parquet"),
    (
        b"version https://git-lfs",
        "is a Git LFS pointer, not the file. Fetch it: git lfs pull",
    ),
)
_ZIPPED = (
    (b"xl/", "is an Excel workbook (.xlsx). Save the sheet as CSV UTF-8"),
    (b"opendocument.spreadsheet", "is an OpenDocument spreadsheet. Save the sheet as CSV"),
    (b"", "is a ZIP archive. Unpack it, or compress the file by gzip"),
)


def other_kind(head: bytes) -> str | None:
    """The kind of file, with advice, such as ``is a PDF document. Save …``; None for text.

    Args:
        head: Its first bytes, unpacked where they are gzip.
    """
    for magic, text in _KINDS:
        if head.startswith(magic):
            return text
    if head.startswith(b"PK\x03\x04"):
        return next(text for part, text in _ZIPPED if part in head)
    if head[257:262] == b"ustar":
        return "is a tar archive. Unpack it"
    start = head[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return _page(head)
    if start.startswith(b"<"):
        return _page(head) if b"<html" in start else _xml(head)
    if re.match(rb'(\{\s*["}])|(\[\s*[\[{"\]0-9])', start):
        return "is JSON, not a CSV file. Save the table as CSV"
    return None


def _page(head: bytes) -> str:
    title = re.search(rb"<title[^>]*>([^<]{1,200})", head[:65536], re.IGNORECASE)
    words = f" titled {title[1].decode('utf-8', 'replace').strip()!r}" if title else ""
    return f"is an HTML page{words}, not a CSV file. Check the URL"


def _xml(head: bytes) -> str:
    code = re.search(rb"<Code>([^<]{1,80})</Code>", head[:4096])
    words = f" with the error {code[1].decode('utf-8', 'replace')!r}" if code else ""
    return f"is XML{words}, not a CSV file. Check the URL"
