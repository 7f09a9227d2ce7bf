"""The rule that orders of parts are held against: which of them fit together. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

PARTS = {
    "split": "train_test_split",
    "model": "elasticnet_model",
    "metrics": "evaluation_metrics",
    "registered": "registered_model",
    "champion": "champion_model",
}
GIVEN = {
    "split": (),
    "model": ("split",),
    "metrics": ("split", "model"),
    "registered": ("model", "metrics"),
    "champion": ("split", "model", "registered"),
}
SELECTIONS = [chosen for count in range(1, len(PARTS) + 1) for chosen in combinations(PARTS, count)]


@dataclass(frozen=True)
class State:
    """Which training (or, for the split, which settings) each part is of, by the rule."""

    split: str = "A"
    model: str = "A"
    model_split: str = "A"
    metrics: str = "A"
    registered: str = "A"

    def after(self, selection: tuple[str, ...], new: str) -> tuple[State, dict[str, bool]]:
        """The parts of a run, and of each whether it was made.

        Args:
            new: Name of the training that the run makes, if it makes one.
        """
        state, made = self, {}
        for part in selection:
            if any(made.get(given) is False for given in GIVEN[part]):
                made[part] = False  # waits for one that failed
                continue
            made[part] = state._fits(part)
            if made[part]:
                state = state._with(part, new)
        return state, made

    def _fits(self, part: str) -> bool:
        on_its_split = self.model_split == self.split
        if part == "metrics":
            return on_its_split
        if part == "registered":
            return self.metrics == self.model
        if part == "champion":
            return on_its_split and self.registered == self.model
        return True

    def _with(self, part: str, new: str) -> State:
        if part == "split":
            return replace(self, split="B")
        if part == "model":
            return replace(self, model=new, model_split=self.split)
        if part in ("metrics", "registered"):
            return replace(self, **{part: self.model})
        return self

    def known(self) -> State:
        """With one name for all trainings but A: what matters for the runs that follow."""
        later = {f: "B" for f, of in vars(self).items() if of not in ("A", "B")}
        return replace(self, **later)


def count_orders() -> int:
    """How many runs ``part_orders all`` makes."""
    states = {State().after(first, "B")[0].known() for first in SELECTIONS} - {State()}
    return len(SELECTIONS) * (1 + len(states))
