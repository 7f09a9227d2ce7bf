"""Secrets that are recognized wherever they turn up, and searches for them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wine_quality.stack.settings import SECRETS
from wine_quality_tests.support.stack_client import Stack

MARK = "cAnArY"
DATABASES = {"dagster": "DAGSTER", "metrics": "METRICS"}
_TABLES = (
    "SELECT quote_ident(schemaname) || '.' || quote_ident(tablename) FROM pg_tables "
    "WHERE schemaname NOT IN ('pg_catalog', 'information_schema')"
)


def canaries() -> dict[str, str]:
    """A value for each secret of the platform, all different; those that stand in addresses hold
    what must be quoted there."""
    values = {name: f"{MARK}{number}" for number, name in enumerate(SECRETS)}
    for name in ("DAGSTER_POSTGRES_PASSWORD", "MLFLOW_POSTGRES_PASSWORD"):
        values[name] = f"p:a/s@s%{values[name]}"
    # Shorter ones are refused.
    values["WINE_QUALITY_SIGNING_KEY"] = values["WINE_QUALITY_SIGNING_KEY"].ljust(64, "x")
    values["AWS_ACCESS_KEY_ID"] = values["MINIO_ROOT_USER"]
    values["AWS_SECRET_ACCESS_KEY"] = values["MINIO_ROOT_PASSWORD"]
    return values


def in_databases(stack: Stack) -> Iterator[str]:
    """Each table and row with a canary, compressed columns unpacked."""
    mlflow = {f"mlflow_{version.replace('.', '_')}": "MLFLOW" for version in stack.versions}
    for database, role in {**DATABASES, **mlflow}.items():
        rows = 0
        for (table,) in stack.query(database, role, _TABLES):
            for row in stack.query(database, role, f"SELECT * FROM {table}"):
                rows += 1
                text = " ".join(map(_text, row))
                if MARK in text:
                    at = text.index(MARK)
                    yield f"{database}.{table}: …{text[max(0, at - 100) : at + 20]}…"
        assert rows, f"{database} is empty"


def _text(value: Any) -> str:
    if isinstance(value, memoryview):
        content = bytes(value)
        try:
            content = zlib.decompress(content)
        except zlib.error:
            pass
        return content.decode("utf-8", "replace")
    return str(value)


def in_files(folder: Path, but: set[Path]) -> Iterator[str]:
    """Each file below a folder with a canary."""
    files = 0
    for file in folder.rglob("*"):
        if not file.is_file() or any(one == file or one in file.parents for one in but):
            continue
        files += 1
        if MARK.encode() in file.read_bytes():
            yield str(file)
    assert files, f"{folder} is empty"


def in_command_lines(commands: list[str]) -> Iterator[str]:
    assert commands
    yield from (command for command in commands if MARK in command)
