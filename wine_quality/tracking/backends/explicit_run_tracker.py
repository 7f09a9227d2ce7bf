"""MLflow 2.1.1 and 3: explicit run management by client calls."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wine_quality.tracking.client import MODEL_FOLDER
from wine_quality.tracking.runs.run_log import LoggedDataset
from wine_quality.tracking.tracker import Tracker

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.base import BaseEstimator


_LOGGED_MODEL = "models:/m-"
_TRIES = 3
# Of sqlite and PostgreSQL, and of MySQL.
_TWICE_INSERTED = re.compile(r"UNIQUE constraint failed|duplicate key|Duplicate entry")
MODEL_VERSIONS_TAG = "mlflow.modelVersions"
"""MLflow 3's own, on a logged model: JSON of the name and number of each version made of it."""


class ExplicitRunTracker(Tracker):
    """Starts, resumes and ends the run itself."""

    @property
    def _major(self) -> int:
        return int(self.client_version.split(".")[0])

    def activate(self, run_id: str) -> None:
        import mlflow

        mlflow.end_run()
        mlflow.start_run(run_id=run_id)

    def _log_model(self, model: BaseEstimator, example: pd.DataFrame) -> str:
        import mlflow.sklearn

        arguments: dict[str, Any] = {
            "pip_requirements": list(self.settings.requirements),
            "signature": _signature(model, example),
            "input_example": example,
        }
        if self._major < 3:
            return mlflow.sklearn.log_model(model, MODEL_FOLDER, **arguments).model_uri
        formats = {"skops": "skops", "pickle": "cloudpickle"}
        with _no_requirements_check():
            return mlflow.sklearn.log_model(
                model,
                name=MODEL_FOLDER,
                serialization_format=formats[self.settings.model_format],
                **self._trusted_types(),
                **arguments,
            ).model_uri

    def _trusted_types(self) -> dict[str, Any]:
        """``skops_trusted_types`` for ``log_model``, if any; a model that lists other types than
        the trusted ones is not loaded (``loadable``)."""
        trusted = list(self.settings.trusted_types)
        is_skops = self.settings.model_format == "skops"
        return {"skops_trusted_types": trusted} if trusted and is_skops else {}

    def log_dataset(
        self,
        frame: pd.DataFrame,
        source: str,
        name: str,
        context: str = "training",
        targets: str | None = None,
    ) -> LoggedDataset | None:
        import warnings

        import mlflow

        if not hasattr(mlflow, "log_input"):  # before 2.4
            return None
        from mlflow.data.pandas_dataset import from_pandas

        with warnings.catch_warnings():
            # That a path could be two kinds of source, and that a column of integers could not be
            # missing.
            warnings.simplefilter("ignore", UserWarning)
            dataset = from_pandas(frame, source=source, name=name, targets=targets)
            _log_input(dataset, context)
        return LoggedDataset(dataset.name, dataset.digest)

    def _metric_links(self, model_uri: str, dataset: LoggedDataset | None) -> dict[str, str]:
        if not model_uri.startswith(_LOGGED_MODEL):  # before 3 there are none
            return {}
        links = {"model_id": model_uri.removeprefix("models:/"), "run_id": self.require_run_id()}
        if dataset is not None:
            links |= {"dataset_name": dataset.name, "dataset_digest": dataset.digest}
        return links

    def create_version(self, name: str, model_uri: str, tags: dict[str, str]) -> Any:
        if self._major < 3 or self.registers_elsewhere:
            return super().create_version(name, model_uri, tags)
        # The server checks that the logged model named by the id holds the source.
        model_id = model_uri.rpartition("/")[2]
        return self.client.create_model_version(
            name, model_uri, self.require_run_id(), tags, model_id=model_id
        )

    def _note_on_logged_model(self, model_uri: str, name: str, version: str) -> None:
        if not model_uri.startswith(_LOGGED_MODEL):
            return
        model_id = model_uri.removeprefix("models:/")
        # A server of 3.x may have noted it by itself; a store without a server never does.
        tags = self.client.get_logged_model(model_id).tags
        noted = json.loads(tags.get(MODEL_VERSIONS_TAG, "[]"))
        if [str(entry["version"]) for entry in noted if entry["name"] == name] == [version]:
            return
        # Of this name there is one: ``register`` has removed what else was made of the run.
        others = [entry for entry in noted if entry["name"] != name]
        wanted = [*others, {"name": name, "version": version}]
        self.client.set_logged_model_tags(model_id, {MODEL_VERSIONS_TAG: json.dumps(wanted)})


@contextmanager
def _no_requirements_check() -> Iterator[None]:
    """Without MLflow's look whether this environment meets them: they are those of its lock.

    It reads the metadata of all packages for that, a twentieth of the time of a whole `make run`.
    """
    from mlflow.utils import environment

    name = "warn_dependency_requirement_mismatches"
    check = getattr(environment, name, None)
    if check is None:
        yield
        return
    setattr(environment, name, lambda _requirements: None)
    try:
        yield
    finally:
        setattr(environment, name, check)


def _signature(model: BaseEstimator, example: pd.DataFrame) -> Any:
    from mlflow.models.signature import infer_signature

    return infer_signature(example, model.predict(example))


def _log_input(dataset: Any, context: str) -> None:
    """As MLflow's, for runs that log the same rows at the same moment, too.

    The server looks whether it knows the rows and then inserts them: of two that look together the
    second is refused. It is asked again, and finds them.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    for tries_left in reversed(range(_TRIES)):
        try:
            mlflow.log_input(dataset, context=context)
            return
        except MlflowException as error:
            if not tries_left or not _TWICE_INSERTED.search(str(error)):
                raise
