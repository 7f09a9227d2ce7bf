"""One `make up`, runs of every version: each link leads to the MLflow that has the run."""

from __future__ import annotations

import json
import os
import re

import pytest

from wine_quality_tests.support.dagster_stack import DagsterStack
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

# Another model on each version: its figures tell which MLflow a page is of.
ALPHAS = {"3": 0.5, "2.1.1": 0.1, "1.26": 0.01}


class RunningDagster(DagsterStack):
    """One that something else started."""

    def __init__(self, url: str) -> None:
        self.url = url

    def metadata(self, asset: str) -> dict[str, str]:
        """Links and numbers of the newest materialization."""
        query = """query M($key: AssetKeyInput!) { assetOrError(assetKey: $key) { ... on Asset {
            assetMaterializations(limit: 1) { metadataEntries { label
            ... on UrlMetadataEntry { url } ... on FloatMetadataEntry { floatValue } } } } } }"""
        asked = self.graphql(query, key={"path": [asset]})["assetOrError"]
        entries = asked["assetMaterializations"][0]["metadataEntries"]
        return {e["label"]: e.get("url") or e.get("floatValue") for e in entries}


@pytest.fixture(scope="module")
def figures(up) -> dict[str, dict[str, float]]:
    """The metrics of each version's run, by version."""
    return {}


@pytest.mark.parametrize("key", ALPHAS)
def test_each_link_opens_the_version_that_ran(up, page, screenshot, figures, key):
    dagster = RunningDagster(up.dagster)
    config = {
        "resources": {
            "mlflow": {"config": {"version": key}},
            "hyperparameters": {"config": {"alpha": ALPHAS[key]}},
        }
    }
    assert dagster.wait(dagster.launch(config), 150) == "SUCCESS", up.log.read_text()[-3000:]
    measured = dagster.metadata("registered_model")
    figures[key] = {name: measured[name] for name in ("rmse", "mae", "r2")}
    described = "rmse {rmse:.6f}, mae {mae:.6f}, r2 {r2:.6f}".format(**figures[key])
    ui = f"http://localhost:{_port(up, key)}"

    run = _open(page, f"{up.dagster}/assets/registered_model", key, "experiments")
    assert run.url.startswith(f"{ui}/#/experiments/")
    run.get_by_text(re.compile(r"^Metrics \(4\)")).first.wait_for()
    if key != "3":
        run.get_by_text("Metrics (4)").click()  # folded in the older UIs
    for name, value in figures[key].items():
        run.get_by_text(re.compile(f"^{name}")).first.wait_for()
        # Of which they show some digits.
        digits = f"^({value:.3f}|{re.escape(str(value)[:5])})"
        run.get_by_text(re.compile(digits)).first.wait_for()
    screenshot(f"mlflow-run-{key}", run)
    run.close()

    for asset in ("registered_model", "champion_model"):
        version = _open(page, f"{up.dagster}/assets/{asset}", key, "models")
        assert version.url == f"{ui}/#/models/ElasticnetWineModel/versions/1"
        version.get_by_text(described).first.wait_for()
        screenshot(f"{asset}-{key}", version)
        version.close()


def test_the_notices_lead_to_the_same_pages(up, page, figures):
    await_condition(lambda: len(_promotions(up)) == len(ALPHAS), "the notices", 60)
    for key, text in zip(ALPHAS, _promotions(up), strict=True):
        [link] = re.findall(rf"{up.dagster}/mlflow/[^\s|>]+", text)
        page.goto(link)
        described = "rmse {rmse:.6f}".format(**figures[key])
        page.get_by_text(described).first.wait_for()


def test_a_page_says_which_mlflow_holds_what(up, page, screenshot):
    page.goto(f"{up.dagster}/assets/registered_model?view=overview")
    page.locator("a[href='/mlflow/']").first.wait_for()
    page.goto(f"{up.dagster}/mlflow/")
    for key in ALPHAS:
        row = page.locator("tr", has_text=str(up.home / f"mlflow-{key}")).first
        cells = row.locator("td").all_inner_texts()
        assert cells[:4] == [key, f"http://localhost:{_port(up, key)}", "1", "1"]
    screenshot("which-mlflow")
    page.get_by_text("http://localhost").last.click()
    page.get_by_text("wine_quality_experiment1").first.wait_for()


def test_a_table_shows_the_best_run_of_each_version(up, page, screenshot, figures):
    dagster = RunningDagster(up.dagster)
    ended = dagster.wait(dagster.launch({}, job="wine_quality_comparison"), 150)
    assert ended == "SUCCESS", up.log.read_text()[-3000:]
    page.goto(f"{up.dagster}/assets/version_comparison")
    table = page.locator("tr", has_text="best_run_of_each_version").first
    for key in ALPHAS:
        table.get_by_text(str(figures[key]["rmse"])).first.wait_for()
        page.locator(f"a[href^='/mlflow/{key}/#/experiments/']").first.wait_for()
    screenshot("version-comparison")


def test_the_page_of_make_compare_leads_to_each_mlflow(up, page, screenshot, figures):
    variables = {**os.environ, "WINE_QUALITY_HOME": str(up.home)}
    done = run_command("compare", "--json", env=variables, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    output = json.loads(done.stdout)
    assert [run["version"] for run in output["runs"]] == list(ALPHAS)
    assert {"alpha"} == set(output["differs"]["params"])
    page.goto(f"file://{output['page']}")
    assert page.locator("svg rect").count() > 2 * len(ALPHAS)
    for run in output["runs"]:
        rmse = figures[run["version"]]["rmse"]
        assert run["metrics"]["rmse"] == rmse
        page.get_by_text(f"{rmse:.9g}").first.wait_for()
    screenshot("compare")
    page.get_by_role("link", name="MLflow 2.1.1").click()
    page.get_by_text(re.compile(f"^{output['runs'][1]['name']}")).first.wait_for()


def _open(page, url: str, key: str, what: str):
    """The page that a click on the link opens, in a tab of its own."""
    page.goto(url)
    link = page.locator(f"a[href^='/mlflow/{key}/#/{what}/']").first
    link.wait_for()
    with page.context.expect_page(timeout=90_000) as opened:
        link.click()
    opened.value.set_default_timeout(60_000)
    opened.value.wait_for_url(re.compile("^http://localhost:[0-9]+/#/"))
    return opened.value


def _port(up, key: str) -> int:
    shown = json.loads((up.home / "up" / "state.json").read_text())["mlflow"]
    return int(shown[key].rpartition(":")[2])


def _promotions(up) -> list[str]:
    texts = [str(message) for message in up.slack.messages]
    return [text for text in texts if "is the champion" in text]
