"""Who will cancel: a random forest, tracked by the MLflow version that run config picks."""

import dagster as dg
import mlflow as plain_mlflow
import numpy as np
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

from wine_quality.tracking_api import (
    ChampionDecision,
    LoggedMetrics,
    Metric,
    MlflowTracking,
    PlainIOManager,
    RegisteredVersion,
    TrackedModel,
    TrackedRun,
)

mlflow = MlflowTracking(
    experiment="churn",
    registered_model="ChurnModel",
    versions=["3", "2.1.1", "1.26"],
    metric=Metric("auc", higher_is_better=True),
    description="Probability that a customer cancels within the next quarter.",
)
TARGET = "cancelled"


class Forest(dg.Config):
    """Of the random forest."""

    trees: int = 100
    depth: int = 6


@dg.asset
def customers() -> pd.DataFrame:
    """A thousand customers, made up. Who is new, pays much or had trouble is likelier to cancel."""
    random = np.random.default_rng(7)
    months, price = random.integers(1, 72, 1000), random.uniform(10, 90, 1000)
    tickets = random.poisson(1.5, 1000)
    odds = 0.04 * price + 0.9 * tickets - 0.08 * months
    cancelled = random.uniform(size=1000) < 1 / (1 + np.exp(1.5 - odds))
    return pd.DataFrame(
        {"months": months, "price": price, "tickets": tickets, TARGET: cancelled.astype(int)}
    ).astype(float)


def parts(customers: pd.DataFrame) -> list[pd.DataFrame]:
    """Train and test: 750 and 250 rows, the same each time."""
    return train_test_split(customers, test_size=0.25, random_state=3)


def scores(model: RandomForestClassifier, rows: pd.DataFrame) -> dict[str, float]:
    """Of a model on rows with the target."""
    likely = model.predict_proba(rows.drop(columns=TARGET))[:, 1]
    return {
        "auc": roc_auc_score(rows[TARGET], likely),
        "accuracy": accuracy_score(rows[TARGET], likely > 0.5),
    }


@dg.asset(kinds={"scikitlearn", "mlflow"})
@mlflow.trains
def churn_model(run: TrackedRun, config: Forest, customers: pd.DataFrame) -> TrackedModel:
    """A random forest, in an MLflow run of its own."""
    train, _ = parts(customers)
    run.log_params({"trees": config.trees, "depth": config.depth})
    run.log_dataset(train, "customers", target=TARGET)
    plain_mlflow.log_metric("train_customers", len(train))
    features = train.drop(columns=TARGET)
    forest = RandomForestClassifier(config.trees, max_depth=config.depth, random_state=1)
    return run.log_model(forest.fit(features, train[TARGET]), example=features.head(2))


@dg.asset(kinds={"mlflow"})
@mlflow.continues("churn_model")
def churn_metrics(
    run: TrackedRun, churn_model: TrackedModel, customers: pd.DataFrame
) -> LoggedMetrics:
    """On the customers held out, in the same MLflow run."""
    return run.log_metrics(scores(churn_model.load(), parts(customers)[1]))


@dg.asset(kinds={"mlflow"})
@mlflow.continues("churn_model")
def churn_version(
    run: TrackedRun, churn_model: TrackedModel, churn_metrics: LoggedMetrics
) -> RegisteredVersion:
    """A version of ``ChurnModel``."""
    return run.register(churn_model, churn_metrics)


@dg.asset(kinds={"mlflow"})
@mlflow.continues("churn_model")
def churn_champion(
    run: TrackedRun, churn_version: RegisteredVersion, customers: pd.DataFrame
) -> ChampionDecision:
    """The better one of the new version and the champion, on the same customers."""
    held_out = parts(customers)[1]
    return run.challenge(churn_version, score=lambda model: scores(model, held_out)["auc"])


defs = dg.Definitions.merge(
    dg.Definitions(
        assets=[customers, churn_model, churn_metrics, churn_version, churn_champion],
        jobs=[dg.define_asset_job("churn")],
        resources={"io_manager": PlainIOManager()},
    ),
    mlflow.definitions(),
)
