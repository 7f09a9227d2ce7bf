"""Values of assets: typed where an input asks for it, plain where it does not."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from dagster import (
    AssetsDefinition,
    DagsterInstance,
    ExecuteInProcessResult,
    asset,
    materialize,
)

from wine_quality.defs.io_manager import PlainFormatIOManager
from wine_quality.defs.model.training_identity import require_same_split
from wine_quality.defs.model.values import (
    BestPoint,
    ChampionDecision,
    DeployedVersion,
    EvaluatedModel,
    RegisteredVersion,
    TrainedModel,
)
from wine_quality.defs.value_codec import from_frame, from_record, to_stored
from wine_quality.engines.input_files import LeftOut
from wine_quality.tracking.training import PartsOfTwoTrainingsError, Training
from wine_quality.wines.inspection import InspectedFile, Inspection
from wine_quality.wines.loading import LoadedWines
from wine_quality.wines.raw import DataOrigin, RawWines

TRAINING = Training("run", "3", "http://127.0.0.1:5000", "dagster-run")
ORIGIN = DataOrigin("ab" * 32, "wines.csv", "newest", 1, split="shuffled", split_seed=0)
MODEL = TrainedModel(
    {"intercept": 0.1 + 0.2}, "runs:/run/model", "run", "3", "ab", "cd", "seal", TRAINING, ORIGIN
)
VALUES = [
    MODEL,
    EvaluatedModel({"rmse": 0.7}, 400, TRAINING),
    RegisteredVersion("ElasticnetWineModel", "7", "run", TRAINING),
    ChampionDecision("ElasticnetWineModel", None, None, TRAINING),
    DeployedVersion("ElasticnetWineModel", "7", "/srv", "nowhere", TRAINING),
    BestPoint(0.01, 0.5, 100, "run", "3", TRAINING, ORIGIN),
]


def through_json(value: object) -> dict:
    return json.loads(json.dumps(to_stored(value)))


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_a_value_comes_back(value):
    assert from_record(through_json(value), type(value)) == value


def test_what_is_not_known_is_not_stored():
    stored = through_json(MODEL)
    assert stored["data"] == {
        **{"data_sha256": "ab" * 32, "source": "wines.csv", "training_data": "newest"},
        **{"data_files": 1, "split": "shuffled", "split_seed": 0},
    }
    assert stored["training"]["mlflow_run_id"] == "run"


def test_a_value_of_an_older_checkout_is_read():
    """Unsigned, and without a word of its training; another checkout may store more."""
    stored = through_json(MODEL)
    for name in ("model_sha256", "record_sha256", "seal", "training"):
        del stored[name]
    stored["data"] = {"data_sha256": "ab", "source": "wines.csv", "of_tomorrow": 1}
    read = from_record({**stored, "of_tomorrow": 1}, TrainedModel)
    assert (read.seal, read.its_training) == ("", Training("run", "3"))
    assert read.data == DataOrigin("ab", "wines.csv")
    registered = from_record({"name": "W", "version": "7", "run_id": "r"}, RegisteredVersion)
    assert registered.its_training == Training("r")


def test_an_older_origin_is_compared_by_what_it_says():
    older = DataOrigin(ORIGIN.data_sha256, ORIGIN.source, split_seed=0)
    require_same_split(older, ORIGIN)
    with pytest.raises(PartsOfTwoTrainingsError, match="split_seed 0 and 41"):
        require_same_split(older, replace(ORIGIN, split_seed=41))


def test_the_stored_format_says_which_wines_they_are():
    frame = pd.DataFrame({"pH": [3.3]})
    frame.attrs = ORIGIN.to_plain()
    loaded = from_frame(to_stored(LoadedWines(frame)), RawWines)
    assert (loaded.is_streamed, loaded.origin) == (False, ORIGIN)
    files, left_out = [InspectedFile("/a.parquet", 9, "v", None)], [LeftOut("/b", "is a link")]
    inspected = Inspection("duckdb", "/", "newest", files, left_out)
    assert from_record(through_json(inspected), RawWines) == inspected
    older = {name: value for name, value in through_json(inspected).items() if name != "left_out"}
    assert from_record(older, RawWines) == replace(inspected, left_out=[])


@asset
def trained():
    return MODEL


@asset
def plain(trained):
    """As somebody's own asset has it, that knows none of these classes."""
    return {"uri": trained["model_uri"]}


def run(home: Path, *assets: AssetsDefinition) -> ExecuteInProcessResult:
    with DagsterInstance.ephemeral() as instance:
        return materialize(
            assets,
            instance=instance,
            resources={"io_manager": PlainFormatIOManager(base_path=str(home))},
            raise_on_error=False,
        )


def test_an_input_without_an_annotation_is_plain(tmp_path):
    done = run(tmp_path, trained, plain)
    assert done.success
    assert done.output_for_node("plain") == {"uri": "runs:/run/model"}


def test_a_value_that_lacks_what_is_needed_is_named(tmp_path):
    @asset
    def trained():
        return {"model_uri": "x"}

    done = run(tmp_path, trained, asset(_typed))
    [failure] = done.get_step_failure_events()
    message = failure.step_failure_data.error.to_string()
    assert "holds no value that this checkout can read. Materialize its asset again." in message


def _typed(trained: TrainedModel) -> str:
    return trained.model_uri
