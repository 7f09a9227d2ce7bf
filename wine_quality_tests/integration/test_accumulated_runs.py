"""Whole runs on accumulated data: from the command line, and by a real daemon as files arrive."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from wine_quality.dagster_support.run_tag_names import DATA_HASH_TAG, FILE_HASH_TAG
from wine_quality.datasets.contract import FEATURES
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.models.elastic_net.fit import LinearModel
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.wines.in_memory import MemorySplit
from wine_quality.wines.split_rows import split_by_values
from wine_quality_tests.integration.test_arriving_data import ROWS, Watched
from wine_quality_tests.support.warm_commands import run_command
from wine_quality_tests.unit.datasets.test_accumulate import WHITE_WINE, wines
from wine_quality_tests.unit.history.test_history import write

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

WHITE_ROWS = WHITE_WINE.read_text().splitlines()[1:]
_MATERIALIZED = """query M($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
  ... on AssetNode { staleStatus partitionKeys isMaterializable assetMaterializations {
    runId partition metadataEntries { label
      ... on IntMetadataEntry { intValue } ... on TextMetadataEntry { text }
      ... on TableMetadataEntry { table { records } } } } } } }"""


def numbers(rows: list[str]) -> Counter:
    """The rows as numbers: files may write the same one in two ways."""
    return Counter(tuple(map(float, row.split(";"))) for row in rows)


def asset(watched: Watched, name: str) -> dict[str, Any]:
    return watched.dagster.graphql(_MATERIALIZED, key={"path": [name]})["assetNodeOrError"]


def metadata(materialization: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for entry in materialization["metadataEntries"]:
        table = entry.get("table")
        records = [json.loads(record) for record in table["records"]] if table else None
        found[entry["label"]] = records or entry.get("text") or entry.get("intValue")
    return found


def test_from_the_command_line(home, mlflow_version, tmp_path, monkeypatch):
    """Files that another environment accepted are read too: the two halves are the tutorial's data,
    divided by its own values."""
    from dagster import AssetKey, DagsterInstance

    from wine_quality.history.wine_history import WineHistory

    first = wines(PACKAGED_RED_WINE)[:800].reset_index(drop=True)
    first.attrs = {"data_sha256": "ab" * 32}
    WineHistory().accept("/new/first.csv", first)
    file = write(tmp_path / "second.csv", ROWS[700:])
    options = ("--mlflow", mlflow_version.key, "--training-data", "accumulated")
    done = run_command("run", *options, "--csv-url", file)
    assert done.returncode == 0, done.stderr
    [rmse] = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("rmse")]
    expected = MemorySplit(split_by_values(wines(PACKAGED_RED_WINE)))
    model = LinearModel.of(expected.fit(0.5, 0.5, 40), FEATURES)
    assert float(rmse) == pytest.approx(expected.rmse(model), abs=1e-12)
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    with DagsterInstance.get() as instance:
        event = instance.get_latest_materialization_event(AssetKey("raw_wine_csv"))
        text = {key: entry.value for key, entry in event.asset_materialization.metadata.items()}
        assert (text["dagster/row_count"], text["files"], text["duplicate_rows"]) == (1599, 2, 100)
        keys = instance.get_dynamic_partitions("wine_files")
    assert sorted(key.rpartition("-")[0] for key in keys) == ["first.csv", "second.csv"]


def test_files_that_arrive_accumulate(tmp_path: Path, mlflow_server):
    server = mlflow_server(MLFLOW_VERSIONS["3"])
    watched = Watched(tmp_path, server, WINE_QUALITY_WATCH_TRAINING_DATA="accumulated")
    try:
        _arrive(watched)
    finally:
        watched.dagster.stop()


def _arrive(watched: Watched) -> None:
    # The second overlaps the first; all at once, so that their runs are side by side.
    slices = {"1.csv": ROWS[:800], "2.csv": ROWS[700:], "white.csv": WHITE_ROWS}
    for name, rows in slices.items():
        watched.drop(name, rows)
    watched.drop("bad.csv", ROWS[:9], header="wine;quality")
    for name in slices:
        assert watched.statuses(name) == ["SUCCESS"]
    assert watched.statuses("bad.csv") == ["FAILURE"]

    red, white = numbers(ROWS), numbers(WHITE_ROWS)
    everything = red | white
    single = [row for row in ROWS if everything[next(iter(numbers([row])))] == 1]
    corrected = [row.rpartition(";")[0] + ";9" for row in single[:3]]
    strange = single[3].replace(single[3].split(";")[0], "29.5", 1)
    watched.drop("corrected.csv", [*corrected, strange, *single[10:12]])
    assert watched.statuses("corrected.csv") == ["SUCCESS"]

    [run] = watched.runs_of("corrected.csv")
    raw = asset(watched, "raw_wine_csv")
    [text] = [metadata(m) for m in raw["assetMaterializations"] if m["runId"] == run["runId"]]
    in_both = sum((red & white).values())
    delivered = 800 + 899 + 4898 + 6
    duplicates = 100 + in_both + 2
    assert text["files"] == 4
    assert text["duplicate_rows"] == duplicates
    assert text["conflicting_rows"] == 6  # what was there, and what contradicts it
    assert text["rows_left_out"] == 3
    assert text["dagster/row_count"] == delivered - duplicates - 3
    assert text["dagster/row_count"] == sum((red | white).values()) - 3 + 4
    shares = {Path(share["source"]).name: share for share in text["put_together_from"]}
    assert list(shares) == ["corrected.csv", "white.csv", "2.csv", "1.csv"]  # the newest first
    counts = ("rows", "new", "duplicates", "conflicting", "used")
    found = {name: tuple(share[count] for count in counts) for name, share in shares.items()}
    ours = Counter(row in single[:3] for row in ROWS[:800])[True]
    assert found == {
        "1.csv": (800, 800, 0, ours, 800 - ours),
        "2.csv": (899, 799, 100, 3 - ours, 799 - (3 - ours)),
        "white.csv": (4898, 4898 - in_both, in_both, 0, 4898 - in_both),
        "corrected.csv": (6, 4, 2, 3, 4),
    }

    _, params = watched.tracked(run["runId"])
    assert (params["training_data"], params["data_files"]) == ("accumulated", "4")
    assert params["data_sha256"] == run["tags"][DATA_HASH_TAG] == text["data_sha256"]
    assert run["tags"][FILE_HASH_TAG] != text["data_sha256"]
    assert int(params["train_rows"]) / text["dagster/row_count"] == pytest.approx(0.75, abs=0.02)
    assert params["split"] == "hash"
    assert raw["staleStatus"] == "FRESH"

    files = asset(watched, "wine_files")
    assert not files["isMaterializable"]
    named = sorted(key.rpartition("-")[0] for key in files["partitionKeys"])
    assert named == sorted(shares)
    seen = {m["partition"]: metadata(m)["source"] for m in files["assetMaterializations"]}
    assert sorted(seen) == sorted(files["partitionKeys"])
    assert {Path(source).name for source in seen.values()} == set(shares)

    # The same wines once more, under another name: nothing is new but the file.
    watched.drop("white again.csv", WHITE_ROWS)
    assert watched.statuses("white again.csv") == ["SUCCESS"]
    newest = metadata(asset(watched, "raw_wine_csv")["assetMaterializations"][0])
    assert newest["dagster/row_count"] == text["dagster/row_count"]
    assert newest["duplicate_rows"] == duplicates + 4898
    assert len(asset(watched, "wine_files")["partitionKeys"]) == 5
