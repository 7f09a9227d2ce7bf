"""One streaming pass, on every engine: the same parts, the same sums, and what bad files get."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.linear_model import ElasticNet

from wine_quality.datasets.contract import COLUMNS
from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.broken_rules import BrokenFilesError
from wine_quality.engines.input_files import expand
from wine_quality.engines.membership import MULTIPLIERS, SCALES, TEST, Membership, groups_of
from wine_quality.engines.parquet_reader import ParquetReader
from wine_quality.engines.sample import CAPACITY, RowSample, stride_for
from wine_quality.engines.scoring_pass import score_test_part
from wine_quality.engines.split_sums import SplitSums
from wine_quality.engines.training_pass import sample_of, sum_files, total_of
from wine_quality.models.elastic_net.fit_moments import fit_from_moments
from wine_quality.models.elastic_net.moments import Moments
from wine_quality.models.evaluate import regression_metrics
from wine_quality_tests.support.generated_wines import generate, packaged_wines, write_wines

NAMES = list(COLUMNS)
MASK = (1 << 64) - 1


def _reader(engine: str, places: list[str]):
    if engine == "parquet":
        return ParquetReader(expand(places))
    pytest.importorskip("duckdb", reason="DuckDB is not installed here")
    from wine_quality.engines.duckdb_reader import DuckDBReader

    return DuckDBReader(expand(places), threads=2)


@pytest.fixture(params=["parquet", "duckdb"])
def engine(request):
    if request.param == "duckdb":
        pytest.importorskip("duckdb", reason="DuckDB is not installed here")
    return request.param


def _table(wines: np.ndarray, **changed) -> pa.Table:
    columns = {name: wines[:, i] for i, name in enumerate(NAMES)}
    columns["quality"] = wines[:, -1].astype("int64")
    return pa.table({**columns, **changed})


@pytest.fixture
def packaged(tmp_path):
    path = str(tmp_path / "red.parquet")
    pq.write_table(_table(packaged_wines()), path, row_group_size=500)
    return path


def _group_in_plain_python(wine: np.ndarray, membership: Membership) -> int:
    """The documented rule on Python's own whole numbers."""
    identity = sum(
        multiplier * round(float(value) * scale)
        for multiplier, scale, value in zip(MULTIPLIERS, SCALES, wine, strict=True)
    )
    mixed = (identity + membership.seed * 0x9E3779B97F4A7C15) & MASK
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed ^= mixed >> 33
        mixed = mixed * multiplier & MASK
    bucket = mixed >> 48
    first = round(membership.test_fraction * 65536)
    if bucket < first:
        return TEST
    return (bucket - first) * membership.folds // (65536 - first)


def test_parts_are_those_of_plain_python():
    wines = packaged_wines()
    for membership in (Membership(), Membership(0.1, 10, 2**63 + 5), Membership(0, 1, 0)):
        expected = [_group_in_plain_python(wine, membership) for wine in wines]
        assert groups_of(wines, membership).tolist() == expected


def test_identities_are_exact_whole_numbers():
    assert all(multiplier % 2 and multiplier < 2**28 for multiplier in MULTIPLIERS)
    largest = sum(
        multiplier * round(contract.maximum * scale)
        for multiplier, scale, contract in zip(MULTIPLIERS, SCALES, COLUMNS.values(), strict=True)
    )
    assert largest < 2**53


def test_parts_have_their_shares_and_are_independent_of_the_values():
    wines = np.concatenate([np.column_stack(list(c.values())) for c in generate(200_000, 3)])
    groups = groups_of(wines, Membership())
    test = groups == TEST
    assert test.mean() == pytest.approx(0.25, abs=0.005)
    for fold in range(5):
        assert (groups == fold).mean() == pytest.approx(0.15, abs=0.004)
    standard = (wines - wines.mean(axis=0)) / wines.std(axis=0)
    # Means of 50,000: three hundredths are seven standard errors.
    assert np.abs(standard[test].mean(axis=0)).max() < 0.03
    other = groups_of(wines, Membership(seed=41)) == TEST
    assert (test & other).mean() == pytest.approx(0.0625, abs=0.004)


def test_the_same_wine_in_single_precision_stays_in_its_part():
    wines = packaged_wines()
    assert np.array_equal(
        groups_of(wines.astype("float32"), Membership()), groups_of(wines, Membership())
    )


def _assert_same(got: Moments, rows: np.ndarray) -> None:
    expected = Moments.of_rows(NAMES, rows)
    assert got.n == len(rows)
    assert got.mean == pytest.approx(expected.mean, rel=1e-13)
    scale = np.sqrt(np.outer(np.diagonal(expected.cross), np.diagonal(expected.cross)))
    assert np.abs((got.cross - expected.cross) / scale).max() < 1e-12


def test_sums_of_packaged_wines(engine, packaged):
    membership, wines = Membership(), packaged_wines()
    total = total_of(sum_files(_reader(engine, [packaged]), membership, threads=2))
    groups = groups_of(wines, membership)
    _assert_same(total.test, wines[groups == TEST])
    for fold, moments in enumerate(total.folds):
        _assert_same(moments, wines[groups == fold])
    train = wines[groups != TEST]
    direct = ElasticNet(alpha=0.01, l1_ratio=0.5).fit(train[:, :-1], train[:, -1])
    model = fit_from_moments(total.train, 0.01, 0.5)
    assert model.coef_ == pytest.approx(direct.coef_, rel=1e-9, abs=1e-12)
    again = SplitSums.from_plain(json.loads(json.dumps(total.to_plain())))
    assert np.array_equal(again.train.cross, total.train.cross)
    assert again.folds[2].n == total.folds[2].n
    with pytest.raises(ValueError, match="same test fraction, folds and seed"):
        total + SplitSums.none(Membership(seed=41))
    with pytest.raises(ValueError, match="not the sums"):
        SplitSums.from_plain({})


def test_many_pieces_blocks_and_shifts(engine, tmp_path):
    path = str(tmp_path / "wines.parquet")
    write_wines(path, 300_000, seed=5)
    # Sorted by alcohol, the means drift away from those of the first rows.
    table = pq.read_table(path).sort_by("alcohol")
    pq.write_table(table, path, row_group_size=70_000)
    seen = []
    reader = _reader(engine, [path])
    (summed,) = sum_files(reader, Membership(), 2, lambda done, of: seen.append((done, of)))
    assert seen[-1] == (300_000, 300_000) and [done for done, _ in seen] == sorted(
        done for done, _ in seen
    )
    wines = np.column_stack([table[name].to_numpy() for name in NAMES])
    groups = groups_of(wines, Membership())
    _assert_same(summed.sums.test, wines[groups == TEST])
    _assert_same(summed.sums.folds[4], wines[groups == 4])
    train = wines[groups != TEST]
    direct = ElasticNet(alpha=0.001, l1_ratio=0.5).fit(train[:, :-1], train[:, -1])
    model = fit_from_moments(summed.sums.train, 0.001, 0.5)
    assert model.coef_ == pytest.approx(direct.coef_, rel=1e-9, abs=1e-12)


def test_second_pass_gives_the_metrics_of_the_rows(engine, packaged):
    membership, wines = Membership(), packaged_wines()
    tested = wines[groups_of(wines, membership) == TEST]
    total = total_of(sum_files(_reader(engine, [packaged]), membership))
    model = fit_from_moments(total.train, 0.01, 0.5)
    predicted = tested[:, :-1] @ model.coef_ + model.intercept_
    scale = (5.0, float(np.sort(predicted)[-3]))
    got = score_test_part(_reader(engine, [packaged]), membership, model.predict, scale, threads=2)
    assert got.metrics == pytest.approx(regression_metrics(tested[:, -1], predicted), rel=1e-12)
    assert (got.rows, got.outside) == (len(tested), int((predicted < 5).sum()) + 2)
    assert (got.lowest, got.highest) == pytest.approx((predicted.min(), predicted.max()))


def test_a_sample_has_rows_of_all_files_alike(engine, tmp_path):
    sizes = {"small": 3000, "large": 90_000}
    for name, rows in sizes.items():
        write_wines(tmp_path / f"{name}.parquet", rows, seed=rows)
    found = sum_files(_reader(engine, [str(tmp_path / "*.parquet")]), Membership(), threads=2)
    by_name = {Path(one.file.path).stem: one for one in found}
    assert (by_name["small"].sample.stride, by_name["large"].sample.stride) == (1, 16)
    table = pq.read_table(tmp_path / "large.parquet").to_pandas()
    sampled = by_name["large"].sample.to_frame()
    assert sampled.index.tolist() == list(range(0, 90_000, 16))
    assert sampled.equals(table.loc[sampled.index, NAMES].astype(float))
    both = sample_of(found)
    assert both.stride == 16 and len(both.rows) == 188 + 5625
    again = RowSample.from_plain(json.loads(json.dumps(both.to_plain())))
    assert np.array_equal(again.wines, both.wines) and np.array_equal(again.rows, both.rows)
    with pytest.raises(ValueError, match="not a sample"):
        RowSample.from_plain({"rows": []})


def test_a_sample_of_rows_that_nobody_counted_stays_small():
    wines = np.tile(np.arange(50_000.0), (len(NAMES), 1))
    sample = RowSample.none()
    for start in range(0, 50_000, 777):
        sample += RowSample.of(start, wines[:, start : start + 777], sample.stride)
    assert sample.stride == stride_for(50_000) == 8
    assert len(sample.rows) <= CAPACITY
    assert sample.rows.tolist() == list(range(0, 50_000, 8)) == sample.wines[3].tolist()


def test_files_add_up_and_a_bad_one_is_taken_away(engine, tmp_path, packaged):
    wines = packaged_wines()
    for number, rows in enumerate(np.array_split(wines, 3)):
        pq.write_table(_table(rows), tmp_path / f"part-{number}.parquet")
    files = sum_files(_reader(engine, [str(tmp_path / "part-*.parquet")]), Membership())
    assert [os.path.basename(one.file.path) for one in files] == [
        f"part-{number}.parquet" for number in range(3)
    ]
    assert [one.file.rows for one in files] == [533, 533, 533]
    whole = total_of(sum_files(_reader(engine, [packaged]), Membership()))
    assert np.allclose(total_of(files).train.cross, whole.train.cross, rtol=1e-11, atol=1e-11)
    rest = whole - files[1].sums
    assert rest.test.n + rest.train.n == 1066
    assert np.allclose(
        rest.train.cross, (files[0].sums + files[2].sums).train.cross, rtol=1e-9, atol=1e-9
    )


def test_single_precision_and_whole_numbers_are_read(engine, tmp_path):
    path = str(tmp_path / "narrow.parquet")
    table = _table(packaged_wines())
    narrow = pa.schema(
        [(n, pa.int8() if n == "quality" else pa.float32()) for n in table.column_names]
    )
    pq.write_table(table.cast(narrow, safe=False), path)
    wines = packaged_wines().astype("float32").astype(float)
    total = total_of(sum_files(_reader(engine, [path]), Membership()))
    _assert_same(total.test, wines[groups_of(wines, Membership()) == TEST])


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("alcohol", float("nan"), "is empty or NaN"),
        ("alcohol", None, "is empty or NaN"),
        ("density", float("inf"), "is infinite"),
        ("pH", 80.0, "lies outside 1 to 8"),
    ],
)
def test_bad_values_are_named_by_file_row_and_row_group(engine, tmp_path, column, value, problem):
    write_wines(tmp_path / "good.parquet", 1000)
    table = pq.read_table(tmp_path / "good.parquet")
    values = table[column].to_pylist()
    values[730] = values[812] = value
    broken = table.set_column(
        table.column_names.index(column), column, pa.array(values, type=pa.float64())
    )
    path = str(tmp_path / "bad.parquet")
    pq.write_table(broken, path, row_group_size=100)
    with pytest.raises(BrokenFilesError, match="first in row 731") as raised:
        sum_files(_reader(engine, [str(tmp_path / "*.parquet")]), Membership(), threads=2)
    (rule,) = raised.value.broken
    assert (rule.path, rule.column, rule.count) == (path, column, 2)
    assert (rule.first_row, rule.row_group) == (730, 7)
    assert rule.problem.startswith(problem)


def test_quality_must_be_whole(engine, tmp_path):
    wines = packaged_wines()
    wines[5, -1] = 5.5
    table = _table(wines).set_column(11, "quality", pa.array(wines[:, -1]))
    path = str(tmp_path / "half.parquet")
    pq.write_table(table, path)
    with pytest.raises(BrokenFilesError, match="is not a whole number in 1 row"):
        sum_files(_reader(engine, [path]), Membership())


def test_bad_schemas_are_named_before_anything_is_read(engine, tmp_path):
    table = _table(packaged_wines())
    pq.write_table(table.drop_columns(["pH"]), tmp_path / "a.parquet")
    renamed = [n.replace("alcohol", "Alcohol") for n in table.column_names]
    pq.write_table(table.rename_columns(renamed), tmp_path / "b.parquet")
    text = pa.array([str(x) for x in table["density"].to_pylist()])
    pq.write_table(table.set_column(7, "density", text), tmp_path / "c.parquet")
    pq.write_table(table, tmp_path / "d.parquet")
    with pytest.raises(BrokenFilesError) as raised:
        sum_files(_reader(engine, [str(tmp_path / "*.parquet")]), Membership())
    named = {(os.path.basename(rule.path), rule.column) for rule in raised.value.broken}
    assert named == {
        ("a.parquet", "pH"),
        ("b.parquet", "alcohol"),
        ("b.parquet", "Alcohol"),
        ("c.parquet", "density"),
    }


def test_files_that_cannot_be_read_to_their_end(engine, tmp_path, packaged):
    with pytest.raises(UnreadableFileError, match="names no file"):
        _reader(engine, [str(tmp_path / "none-*.parquet")])
    cut = tmp_path / "cut.parquet"
    cut.write_bytes(Path(packaged).read_bytes()[:-5000])
    with pytest.raises(UnreadableFileError, match="cut.parquet"):
        _reader(engine, [str(cut)])
    # A footer that promises what is not there.
    holed = bytearray(Path(packaged).read_bytes())
    holed[2000:20_000] = bytes(18_000)
    (tmp_path / "holed.parquet").write_bytes(bytes(holed))
    with pytest.raises((UnreadableFileError, BrokenFilesError), match="holed.parquet"):
        sum_files(_reader(engine, [str(tmp_path / "holed.parquet")]), Membership())


def test_a_file_that_changes_while_it_is_read_is_not_stored(engine, tmp_path, packaged):
    growing = str(tmp_path / "growing.parquet")
    shutil.copy(packaged, growing)
    reader = _reader(engine, [growing])

    def write_more(done: int, _) -> None:
        with open(growing, "ab") as file:
            file.write(b"more")

    with pytest.raises(UnreadableFileError, match="changed while it was read"):
        sum_files(reader, Membership(), progress=write_more)


def test_an_empty_file_adds_nothing(engine, tmp_path, packaged):
    pq.write_table(_table(packaged_wines()[:0]), tmp_path / "empty.parquet")
    files = sum_files(_reader(engine, [packaged, str(tmp_path / "empty.parquet")]), Membership())
    assert [one.file.rows for one in files] == [1599, 0]
    assert total_of(files).train.n + total_of(files).test.n == 1599


def test_csv_by_duckdb(tmp_path):
    from wine_quality.paths import PACKAGED_RED_WINE

    reader = _reader("duckdb", [str(PACKAGED_RED_WINE)])
    wines = packaged_wines()
    total = total_of(sum_files(reader, Membership()))
    _assert_same(total.test, wines[groups_of(wines, Membership()) == TEST])
    bad = tmp_path / "bad.csv"
    lines = PACKAGED_RED_WINE.read_text().splitlines()
    lines[700] = lines[700].replace(";", ";99", 1)
    bad.write_text("\n".join(lines))
    with pytest.raises(BrokenFilesError, match=r"first at line\(s\) \[701\]"):
        sum_files(_reader("duckdb", [str(bad)]), Membership())
    # So far down that DuckDB has handed on rows already.
    lines[700] = lines[699].replace(";", ";strong", 1)
    bad.write_text("\n".join([lines[0], *(lines[1:600] * 60), lines[700]]))
    with pytest.raises(BrokenFilesError, match=r"(?s)bad.csv.*strong.*line\(s\) \[35942\]"):
        sum_files(_reader("duckdb", [str(bad)]), Membership())


def test_what_duckdb_cannot_read_to_its_end_is_read_on(tmp_path):
    """Lines that end in another way after some 400,000 rows: no row twice, none lost."""
    from wine_quality.paths import PACKAGED_RED_WINE

    header, *rows = PACKAGED_RED_WINE.read_bytes().splitlines()
    path = tmp_path / "joined.csv"
    path.write_bytes(b"\n".join([header, *(rows * 250), b""]) + b"\r\n".join([*rows, b""]))
    (found,) = sum_files(_reader("duckdb", [str(path)]), Membership())
    wines = packaged_wines()
    _assert_same(found.sums.test, np.tile(wines[groups_of(wines, Membership()) == TEST], (251, 1)))


def test_gzip_in_s3(s3):
    import gzip

    import boto3

    from wine_quality.paths import PACKAGED_RED_WINE

    packed = gzip.compress(PACKAGED_RED_WINE.read_bytes())
    for name in ("a.CSV", "b.csv.gz"):
        boto3.client("s3").put_object(Bucket="wines", Key=f"packed/{name}", Body=packed)
    found = sum_files(_reader("duckdb", ["s3://wines/packed/"]), Membership())
    assert [one.file.rows for one in found] == [1599, 1599]


def test_csv_in_s3_that_duckdb_does_not_read(s3):
    """UTF-16, plain and packed, and a bad value by its line."""
    import gzip

    import boto3

    from wine_quality.paths import PACKAGED_RED_WINE

    text = PACKAGED_RED_WINE.read_text()
    wide = text.encode("utf-16")
    bad = text.replace("7.8;", "sour;", 1).encode()
    for name, body in (("a.csv", wide), ("b.csv.gz", gzip.compress(wide)), ("bad.tsv", bad)):
        boto3.client("s3").put_object(Bucket="wines", Key=f"odd/{name}", Body=body)
    places = ["s3://wines/odd/a.csv", "s3://wines/odd/b.csv.gz"]
    found = sum_files(_reader("duckdb", places), Membership())
    assert [one.file.rows for one in found] == [1599, 1599]
    assert found[0].rows_hash == found[1].rows_hash
    with pytest.raises(BrokenFilesError, match=r"bad.tsv breaks .*'sour' in 1 .*line\(s\) \[3\]"):
        sum_files(_reader("duckdb", ["s3://wines/odd/bad.tsv"]), Membership())


def test_s3_and_a_store_that_fails_half_way(engine, s3, packaged, monkeypatch):
    import boto3

    client = boto3.client("s3")
    for number in range(2):
        client.upload_file(packaged, "wines", f"sums/part-{number}.parquet")
    reader = _reader(engine, ["s3://wines/sums/*.parquet"])
    files = sum_files(reader, Membership(), threads=2)
    assert [one.file.path for one in files] == [
        f"s3://wines/sums/part-{number}.parquet" for number in range(2)
    ]
    assert total_of(files).train.n + total_of(files).test.n == 2 * 1599
    wines = packaged_wines()
    _assert_same(files[1].sums.test, wines[groups_of(wines, Membership()) == TEST])
    # Another object under the same name, before the pass ends.
    reader = _reader(engine, ["s3://wines/sums/part-0.parquet"])
    replaced = []

    def replace_it(done: int, _) -> None:
        if not replaced:
            replaced.append(client.put_object(Bucket="wines", Key="sums/part-0.parquet", Body=b"x"))

    with pytest.raises(UnreadableFileError, match="part-0.parquet"):
        sum_files(reader, Membership(), progress=replace_it)
    reader = _reader(engine, ["s3://wines/sums/part-1.parquet"])
    client.delete_object(Bucket="wines", Key="sums/part-1.parquet")
    with pytest.raises(UnreadableFileError, match="part-1.parquet"):
        sum_files(reader, Membership())


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_folders_name_is_no_column(engine, ending, tmp_path):
    """``quality=3`` as Hive writes it: a file holds what it holds, wherever somebody put it."""
    if (engine, ending) == ("parquet", "csv"):
        pytest.skip("Arrow's reader reads Parquet only")
    file = tmp_path / "quality=3" / f"wines.{ending}"
    file.parent.mkdir()
    table = _table(packaged_wines()[:4])
    if ending == "csv":
        table.to_pandas().to_csv(file, index=False, sep=";")
    else:
        pq.write_table(table, file)
    reader = _reader(engine, [str(file)])
    [batch] = [batch for piece in reader.pieces() for batch in reader.read(piece)]
    assert list(batch.columns[-1]) == table["quality"].to_pylist()
