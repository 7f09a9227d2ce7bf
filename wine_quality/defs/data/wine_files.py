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
    TableSchema,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from wine_quality.history.accepted_files import AcceptedFile

PARTITIONS = "wine_files"
_TRIES = 5

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
    from sqlalchemy.exc import IntegrityError

    # All runs in one order: of two that add the same in different ones, each would wait for the
    # other, and PostgreSQL ends one of them.
    wanted = sorted(keys)
    for tries_left in reversed(range(_TRIES)):
        try:
            instance.add_dynamic_partitions(PARTITIONS, wanted)
            return
        except IntegrityError:
            # In sqlite Dagster looks which are there and then adds the others: another run may
            # have added some in between.
            if not tries_left:
                raise


def note_accepted(
    instance: DagsterInstance, keys: Iterable[str], accepted: Sequence[AcceptedFile]
) -> Iterator[AssetMaterialization]:
    """The partitions as the history is now, and which files were accepted."""
    if keys:
        note_files(instance, keys)
    for file in accepted:
        yield materialization(file)


def forget_file(instance: DagsterInstance, key: str) -> None:
    instance.delete_dynamic_partition(PARTITIONS, key)


def materialization(file: AcceptedFile) -> AssetMaterialization:
    """The event that a file was accepted, or read again, in the file's partition."""
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


FILES_SCHEMA = TableSchema(
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
