"""The values that the assets of a model hand on.

Fields with a default are those that an older checkout did not store.
"""

from dataclasses import dataclass, field
from typing import Any

from wine_quality.tracking.training import Training
from wine_quality.wines.raw import DataOrigin


@dataclass(frozen=True)
class TrainedModel:
    """Of ``elasticnet_model``.

    Attributes:
        model: In plain numbers; see ``LinearModel.from_json``.
        model_uri: Of the logged model, as its MLflow knows it.
        model_sha256: Of its files.
        record_sha256: Of the record of its training.
        seal: Shows that both hashes were made by a training here.
        mlflow_run_id: Of the run that it was logged in.
        mlflow_version: Key of the version table.
        training: That it comes from.
        data: That it was trained on.
    """

    model: dict[str, Any]
    model_uri: str
    mlflow_run_id: str
    mlflow_version: str
    model_sha256: str = ""
    record_sha256: str = ""
    seal: str = ""
    training: Training | None = None
    data: DataOrigin = field(default_factory=DataOrigin)

    @property
    def its_training(self) -> Training:
        return self.training or Training(self.mlflow_run_id, self.mlflow_version)


@dataclass(frozen=True)
class EvaluatedModel:
    """Of ``evaluation_metrics``: errors in units of quality, on so many rows held out."""

    metrics: dict[str, float]
    test_rows: int
    training: Training | None = None


@dataclass(frozen=True)
class RegisteredVersion:
    """Of ``registered_model``: a version, and the MLflow run that it is of."""

    name: str
    version: str
    run_id: str
    training: Training | None = None

    @property
    def its_training(self) -> Training:
        return self.training or Training(self.run_id)


@dataclass(frozen=True)
class ChampionDecision:
    """Of ``champion_model``: the champion now and before.

    Attributes:
        training: Of the version that challenged, also if another one is champion now.
    """

    name: str
    champion: str | None
    previous: str | None
    training: Training


@dataclass(frozen=True)
class DeployedVersion:
    """Of ``model_deployment``.

    Attributes:
        place: Folder or prefix of its files.
        deployed_to: Where it serves, in words.
        training: Of the version, which need not be that of the assets before: see
            ``make rollback``.
    """

    name: str
    version: str
    place: str
    deployed_to: str
    training: Training


@dataclass(frozen=True)
class BestPoint:
    """Of ``sweep_points``: the best of so many points, and the MLflow run of the sweep."""

    alpha: float
    l1_ratio: float
    points: int
    mlflow_run_id: str
    mlflow_version: str
    training: Training | None = None
    data: DataOrigin = field(default_factory=DataOrigin)

    @property
    def its_training(self) -> Training:
        return self.training or Training(self.mlflow_run_id, self.mlflow_version)
