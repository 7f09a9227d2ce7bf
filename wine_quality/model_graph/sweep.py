"""The best point of a family's grid, found by cross-validation in nested MLflow runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel

    from wine_quality.model_graph.plan import ModelPlan
    from wine_quality.model_graph.rows import Rows
    from wine_quality.tracking_api import TrackedRun

SWEEP_TAG = "model_graph/sweep"
"""Of a run: ``true`` has its model searched for. A tag, since run config that is given to a job
takes the place of the job's own."""


def search(plan: ModelPlan, run: TrackedRun, base: BaseModel, rows: Rows) -> BaseModel:
    """The best point by the plan's metric; of two that are as good the first.

    Each has an MLflow run below the one that is open, with its hyperparameters and ``cv_<metric>``.

    Args:
        rows: For training.

    Raises:
        DeclarationError: the rows are sums, which do not tell the metric.
    """
    import mlflow

    metric = plan.metric
    found: list[tuple[float, BaseModel]] = []
    for point in plan.family.points(base):
        varied = {name: getattr(point, name) for name in plan.family.grid}
        title = ", ".join(f"{name} {value}" for name, value in varied.items())
        with mlflow.start_run(nested=True, run_name=title or plan.family.name):
            mlflow.log_params({"family": plan.family.name, **point.model_dump()})
            score = rows.cross_validate(point)
            mlflow.log_metric(f"cv_{metric.name}", score)
        found.append((score, point))
    sign = -1 if metric.higher_is_better else 1
    best, point = min(found, key=lambda one: sign * one[0])
    run.log_params({"sweep_points": len(found)})
    run.client.log_metric(run.run_id, f"cv_{metric.name}", best)
    return point
