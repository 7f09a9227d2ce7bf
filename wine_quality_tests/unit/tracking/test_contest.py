"""Which version wins, by any metric in either direction."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from wine_quality.tracking.model_files import UntrustedModelError
from wine_quality.tracking.registry.champion import CHAMPION
from wine_quality.tracking.registry.contest import Contest
from wine_quality.tracking_api import Metric

AUC, ERROR = Metric("auc", higher_is_better=True), Metric("error", higher_is_better=False)


@pytest.mark.parametrize(
    ("metric", "values", "champion", "winner"),
    [
        (AUC, {"1": 0.8, "2": 0.9}, "1", "2"),
        (AUC, {"1": 0.9, "2": 0.8}, "1", None),
        (ERROR, {"1": 0.9, "2": 0.8}, "1", "2"),
        (ERROR, {"1": 0.8, "2": 0.9}, "1", None),
        (AUC, {"1": 0.8}, None, "1"),
        (AUC, {"3": 0.8, "2": 0.8}, None, "2"),  # as good: the older
        (AUC, {"2": 0.1}, "1", "2"),  # the champion cannot be measured any more
        (Metric("auc", True, 0.2), {"1": 0.8, "2": 0.9}, "1", None),
        (Metric("auc", True, 0.05), {"1": 0.8, "2": 0.9}, "1", "2"),
    ],
)
def test_the_better_version_wins_in_the_metrics_direction(metric, values, champion, winner):
    assert metric.winner(values, champion) == winner


class Registry:
    """The roles of a model's versions, in memory: what a registry does is tested on servers."""

    name = "ChurnModel"

    def __init__(self, champion: str | None, rivals: list[str]) -> None:
        self.roles: dict[str, str | None] = {CHAMPION: champion}
        self._rivals = rivals

    def tag(self, *_: str) -> None: ...

    def adopt(self, role: str, _note: Any) -> str | None:
        return self.roles[role]

    def holder(self, role: str) -> str | None:
        return self.roles[role]

    def assign_role(self, role: str, version: str) -> None:
        self.roles[role] = version

    def rivals(self, *_: Any) -> list[str]:
        return self._rivals

    def promote(self, version: str, _before: str | None) -> None:
        self.roles[CHAMPION] = version


def contest(values: dict[str, float], champion: str | None, rivals: list[str] | None = None) -> Any:
    registry: Any = Registry(champion, rivals or [])

    def value_of(version: str) -> float | None:
        if values.get(version) == -1:
            raise UntrustedModelError(f"version {version} is not loaded: it was changed.")
        return values.get(version)

    return Contest(registry, "3", AUC, value_of, logging.getLogger("contest"))


@pytest.mark.parametrize(
    ("values", "champion", "rivals", "winner", "reason"),
    [
        ({"3": 0.8}, None, [], "3", "version 3 (auc 0.800000) is the first champion."),
        ({"3": 0.8, "1": 0.7}, "1", [], "3", "takes the place of version 1 (auc 0.700000)."),
        ({"3": 0.7, "1": 0.8}, "1", [], "1", "stays the champion; version 3 (auc 0.700000) is"),
        ({"3": 0.8}, "1", [], "3", "version 1, which cannot be loaded any more."),
        ({"3": 0.8, "1": -1}, "1", [], "1", "nobody can compare with it: version 1 is not loaded"),
        # Another run's version, registered at the same time, is better than both.
        ({"3": 0.8, "1": 0.7, "4": 0.9}, "1", ["4"], "4", "version 4 (auc 0.900000) stays"),
    ],
)
def test_a_version_challenges_the_champion(values, champion, rivals, winner, reason):
    found, promoted = contest(values, champion, rivals), []
    text = found.decide(lambda best, before: promoted.append((best, before)))
    assert found.champion == winner and reason in text
    assert promoted == ([] if winner == champion else [(winner, champion)])


def test_a_version_without_the_metric_cannot_challenge():
    with pytest.raises(ValueError, match="nothing logged the metric auc"):
        contest({}, None).decide(lambda *_: None)


def test_without_a_policy_that_promotes_it_stays_the_challenger():
    found, promoted = contest({"3": 0.8, "1": 0.7}, "1"), []
    found.automatic = False
    reason = found.decide(lambda best, before: promoted.append(best))
    assert reason == "version 3 (auc 0.800000) is the challenger."
    assert found.champion == "1" and not promoted
    assert found.registry.roles["challenger"] == "3"


@pytest.mark.parametrize(
    ("rmse", "champion", "least", "wins"),
    [
        ({"1": 0.8}, None, 0.0, "1"),
        ({"1": 0.8, "2": 0.7}, "1", 0.0, "2"),
        ({"1": 0.8, "2": 0.8}, "1", 0.0, None),
        ({"1": 0.8, "2": 0.75}, "1", 0.1, None),
        ({"1": 0.8, "2": 0.7, "3": 0.7}, "1", 0.0, "2"),
        ({"2": 0.9}, "1", 0.0, "2"),  # the champion cannot be loaded
        ({"1": 0.8}, "1", 0.0, None),
        ({"10": 0.7, "9": 0.7}, None, 0.0, "9"),
    ],
)
def test_the_winner(rmse, champion, least, wins):
    assert Metric("rmse", False, least).winner(rmse, champion) == wins
