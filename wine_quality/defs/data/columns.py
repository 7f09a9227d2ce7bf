"""The data contract's columns, as Dagster shows them."""

from dagster import TableColumn, TableSchema

from wine_quality.datasets.contract import COLUMNS


def column_schema(*more: TableColumn) -> TableSchema:
    """The data contract's columns, and ``more``, as Dagster shows them."""
    contract = [
        TableColumn(
            name=column.name,
            type=column.dtype,
            description=f"{column.description} [{column.unit}] "
            f"{column.minimum:g} to {column.maximum:g}",
        )
        for column in COLUMNS.values()
    ]
    return TableSchema(columns=[*contract, *more])
