"""Streamed wines from the files to the split: what is looked at, summed up, kept and added."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import ElasticNet

from wine_quality.datasets.accumulate import TrainingData
from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.datasets.parse import parse_wine_csv
from wine_quality.engines.choice import EngineChoice
from wine_quality.engines.membership import TEST, Membership, groups_of
from wine_quality.engines.resource import TrainingEngine
from wine_quality.engines.threads import progress_lines
from wine_quality.history.wine_history import HistoryError, WineHistory
from wine_quality.models.elastic_net.fit import LinearModel
from wine_quality.models.elastic_net.sweep_points import Point
from wine_quality.models.evaluate import regression_metrics
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.wines.inspection import Inspection
from wine_quality.wines.loading import RawWineCsvConfig, WinesRefusedError, load_wines
from wine_quality.wines.split import PassResult
from wine_quality.wines.streamed import StreamedSplit
from wine_quality.wines.streaming import aggregate, inspect_files
from wine_quality_tests.support.generated_wines import write_wines

DUCKDB = TrainingEngine(engine=EngineChoice.duckdb, threads=2)
ACCUMULATED = TrainingData.accumulated


@pytest.fixture(params=["folder", "bucket"])
def place(request, tmp_path, s3):
    """A folder, or prefix of a bucket, with slash; and a history beside it."""
    if request.param == "folder":
        (tmp_path / "wines").mkdir()
        return f"{tmp_path}/wines/", WineHistory(base_path=str(tmp_path / "history"))
    base = f"s3://wines/{tmp_path.name}"
    return f"{base}/wines/", WineHistory(base_path=f"{base}/history")


def put(place: str, name: str, rows: int, seed: int, tmp: Path) -> np.ndarray:
    """A file of generated wines; its rows."""
    path = tmp / f"made-{seed}.parquet"
    write_wines(path, rows, seed)
    return put_file(place, name, path)


def put_file(place: str, name: str, path: Path) -> np.ndarray:
    if place.startswith("s3://"):
        import boto3

        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        boto3.client("s3").upload_file(str(path), bucket, f"{prefix}{name}")
    else:
        shutil.copy(path, f"{place}{name}")
    return pq.read_table(path).to_pandas()[[*FEATURES, TARGET]].to_numpy(dtype=float)


def streamed(
    history: WineHistory,
    csv_url: str = "",
    training_data: TrainingData = TrainingData.newest,
    membership: Membership = Membership(),  # noqa: B008 - frozen
    arrived: float | None = None,
) -> tuple[PassResult, list[str]]:
    config = RawWineCsvConfig(csv_url=csv_url, training_data=training_data)
    messages: list[str] = []
    inspection = Inspection.from_plain(
        json.loads(json.dumps(inspect_files(config, DUCKDB, history).to_stored()))
    )
    return aggregate(inspection, membership, DUCKDB, history, messages.append, arrived), messages


def assert_trains_on(split: StreamedSplit, wines: np.ndarray) -> None:
    """The same model and errors as scikit-learn's on the rows themselves."""
    test = groups_of(wines, split.sums.membership) == TEST
    assert (split.train_rows, split.test_rows) == (int((~test).sum()), int(test.sum()))
    direct = ElasticNet(alpha=0.01, l1_ratio=0.5).fit(wines[~test, :-1], wines[~test, -1])
    fitted = split.fit(0.01, 0.5, 42)
    assert fitted.coef_ == pytest.approx(direct.coef_, rel=1e-9, abs=1e-12)
    model = LinearModel.of(fitted, FEATURES)
    expected = regression_metrics(wines[test, -1], direct.predict(wines[test, :-1]))
    assert split.rmse(model) == pytest.approx(expected["rmse"], rel=1e-10)
    found = split.evaluate(model, DUCKDB.open)
    assert found.metrics["rmse"] == pytest.approx(expected["rmse"], rel=1e-10)
    assert found.metrics["r2"] == pytest.approx(expected["r2"], rel=1e-9)
    mean = np.full(test.sum(), wines[~test, -1].mean())
    assert found.baseline == pytest.approx(regression_metrics(wines[test, -1], mean)["rmse"])
    if found.predicted_rows == found.rows:
        assert found.metrics["mae"] == pytest.approx(expected["mae"], rel=1e-10)
    else:
        assert found.metrics["mae"] == pytest.approx(expected["mae"], rel=0.03)


def test_all_files_below_a_place(place, tmp_path):
    below, history = place
    deeper = "2026/" if below.startswith("s3") else ""
    names = [f"{deeper}part {number}.parquet" for number in range(2)]
    parts = [put(below, name, 20_000, number, tmp_path) for number, name in enumerate(names)]
    put(below, "_SUCCESS.parquet", 10, 9, tmp_path)
    done, _ = streamed(history, below)
    assert [one.file.rows for one in done.read] == [20_000, 20_000]
    assert len(done.accepted) == 2 and not done.accumulated
    split = StreamedSplit.from_plain(json.loads(json.dumps(done.split.to_stored())))
    assert_trains_on(split, np.concatenate(parts))
    assert split.data.training_engine == "duckdb" and split.data.data_files == 2
    assert len(split.examples("train")) + len(split.examples("test")) == len(split.sample.rows)
    again, _ = streamed(history, f"{below}{deeper}part*.parquet")
    assert again.split.data.data_sha256 == split.data.data_sha256


def test_a_bucket_is_asked_for_little_more_than_the_file(s3, tmp_path, monkeypatch):
    """Reading ahead by tens of megabytes, as s3fs does by itself, once asked for seven times it."""
    import re

    import s3fs

    asked: list[int] = []
    call = s3fs.S3FileSystem._call_s3

    async def counted(self, method, *args, **options):
        if method == "get_object":
            first, last = re.findall(r"\d+", options["Range"])
            asked.append(int(last) - int(first) + 1)
        return await call(self, method, *args, **options)

    monkeypatch.setattr(s3fs.S3FileSystem, "_call_s3", counted)
    below = f"s3://wines/{tmp_path.name}/"
    put(below, "wines.parquet", 400_000, 1, tmp_path)
    engine = DUCKDB.open([f"{below}wines.parquet"])
    [found] = engine.sum_files(Membership())
    assert found.file.rows == 400_000
    assert found.file.bytes > 30e6 and sum(asked) < 1.5 * found.file.bytes


def test_only_the_new_file_is_read_and_a_bad_one_is_taken_away(place, tmp_path):
    below, history = place
    first = put(below, "1.parquet", 30_000, 1, tmp_path)
    alone, _ = streamed(history, f"{below}1.parquet")
    assert_trains_on(alone.split, first)
    second = put(below, "2.parquet", 20_000, 2, tmp_path)
    both, text = streamed(history, f"{below}2.parquet", ACCUMULATED)
    assert [one.file.rows for one in both.read] == [20_000] and text == []
    assert [one.file.rows for one in both.accumulated] == [30_000, 20_000]
    assert both.split.read == {}
    assert both.split.data.source == history.base
    assert_trains_on(both.split, np.concatenate([first, second]))
    # With no new file nothing is read at all.
    again, _ = streamed(history, training_data=ACCUMULATED)
    assert not again.read and again.split.data.data_sha256 == both.split.data.data_sha256
    history.forget(both.accepted[0].key)
    rest, _ = streamed(history, training_data=ACCUMULATED)
    assert_trains_on(rest.split, first)
    assert rest.split.data.data_sha256 == alone.split.data.data_sha256


def test_a_new_version_of_a_file_takes_the_place_of_the_old_one(place, tmp_path):
    below, history = place
    put(below, "1.parquet", 5000, 1, tmp_path)
    streamed(history, f"{below}1.parquet", arrived=100.0)
    newer = put(below, "1.parquet", 6000, 2, tmp_path)
    done, _ = streamed(history, f"{below}1.parquet", ACCUMULATED, arrived=200.0)
    assert_trains_on(done.split, newer)
    put(below, "1.parquet", 7000, 3, tmp_path)
    late, text = streamed(history, f"{below}1.parquet", ACCUMULATED, arrived=150.0)
    assert_trains_on(late.split, newer)
    assert text == [
        f"The history holds a version of {below}1.parquet that arrived later; that one counts."
    ]


def test_files_that_were_loaded_are_added_and_keep_their_sums(place, tmp_path):
    below, history = place
    red = str(tmp_path / "red.csv")
    shutil.copy(PACKAGED_RED_WINE, red)
    loaded = load_wines(RawWineCsvConfig(csv_url=red), history=history)
    new = put(below, "2.parquet", 5000, 2, tmp_path)
    done, text = streamed(history, f"{below}2.parquet", ACCUMULATED)
    assert text == ["1 accepted file(s) were not divided like this yet: reading them."]
    whole = np.concatenate([loaded.frame[[*FEATURES, TARGET]].to_numpy(dtype=float), new])
    assert_trains_on(done.split, whole)
    _, text = streamed(history, training_data=ACCUMULATED)
    assert text == []
    # And in memory the rows are still there, while of the other only the sums are.
    assert [file.rows for file, _ in history.load()] == [1599]
    assert len(history.all_keys()) == 2


def test_another_division_reads_what_is_still_there(place, tmp_path):
    below, history = place
    first = put(below, "1.parquet", 5000, 1, tmp_path)
    streamed(history, f"{below}1.parquet")
    other = Membership(test_fraction=0.5, seed=7, folds=3)
    done, text = streamed(history, training_data=ACCUMULATED, membership=other)
    assert text == ["1 accepted file(s) were not divided like this yet: reading them."]
    assert_trains_on(done.split, first)
    put(below, "1.parquet", 5000, 2, tmp_path)
    with pytest.raises(HistoryError, match="make forget FILE=1.parquet-"):
        streamed(history, training_data=ACCUMULATED)
    again, _ = streamed(history, training_data=ACCUMULATED, membership=other)
    assert_trains_on(again.split, first)


def test_damaged_sums_are_named(tmp_path):
    history = WineHistory(base_path=str(tmp_path / "history"))
    write_wines(tmp_path / "1.parquet", 5000, 1)
    streamed(history, str(tmp_path / "1.parquet"))
    [stored] = (tmp_path / "history").glob("*/*.sums.json")
    assert stored.stat().st_size < 600_000
    stored.write_text(stored.read_text().replace("5000", "5001"))
    with pytest.raises(HistoryError, match=r"damaged: .*make forget FILE=1\.parquet-"):
        streamed(history, training_data=ACCUMULATED)


def test_nothing_of_a_bad_file_is_kept(place, tmp_path):
    below, history = place
    put(below, "good.parquet", 5000, 1, tmp_path)
    table = pq.read_table(tmp_path / "made-1.parquet").to_pandas()
    table.loc[4321, "pH"] = np.nan
    table.to_parquet(tmp_path / "bad.parquet", row_group_size=1000)
    put_file(below, "bad.parquet", tmp_path / "bad.parquet")
    with pytest.raises(WinesRefusedError) as refused:
        streamed(history, below)
    assert f"{below}bad.parquet: column 'pH' is empty or NaN in 1 row(s), first in row 4322 " in (
        refused.value.reason
    )
    assert "(row group 4)" in refused.value.reason
    assert history.all_keys() == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("https://example.org/wines.parquet", "streaming engines read paths and s3://"),
        ("nowhere/*.parquet", "names no file"),
        ("file://host/wines.parquet", "names the host 'host'"),
    ],
)
def test_what_cannot_be_streamed_is_named(tmp_path, url, words):
    history = WineHistory(base_path=str(tmp_path / "history"))
    with pytest.raises(WinesRefusedError, match=words):
        streamed(history, url)


def test_columns_are_refused_before_a_row_is_read(tmp_path):
    write_wines(tmp_path / "wines.parquet", 100, 1)
    table = pq.read_table(tmp_path / "wines.parquet")
    table = table.rename_columns([name.replace("pH", "Ph") for name in table.column_names])
    pq.write_table(table, tmp_path / "wines.parquet")
    with pytest.raises(WinesRefusedError, match="did you mean that"):
        inspect_files(
            RawWineCsvConfig(csv_url=str(tmp_path / "wines.parquet")), DUCKDB, WineHistory()
        )


def test_a_file_that_changes_between_the_looks_is_refused(tmp_path):
    history = WineHistory(base_path=str(tmp_path / "history"))
    path = tmp_path / "wines.parquet"
    write_wines(path, 1000, 1)
    config = RawWineCsvConfig(csv_url=str(path))
    inspection = inspect_files(config, DUCKDB, history)
    write_wines(path, 2000, 2)
    with pytest.raises(WinesRefusedError, match="is not what it was when it was looked at"):
        aggregate(inspection, Membership(), DUCKDB, history, print)
    inspection = inspect_files(config, DUCKDB, history)
    split = aggregate(inspection, Membership(), DUCKDB, history, print).split
    write_wines(path, 3000, 3)
    with pytest.raises(Exception, match="is not what it was when train_test_split read it"):
        split.evaluate(LinearModel.of(split.fit(0.1, 0.5, 1), FEATURES), DUCKDB.open)


def test_too_few_wines_say_what_to_do(tmp_path):
    history = WineHistory(base_path=str(tmp_path / "history"))
    write_wines(tmp_path / "wines.parquet", 3, 1)
    with pytest.raises(ValueError, match=r"none is in the test part.*test_fraction"):
        streamed(history, str(tmp_path / "wines.parquet"), membership=Membership(0.0))


def test_the_packaged_wines_are_streamed_too(tmp_path):
    history = WineHistory(base_path=str(tmp_path / "history"))
    done, _ = streamed(history, training_data=ACCUMULATED)
    red = parse_wine_csv(PACKAGED_RED_WINE.read_bytes(), "red")
    assert_trains_on(done.split, red[[*FEATURES, TARGET]].to_numpy(dtype=float))
    assert done.split.data.source == "wine_quality/datasets/winequality-red.csv"
    assert not (tmp_path / "history").exists()


def test_a_sweep_needs_the_folds_that_were_kept(tmp_path):
    history = WineHistory(base_path=str(tmp_path / "history"))
    write_wines(tmp_path / "wines.parquet", 3000, 1)
    split = streamed(history, str(tmp_path / "wines.parquet"))[0].split
    points = [Point(0.01, 0.5), Point(0.1, 0.5)]
    scores = split.cross_validate(points, 5, 0)
    assert [score.point for score in scores] == points and len(scores[0].fold_rmse) == 5
    with pytest.raises(ValueError, match="training_engine.config.folds to 4 too"):
        split.cross_validate(points, 4, 0)


def test_a_model_of_other_hands_is_compared_on_the_sample(tmp_path):
    history = WineHistory(base_path=str(tmp_path / "history"))
    write_wines(tmp_path / "wines.parquet", 60_000, 1)
    split = streamed(history, str(tmp_path / "wines.parquet"))[0].split
    mine = LinearModel.of(split.fit(0.5, 0.5, 1), FEATURES)
    other = LinearModel.of(split.fit(0.001, 0.5, 1), FEATURES)
    assert split.rmse_of(mine.predict, mine) == pytest.approx(split.rmse(mine), rel=1e-12)
    # The differences of 1,875 test rows' squared errors, whose mean is known to 4 % of the error.
    assert split.rmse_of(other.predict, mine) == pytest.approx(split.rmse(other), rel=0.06)


def test_a_long_pass_says_how_far_it_is(monkeypatch):
    clock = iter([0.0, 1.0, 6.0, 6.0, 7.0, 20.0, 20.0])
    monkeypatch.setattr("wine_quality.engines.threads.time.monotonic", lambda: next(clock))
    messages: list[str] = []
    report = progress_lines(messages.append, "Summed up")
    report(10, 1000)
    report(2_500_000, 10_000_000)
    report(2_600_000, 10_000_000)
    report(5, None)
    assert messages == ["Summed up 2,500,000 of 10,000,000 (25%) rows …", "Summed up 5 rows …"]
