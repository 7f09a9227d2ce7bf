"""The examples of "Add an asset, a metric, a sensor or a version" work as the page shows them."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import environments_root
from wine_quality.paths import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs/how-to/add-a-thing.md"
ASSET = "wine_quality/defs/data/quality_counts.py"
SENSOR = "wine_quality/defs/deployment/deploy_sensor.py"
FAMILY = "wine_quality/families/declared/extra_trees.py"
DATASET = "wine_quality/tables/declared/apples.py"
SAMPLE = "wine_quality/tables/samples/apples.csv"
LISTED = """
import json
from wine_quality.definitions import defs
keys = defs.resolve_asset_graph().get_all_asset_keys()
print(json.dumps([sorted(map(str, (key.to_user_string() for key in keys))),
                  sorted(sensor.name for sensor in defs.sensors)]))
"""


EVALUATED = """
from dagster import AssetMaterialization, DagsterInstance, build_sensor_context
import pandas as pd
from wine_quality.definitions import defs
from wine_quality.defs.data.quality_counts import quality_counts
print(quality_counts(pd.DataFrame({"quality": [5, 6, 5]})).value)
with DagsterInstance.ephemeral() as instance:
    sensor = defs.resolve_sensor_def("deploy_new_champion")
    for _ in range(2):
        with build_sensor_context(instance, definitions=defs) as context:
            print(len(sensor.evaluate_tick(context).run_requests))
        instance.report_runless_asset_event(AssetMaterialization("champion_model"))
"""

# A whole graph of each with what was there before, a fit, and a model file that loads again.
ADDED = """
import json, skops.io
from wine_quality.families.family import find_family
from wine_quality.families.metrics import measure
from wine_quality.model_graph import model_definitions
from wine_quality.tables.dataset import find_dataset
from wine_quality.tables.parts import split_table
from wine_quality.tables.read import read_table
found = {}
for dataset, family in (("apples", "extra_trees"), ("apples", "logistic_regression"),
                        ("diabetes", "extra_trees")):
    name = f"{dataset}_{family}"
    definitions = model_definitions(name, dataset, family)
    assert definitions.resolve_job_def(f"{name}_sweep").name == f"{name}_sweep"
    table, kind = find_dataset(dataset), find_family(family)
    train, test = split_table(table, read_table(table).frame)
    model = kind.fit(table.task, kind.hyperparameters(), train, table.target)
    content = skops.io.dumps(model)
    again = skops.io.loads(content, trusted=list(kind.trusted_types))
    found[name] = measure(table.task, again, test, table.target)
print(json.dumps(found))
"""


def files_of_page() -> dict[str, str]:
    """The files that the page shows whole, by their path."""
    blocks = r'^```(?:python|csv) title="(.+?)"\n(.+?)^```$'
    return dict(re.findall(blocks, PAGE.read_text(), re.M | re.S))


def changes_of_page() -> str:
    """The change of the page's metric, as a patch."""
    (patch,) = re.findall(r"^```diff\n(.+?)^```$", PAGE.read_text(), re.M | re.S)
    return patch


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project without its tests, to be changed."""
    shutil.copytree(
        PROJECT_ROOT / "wine_quality",
        tmp_path / "wine_quality",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(PROJECT_ROOT / name, tmp_path)
    (tmp_path / "deploy").mkdir()
    shutil.copytree(PROJECT_ROOT / "deploy" / "requirements", tmp_path / "deploy" / "requirements")
    return tmp_path


def run_in(copy: Path, *arguments: str) -> str:
    """Output of Python with these arguments, where the copy is the project."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=copy,
        env={
            **os.environ,
            "PYTHONPATH": str(copy),
            "WINE_QUALITY_HOME": str(copy / "home"),
            "WINE_QUALITY_ENVIRONMENTS": str(environments_root().resolve()),
        },
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_asset_and_the_sensor_of_the_page_are_one_file_each(copy: Path):
    before = json.loads(run_in(copy, "-c", LISTED))
    files = files_of_page()
    assert files.keys() == {ASSET, SENSOR, FAMILY, DATASET, SAMPLE}
    for path, text in ((path, files[path]) for path in (ASSET, SENSOR)):
        (copy / path).write_text(text)
    assets, sensors = json.loads(run_in(copy, "-c", LISTED))
    assert set(assets) - set(before[0]) == {"quality_counts"} and set(before[0]) <= set(assets)
    assert set(sensors) - set(before[1]) == {"deploy_new_champion"}
    assert set(before[1]) <= set(sensors)
    assert run_in(copy, "-c", EVALUATED).splitlines() == ["{'5': 2, '6': 1}", "0", "1"]


def test_a_family_is_one_file_and_a_data_set_two(copy: Path):
    """Each goes with what there was before: the new family with old data, and the other way."""
    for path in (FAMILY, DATASET, SAMPLE):
        assert not (copy / path).exists()
        (copy / path).write_text(files_of_page()[path])
    found = json.loads(run_in(copy, "-c", ADDED).splitlines()[-1])
    assert found["apples_extra_trees"]["auc"] > 0.5 < found["apples_logistic_regression"]["auc"]
    assert 40 < found["diabetes_extra_trees"]["rmse"] < 65


@pytest.mark.slow
def test_the_metric_of_the_page_is_two_files(copy: Path):
    """One for wines in memory and one for wines that are streamed."""
    subprocess.run(
        ["git", "apply", "--verbose", "-"],
        cwd=copy,
        env={**os.environ, "GIT_CEILING_DIRECTORIES": str(copy.parent)},
        input=changes_of_page(),
        text=True,
        check=True,
    )
    for engine in ("in_memory", "duckdb"):
        shown = run_in(copy, "-m", "wine_quality", "run", "--training-engine", engine)
        found = {
            line.split()[0]: float(line.split()[1])
            for line in shown.splitlines()
            if line.split()[:1] in (["rmse"], ["mse"])
        }
        assert found["mse"] == pytest.approx(found["rmse"] ** 2, rel=1e-4), shown
