"""Whether a new version of a model takes the champion's place, by any metric."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wine_quality.tracking.model_files import UntrustedModelError
from wine_quality.tracking.registry.champion import (
    CHALLENGER,
    CHAMPION,
    DECISION_TAG,
    OPEN,
    ChampionRegistry,
)

# Two runs that meet see each other after the first promotion; the rest is a margin.
_ROUNDS = 3


@dataclass(frozen=True)
class Metric:
    """A metric that decides between versions of a model.

    Attributes:
        name: As it is logged, such as ``auc``.
        higher_is_better: False for errors and losses.
        min_improvement: By how much a version must be better than the champion to take its place,
            in units of the metric.
    """

    name: str
    higher_is_better: bool
    min_improvement: float = 0.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("the metric needs a name, such as auc")
        if self.min_improvement < 0:
            raise ValueError(f"min_improvement is {self.min_improvement}; it must be at least 0")

    def winner(self, values: Mapping[str, float], champion: str | None) -> str | None:
        """The best version, if it is better than the champion by enough.

        Args:
            values: Of this metric, by version number.
            champion: The champion's version; None when there is none (or it cannot be loaded).

        Returns:
            None when the champion stays. Of two that are as good, the older wins.
        """
        sign = -1.0 if self.higher_is_better else 1.0
        challengers = [version for version in values if version != champion]
        if not challengers:
            return None
        best = min(challengers, key=lambda version: (sign * values[version], int(version)))
        if champion is None or champion not in values:
            return best
        enough = sign * values[champion] - self.min_improvement
        return best if sign * values[best] < enough else None


@dataclass
class Contest:
    """One version challenges the champion of its model.

    Attributes:
        registry: The versions of the model.
        mine: The version that challenges.
        metric: That decides.
        value_of: The metric of a version; None when it cannot be had any more. May raise
            ``UntrustedModelError``.
        log: Of the step.
        automatic: False: nobody is promoted; the version stays the challenger.
        compared: The metric of each version that was compared, by its number.
        untrusted: Why a version may not be compared with, by its number.
        before: The champion when it began.
        champion: The champion now.
    """

    registry: ChampionRegistry
    mine: str
    metric: Metric
    value_of: Callable[[str], float | None]
    log: logging.Logger
    automatic: bool = True
    compared: dict[str, float] = field(default_factory=dict)
    untrusted: dict[str, str] = field(default_factory=dict)
    before: str | None = None
    champion: str | None = None

    def decide(self, promoted: Callable[[str, str | None], None]) -> str:
        """Make the version the challenger, and the better one champion; returns the reason.

        Args:
            promoted: Gets the new champion's version and that of the one before.

        Raises:
            RoleConflictError: alias and stage name two champions.
            ValueError: the metric of the version that challenges is not known.
        """
        registry, mine = self.registry, self.mine
        registry.tag(mine, DECISION_TAG, OPEN)
        self.before = self.champion = registry.adopt(CHAMPION, self.log.info)
        if self.champion != mine:
            registry.assign_role(CHALLENGER, mine)
        for _ in range(_ROUNDS):
            known = {mine, *filter(None, [self.champion]), *registry.rivals(mine, self.before)}
            self._compare(known)
            if self.refusal:
                break  # it may be what is served, and good: a person decides
            values = {version: self.compared[version] for version in known & set(self.compared)}
            best = self.metric.winner(values, self.champion) if self.automatic else None
            if best is None:
                break
            registry.promote(best, self.champion)
            # Another run may have promoted its own meanwhile: look again.
            self.champion = registry.holder(CHAMPION)
            if self.champion == best:
                promoted(best, self.before)
        registry.tag(mine, DECISION_TAG, "promoted" if self.champion == mine else "refused")
        return self._reason()

    @property
    def refusal(self) -> str:
        """Why the champion may not be compared with, and so not be replaced; or empty."""
        return self.untrusted.get(self.champion or "", "")

    def _compare(self, versions: set[str]) -> None:
        for version in sorted(versions - set(self.compared) - set(self.untrusted), key=int):
            try:
                value = self.value_of(version)
            except UntrustedModelError as refusal:
                self.untrusted[version] = str(refusal)
                self.log.warning(str(refusal))
                continue
            if value is not None:
                self.compared[version] = value
        if self.mine not in self.compared:
            why = self.untrusted.get(self.mine, f"nothing logged the metric {self.metric.name}")
            raise ValueError(f"version {self.mine} cannot challenge: {why}")

    def _reason(self) -> str:
        mine, champion, before = self._title(self.mine), self.champion, self.before
        if champion == self.mine == before:
            return f"{mine} is the champion already."
        if champion == self.mine and before is None:
            return f"{mine} is the first champion."
        if champion == self.mine:
            gone = "" if before in self.compared else ", which cannot be loaded any more"
            return f"{mine} takes the place of {self._title(str(before))}{gone}."
        if self.refusal:
            return (
                f"{mine} is the challenger; version {champion} stays the champion, for nobody can "
                f"compare with it: {self.refusal}"
            )
        if not self.automatic:
            return f"{mine} is the challenger."
        return f"{self._title(str(champion))} stays the champion; {mine} is not better."

    def _title(self, version: str) -> str:
        value = self.compared.get(version)
        shown = "" if value is None else f" ({self.metric.name} {value:.6f})"
        return f"version {version}{shown}"
