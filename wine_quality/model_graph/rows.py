"""The rows of one part of a model graph: in memory, or as sums with a sample of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from wine_quality.model_graph.plan import ModelPlan
from wine_quality.model_graph.streaming import STREAMED, require_kind, streamed_table
from wine_quality.tables.dataset import DeclarationError

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from pydantic import BaseModel

    from wine_quality.engines.resource import TrainingEngine
    from wine_quality.engines.table_pass import StreamedTable

_SEED = 42


class Rows(Protocol):
    """Training or test rows: features and target.

    Attributes:
        count: Their number.
        shown: All of them, or the sample that is kept.
    """

    @property
    def count(self) -> int: ...

    @property
    def shown(self) -> pd.DataFrame: ...

    def sha256(self) -> str:
        """Of the values: of these rows in any order, or of all rows that were passed over."""

    def fit(self, point: BaseModel) -> Any:
        """The family's estimator, fitted."""

    def cross_validate(self, point: BaseModel) -> float:
        """The mean of the plan's metric over folds."""

    def measure(self, model: Any) -> dict[str, float]:
        """All metrics of a model on these rows."""

    def baseline(self, train: Any) -> dict[str, float]:
        """The same of a model that knows the target of ``train``, rows of the same kind, alone."""


def rows_of(plan: ModelPlan, value: Any, part: str, engine: TrainingEngine) -> Rows:
    """The rows that ``<name>_train`` or ``<name>_test`` has stored.

    Args:
        part: ``train`` or ``test``.

    Raises:
        Failure: an engine of another kind has read them.
    """
    if not require_kind(engine, value, f"{plan.name}_{part}"):
        return MemoryRows(plan, value[[*plan.dataset.features, plan.dataset.target]])
    from wine_quality.engines.table_pass import StreamedTable

    table = StreamedTable.from_plain(streamed_table(plan, engine), value[STREAMED])
    return StreamedRows(plan, table, part, engine)


@dataclass(frozen=True, eq=False)
class MemoryRows:
    """See ``Rows``."""

    plan: ModelPlan
    shown: pd.DataFrame

    @property
    def count(self) -> int:
        return len(self.shown)

    def sha256(self) -> str:
        from wine_quality.engines.row_hash import RowHasher

        hasher = RowHasher(self.count)
        hasher.add([self.shown[name].to_numpy(dtype=float) for name in self.shown.columns])
        return hasher.total.sha256

    def fit(self, point: BaseModel) -> Any:
        dataset = self.plan.dataset
        return self.plan.family.fit(dataset.task, point, self.shown, dataset.target)

    def cross_validate(self, point: BaseModel) -> float:
        from wine_quality.families.metrics import cross_validate

        plan = self.plan
        estimator = plan.family.build(plan.dataset.task, point)
        folds, target = plan.sweep_folds, plan.dataset.target
        return cross_validate(plan.scoring, estimator, self.shown, target, folds, _SEED)

    def measure(self, model: Any) -> dict[str, float]:
        from wine_quality.families.metrics import measure

        return measure(self.plan.dataset.task, model, self.shown, self.plan.dataset.target)

    def baseline(self, train: MemoryRows) -> dict[str, float]:
        from wine_quality.families.metrics import measure_baseline

        dataset = self.plan.dataset
        return measure_baseline(dataset.task, train.shown, self.shown, dataset.target)


@dataclass(frozen=True, eq=False)
class StreamedRows:
    """See ``Rows``: measured by one more pass over the files, all else is from the sums."""

    plan: ModelPlan
    table: StreamedTable
    part: str
    engine: TrainingEngine

    @property
    def count(self) -> int:
        sums = self.table.sums
        return sums.test.n if self.part == "test" else sums.train.n

    @property
    def shown(self) -> pd.DataFrame:
        return self.table.examples(self.part)

    def sha256(self) -> str:
        return self.table.sha256

    def fit(self, point: BaseModel) -> Any:
        return self._fit(point, self.table.sums.train)

    def _fit(self, point: BaseModel, moments: Any) -> Any:
        return self.plan.family.require_from_sums(self.engine.engine.value)(point, moments)

    def cross_validate(self, point: BaseModel) -> float:
        from wine_quality.families.linear import linear_form
        from wine_quality.models.elastic_net.fold_sums import others
        from wine_quality.models.elastic_net.moment_errors import errors_from_moments

        name, folds = self.plan.metric.name, self.table.sums.folds
        if name not in ("rmse", "r2"):
            raise DeclarationError(
                f"a sweep from sums compares points by rmse or r2, and {self.plan.name} is decided "
                f"by {name}, which sums do not tell. Train without a sweep, or in memory."
            )
        if not all(fold.n for fold in folds):
            counts = ", ".join(str(fold.n) for fold in folds)
            raise DeclarationError(
                f"cross-validation needs rows in each fold; these hold {counts}. Lower "
                "resources.training_engine.config.folds, or use more data."
            )
        scores = []
        for fold, rest in zip(folds, others(folds), strict=True):
            model = linear_form(self._fit(point, rest), self.plan.dataset.features)
            if model is None:
                raise DeclarationError(f"{self.plan.family.title} gives no linear model from sums")
            scores.append(errors_from_moments(fold, model)[name])
        return sum(scores) / len(scores)

    def measure(self, model: Any) -> dict[str, float]:
        from wine_quality.families.linear import linear_form

        names = self.plan.dataset.features
        linear = linear_form(model, names)
        return self.table.measure(self.engine, linear or FrameModel(model, names))

    def baseline(self, train: StreamedRows) -> dict[str, float]:
        from wine_quality.models.elastic_net.fit import LinearModel
        from wine_quality.models.elastic_net.moment_errors import errors_from_moments

        sums, names = self.table.sums, self.plan.dataset.features
        mean = LinearModel(names, (0.0,) * len(names), float(train.table.sums.train.mean[-1]))
        if self.plan.metric.name == "mae":
            return self.table.measure(self.engine, mean)
        return errors_from_moments(sums.test, mean)


@dataclass(frozen=True, eq=False)
class FrameModel:
    """Any estimator as a pass asks it."""

    model: Any
    names: tuple[str, ...]

    def predict_matrix(self, features: np.ndarray) -> np.ndarray:
        import pandas as pd

        return self.model.predict(pd.DataFrame(features, columns=list(self.names)))
