"""Values that one version's environment stores and another's reads."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import dagster as dg
import numpy as np
import pandas as pd
import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality.tracking.training import Training
from wine_quality.tracking_api import (
    ChampionDecision,
    LoggedMetrics,
    PlainIOManager,
    RegisteredVersion,
    TrackedModel,
)
from wine_quality.tracking_api.io_manager import FORMAT, ValueFormatError, decode, encode

TRAINING = Training("a", "3", "sqlite:///mlflow.db", "b")
VALUES = [
    TrackedModel("models:/m-1", "0" * 64, "seal", TRAINING),
    LoggedMetrics({"auc": 0.1 + 0.2}, TRAINING),
    RegisteredVersion("ChurnModel", "1", TRAINING),
    ChampionDecision("ChurnModel", "2", "1", None, {"1": 0.5, "2": 0.25}, "It stays.", TRAINING),
    {"rows": 3, "names": ["a", None], "share": 0.5},
    None,
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_come_back_as_they_were(value):
    found = decode(encode(value))
    assert type(found) is type(value) and found == value


def test_numbers_of_numpy_are_numbers():
    assert decode(encode({"auc": np.float64(0.1), "rows": np.int64(3)})) == {"auc": 0.1, "rows": 3}


def test_what_an_older_checkout_stored_is_read_and_a_newer_format_is_refused():
    """Before there was a version of the format, records had none."""
    for value in VALUES:
        record = json.loads(encode(value))
        assert record.pop("format") == FORMAT
        assert decode(json.dumps(record).encode()) == value
        newer = json.dumps({**record, "format": FORMAT + 1}).encode()
        with pytest.raises(ValueFormatError, match="upgrade the package"):
            decode(newer)


def test_what_is_not_plain_is_refused_with_what_to_do():
    with pytest.raises(ValueFormatError, match="a object is neither .* run.log_model"):
        encode(object())


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "months": [1, 2, 3],
            "price": [0.1, 0.2, None],
            "plan": ["basic", None, "größer 🍷"],
            "since": pd.to_datetime(["2024-01-01 00:00:00", "2025-02-02 03:04:05", None]),
            "cancelled": [True, False, True],
        },
        index=[7, 8, 9],
    )


READ = """
import sys
from wine_quality.tracking_api.io_manager import decode, encode
found = decode(open(sys.argv[1], "rb").read())
assert found["plan"].tolist()[0::2] == ["basic", "größer \\U0001f377"], found
assert found["cancelled"].tolist() == [True, False, True] and found.index.tolist() == [7, 8, 9]
assert str(found["since"].iloc[1]) == "2025-02-02 03:04:05", found
open(sys.argv[1], "wb").write(encode(found))
"""


@pytest.mark.parametrize("key", ["2.1.1", "1.26"])
def test_an_older_pandas_reads_a_frame_and_writes_it_back(tmp_path, key):
    file, version = tmp_path / "frame", MLFLOW_VERSIONS[key]
    file.write_bytes(encode(frame()))
    done = subprocess.run(
        [str(version.require_python()), "-W", "ignore", "-c", READ, str(file)],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
    )
    assert done.returncode == 0, done.stderr
    # pandas before 2 knows nanoseconds only.
    found = decode(file.read_bytes()).astype({"since": frame()["since"].dtype})
    pd.testing.assert_frame_equal(found, frame(), check_dtype=False)


def test_assets_and_partitions_have_a_file_each(tmp_path: Path):
    parts = dg.StaticPartitionsDefinition(["north", "south"])

    @dg.asset(partitions_def=parts)
    def rows(context) -> pd.DataFrame:
        return pd.DataFrame({"segment": [context.partition_key]})

    @dg.asset(partitions_def=parts)
    def count(rows: pd.DataFrame) -> dict[str, int]:
        return {str(rows["segment"].iloc[0]): len(rows)}

    with dg.DagsterInstance.ephemeral() as instance:
        for segment in ("north", "south"):
            done = dg.materialize(
                [rows, count],
                instance=instance,
                partition_key=segment,
                resources={"io_manager": PlainIOManager(base_path=str(tmp_path))},
            )
            assert done.output_for_node("count") == {segment: 1}
    files = sorted(str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*/*"))
    assert files == ["count/north", "count/south", "rows/north", "rows/south"]
