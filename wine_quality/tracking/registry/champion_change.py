"""Promotion and rollback as a person launches them, for the wines and for model graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster import Failure

from wine_quality.tracking.registry.champion import (
    CHALLENGER,
    CHAMPION,
    NONE,
    PREVIOUS_TAG,
    WITHDRAWN_TAG,
)
from wine_quality.tracking.registry.promotion_note import note_promotion
from wine_quality.tracking.registry.require_version import require_version
from wine_quality.tracking.registry.roles import RoleConflictError

if TYPE_CHECKING:
    from dagster import OpExecutionContext

    from wine_quality.tracking.registry.champion import ChampionRegistry
    from wine_quality.tracking.tracker import Tracker


@dataclass(frozen=True)
class ChampionHints:
    """Sentences that end an error; they name jobs and fields, which each graph has of its own.

    Attributes:
        no_challenger: There is nothing to promote.
        no_champion: There is nothing to roll back.
        no_previous: The champion replaced no other version.
    """

    no_challenger: str
    no_champion: str
    no_previous: str


@dataclass(frozen=True)
class ChampionChange:
    """The champion from now on, and the one before; None: there was none."""

    version: str
    before: str | None


def promote_version(
    context: OpExecutionContext,
    tracker: Tracker,
    registry: ChampionRegistry,
    named: str,
    hints: ChampionHints,
) -> ChampionChange:
    """Make a version the champion.

    Args:
        named: Its number; empty: the present challenger.

    Raises:
        Failure: there is no such version, or no challenger.
        RoleConflictError: alias and stage name two versions, and ``named`` is empty.
    """
    version = named or registry.holder(CHALLENGER)
    if version is None:
        raise Failure(
            f"{registry.name} has no challenger. {hints.no_challenger}", allow_retries=False
        )
    require_version(tracker, registry, version)
    before = _current_champion(context, registry, named)
    if before == version:
        context.log.info(f"{registry.name} version {version} is the champion already.")
    else:
        registry.promote(version, before)
        note_promotion(context, tracker, registry.name, version, before)
        context.log.info(f"{registry.name} version {version} is the champion, after {before}.")
    return ChampionChange(version, before)


def return_to_version(
    context: OpExecutionContext,
    tracker: Tracker,
    registry: ChampionRegistry,
    named: str,
    hints: ChampionHints,
) -> ChampionChange:
    """Withdraw the champion and make a former version the champion again.

    Args:
        named: Its number; empty: the one that the champion replaced.

    Raises:
        Failure: there is no champion, or no version to return to.
        RoleConflictError: alias and stage name two versions, and ``named`` is empty.
    """
    current = _current_champion(context, registry, named)
    if current is None:
        raise Failure(
            f"{registry.name} has no champion to roll back. {hints.no_champion}",
            allow_retries=False,
        )
    holder = registry.version(current)
    noted = holder.tags.get(PREVIOUS_TAG, NONE) if holder is not None else NONE
    version = named or noted
    if version in (NONE, current):
        raise Failure(
            f"{registry.name} version {current} replaced no other version. {hints.no_previous}",
            allow_retries=False,
        )
    require_version(tracker, registry, version)
    # Withdrawn first: a run that is deciding just now must not promote it again.
    registry.tag(current, WITHDRAWN_TAG, f"for {version}")
    registry.assign_role(CHAMPION, version)
    note_promotion(context, tracker, registry.name, version, current, withdrawn=True)
    context.log.info(
        f"{registry.name} version {version} is the champion again; {current} is withdrawn."
    )
    return ChampionChange(version, current)


def _current_champion(
    context: OpExecutionContext, registry: ChampionRegistry, decided: str
) -> str | None:
    """The champion before; alias and stage agree on it afterwards.

    Args:
        decided: The version that a person named, or empty. It settles which of two is the champion.

    Raises:
        RoleConflictError: alias and stage name two, and nobody has decided.
    """
    try:
        return registry.adopt(CHAMPION, context.log.info)
    except RoleConflictError as conflict:
        if not decided:
            raise
        context.log.info(f"Version {decided} was named, which decides this: {conflict}")
        return conflict.stage if decided == conflict.alias else conflict.alias
