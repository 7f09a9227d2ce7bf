"""How far predictions were off, by period, once the labels have arrived.

Labels are joined to predictions by the key that these were made with. Without one, the n-th label
belongs to the n-th row of what was scored, so there must be as many.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.datasets.parquet import safe_parquet
from wine_quality.escaping import ShownError
from wine_quality.scoring.inputs import Inputs
from wine_quality.scoring.score import PREDICTED_AT, PREDICTION, ROW, VERSION

if TYPE_CHECKING:
    import pyarrow as pa

_LABEL = "label"


class LabelsError(ShownError, ValueError):
    """Labels that cannot be joined to predictions; the message names the cause."""


@dataclass(frozen=True)
class PeriodResult:
    """The error of one version in one period.

    Attributes:
        begins: First day of the period, in UTC, by when it was predicted.
        rows: That have a label by now.
        rmse: Root mean squared error, in units of the label; ``mae`` is the mean absolute one.
        wrong: Share of the rows whose prediction is not the label, of models that predict classes.
    """

    begins: date
    version: str
    rows: int
    rmse: float
    mae: float
    wrong: float = 0.0


def live_errors(
    predictions: Inputs, labels: Inputs, label: str, keys: Sequence[str], period: str
) -> list[PeriodResult]:
    """The oldest period first; without any row that has a label, nothing.

    Args:
        predictions: Files that ``score`` wrote; one, if there is no key.
        label: Column of the labels.
        keys: Columns of both.
        period: ``day``, ``week`` or ``month``.

    Raises:
        LabelsError: a key has two labels, or without a key there is no label for each row.
        UnreadableFileError: a file cannot be read, or lacks a column.
    """
    import duckdb

    labels.require_columns([label], keys)
    predictions.require_columns([PREDICTION], [*keys, VERSION, PREDICTED_AT])
    connection = predictions.duckdb()
    names = [f"k{place}" for place in range(len(keys))] or [ROW]
    listed = ", ".join(names)
    # By way of a file: DuckDB takes no rows from the Arrow of MLflow 2.1.1's environment.
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "labels.parquet")
        _write(file, labels, label, keys)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE labels AS SELECT {listed}, min({_LABEL}) AS {_LABEL}, "
            f"max({_LABEL}) AS other FROM read_parquet(?) WHERE {_LABEL} IS NOT NULL "
            f"GROUP BY {listed}",
            [_plain(str(file))],
        )
    _require_one_label(connection, names, keys)
    own = [_as_text(key) for key in keys] or [f"p.{ROW}"]
    joined = " AND ".join(f"{mine} = l.{name}" for mine, name in zip(own, names, strict=True))
    off = f"p.{PREDICTION}::DOUBLE - l.{_LABEL}"
    try:
        found = connection.execute(
            f"SELECT date_trunc('{period}', p.{PREDICTED_AT})::DATE, p.{VERSION}, count(*), "
            f"sqrt(avg(({off}) * ({off}))), avg(abs({off})), avg(({off} <> 0)::INT) "
            "FROM read_parquet(?, hive_partitioning = false, union_by_name = true) p "
            f"JOIN labels l ON {joined} GROUP BY ALL ORDER BY ALL",
            [[_plain(file.path) for file in predictions.files]],
        ).fetchall()
    except duckdb.Error as error:
        raise LabelsError(f"labels and predictions cannot be joined: {error}") from error
    return [PeriodResult(*row) for row in found]


def require_label_for_each(labels: Inputs, label: str, rows: int) -> None:
    """Without a key: check that there are as many labels as rows that were scored.

    Raises:
        LabelsError: there are more or fewer.
    """
    labels.require_columns([label], [])
    found = sum(batch.rows for file in labels.files for batch in labels.batches(file, [label]))
    if found != rows:
        raise LabelsError(
            f"{rows} rows were scored, but there are {found} labels. Without a key the n-th label "
            "belongs to the n-th row. Score with a key (key, --key), and give the labels the same."
        )


def _write(file: Path, labels: Inputs, label: str, keys: Sequence[str]) -> None:
    """The labels with the keys of their row, as text, or without keys with its number."""
    import pyarrow as pa

    named = [(f"k{place}", pa.string()) for place in range(len(keys))] or [(ROW, pa.int64())]
    schema = pa.schema([*named, (_LABEL, pa.float64())])
    before = 0
    with safe_parquet().ParquetWriter(str(file), schema) as writer:
        for one in labels.files:
            for batch in labels.batches(one, [label], keys):
                # NaN becomes empty: statistics of Parquet leave it out, and DuckDB trusts them.
                found = pa.array(batch.columns[0], from_pandas=True)
                columns = [*_names_of(batch, before), found]
                writer.write_table(pa.Table.from_arrays(columns, schema=schema))
                before += batch.rows


def _names_of(batch: Any, before: int) -> list[pa.Array]:
    import numpy as np
    import pyarrow as pa

    if not batch.keys:
        return [pa.array(np.arange(batch.rows) + before + 1, pa.int64())]
    return [column.cast(pa.string()) for column in batch.keys]


def _require_one_label(connection: Any, names: Sequence[str], keys: Sequence[str]) -> None:
    twice = connection.execute(
        f"SELECT {', '.join(names)}, {_LABEL}, other FROM labels WHERE {_LABEL} != other LIMIT 1"
    ).fetchone()
    if twice:
        *named, one, other = twice
        shown = ", ".join(f"{key} {value}" for key, value in zip(keys, named, strict=False))
        raise LabelsError(f"{shown} has two labels, {one:g} and {other:g}. Leave one of them.")


def _as_text(key: str) -> str:
    return f"""p."{key.replace('"', '""')}"::VARCHAR"""


def _plain(path: str) -> str:
    """The path for DuckDB, with characters of patterns in brackets."""
    return "".join(f"[{one}]" if one in "*?[" else one for one in path)
