"""Which training a value comes from: one identity, held by all that follows from a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wine_quality.escaping import ProjectError


class PartsOfTwoTrainingsError(ProjectError, ValueError):
    """A step was given parts of two trainings; the message names both and what to do."""


class MlflowRunGoneError(ProjectError, RuntimeError):
    """The MLflow run that a step goes on with is not on the server, or was deleted."""


@dataclass(frozen=True)
class Training:
    """One fit of a model, tracked in one MLflow run.

    Attributes:
        mlflow_run_id: Unique over all servers; this alone distinguishes two trainings.
        mlflow_version: Key in the version table; empty in a value of an older checkout, which
            lacks it.
        tracking_uri: Of the MLflow server or store, without password; empty as above.
        dagster_run_id: That fitted the model; empty as above.
    """

    mlflow_run_id: str
    mlflow_version: str = ""
    tracking_uri: str = ""
    dagster_run_id: str = ""

    def __str__(self) -> str:
        more = [
            f"MLflow {self.mlflow_version}" if self.mlflow_version else "",
            f"at {self.tracking_uri}" if self.tracking_uri else "",
            f"trained by Dagster run {self.dagster_run_id}" if self.dagster_run_id else "",
        ]
        text = ", ".join(filter(None, more))
        return f"MLflow run {self.mlflow_run_id}" + (f" ({text})" if text else "")


def require_one_training(parts: Mapping[str, Training | None], again: str) -> None:
    """Check that all parts are of the same training.

    Args:
        parts: The training by the asset or op that handed the part on, first the one that the
            others are compared with; None of a value that names no training, which passes.
        again: What to materialize, as a sentence.

    Raises:
        PartsOfTwoTrainingsError: two of them are of two trainings.
    """
    (reference, mine), *others = parts.items()
    assert mine is not None
    for part, other in others:
        if other is not None and other.mlflow_run_id != mine.mlflow_run_id:
            raise PartsOfTwoTrainingsError(
                f"{part} and {reference} are of two trainings: {part} is of {other}, {reference} "
                f"is of {mine}. {again}"
            )
