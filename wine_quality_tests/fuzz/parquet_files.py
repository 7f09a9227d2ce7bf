"""Parquet files: other types and shapes, and damage to the bytes; and CSV by streaming engines."""

from __future__ import annotations

import io
from decimal import Decimal
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from wine_quality_tests.fuzz.csv_files import LINES, NAMES, expected_rows, require_contract
from wine_quality_tests.fuzz.damage import damaged
from wine_quality_tests.fuzz.streamed import STREAMING

WINES = [[float(cell) for cell in line] for line in LINES[1:]] * 4


def written(columns: list[tuple[str, Any]], **options: Any) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = [name for name, _ in columns]
    table = pa.Table.from_arrays([array for _, array in columns], names=names)
    buffer = io.BytesIO()
    pq.write_table(table, buffer, **options)
    return buffer.getvalue()


def plain_columns() -> list[tuple[str, Any]]:
    import pyarrow as pa

    wines = list(zip(*WINES, strict=True))
    return [(name, pa.array(values)) for name, values in zip(NAMES, wines, strict=True)]


def _retyped(kind: str, values: list[float]) -> Any:
    """A column's values as another type, whether that makes sense or not."""
    import pyarrow as pa

    n = len(values)
    made = {
        "float32": lambda: pa.array(values, pa.float32()),
        "int64": lambda: pa.array([round(v) for v in values], pa.int64()),
        "uint8": lambda: pa.array([min(round(v), 255) for v in values], pa.uint8()),
        "decimal": lambda: pa.array([Decimal(str(v)) for v in values], pa.decimal128(20, 6)),
        "decimal256": lambda: pa.array([Decimal(str(v)) for v in values], pa.decimal256(60, 6)),
        "dictionary": lambda: pa.array(values).dictionary_encode(),
        "text": lambda: pa.array([str(v) for v in values]),
        "large_text": lambda: pa.array([str(v) for v in values], pa.large_string()),
        "text_dictionary": lambda: pa.array([str(v) for v in values]).dictionary_encode(),
        "binary": lambda: pa.array([str(v).encode() for v in values]),
        "bool": lambda: pa.array([v > 1 for v in values]),
        "null": lambda: pa.nulls(n),
        "some_null": lambda: pa.array([None, *values[1:]]),
        "nan": lambda: pa.array([float("nan"), *values[1:]]),
        "inf": lambda: pa.array([*values[:-1], float("inf")]),
        "huge": lambda: pa.array([*values[:-1], 1e300]),
        "list": lambda: pa.array([[v] for v in values]),
        "struct": lambda: pa.array([{"value": v} for v in values]),
        "map": lambda: pa.array([[("a", v)] for v in values], pa.map_(pa.string(), pa.float64())),
        "timestamp": lambda: pa.array([round(v) for v in values], pa.timestamp("us")),
        "date": lambda: pa.array([round(v) for v in values], pa.date32()),
        "time": lambda: pa.array([round(v) for v in values], pa.time64("us")),
        "duration": lambda: pa.array([round(v) for v in values], pa.duration("us")),
        "fixed": lambda: pa.array([b"12345678"] * n, pa.binary(8)),
    }
    return made[kind]()


KINDS = ["float32", "int64", "uint8", "decimal", "decimal256", "dictionary", "text", "large_text"]
KINDS += ["text_dictionary", "binary", "bool", "null", "some_null", "nan", "inf", "huge", "list"]
KINDS += ["struct", "map", "timestamp", "date", "time", "duration", "fixed"]
ODD_NAMES = st.sampled_from(
    ["", "PH", "pH ", "pН", "file_row_number", "filename", 'a"b', "a'b", "a\nb", "x" * 20_000]
    + ["quality", "row", "a.b", "*", "rowid", "\u0000"]
)


@st.composite
def shaped(draw: st.DrawFn) -> bytes:
    columns = plain_columns()
    wines = [list(values) for values in zip(*WINES, strict=True)]
    rows = len(WINES)
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.integers(0, 7))
        at = draw(st.integers(0, len(columns) - 1)) if columns else 0
        if kind in (0, 1, 2) and columns:
            name = columns[at][0]
            values = wines[NAMES.index(name)] if name in NAMES else wines[0]
            columns[at] = (name, _retyped(draw(st.sampled_from(KINDS)), values))
        elif kind == 3 and columns:
            columns.pop(at)
        elif kind == 4 and columns:
            columns.append((draw(ODD_NAMES), columns[at][1]))
        elif kind == 5 and columns:
            columns[at] = (draw(ODD_NAMES), columns[at][1])
        elif kind == 6:
            columns = draw(st.permutations(columns))
        else:
            rows = draw(st.sampled_from([0, 1, 2]))
    columns = [(name, array.slice(0, rows)) for name, array in columns]
    return written(
        columns,
        row_group_size=draw(st.sampled_from([1, 5, 1000])),
        compression=draw(st.sampled_from(["none", "snappy", "zstd", "gzip"])),
        use_dictionary=draw(st.booleans()),
        version=draw(st.sampled_from(["1.0", "2.6"])),
        data_page_version=draw(st.sampled_from(["1.0", "2.0"])),
    )


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """Damage, in the pages, in the footer or at the ends."""
    good = written(plain_columns(), compression=draw(st.sampled_from(["none", "snappy", "zstd"])))
    footer = int.from_bytes(good[-8:-4], "little") + 8
    where = draw(st.integers(0, 3))
    if where == 0:
        return draw(damaged(good))
    if where == 1:
        return good[:-footer] + draw(damaged(good[-footer:-8])) + good[-8:]
    if where == 2:
        length = draw(st.sampled_from([0, 1, 7, footer - 9, footer, 2**31 - 1, 2**32 - 1]))
        return good[:-8] + length.to_bytes(4, "little") + b"PAR1"
    cut = draw(st.integers(0, len(good)))
    return draw(st.sampled_from([good[:cut], good[cut:], b"PAR1" + good[cut:], good + good[:cut]]))


def check_parquet(content: bytes, folder: Path) -> str:
    path = folder / "wines.parquet"
    path.write_bytes(content)
    answer = STREAMING.ask(path, folder / "history")
    if answer["outcome"] == "accepted" and answer["wines"] is not None:
        require_contract(answer["wines"])
        assert len(answer["wines"]) == answer["rows"]
    return answer["outcome"]


def check_csv(content: bytes, folder: Path) -> str:
    path = folder / "wines.csv"
    path.write_bytes(content)
    answer = STREAMING.ask(path, folder / "history")
    if answer["outcome"] == "accepted" and answer["wines"] is not None:
        wines = expected_rows(content)
        assert answer["wines"] == wines, "not the numbers of the file"
        require_contract(wines)
    return answer["outcome"]
