"""How runs are named on the command line."""

from __future__ import annotations

import pytest

from wine_quality.comparison.run_names import RunName, RunNameError, parse_run_name, parse_run_names

RUN = "082c239b4ee54bef83e9927de3b51aa3"
OTHER = "1" * 32
DAGSTER = "1269451c-7f61-4cdc-82ba-b4afaf684996"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (RUN, {"mlflow_run": RUN}),
        (RUN.upper(), {"mlflow_run": RUN}),
        (DAGSTER, {"dagster_run": DAGSTER}),
        (f"2.1.1:{RUN}", {"mlflow_run": RUN, "version": "2.1.1"}),
        (f"1.26:{DAGSTER}", {"dagster_run": DAGSTER, "version": "1.26"}),
        (
            f"http://localhost:5100/#/experiments/1/runs/{RUN}",
            {"mlflow_run": RUN, "server": "http://localhost:5100"},
        ),
        (
            f"https://mlflow.example.org/team/#/experiments/1/runs/{RUN}/artifacts?workspace=a",
            {"mlflow_run": RUN, "server": "https://mlflow.example.org/team"},
        ),
        (
            # Older servers' UIs, whose links some copy without the #.
            f"http://u:p@host:5000/experiments/7/runs/{RUN}",
            {"mlflow_run": RUN, "server": "http://u:p@host:5000"},
        ),
        (
            f"http://localhost:5000/mlflow/2.1.1/#/experiments/1/runs/{RUN}",
            {"mlflow_run": RUN, "version": "2.1.1"},
        ),
        (f"http://localhost:5000/runs/{DAGSTER}?selection=x", {"dagster_run": DAGSTER}),
    ],
)
def test_a_run_is_named_by_an_id_or_a_link(text, wanted):
    assert parse_run_name(text) == RunName(text, **wanted)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("best", "neither 32 hexadecimal digits"),
        (RUN[:31], "neither 32 hexadecimal digits"),
        (f"2.2:{RUN}", "no MLflow version '2.2'"),
        (f"3:{RUN}'; DROP", "neither 32"),
        ("http://localhost:5100/#/experiments/1", "has no /runs/"),
        (f"http://localhost:5100/#/runs/{RUN}0", "has no /runs/"),
        (f"http://localhost:x/#/experiments/1/runs/{RUN}", "Port could not be cast"),
        (f"file:///tmp/runs/{RUN}", "does not begin with http"),
        ("\x1b[31m", r"\\x1b"),
    ],
)
def test_what_names_no_run_is_refused_with_the_ways_to_name_one(text, why):
    with pytest.raises(RunNameError, match=why) as refused:
        parse_run_name(text)
    assert "VERSION:ID" in str(refused.value)


def test_several_stand_in_one_text_and_each_counts_once():
    names = parse_run_names([f"{RUN} {OTHER},3:{RUN}", RUN, "  "])
    assert [name.text for name in names] == [RUN, OTHER, f"3:{RUN}"]
