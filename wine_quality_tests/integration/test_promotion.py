"""Champion and challenger on each version's real server: promoted, refused, rolled back."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.support.servers import MlflowServer
from wine_quality_tests.support.warm_commands import forked_command, run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

POOR, BETTER, BEST = "0.5", "0.3", "0.1"  # alpha: less penalty is better here
BEFORE_CROWNING = r"/model-versions/set-tag"
TAGS_BEFORE = 1  # that the decision is open
# A client with stages, in an environment of its own, and the one with aliases: what comes of their
# decisions is the same code for 1.26 and 2.1.1, which the other tests run on both.
STAGES_AND_ALIASES = pytest.mark.parametrize("mlflow_version", ["1.26", "3"], indirect=True)


class Registry:
    """A registered model of its own, and commands that work on it."""

    def __init__(self, version: MlflowVersion, server: MlflowServer, folder: Path) -> None:
        self.key, self.server = version.key, server
        self.name = f"promotion-{uuid.uuid4().hex[:8]}"
        self._folder = folder

    def arguments(
        self, command: str, *options: str, uri: str | None = None, ops: str = ""
    ) -> list[str]:
        config = self._folder / f"{uuid.uuid4().hex}.yaml"
        config.write_text(
            f"resources: {{mlflow: {{config: {{registered_model_name: {self.name}, "
            f"experiment_name: {self.name}}}}}}}\n{ops}\n"
        )
        return [
            *(command, "--mlflow", self.key),
            *("--tracking-uri", uri or self.server.uri, "--config", str(config), *options),
        ]

    def command(self, command: str, *options: str, **more: str) -> list[str]:
        """For a process that does not end by itself."""
        return forked_command("-m", "wine_quality", *self.arguments(command, *options, **more))

    def do(
        self, command: str, *options: str, ok: bool = True, seconds: float = 200, **more: str
    ) -> str:
        done = run_command(*self.arguments(command, *options, **more), timeout=seconds)
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    def train(self, alpha: str, **more) -> str:
        return self.do("run", "--alpha", alpha, **more)

    @property
    def champion(self) -> str | None:
        return self.server.holder(self.name, "champion")

    @property
    def challenger(self) -> str | None:
        return self.server.holder(self.name, "challenger")


@pytest.fixture
def registry(home, mlflow_version, mlflow_server: Callable, tmp_path: Path) -> Registry:
    return Registry(mlflow_version, mlflow_server(mlflow_version), tmp_path)


def test_the_better_one_is_champion_and_a_rollback_returns(registry):
    assert "is the first champion" in registry.train(POOR)
    assert (registry.champion, registry.challenger) == ("1", None)
    assert "takes the place of version 1 (RMSE 0.793164)" in registry.train(BEST)
    assert (registry.champion, registry.challenger) == ("2", None)
    assert "version 2 (RMSE 0.730900) stays the champion" in registry.train(POOR)
    assert (registry.champion, registry.challenger) == ("2", "3")
    assert "champion       version 1 (before: 2)" in registry.do("rollback")
    assert registry.champion == "1"
    # Nothing to return to any more, and no withdrawn version comes back by itself.
    assert "replaced no other version" in registry.do("rollback", ok=False)
    assert "stays the champion" in registry.train(POOR)
    assert registry.champion == "1"
    assert "champion       version 2 (before: 1)" in registry.do("promote", "--version", "2")
    assert registry.champion == "2"
    assert "no version '9'" in registry.do("promote", "--version", "9", ok=False)


@STAGES_AND_ALIASES
def test_manual_approval(registry):
    manual = "ops: {champion_model: {config: {policy: manual}}}"
    assert "Launch wine_quality_promotion" in registry.train(POOR, ops=manual)
    assert (registry.champion, registry.challenger) == (None, "1")
    assert "champion       version 1 (before: none)" in registry.do("promote")
    assert (registry.champion, registry.challenger) == ("1", None)
    assert "has no challenger" in registry.do("promote", ok=False)


def test_a_deleted_champion_is_replaced(registry):
    registry.train(BEST)
    registry.server.rest("model-versions/delete", "DELETE", name=registry.name, version="1")
    assert "is the first champion" in registry.train(POOR)
    assert registry.champion == "2"


@STAGES_AND_ALIASES
def test_a_model_that_is_no_model_is_not_registered(registry):
    registry.train(POOR)
    output = registry.train("1000", ok=False)
    assert "beats_predicting_the_mean" in output
    assert len(registry.server.versions(registry.name)) == 1
    assert registry.champion == "1"
    assert sorted(registry.server.statuses(registry.name)) == ["FAILED", "FINISHED"]


def test_of_two_that_end_together_the_better_one_is_champion(registry, tmp_path: Path):
    registry.train(POOR)
    proxy = FaultProxy(registry.server.uri)
    # The worse one has decided, and stands still before it promotes itself.
    proxy.hold(BEFORE_CROWNING, after=TAGS_BEFORE)
    log = tmp_path / "log"
    slow = subprocess.Popen(
        registry.command("run", "--alpha", BETTER, uri=proxy.uri),
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        cwd=PROJECT_ROOT,
    )
    try:
        assert proxy.held.wait(60), log.read_text()
        assert registry.champion == "1"
        registry.train(BEST)
        assert registry.champion == "3"
        proxy.release()
        assert slow.wait(60) == 0, log.read_text()
    finally:
        slow.kill()
        proxy.stop()
    assert "version 3 (RMSE 0.730900) stays the champion" in log.read_text()
    assert registry.champion == "3"
