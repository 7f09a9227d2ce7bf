"""Tags by which a Dagster run says that it crowned a champion.

Whoever tells people of it reads them when the run has ended, whatever became of the run then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wine_quality.tracking.champion import NONE

if TYPE_CHECKING:
    from dagster import AssetExecutionContext, DagsterRun, OpExecutionContext

    from wine_quality.tracking.tracker import Tracker

PROMOTED_TAG = "wine_quality/promoted"
MODEL_TAG = "wine_quality/promoted_model"
BEFORE_TAG = "wine_quality/promoted_before"
URL_TAG = "wine_quality/promoted_url"
# "true" after a rollback, which withdraws the champion before.
WITHDRAWN_TAG = "wine_quality/withdrawn"
# Dagster copies a run's tags to its re-executions: this one tells whose the others are.
OWNER_TAG = "wine_quality/promoted_by"
# UNTOLD until the notice of it was sent, or was given up.
NOTICE_TAG = "wine_quality/promotion_notice"

UNTOLD = "open"


@dataclass(frozen=True)
class Promotion:
    """What a run did to the role of champion; ``before`` is None for the first champion."""

    model: str
    version: str
    before: str | None
    url: str
    withdrawn: bool

    @classmethod
    def of(cls, run: DagsterRun) -> Promotion | None:
        """The promotion that this run made itself."""
        tags = run.tags
        if tags.get(OWNER_TAG) != run.run_id:
            return None
        before = tags[BEFORE_TAG]
        return cls(
            model=tags[MODEL_TAG],
            version=tags[PROMOTED_TAG],
            before=None if before == NONE else before,
            url=tags[URL_TAG],
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

    ``withdrawn`` says that ``before`` was withdrawn for it, as a rollback does.
    """
    context.instance.add_run_tags(
        context.run.run_id,
        {
            PROMOTED_TAG: version,
            MODEL_TAG: model,
            BEFORE_TAG: before or NONE,
            URL_TAG: tracker.model_version_url(model, version),
            WITHDRAWN_TAG: str(withdrawn).lower(),
            OWNER_TAG: context.run.run_id,
            NOTICE_TAG: UNTOLD,
        },
    )
