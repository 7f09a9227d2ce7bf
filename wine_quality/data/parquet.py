"""Data frames as Parquet."""

from __future__ import annotations

import json
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_ATTRS = b"wine_quality.attrs"


def write_parquet(frame: pd.DataFrame, file: IO[bytes]) -> None:
    """With ``attrs`` in the schema (pandas does that only since 2.1)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame)
    metadata = {**(table.schema.metadata or {}), _ATTRS: json.dumps(frame.attrs).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), file)


def read_parquet(file: IO[bytes]) -> pd.DataFrame:
    """What ``write_parquet`` wrote."""
    import pyarrow.parquet as pq

    table = pq.read_table(file)
    frame = table.to_pandas()
    frame.attrs = json.loads((table.schema.metadata or {}).get(_ATTRS, b"{}"))
    return frame
