"""Whoever may launch runs launches hostile ones by GraphQL; no secret leaves, nothing is written.

All of a front's attacks are launched at once; each test looks at one of them.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass, replace
from typing import Any

import pytest

from wine_quality_tests.attacks.conftest import ALL, FRONTS, VERSIONS
from wine_quality_tests.attacks.fronts import Front, log_of
from wine_quality_tests.attacks.listeners import ANSWER
from wine_quality_tests.attacks.table import ATTACKS, MODEL, Attack, World
from wine_quality_tests.support.canaries import MARK

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
RUN_SECONDS = 600
CASES = [
    pytest.param(front, attack, version, id=f"{front}-{version}-{attack.name}")
    for front in FRONTS
    for attack in ATTACKS
    for version in (attack.versions if ALL else attack.versions[-1:])
    if version in VERSIONS and (ALL or attack.is_quick)
]


@dataclass
class Try:
    """Outcome of an attack: how the run ended, or that it was not launched, and its log."""

    status: str
    log: str

    @property
    def reason(self) -> str:
        return self.log if self.status != "SUCCESS" else ""


class Tries:
    """Launches them, and knows how each ended."""

    def __init__(self, front: Front, world: World, cases: list[tuple[Attack, str]]) -> None:
        self._front, self._world = front, world
        # Honest runs go on, and leave a champion for those that deploy it.
        honest = front.launch({}, None, MODEL)
        assert front.wait(honest, RUN_SECONDS) == "SUCCESS", log_of(front, honest)[-5000:]
        self._begun = {(a.name, version): self._launch(a, version) for a, version in cases}

    def _launch(self, attack: Attack, version: str) -> str | Try:
        config = _with_version(attack.config(self._world), version)
        job = None if attack.assets else attack.job
        ops = list(attack.ops) or None
        try:
            return self._front.launch(config, list(attack.assets) or None, job, ops=ops)
        except AssertionError as refusal:
            return Try("refused", str(refusal))

    def of(self, attack: Attack, version: str) -> Try:
        return self._ended(self._begun[attack.name, version])

    def await_all(self) -> None:
        for begun in self._begun.values():
            self._ended(begun)

    def _ended(self, begun: str | Try) -> Try:
        if isinstance(begun, Try):
            return begun
        status = self._front.wait(begun, RUN_SECONDS)
        return Try(status, log_of(self._front, begun))


def _with_version(config: dict[str, Any], version: str) -> dict[str, Any]:
    made = copy.deepcopy(config)
    mlflow = made.setdefault("resources", {}).setdefault("mlflow", {"config": {}})
    mlflow["config"]["version"] = version
    return made


def _parameters(item: pytest.Item) -> dict[str, Any]:
    return getattr(getattr(item, "callspec", None), "params", {})


@pytest.fixture(scope="package")
def tries(request, world) -> Any:
    made: dict[str, Tries] = {}

    def of(name: str) -> Tries:
        if name not in made:
            picked = [
                (case["attack"], case["version"])
                for case in map(_parameters, request.session.items)
                if case.get("front") == name and "attack" in case
            ]
            front = request.getfixturevalue(name)
            made[name] = Tries(front, replace(world, host=front.attacker), picked)
        return made[name]

    return of


@pytest.mark.parametrize(("front", "attack", "version"), CASES)
def test_it_is_refused(
    tries, world: World, front: str, attack: Attack, version: str, record_property
):
    record_property("attack", f"{attack.name} [{version}]")
    record_property("front", front)
    came = tries(front).of(attack, version)
    if attack.refused is None:
        assert came.status == "SUCCESS", came.log[-5000:]
    else:
        assert came.status in ("FAILURE", "refused"), came.status
        found = re.search(rf".*(?:{attack.refused}).*", came.log)
        assert found, came.log[-5000:]
        record_property("message", " ".join(found[0].split()))
    assert MARK not in came.log
    assert ANSWER.decode() not in came.log
    assert "\x1b" not in came.log and "\nERROR forged" not in came.log


@pytest.mark.parametrize("front", FRONTS)
def test_nothing_has_left(request, tries, world: World, front: str, record_property):
    """After all of them: by the network, in files that an attacker chose, in logs."""
    record_property("attack", "what left, by all of these together")
    record_property("front", front)
    tries(front).await_all()
    assert [text for text in world.http.got if MARK in text or "uthorization" in text] == []
    assert world.postgres.got == []
    assert [path.name for path in world.loot.iterdir()] == []
    assert (world.kept / "file").read_text() == "stays"
    assert request.getfixturevalue(front).leaks() == []
