"""Two runs log the same rows at the same moment: MLflow 3's server refuses one of them once."""

from __future__ import annotations

import mlflow
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException, RestException

from wine_quality.tracking.backends import explicit_run_tracker
from wine_quality.tracking.backends.explicit_run_tracker import ExplicitRunTracker

ROWS = pd.DataFrame({"pH": [3.2, 3.3], "quality": [5.0, 6.0]})
# As the server answered two of three runs that a sensor had requested together.
REFUSED = RestException(
    {
        "error_code": "BAD_REQUEST",
        "message": "(sqlite3.IntegrityError) UNIQUE constraint failed: "
        "datasets.experiment_id, datasets.name, datasets.digest",
    }
)
ANOTHER = RestException({"error_code": "BAD_REQUEST", "message": "(sqlite3.OperationalError)"})


@pytest.fixture
def logged(tmp_path, monkeypatch):
    """The names of the datasets that a run was given, whatever the server refused before."""
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    log_input = mlflow.log_input

    def run(*refusals: MlflowException) -> list[str]:
        left = list(refusals)

        def refuse_then_log(*arguments, **named):
            if left:
                raise left.pop()
            return log_input(*arguments, **named)

        monkeypatch.setattr(mlflow, "log_input", refuse_then_log)
        tracker = ExplicitRunTracker.__new__(ExplicitRunTracker)
        with mlflow.start_run() as active:
            tracker.log_dataset(ROWS, "rows.csv", "rows", "training", "quality")
        inputs = mlflow.get_run(active.info.run_id).inputs.dataset_inputs
        return [given.dataset.name for given in inputs]

    yield run
    mlflow.end_run()


def test_the_one_that_was_refused_asks_again(logged):
    assert logged(REFUSED) == ["rows"]


def test_whatever_else_is_refused_is_an_error(logged):
    with pytest.raises(MlflowException, match="OperationalError"):
        logged(ANOTHER)


def test_it_does_not_ask_for_ever(logged):
    with pytest.raises(MlflowException, match="UNIQUE"):
        logged(*[REFUSED] * explicit_run_tracker._TRIES)
