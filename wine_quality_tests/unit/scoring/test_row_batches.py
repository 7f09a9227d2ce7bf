"""Batches of a Parquet file, whatever its row groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wine_quality.scoring.inputs import Inputs
from wine_quality.scoring.row_batches import ROWS_PER_BATCH

ROWS = 16 * ROWS_PER_BATCH
COLUMNS = ("a", "b", "c", "d")


def test_one_row_group_of_the_whole_file_is_not_held_in_memory(tmp_path: Path):
    """As pandas writes up to a million rows. Arrow's newer releases fetch a row group whole."""
    numbers = np.random.default_rng(1).normal(size=ROWS)
    path = tmp_path / "rows.parquet"
    table = pa.table(dict.fromkeys(COLUMNS, numbers))
    pq.write_table(table, path, row_group_size=ROWS, use_dictionary=False, compression="none")
    assert pq.read_metadata(path).num_row_groups == 1
    del table
    inputs, most = Inputs([str(path)]), 0
    before = pa.total_allocated_bytes()
    found = []
    for batch in inputs.batches(inputs.files[0], COLUMNS):
        most = max(most, pa.total_allocated_bytes() - before)
        assert batch.first_row == sum(len(one) for one in found)
        found.append(batch.columns[3].copy())
    inputs.close()
    assert np.array_equal(np.concatenate(found), numbers)
    # A buffer, a page of 1 MB and a batch or two of each column.
    assert most < len(COLUMNS) * ROWS * 8 / 2
