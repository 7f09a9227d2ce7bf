"""The table and the page of runs side by side."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from wine_quality.cli.compare import as_plain
from wine_quality.comparison import bars
from wine_quality.comparison.compared_run import ComparedRun
from wine_quality.comparison.page import as_html, write_page
from wine_quality.comparison.table import as_text, number, remarks, sections

EVIL = "<script>alert('x')</script>\x1b[31m"


def run(version: str = "3", **fields) -> ComparedRun:
    plain = {
        "client": version,
        "store": f"store {version}",
        "run_id": version.replace(".", "").ljust(32, "a"),
        "name": "train",
        "experiment": "wines",
        "status": "FINISHED",
        "started": 1_795_742_744_702,
        "ended": 1_795_742_753_396,
        "data_sha256": "d" * 64,
    }
    return ComparedRun(version, **{**plain, **fields})


NEW = run(
    params={"alpha": "0.1", "l1_ratio": "0.5"},
    metrics={"rmse": 0.73, "r2": 0.24, "train_rmse": 0.6},
    coefficients={"intercept": 2.0, "alcohol": 0.28, "pH": 0.0},
    registered=("Wine version 2, champion",),
    url="http://localhost:5100/#/experiments/1/runs/x",
)
OLD = run(
    "1.26",
    params={"alpha": "0.5", "l1_ratio": "0.5", "seed": "1"},
    # The same to nine digits.
    metrics={"rmse": 0.79, "r2": 0.11, "train_rmse": 0.6 + 1e-13},
    coefficients={"intercept": 2.0, "alcohol": 0.08, "pH": -1e-17},
)


def rows(*runs: ComparedRun) -> dict[str, tuple[tuple[str, ...], bool]]:
    return {row.name: (row.cells, row.differs) for s in sections(runs) for row in s.rows}


def test_what_differs_is_marked_and_the_better_one_too():
    found = rows(NEW, OLD)
    assert found["alpha"] == (("0.1", "0.5"), True)
    assert found["l1_ratio"] == (("0.5", "0.5"), False)
    assert found["seed"] == (("–", "1"), True)
    assert found["rmse"] == (("0.73 *", "0.79"), True)
    assert found["r2"] == (("0.24 *", "0.11"), True)
    assert found["train_rmse"] == (("0.6", "0.6"), False)
    assert found["alcohol"] == (("0.28", "0.08"), True)
    assert found["pH"] == (("0", "0"), False)
    assert found["registered"] == (("Wine version 2, champion", "–"), False)
    assert found["seconds"][0] == ("8.7", "8.7")
    # What is another one in each run is no difference.
    assert not any(found[name][1] for name in ("run", "store", "client", "started (UTC)"))


def test_nothing_is_called_better_on_other_data():
    other = run("1.26", metrics={"rmse": 0.79}, data_sha256="e" * 64)
    assert rows(NEW, other)["rmse"] == (("0.73", "0.79"), True)
    assert remarks([NEW, other]) == [
        "The runs are of different data: their errors do not tell which is better."
    ]
    assert remarks([NEW, OLD]) == []


def test_a_run_without_anything_logged_is_shown_all_the_same():
    bare = run("2.1.1", started=None, ended=None, data_sha256="", notes=("it was deleted",))
    found = rows(bare)
    assert found["started (UTC)"] == (("–",), False)
    assert [section.title for section in sections([bare])] == ["run"]
    assert "it was deleted." in remarks([bare])[0]
    assert as_html([bare])


def test_the_text_has_as_many_columns_as_the_terminal_is_wide():
    whole = as_text([NEW, OLD])
    assert re.search(r"^≠ alpha +0\.1 +0\.5$", whole, re.MULTILINE)
    assert re.search(r"^  l1_ratio +0\.5 +0\.5$", whole, re.MULTILINE)
    narrow = as_text([NEW, OLD], 80)
    assert len(re.findall(r"^≠ alpha", narrow, re.MULTILINE)) == 2
    assert max(map(len, narrow.splitlines())) <= 80


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0.1, "0.1"), (-1e-17, "0"), (1 / 3, "0.333333333"), (1e20, "1e+20"), (float("nan"), "nan")],
)
def test_numbers_have_nine_digits(value, shown):
    assert number(value) == shown


class Page(HTMLParser):
    """Resources and scripts that a browser would load or run."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]


def test_the_page_loads_nothing_and_runs_nothing():
    evil = run(
        name=EVIL,
        params={EVIL: EVIL},
        metrics={EVIL: 1.0},
        coefficients={EVIL: 1.0},
        url="javascript:alert(1)",
        notes=(EVIL,),
    )
    text = as_html([NEW, evil])
    page = Page(text)
    assert page.addresses == [NEW.url]
    assert "script" not in page.tags and "img" not in page.tags
    assert "\x1b" not in text and "javascript:" not in text
    assert "default-src 'none'" in text
    assert text.count("<svg") == 2


def test_the_bars_are_as_long_as_their_values_say():
    svg = bars.grouped([("rmse", [0.8, 0.4, None, float("nan")])], ["a", "b", "c", "d"])
    lengths = [float(width) for width in re.findall(r"<rect [^>]*width='([\d.]+)'", svg)]
    assert lengths[0] == pytest.approx(2 * lengths[1], abs=0.1)
    assert "not logged" in svg and ">nan<" in svg


def test_negative_bars_end_at_the_axis():
    svg = bars.grouped([("a", [-1.0]), ("b", [1.0])], ["x"])
    (left, right) = [
        (float(x), float(width))
        for x, width in re.findall(r"<rect x='([\d.]+)'[^>]*width='([\d.]+)'", svg)
    ]
    assert left[0] + left[1] == pytest.approx(right[0], abs=0.2)


def test_the_page_is_written_whole_or_not_at_all(tmp_path):
    page = tmp_path / "new" / "compare.html"
    write_page([NEW], page)
    assert page.read_text(encoding="utf-8").endswith("</html>\n")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError):
        write_page([NEW], tmp_path / "folder")
    assert [path.name for path in tmp_path.rglob(".*")] == []


def test_json_has_all_digits_and_no_nan():
    odd = run("1.26", metrics={"rmse": float("nan")})
    plain = as_plain([NEW, odd], Path("/page.html"))
    text = json.dumps(plain, allow_nan=False)
    assert json.loads(text)["runs"][0]["metrics"]["rmse"] == 0.73
    assert plain["runs"][1]["metrics"]["rmse"] is None
    assert plain["differs"]["metrics"] == ["r2", "rmse", "train_rmse"]


def test_a_run_comes_back_from_json():
    from dataclasses import asdict

    assert ComparedRun.from_plain(json.loads(json.dumps(asdict(NEW)))) == NEW


def test_versions_share_the_first_place_when_only_the_last_digits_differ():
    from wine_quality.defs.monitoring.version_comparison import shown

    metadata = shown([run(metrics={"rmse": 0.7}), run("1.26", metrics={"rmse": 0.7 - 1e-15})], "e")
    assert metadata["best_version"] == "MLflow 3, MLflow 1.26"
    assert shown([NEW, OLD], "e")["best_version"] == "MLflow 3"
    assert shown([NEW, OLD], "e")["differs"].startswith("alpha (params), seed (params), r2")
