"""Parquet files that are there as a whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.datasets.parquet import safe_parquet
from wine_quality.scoring.inputs import DESCRIPTION

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq
    from upath import UPath

_PART = ".part"


class AtomicParquet:
    """Writes beside its target, and takes its name at the end: half a file is never seen.

    What a killed process left is removed by the next that writes to the same target. Use it as a
    context: leaving it without ``publish`` removes what was written.
    """

    def __init__(self, target: UPath, schema: pa.Schema) -> None:
        self._target, self._schema = target, schema
        self._is_local = "://" not in str(target)
        if self._is_local:
            folder = Path(str(target)).parent
            folder.mkdir(parents=True, exist_ok=True)
            _remove_abandoned(Path(str(target)))
        else:
            folder = Path(tempfile.gettempdir())
        descriptor, name = tempfile.mkstemp(_PART, f".{target.name}.", folder)
        self._part, self._lock = Path(name), descriptor
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.fchmod(descriptor, 0o666 & ~_umask())
        self._writer = _writer(name, schema)

    def __enter__(self) -> AtomicParquet:
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Rows with the schema's columns; another type of the same is cast (of another file)."""
        import pyarrow as pa

        self._writer.write_table(pa.Table.from_batches([batch]).cast(self._schema))

    def publish(self, description: Mapping[str, Any]) -> None:
        """Finish the file, described, and give it its name."""
        self._describe({DESCRIPTION: json.dumps(description)})
        with self._part.open("rb") as written:
            os.fsync(written.fileno())
        if self._is_local:
            os.replace(self._part, str(self._target))
        else:
            self._target.fs.put_file(str(self._part), self._target.path)

    def _describe(self, metadata: Mapping[str, str]) -> None:
        if hasattr(self._writer, "add_key_value_metadata"):  # since Arrow 16
            self._writer.add_key_value_metadata(metadata)
            self._writer.close()
            return
        self._writer.close()
        parquet = safe_parquet()
        described = self._part.with_name(f"{self._part.name[: -len(_PART)]}.2{_PART}")
        schema = self._schema.with_metadata(metadata)
        try:
            with _writer(str(described), schema) as writer:
                plain = parquet.ParquetFile(str(self._part))
                for group in range(plain.num_row_groups):
                    rows = plain.read_row_group(group)
                    writer.write_table(rows.replace_schema_metadata(metadata).cast(schema))
            os.replace(described, self._part)
        finally:
            described.unlink(missing_ok=True)

    def __exit__(self, *_: object) -> None:
        with suppress(Exception):
            self._writer.close()
        self._part.unlink(missing_ok=True)
        os.close(self._lock)


def _writer(file: str, schema: pa.Schema) -> pq.ParquetWriter:
    import pyarrow as pa

    # Numbers that hardly repeat: a dictionary of them takes most of the time of writing, and space.
    repeating = [
        field.name
        for field in schema
        if not pa.types.is_floating(field.type) and not pa.types.is_integer(field.type)
    ]
    return safe_parquet().ParquetWriter(file, schema, compression="zstd", use_dictionary=repeating)


def _remove_abandoned(target: Path) -> None:
    """Parts of this target whose writer has died: it holds no lock any more."""
    for part in target.parent.glob(f".{_escaped(target.name)}.*{_PART}"):
        with suppress(OSError), part.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def _escaped(name: str) -> str:
    return "".join(f"[{one}]" if one in "*?[" else one for one in name)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
