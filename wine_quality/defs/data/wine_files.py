"""``wine_files``: every file that was accepted, one partition each, for the history in the UI."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import (
    AssetMaterialization,
    AssetSpec,
    DagsterInstance,
    DynamicPartitionsDefinition,
    MetadataValue,
    TableColumn,
    TableMetadataValue,
    TableRecord,
    TableSchema,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from wine_quality.datasets.accumulate import FileShare
    from wine_quality.history.remembered import RememberedFile

PARTITIONS = "wine_files"
FILES_SHOWN = 50

# External: files come from elsewhere, so there is nothing here to execute, and "Materialize all"
# leaves it out.
WINE_FILES = AssetSpec(
    "wine_files",
    group_name="wine_quality",
    kinds={"csv"},
    owners=["team:ml-platform"],
    partitions_def=DynamicPartitionsDefinition(name=PARTITIONS),
    description="Files that passed the data contract, one partition each. raw_wine_csv adds a "
    "file when a run reads it; `make forget` removes it.",
)


def note_files(instance: DagsterInstance, keys: Iterable[str]) -> None:
    """Have a partition for each file; those that are there already stay."""
    instance.add_dynamic_partitions(PARTITIONS, list(keys))


def forget_file(instance: DagsterInstance, key: str) -> None:
    instance.delete_dynamic_partition(PARTITIONS, key)


def materialization(file: RememberedFile) -> AssetMaterialization:
    """That a file was accepted, or read again."""
    return AssetMaterialization(
        asset_key=WINE_FILES.key,
        partition=file.key,
        description=f"Accepted from {file.source}.",
        metadata={
            "dagster/row_count": file.rows,
            "source": file.source,
            "data_sha256": file.sha256,
            "arrived": MetadataValue.timestamp(file.microseconds / 1e6),
        },
        tags={"data_sha256": file.sha256[:63]},
    )


def files_table(files: Sequence[tuple[RememberedFile, FileShare]]) -> TableMetadataValue:
    """What each file brought, the newest first and no more of them than can be read."""
    records = [
        TableRecord(
            {
                "file": file.key,
                "rows": share.rows,
                "new": share.new,
                "duplicates": share.duplicates,
                "conflicting": share.conflicting,
                "used": share.used,
                "arrived": file.arrived,
                "source": file.source,
            }
        )
        for file, share in list(reversed(files))[:FILES_SHOWN]
    ]
    return MetadataValue.table(records, schema=_FILES_SCHEMA)


_FILES_SCHEMA = TableSchema(
    columns=[
        TableColumn("file", "string", "Its partition of wine_files"),
        TableColumn("rows", "int"),
        TableColumn("new", "int", "That no file before it had brought"),
        TableColumn("duplicates", "int", "That files before it had brought already"),
        TableColumn(
            "conflicting", "int", "New ones whose measurements have another quality elsewhere"
        ),
        TableColumn("used", "int", "That are in the training data under this file's name"),
        TableColumn("arrived", "string", "In UTC"),
        TableColumn("source", "string"),
    ]
)
