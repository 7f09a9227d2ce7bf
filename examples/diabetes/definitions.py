"""How far diabetes gets in a year: ridge regression, the best of several in nested MLflow runs."""

import dagster as dg
import mlflow as plain_mlflow
import numpy as np
import pandas as pd
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from wine_quality.tracking_api import (
    ChampionDecision,
    LoggedMetrics,
    Metric,
    MlflowTracking,
    PlainIOManager,
    TrackedModel,
    TrackedRun,
)

mlflow = MlflowTracking(
    experiment="diabetes",
    registered_model="DiabetesModel",
    versions=["3", "2.1.1", "1.26"],
    metric=Metric("rmse", higher_is_better=False),
)
TARGET = "target"


class Search(dg.Config):
    """Strengths of the penalty to try."""

    alphas: list[float] = [0.1, 1.0, 10.0]


@dg.asset
def patients() -> pd.DataFrame:
    """The 442 patients of scikit-learn's own copy, ten measurements each."""
    return load_diabetes(as_frame=True, scaled=False).frame


def parts(patients: pd.DataFrame) -> list[pd.DataFrame]:
    """Train and test: 331 and 111 rows, the same each time."""
    return train_test_split(patients, test_size=0.25, random_state=3)


def ridge(alpha: float) -> Pipeline:
    """Not fitted yet."""
    return make_pipeline(StandardScaler(), Ridge(alpha))


def rmse(errors: np.ndarray) -> float:
    """In units of the target."""
    return float(np.sqrt(np.mean(np.square(errors))))


@dg.asset(kinds={"scikitlearn", "mlflow"})
@mlflow.trains
def diabetes_model(run: TrackedRun, config: Search, patients: pd.DataFrame) -> TrackedModel:
    """The best of several penalties by cross-validation. Each has an MLflow run below this one's,
    by MLflow's own calls."""
    train, _ = parts(patients)
    features, target = train.drop(columns=TARGET), train[TARGET]
    found = {}
    for alpha in config.alphas:
        with plain_mlflow.start_run(nested=True, run_name=f"alpha {alpha:g}"):
            plain_mlflow.log_param("alpha", alpha)
            scores = cross_val_score(
                ridge(alpha), features, target, scoring="neg_root_mean_squared_error"
            )
            found[alpha] = float(-scores.mean())
            plain_mlflow.log_metric("cv_rmse", found[alpha])
    best = min(found, key=found.__getitem__)
    run.log_params({"alpha": best, "tried": len(found)})
    run.log_dataset(train, "patients", target=TARGET)
    return run.log_model(ridge(best).fit(features, target), example=features.head(2))


@dg.asset(kinds={"mlflow"})
@mlflow.continues("diabetes_model")
def diabetes_metrics(
    run: TrackedRun, diabetes_model: TrackedModel, patients: pd.DataFrame
) -> LoggedMetrics:
    """On the patients held out, in the same MLflow run."""
    test = parts(patients)[1]
    predicted = diabetes_model.load().predict(test.drop(columns=TARGET))
    return run.log_metrics({"rmse": rmse(predicted - test[TARGET].to_numpy())})


@dg.asset(kinds={"mlflow"})
@mlflow.continues("diabetes_model")
def diabetes_champion(
    run: TrackedRun, diabetes_model: TrackedModel, diabetes_metrics: LoggedMetrics
) -> ChampionDecision:
    """A version of ``DiabetesModel``; the champion if its error is the least."""
    return run.challenge(run.register(diabetes_model, diabetes_metrics))


defs = dg.Definitions.merge(
    dg.Definitions(
        assets=[patients, diabetes_model, diabetes_metrics, diabetes_champion],
        jobs=[dg.define_asset_job("diabetes")],
        resources={"io_manager": PlainIOManager()},
    ),
    mlflow.definitions(),
)
