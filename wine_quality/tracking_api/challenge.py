"""A version of an adopter's model challenges the champion."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from wine_quality.tracking_api.values import ChampionDecision, RegisteredVersion

if TYPE_CHECKING:
    from dagster import AssetExecutionContext, OpExecutionContext

    from wine_quality.tracking.registry.contest import Metric
    from wine_quality.tracking.tracker import Tracker


def challenge(
    context: AssetExecutionContext | OpExecutionContext,
    tracker: Tracker,
    version: RegisteredVersion,
    metric: Metric,
    score: Callable[[Any], float] | None,
) -> ChampionDecision:
    """Hold the contest and give the better version the role.

    Args:
        score: The metric of an estimator; None: by what each version's run logged.

    Raises:
        ValueError: the version's metric is not known.
        RoleConflictError: alias and stage name two champions.
    """
    from wine_quality.tracking.registry.contest import Contest
    from wine_quality.tracking.registry.promotion_note import note_promotion
    from wine_quality.tracking_api.measured import measured

    registry = tracker.registry(version.name)
    contest = Contest(
        registry,
        version.version,
        metric,
        lambda number: measured(
            tracker, registry, number, score or metric.name, context.log.warning
        ),
        context.log,
    )
    reason = contest.decide(
        lambda best, before: note_promotion(context, tracker, version.name, best, before)
    )
    context.log.info(reason)
    return ChampionDecision(
        version.name,
        version.version,
        contest.champion,
        contest.before,
        dict(contest.compared),
        reason,
        version.training,
    )
