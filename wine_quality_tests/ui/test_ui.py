"""Both UIs in headless Chromium: what a data scientist clicks and sees, in this order."""

from __future__ import annotations

import os
import re
import signal
from collections import Counter

import pytest
import requests

from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality_tests.support.servers import await_condition, processes_of
from wine_quality_tests.support.warm_commands import run_command
from wine_quality_tests.ui.conftest import SIZE

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SENSOR = "{}/locations/ml_repository/sensors/new_wine_data_sensor"
RED = PACKAGED_RED_WINE.read_text().splitlines()
ASSETS = [
    "raw_wine_csv",
    "train_test_split",
    "elasticnet_model",
    "evaluation_metrics",
    "registered_model",
    "champion_model",
    "model_deployment",
]


def test_the_launchpad_shows_the_default_config(page, up, screenshot):
    # Tall enough for the editor to draw all of its lines.
    page.set_viewport_size({"width": 1400, "height": 1300})
    page.goto(f"{up.dagster}/locations/ml_repository/jobs/wine_quality_model/playground")
    editor = page.locator(".CodeMirror-code").first
    for words in ("csv_url", "alpha: 0.5", "l1_ratio: 0.5", "version: '3'", "wine_quality_exper"):
        editor.get_by_text(words).first.wait_for()
    page.get_by_text("No errors").wait_for()
    screenshot("launchpad")
    page.set_viewport_size(SIZE)


def test_materialize_all_from_the_asset_graph(page, up, screenshot):
    page.goto(f"{up.dagster}/asset-groups")
    for asset in ASSETS:
        page.get_by_text(asset, exact=True).first.wait_for()
    page.get_by_role("button", name="Materialize all").click()
    await_condition(lambda: _run_statuses(up) == ["SUCCESS"], "the run")
    # Wide enough for the graph to show whole cards.
    page.set_viewport_size({"width": 2600, "height": 800})
    page.reload()
    page.get_by_text("Materialized").nth(len(ASSETS) - 1).wait_for()
    screenshot("asset-graph")
    page.set_viewport_size(SIZE)


def test_the_materialization_tells_what_happened(page, up, screenshot):
    page.goto(f"{up.dagster}/assets/evaluation_metrics")
    for figure in ("0.7931640229276851", "0.6271946374319586", "0.10862644997792614"):
        page.get_by_text(figure).first.wait_for()
    # The plots at once, and all of them large behind one click.
    for plot in ("residuals", "predicted_against_actual", "coefficients"):
        small = page.locator(f"img[alt='{plot}'][src^='data:image/svg']")
        small.wait_for()
        assert small.evaluate("image => image.complete && image.naturalWidth") == 300
    small.scroll_into_view_if_needed()
    screenshot("materialization")
    page.get_by_text("[Show Markdown]").first.click()
    plot = page.locator("img[alt='residuals'][src^='data:image/png']")
    plot.wait_for()
    assert plot.evaluate("image => image.naturalWidth") == 600
    screenshot("plot")


def test_the_raw_data_shows_its_contract(page, up, screenshot):
    page.goto(f"{up.dagster}/assets/raw_wine_csv")
    page.get_by_text("1,599").first.wait_for()
    page.get_by_text("Tartaric acid [g/dm³] 0 to 30").wait_for()
    screenshot("raw-wine-csv")


def test_the_link_leads_to_the_mlflow_run(page, up, screenshot):
    page.goto(f"{up.dagster}/assets/registered_model")
    link = page.locator("a[href^='/mlflow/3/#/experiments/']").first
    page.goto(up.dagster + link.get_attribute("href"))
    page.get_by_text("Finished").wait_for()
    page.get_by_text("ElasticnetWineModel").first.wait_for()
    page.get_by_text("dagster.run_url").first.wait_for()
    screenshot("mlflow-run")


def test_the_link_leads_to_the_model_version(page, up, screenshot):
    page.goto(f"{up.dagster}/assets/registered_model")
    link = page.locator("a[href^='/mlflow/3/#/models/']").first
    page.goto(up.dagster + link.get_attribute("href"))
    page.get_by_text("rmse 0.793164, mae 0.627195, r2 0.108626").wait_for()
    screenshot("model-version")


def test_the_checks_and_the_decision_are_shown(page, up, screenshot):
    page.goto(f"{up.dagster}/assets/champion_model")
    page.get_by_text("is the first champion").first.wait_for()
    page.goto(f"{up.dagster}/assets/evaluation_metrics?view=checks")
    for check in ("predictions_in_scale", "beats_predicting_the_mean"):
        page.get_by_text(check).first.wait_for()
    screenshot("checks")


def test_what_is_deployed_is_shown(page, up, screenshot):
    page.set_viewport_size({"width": 1400, "height": 1300})
    page.goto(f"{up.dagster}/assets/model_deployment")
    page.get_by_text("nowhere: only its files were written").first.wait_for()
    page.get_by_text("scikit-learn==").first.wait_for()
    screenshot("deployment")
    page.get_by_text("[Show Markdown]").first.click()
    page.get_by_text(re.compile("InferenceService|SeldonDeployment")).first.wait_for()
    page.set_viewport_size(SIZE)


def test_the_sensor_says_what_it_watches(page, up):
    page.goto(SENSOR.format(up.dagster))
    page.get_by_text(f"for each new or changed file in {up.watched}").first.wait_for()


def test_a_new_file_becomes_the_champion(page, up, screenshot):
    """The walk-through of the README: nobody does anything but drop the file."""
    (up.watched / "cellar-2026-11.csv").write_text("\n".join(RED[:1201]) + "\n")
    await_condition(lambda: _run_statuses(up) == ["SUCCESS"] * 2, "the run of the file", 120)
    page.goto(SENSOR.format(up.dagster))
    page.get_by_text("1 run requested").first.wait_for()
    screenshot("sensor")
    page.goto(f"{up.dagster}/runs")
    page.get_by_text("cellar-2026-11.csv").first.wait_for()
    screenshot("run-of-a-file")
    page.goto(f"{up.dagster}/assets/champion_model")
    page.get_by_text("takes the place of version 1").first.wait_for()
    screenshot("new-champion")
    page.goto(f"{up.dagster}/assets/evaluation_metrics")
    page.get_by_text("rmse_trend").first.wait_for()
    page.locator("img[alt='rmse_trend'][src^='data:image/svg']").scroll_into_view_if_needed()
    page.get_by_text("[Show Markdown]").last.click()
    page.locator("img[alt='rmse_trend'][src^='data:image/png']").wait_for()
    screenshot("rmse-trend")


def test_a_sweep_from_the_launchpad(page, up, screenshot):
    page.goto(f"{up.dagster}/locations/ml_repository/jobs/wine_quality_sweep/playground")
    page.get_by_text("No errors").wait_for()
    page.get_by_role("button", name="Launch Run").click()
    await_condition(lambda: _run_statuses(up) == ["SUCCESS"] * 3, "the sweep", 120)
    page.goto(f"{up.dagster}/assets/hyperparameter_sweep")
    page.get_by_text("0.0003").first.wait_for()
    page.locator("img[alt='sweep'][src^='data:image/svg']").wait_for()
    page.get_by_text("[Show Markdown]").first.click()
    plot = page.locator("img[src^='data:image/png']")
    plot.wait_for()
    assert plot.evaluate("image => image.naturalWidth") == 600
    screenshot("sweep")
    page.keyboard.press("Escape")
    row = page.locator("tr", has_text="mlflow_child_runs").first
    link = row.locator("a[href^='/mlflow/3/#/experiments/']").first.get_attribute("href")
    page.goto(f"{up.dagster}{link}/runs")
    page.get_by_text("alpha=").first.wait_for()
    screenshot("mlflow-sweep")


def _runs(up) -> list[dict[str, str]]:
    """The newest first."""
    query = "{ runsOrError { ... on Runs { results { runId status } } } }"
    answer = requests.post(f"{up.dagster}/graphql", json={"query": query}, timeout=30)
    return answer.json()["data"]["runsOrError"]["results"]


def test_the_history_shows_each_file_that_arrived(page, up, screenshot, tmp_path):
    slices = {"red-1.csv": RED[:801], "red-2.csv": [RED[0], *RED[701:]]}
    environment = {**os.environ, "WINE_QUALITY_HOME": str(up.home)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    for name, lines in slices.items():
        (tmp_path / name).write_text("\n".join(lines) + "\n")
        done = run_command(
            *("run", "--training-data", "accumulated", "--csv-url", str(tmp_path / name)),
            env=environment,
        )
        assert done.returncode == 0, done.stderr
    page.goto(f"{up.dagster}/assets/wine_files?view=partitions")
    for name in slices:
        page.get_by_text(re.compile(rf"^{name}-[0-9a-f]{{10}}$")).first.wait_for()
    page.get_by_text(re.compile("^red-2.csv-")).first.click()
    page.get_by_text("899").first.wait_for()
    screenshot("wine-files")
    page.goto(f"{up.dagster}/assets/raw_wine_csv")
    page.get_by_text("put_together_from").first.scroll_into_view_if_needed()
    table = page.locator("tr", has_text="put_together_from").locator("table")
    known = Counter(RED[1:1201])  # of the walk-through
    for name, lines in slices.items():
        rows = Counter(lines[1:])
        new = (rows - known).total()
        known |= rows
        counts = (rows.total(), new, rows.total() - new)
        cells = table.locator("tr", has_text=re.compile(f"^{name}-")).locator("td")
        assert cells.all_inner_texts()[1:4] == [str(count) for count in counts]
    screenshot("accumulated")


def _run_statuses(up) -> list[str]:
    return [run["status"] for run in _runs(up)]


def test_ctrl_c_stops_both(up):
    """The last test: it ends what the others look at."""
    up.process.send_signal(signal.SIGINT)
    assert up.process.wait(60) == 0, up.log.read_text()[-3000:]
    await_condition(lambda: not processes_of(up.home), "every process to end", 20)
