"""A search in several processes, below one MLflow run: by autologging, and by runs of one's own."""

import dagster as dg
import mlflow as plain_mlflow
import numpy as np
from joblib import Parallel, delayed
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold

from wine_quality.tracking_api import (
    ChildRun,
    MlflowTracking,
    PlainIOManager,
    TrackedModel,
    TrackedRun,
)

mlflow = MlflowTracking(
    experiment="search", registered_model="SearchModel", versions=["3", "2.1.1", "1.26"]
)
TARGET = "target"


class Search(dg.Config):
    """Strengths of the penalty to try, and in how many processes."""

    alphas: list[float] = [0.1, 1.0, 10.0]
    jobs: int = 2


@dg.asset(kinds={"scikitlearn", "mlflow"})
@mlflow.trains
def searched_model(run: TrackedRun, config: Search) -> TrackedModel:
    """With ``autolog: sklearn`` MLflow itself logs the search, and a run for each point."""
    frame = load_diabetes(as_frame=True).frame
    features = frame.drop(columns=TARGET)
    grid = GridSearchCV(Ridge(), {"alpha": config.alphas}, n_jobs=config.jobs)
    best = grid.fit(features, frame[TARGET]).best_estimator_

    # Within the asset, so that joblib hands it over whole: its processes know no definitions.py.
    def score_fold(child: ChildRun, train: np.ndarray, test: np.ndarray) -> float:
        with child:
            model = Ridge(best.alpha).fit(features.iloc[train], frame[TARGET].iloc[train])
            off = model.predict(features.iloc[test]) - frame[TARGET].iloc[test]
            rmse = float(np.sqrt(np.mean(np.square(off))))
            plain_mlflow.log_metric("fold_rmse", rmse)
        return rmse

    folds = Parallel(n_jobs=config.jobs)(
        delayed(score_fold)(run.child(f"fold {number}"), train, test)
        for number, (train, test) in enumerate(KFold(2).split(frame))
    )
    run.log_metrics({"cv_rmse": float(np.mean(folds))})
    return run.log_model(best, example=features.head(2))


defs = dg.Definitions.merge(
    dg.Definitions(
        assets=[searched_model],
        jobs=[dg.define_asset_job("search")],
        resources={"io_manager": PlainIOManager()},
    ),
    mlflow.definitions(),
)
