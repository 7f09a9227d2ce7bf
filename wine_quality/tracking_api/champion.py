"""Whether a new version takes the champion's place, by any metric."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.tracking.model_files import UntrustedModelError
from wine_quality.tracking.registry.champion import (
    CHALLENGER,
    CHAMPION,
    DECISION_TAG,
    OPEN,
    ChampionRegistry,
)
from wine_quality.tracking_api.metric import Metric

if TYPE_CHECKING:
    from wine_quality.tracking.tracker import Tracker

# Two that meet see each other after the first promotion; the rest is for what nobody foresaw.
_ROUNDS = 3


@dataclass
class Contest:
    """One version challenges the champion of its model.

    Attributes:
        registry: The versions of the model.
        mine: The version that challenges.
        metric: That decides.
        value_of: The metric of a version; None when it cannot be had any more. May raise
            ``UntrustedModelError``.
        log: Gets a sentence about what people should know.
    """

    registry: ChampionRegistry
    mine: str
    metric: Metric
    value_of: Callable[[str], float | None]
    log: Callable[[str], None]
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
        self.before = self.champion = registry.adopt(CHAMPION, self.log)
        if self.champion != mine:
            registry.give(CHALLENGER, mine)
        for _ in range(_ROUNDS):
            known = {mine, *filter(None, [self.champion]), *registry.rivals(mine, self.before)}
            self._compare(known)
            if self.champion in self.untrusted:
                break  # it may be what people get, and good: whoever knows decides
            values = {version: self.compared[version] for version in known & set(self.compared)}
            best = self.metric.winner(values, self.champion)
            if best is None:
                break
            registry.crown(best, self.champion)
            # Another run may have promoted its own meanwhile: look again.
            self.champion = registry.holder(CHAMPION)
            if self.champion == best:
                promoted(best, self.before)
        registry.tag(mine, DECISION_TAG, "promoted" if self.champion == mine else "refused")
        return self._reason()

    def _compare(self, versions: set[str]) -> None:
        for version in sorted(versions - set(self.compared) - set(self.untrusted), key=int):
            try:
                value = self.value_of(version)
            except UntrustedModelError as refusal:
                self.untrusted[version] = str(refusal)
                self.log(str(refusal))
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
        if champion in self.untrusted:
            return (
                f"{mine} is the challenger; version {champion} stays the champion, for nobody can "
                f"compare with it: {self.untrusted[champion]}"
            )
        return f"{self._title(str(champion))} stays the champion; {mine} is not better."

    def _title(self, version: str) -> str:
        value = self.compared.get(version)
        shown = "" if value is None else f" ({self.metric.name} {value:.6f})"
        return f"version {version}{shown}"


def measured(
    tracker: Tracker,
    registry: ChampionRegistry,
    number: str,
    by: str | Callable[[Any], float],
    warn: Callable[[str], None],
) -> float | None:
    """The metric of a version; None when the version or its files are gone, or nothing logged it.

    Args:
        by: A metric's name: what the version's run logged. A function: what it makes of the
            version's estimator, which is loaded for it.

    Raises:
        UntrustedModelError: this project did not register the version, or not as it is now.
    """
    from wine_quality.tracking.registry.provenance import require_signature

    found = registry.version(number)
    if found is None:
        return None
    if isinstance(by, str):
        return tracker.logged_metrics(require_signature(found).mlflow_run_id).get(by)
    import mlflow.sklearn

    with tempfile.TemporaryDirectory() as folder:
        try:
            files = tracker.download_version(registry.name, number, Path(folder))
        except FileNotFoundError as error:
            warn(f"{registry.name} version {number} is passed over: {error}")
            return None
        return float(by(mlflow.sklearn.load_model(str(files))))
