"""Files of predictions as Parquet lays them out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from upath import UPath

from wine_quality.scoring.output import AtomicParquet


def test_numbers_are_written_without_a_dictionary_and_texts_with_one(tmp_path: Path):
    columns = {"row": pa.array(np.arange(9)), "prediction": pa.array(np.arange(9) / 7)}
    rows = pa.RecordBatch.from_pydict({**columns, "model_version": pa.array(["1"] * 9)})
    with AtomicParquet(UPath(tmp_path / "out.parquet"), rows.schema) as output:
        output.write(rows)
        output.publish({})
    group = pq.ParquetFile(tmp_path / "out.parquet").metadata.row_group(0)
    found = {
        group.column(place).path_in_schema: group.column(place).has_dictionary_page
        for place in range(group.num_columns)
    }
    assert found == {"row": False, "prediction": False, "model_version": True}
