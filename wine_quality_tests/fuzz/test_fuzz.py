"""Some fourteen hundred bad inputs, the same in each run; ``make fuzz`` makes up others."""

from __future__ import annotations

import pytest

from wine_quality_tests.fuzz.targets import TARGETS, search


@pytest.mark.parametrize("name", TARGETS)
def test_bad_input_is_refused_or_is_what_it_says(name, home):
    target = TARGETS[name]
    outcomes = search(target, target.examples, number=0)
    # A strategy that runs out of examples would try fewer.
    assert sum(outcomes.values()) >= 0.9 * target.examples, outcomes
