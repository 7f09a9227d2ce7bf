"""Wines in two parts of which only sums are kept, with a sample of rows to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.membership import TEST, groups_of
from wine_quality.engines.sample import RowSample
from wine_quality.engines.split_sums import SplitSums
from wine_quality.models.elastic_net.fit import LinearModel
from wine_quality.models.elastic_net.fit_moments import fit_from_moments
from wine_quality.models.elastic_net.fold_sums import cross_validate_moments
from wine_quality.models.elastic_net.moment_errors import error_of_mean, errors_from_moments
from wine_quality.models.elastic_net.sweep_points import Point, PointScore
from wine_quality.models.evaluate import regression_metrics
from wine_quality.wines.raw import DataOrigin
from wine_quality.wines.split import SCALE, Evaluation, OpenEngine, Split

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import ElasticNet


@dataclass(frozen=True, eq=False)
class StreamedSplit(Split):
    """See ``split.Split``.

    Attributes:
        data: See ``split.Split``.
        sums: Of all rows, by part and fold.
        sample: Of all rows alike.
        read: Files that the second pass reads, with their versions; none when the wines are those
            of many files that were summed up at other times.
    """

    data: DataOrigin
    sums: SplitSums
    sample: RowSample
    read: Mapping[str, str]

    def __post_init__(self) -> None:
        for part, rows in (("training", self.train_rows), ("test", self.test_rows)):
            if not rows:
                raise ValueError(
                    f"of the {self.train_rows + self.test_rows} row(s) none is in the {part} part. "
                    "Change ops.train_test_split.config.test_fraction, or use more data."
                )

    def count_rows_in_both(self) -> None:
        return None

    @property
    def train_rows(self) -> int:
        return sum(fold.n for fold in self.sums.folds)

    @property
    def test_rows(self) -> int:
        return self.sums.test.n

    def fit(self, alpha: float, l1_ratio: float, random_state: int) -> ElasticNet:
        return fit_from_moments(self.sums.train, alpha, l1_ratio, random_state)

    def examples(self, part: str) -> pd.DataFrame:
        tested = groups_of(self.sample.wines.T, self.sums.membership) == TEST
        return self.sample.to_frame()[tested if part == "test" else ~tested]

    def evaluate(self, model: LinearModel, open_engine: OpenEngine) -> Evaluation:
        """The second pass; where many files were summed up at other times none is read again, and
        ``mae`` is estimated from the sample, and the range of predictions is the sample's."""
        shown = self.examples("test")
        actual, predicted = shown[TARGET].to_numpy(), model.predict(shown)
        baseline = error_of_mean(self.sums.test, self.sums.train)
        if self.read:
            engine = open_engine(list(self.read))
            try:
                for file in engine.files:
                    if file.version != self.read[file.path]:
                        raise UnreadableFileError(
                            f"{file.path} is not what it was when train_test_split read it. "
                            "Materialize raw_wine_csv and what follows again."
                        )
                scores = engine.score_test_part(self.sums.membership, model, SCALE)
            finally:
                engine.close()
            return Evaluation(
                metrics=scores.metrics,
                baseline=baseline,
                rows=scores.rows,
                predicted_rows=scores.rows,
                lowest=scores.lowest,
                highest=scores.highest,
                outside=scores.outside,
                actual=actual,
                predicted=predicted,
            )
        exact = errors_from_moments(self.sums.test, model)
        sampled = regression_metrics(actual, predicted)
        ratio = sampled["mae"] / sampled["rmse"] if sampled["rmse"] else 1.0
        # By the ratio of the two errors, which varies far less than either from row to row.
        metrics = {"rmse": exact["rmse"], "mae": exact["rmse"] * ratio, "r2": exact["r2"]}
        return Evaluation.of_rows(metrics, baseline, self.test_rows, actual, predicted)

    def rmse(self, model: LinearModel) -> float:
        return errors_from_moments(self.sums.test, model)["rmse"]

    def train_rmse(self, model: LinearModel) -> float:
        return errors_from_moments(self.sums.train, model)["rmse"]

    def rmse_of(self, predict: Callable[[pd.DataFrame], np.ndarray], known: LinearModel) -> float:
        """Estimated: how it differs from ``known`` on the sample, whose rows both predict, is added
        to the error of ``known`` on all rows."""
        shown = self.examples("test")
        actual = shown[TARGET].to_numpy()
        asked = regression_metrics(actual, predict(shown[list(FEATURES)]))["rmse"]
        sampled = regression_metrics(actual, known.predict(shown))["rmse"]
        return max(self.rmse(known) ** 2 + asked**2 - sampled**2, 0.0) ** 0.5

    def cross_validate(self, points: Sequence[Point], folds: int, seed: int) -> list[PointScore]:
        """One score for each point, on the folds that the pass made; the seed is the split's.

        Raises:
            ValueError: there are not that many folds.
        """
        kept = self.sums.membership.folds
        if folds != kept:
            raise ValueError(
                f"the sweep asks for {folds} folds, and the pass over the data kept the sums of "
                f"{kept}. Set resources.training_engine.config.folds to {folds} too."
            )
        return cross_validate_moments(self.sums.folds, points)

    def to_stored(self) -> dict[str, Any]:
        """Origin, sums, sample and files, for JSON."""
        return {
            "data": self.data.to_plain(),
            "sums": self.sums.to_plain(),
            "sample": self.sample.to_plain(),
            "read": dict(self.read),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> StreamedSplit:
        """Restore a split from ``to_stored``.

        Raises:
            ValueError: ``plain`` is not a stored split.
        """
        try:
            sums, sample = plain["sums"], plain["sample"]
            data, read = plain["data"], plain["read"]
        except KeyError as error:
            raise ValueError(f"no split ({error} is missing)") from error
        return cls(
            DataOrigin.of(data), SplitSums.from_plain(sums), RowSample.from_plain(sample), read
        )
