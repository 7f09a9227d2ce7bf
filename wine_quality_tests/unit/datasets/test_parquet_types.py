"""A Parquet file that names a Python type of its own: Arrow before 14.0.1 unpickles it."""

from __future__ import annotations

import pickle
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.attacks.hand_made import Payload

_NAME, _METADATA = b"ARROW:extension:name", b"ARROW:extension:metadata"
_READ = {
    "streamed": "from wine_quality.engines.parquet_reader import ParquetReader as R\n"
    "print(R([sys.argv[1]]).files[0].columns['more'])",
    "history": "from wine_quality.datasets.parquet import read_parquet\n"
    "print(read_parquet(open(sys.argv[1], 'rb'))['more'].dtype)",
}


@pytest.mark.slow
@pytest.mark.parametrize("way", _READ)
def test_no_file_runs_code(mlflow_version: MlflowVersion, tmp_path: Path, way: str):
    file, canary = tmp_path / "wines.parquet", tmp_path / "canary"
    named = {_NAME: b"arrow.py_extension_type", _METADATA: pickle.dumps(Payload(canary))}
    fields = [pa.field(name, pa.float64()) for name in (*FEATURES, TARGET)]
    schema = pa.schema([*fields, pa.field("more", pa.float64(), metadata=named)])
    pq.write_table(pa.table([pa.array([1.0])] * len(schema), schema=schema), file)
    done = subprocess.run(
        [str(mlflow_version.python), "-c", f"import sys\n{_READ[way]}", str(file)],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=PROJECT_ROOT,
    )
    assert not canary.exists()
    if way == "streamed":  # of the history's own objects none has such a column
        assert done.returncode == 0 and "Error" not in done.stderr, done.stderr
        assert done.stdout.startswith(("double", "extension<"))
