"""MLflow runs below that of a step, from any process that the step starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

_PARENT_TAG = "mlflow.parentRunId"


@dataclass
class ChildRun:
    """A context in which MLflow's own calls write to a run below the step's.

    It can be handed to another process, such as one of joblib's, where MLflow knows neither the
    server nor the run above. It ends as FINISHED, or as FAILED when an exception leaves it.
    """

    parent: str
    tracking_uri: str
    experiment_id: str
    name: str
    _active: Any = field(default=None, init=False, repr=False)

    def __enter__(self) -> Any:
        """MLflow's active run."""
        import mlflow

        mlflow.set_tracking_uri(self.tracking_uri)
        self._active = mlflow.start_run(
            experiment_id=self.experiment_id,
            run_name=self.name,
            nested=True,
            tags={_PARENT_TAG: self.parent},
        )
        return self._active.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._active.__exit__(kind, error, trace)
        self._active = None
