"""Parts of DuckDB's SQL that name files, columns and texts."""

from __future__ import annotations

import re
from collections.abc import Mapping

from wine_quality.datasets.dialect import Dialect


def csv_table(path: str, dialect: Dialect, types: Mapping[str, str]) -> str:
    """``read_csv`` of one file.

    Args:
        types: DuckDB's type of each column, in the file's order.
    """
    columns = ", ".join(f"{literal_text(name)}: '{kind}'" for name, kind in types.items())
    # Nothing is left to guess: all engines read a file alike.
    return (
        f"read_csv({literal_path(path)}, auto_detect = false, columns = {{{columns}}}, "
        f"header = false, hive_partitioning = false, skip = {dialect.header_line}, "
        f"delim = {literal_text(dialect.separator)}, decimal_separator = '{dialect.decimal}', "
        "quote = '\"', escape = '\"', comment = '', "
        f"compression = '{'gzip' if dialect.gzipped else 'none'}')"
    )


def literal_path(path: str) -> str:
    """One file, with any characters in its name: DuckDB takes paths for patterns."""
    return literal_text(re.sub(r"([*?\[])", r"[\1]", path))


def literal_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def quoted_name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
