"""Tags of a Dagster run that made a version the champion.

The sensor that sends the notice reads them when the run has ended, also when it failed afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wine_quality.dagster_support.run_tag_names import (
    MLFLOW_VERSION_TAG,
    PROMOTED_BEFORE_TAG,
    PROMOTED_BY_TAG,
    PROMOTED_MODEL_TAG,
    PROMOTED_TAG,
    PROMOTED_URL_TAG,
    PROMOTION_NOTICE_TAG,
    WITHDRAWN_TAG,
    under_current_names,
)
from wine_quality.tracking.registry.champion import NONE

if TYPE_CHECKING:
    from dagster import AssetExecutionContext, DagsterRun, OpExecutionContext

    from wine_quality.tracking.tracker import Tracker

# Value of PROMOTED_TAG on a re-execution, to which Dagster copied what another run had promoted.
NOT_PROMOTED = "no"
# Value of PROMOTION_NOTICE_TAG until the notice of it was sent, or was given up.
UNTOLD = "open"


@dataclass(frozen=True)
class Promotion:
    """One change of champion that a run made; ``before`` is None for the first champion."""

    model: str
    version: str
    before: str | None
    url: str
    withdrawn: bool

    @classmethod
    def of(cls, run: DagsterRun) -> Promotion | None:
        """The promotion that this run made itself."""
        tags = under_current_names(run.tags)
        if tags.get(PROMOTED_BY_TAG) != run.run_id:
            return None
        before = tags[PROMOTED_BEFORE_TAG]
        return cls(
            model=tags[PROMOTED_MODEL_TAG],
            version=tags[PROMOTED_TAG],
            before=None if before == NONE else before,
            url=tags[PROMOTED_URL_TAG],
            withdrawn=tags[WITHDRAWN_TAG] == "true",
        )


def note_promotion(
    context: AssetExecutionContext | OpExecutionContext,
    tracker: Tracker,
    model: str,
    version: str,
    before: str | None,
    withdrawn: bool = False,
) -> None:
    """Note that this run made ``version`` the champion in place of ``before``.

    ``withdrawn``: ``before`` was withdrawn, as a rollback does.
    """
    context.instance.add_run_tags(
        context.run.run_id,
        {
            PROMOTED_TAG: version,
            # A run that only promotes has no MLflow run, which would have noted it.
            MLFLOW_VERSION_TAG: tracker.settings.version,
            PROMOTED_MODEL_TAG: model,
            PROMOTED_BEFORE_TAG: before or NONE,
            PROMOTED_URL_TAG: tracker.model_version_url(model, version),
            WITHDRAWN_TAG: str(withdrawn).lower(),
            PROMOTED_BY_TAG: context.run.run_id,
            PROMOTION_NOTICE_TAG: UNTOLD,
        },
    )


def disown_promotion(run: DagsterRun) -> dict[str, str]:
    """Tags for a re-execution, so that it does not show its parent's promotion as its own."""
    tags = under_current_names(run.tags)
    copied = PROMOTED_TAG in tags and tags.get(PROMOTED_BY_TAG) != run.run_id
    return {PROMOTED_TAG: NOT_PROMOTED} if copied else {}
