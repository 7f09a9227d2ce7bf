"""Data frames as Parquet."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_ATTRS = b"wine_quality.attrs"
_PICKLED_TYPE = "arrow.py_extension_type"


@cache
def safe_parquet() -> Any:
    """``pyarrow.parquet`` that unpickles nothing: before 14.0.1 (2.1.1's environment) Arrow does so
    with a type that any file may name (CVE-2023-47248). Here that type is nothing but a name."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    class AsItIs(pa.ExtensionType):
        def __init__(self, holds: Any) -> None:
            super().__init__(holds, _PICKLED_TYPE)

        def __arrow_ext_serialize__(self) -> bytes:
            return b""

        @classmethod
        def __arrow_ext_deserialize__(cls, holds: Any, _serialized: bytes) -> AsItIs:
            return cls(holds)

    with suppress(KeyError):  # newer releases know no such type
        pa.unregister_extension_type(_PICKLED_TYPE)
        # Arrow takes it away again at its end, and wants to find one.
        pa.register_extension_type(AsItIs(pa.null()))
    return pq


def write_parquet(frame: pd.DataFrame, file: IO[bytes]) -> None:
    """Write a frame with its ``attrs`` in the schema (pandas does that only since 2.1)."""
    import pyarrow as pa

    pq = safe_parquet()
    table = pa.Table.from_pandas(frame)
    metadata = {**(table.schema.metadata or {}), _ATTRS: json.dumps(frame.attrs).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), file)


def read_parquet(file: IO[bytes]) -> pd.DataFrame:
    """Read a frame of ``write_parquet``, with its ``attrs``."""
    table = safe_parquet().read_table(file)
    frame = table.to_pandas()
    frame.attrs = json.loads((table.schema.metadata or {}).get(_ATTRS, b"{}"))
    return frame
