"""Any number of wines, bootstrapped from the packaged ones with noise, written in chunks.

python -m wine_quality_tests.support.generated_wines FILE.parquet ROWS [SEED]
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from wine_quality.datasets.contract import COLUMNS, FEATURES, TARGET
from wine_quality.datasets.parse import parse_wine_csv
from wine_quality.paths import PACKAGED_RED_WINE

if TYPE_CHECKING:
    import numpy as np

ROWS_PER_GROUP = 1 << 17
_CHUNK = 1 << 20
NOISE = 0.1
"""Standard deviation of the noise, in standard deviations of the column."""


def packaged_wines() -> np.ndarray:
    """The red wines, of shape (1599, 12) in the order of the contract."""
    frame = parse_wine_csv(PACKAGED_RED_WINE.read_bytes(), "red")
    return frame[list(COLUMNS)].to_numpy(dtype=float)


def generate(rows: int, seed: int = 0) -> Iterator[dict[str, np.ndarray]]:
    """Columns of at most ``_CHUNK`` rows at a time: a wine drawn with replacement and noise on each
    measurement, reflected into the contract's range; the quality is the drawn wine's."""
    import numpy as np

    wines = packaged_wines()
    spread = wines.std(axis=0)
    random = np.random.default_rng(seed)
    for start in range(0, rows, _CHUNK):
        count = min(_CHUNK, rows - start)
        drawn = random.integers(len(wines), size=count)
        chunk = {}
        for place, name in enumerate(FEATURES):
            column = wines[drawn, place] + random.normal(0, NOISE * spread[place], count)
            # No measurement of the packaged wines is near the upper end of its range.
            chunk[name] = np.abs(column - COLUMNS[name].minimum) + COLUMNS[name].minimum
        chunk[TARGET] = wines[drawn, len(FEATURES)].astype("int64")
        yield chunk


def write_wines(path: str | os.PathLike[str], rows: int, seed: int = 0) -> None:
    """A Parquet file in row groups of ``ROWS_PER_GROUP``; memory does not grow with the rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields = [(c.name, pa.int64() if c.dtype == "int" else pa.float64()) for c in COLUMNS.values()]
    # A dictionary of measurements that never repeat would only be one more copy of them.
    with pq.ParquetWriter(path, pa.schema(fields), use_dictionary=[TARGET]) as writer:
        for chunk in generate(rows, seed):
            writer.write_table(pa.table(chunk), row_group_size=ROWS_PER_GROUP)


if __name__ == "__main__":
    write_wines(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
