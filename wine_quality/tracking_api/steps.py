"""Makes functions that take a ``TrackedRun`` into functions of assets and ops."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, get_type_hints

from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.server_check import name_failing_server
from wine_quality.tracking.step_tags import STEP_TAGS_ATTRIBUTE
from wine_quality.tracking.training import Training, require_one_training
from wine_quality.tracking_api.run import TrackedRun
from wine_quality.tracking_api.values import TrackedModel

if TYPE_CHECKING:
    from wine_quality.tracking_api.project import MlflowTracking

RESOURCE = "mlflow"
"""Key of the resource, in run config and for the executor."""

_CONTEXT = "context"
_RESULT = "return"


def tracked_step(
    project: MlflowTracking, tags: Mapping[str, str], function: Callable[..., Any]
) -> Callable[..., Any]:
    """A function for Dagster's decorators, from one that has a parameter for the ``TrackedRun``.

    For Dagster it has, besides the function's own parameters, ``context`` and the resource
    ``mlflow``, and no run.

    Args:
        tags: See ``tracking.step_tags``.

    Raises:
        TypeError: the function has no parameter for the run, is a generator, or was made an asset
            already.
    """
    if not inspect.isfunction(function) or inspect.isgeneratorfunction(function):
        raise TypeError(
            f"{getattr(function, '__name__', function)!r} is not a function that returns a value. "
            "Write @dg.asset above @mlflow.trains or @mlflow.continues, and return, not yield."
        )
    signature, run_name = _signature_for_dagster(function)
    own = inspect.signature(function).parameters

    @functools.wraps(function)
    def step(context: Any, **given: Any) -> Any:
        resource = given[RESOURCE]
        inputs = {name: value for name, value in given.items() if name in own}
        if _CONTEXT in own:
            inputs[_CONTEXT] = context
        with name_failing_server(retry_step=True):
            model = _open(resource, context, tags, inputs)
            run = TrackedRun(project, context, resource, model)
            with run.as_current():
                return function(**{run_name: run}, **inputs)

    step.__signature__ = signature  # type: ignore[attr-defined]
    step.__annotations__ = {
        name: one.annotation
        for name, one in signature.parameters.items()
        if one.annotation is not inspect.Parameter.empty
    }
    if signature.return_annotation is not inspect.Signature.empty:
        step.__annotations__[_RESULT] = signature.return_annotation
    setattr(step, STEP_TAGS_ATTRIBUTE, dict(tags))
    return step


def _signature_for_dagster(function: Callable[..., Any]) -> tuple[inspect.Signature, str]:
    """The signature that Dagster sees, and the name of the parameter that gets the run."""
    signature = inspect.signature(function)
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError:  # a type that only checkers see; Dagster reports it where it needs it
        hints = {}
    names = list(signature.parameters)
    of_run = [name for name in names if hints.get(name) is TrackedRun] or [
        name for name in names if signature.parameters[name].annotation == "TrackedRun"
    ]
    run_name = (of_run or [name for name in names if name == "run"] or [""])[0]
    if not run_name:
        raise TypeError(
            f"{function.__name__} needs a parameter for the MLflow run: run: TrackedRun"
        )
    kept = [
        one.replace(
            annotation=hints.get(name, one.annotation), kind=inspect.Parameter.POSITIONAL_OR_KEYWORD
        )
        for name, one in signature.parameters.items()
        if name not in (run_name, _CONTEXT, RESOURCE)
    ]
    usual = inspect.Parameter.POSITIONAL_OR_KEYWORD
    context = inspect.Parameter(
        _CONTEXT, usual, annotation=hints.get(_CONTEXT, inspect.Parameter.empty)
    )
    resource = inspect.Parameter(RESOURCE, usual, annotation=MlflowTracker)
    kept.sort(key=lambda one: one.default is not inspect.Parameter.empty)
    result = hints.get(_RESULT, signature.return_annotation)
    return signature.replace(parameters=[context, resource, *kept], return_annotation=result), (
        run_name
    )


def _open(
    resource: MlflowTracker, context: Any, tags: Mapping[str, str], inputs: Mapping[str, Any]
) -> TrackedModel | None:
    """Open or continue the MLflow run; the ``TrackedModel`` among the inputs of a step that
    continues one, else None."""
    followed = [tag for tag in tags.values() if tag != "true"]
    if not followed:
        resource.begin_run(context)
        return None
    [asset] = followed
    parts = {name: _training_of(value) for name, value in inputs.items()}
    parts = {name: training for name, training in parts.items() if training is not None}
    if not parts:
        raise ValueError(
            f"the step goes on with the MLflow run of {asset}, but was given none of its values. "
            "Have it take what that asset returns: what log_model or log_metrics returned."
        )
    require_one_training(parts, f"Materialize {asset} and what follows again.")
    training = next(iter(parts.values()))
    assert training is not None
    _require_same_version(resource, asset, training)
    resource.continue_run(context, training)
    return next((value for value in inputs.values() if isinstance(value, TrackedModel)), None)


def _training_of(value: Any) -> Training | None:
    training = getattr(value, "training", None)
    return training if isinstance(training, Training) else None


def _require_same_version(resource: MlflowTracker, asset: str, training: Training) -> None:
    """Another version's client may not be able to go on with the MLflow run."""
    picked = resource.version.value
    if training.mlflow_version != picked:
        raise ValueError(
            f"{asset} was made with MLflow {training.mlflow_version} (run "
            f'{training.mlflow_run_id}), but resources.mlflow.config.version is "{picked}". Pick '
            f"that version, or materialize {asset} again too."
        )
