"""Names of models and experiments that hold quotes, percent signs and emoji, on each version."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from wine_quality_tests.integration.test_promotion import Registry
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def registry(home, mlflow_version, mlflow_server: Callable, tmp_path: Path) -> Registry:
    return Registry(mlflow_version, mlflow_server(mlflow_version), tmp_path)


class Named(Registry):
    """With another name, quoted for YAML and for MLflow's REST."""

    def __init__(self, other: Registry, name: str) -> None:
        super().__init__(other.server.version, other.server, other._folder)
        self.name = f"{name} {other.name}" if name else other.name

    @property
    def quoted(self) -> str:
        return json.dumps(self.name, ensure_ascii=False)

    @property
    def roles(self) -> dict[str, str]:
        """Version by stage, which every version writes on its server."""
        found = self.server.rest("registered-models/get-latest-versions", name=self.name)
        return {one["current_stage"]: one["version"] for one in found["model_versions"]}

    def arguments(self, command, *options, **more):
        plain, self.name = self.name, self.quoted
        try:
            return super().arguments(command, *options, **more)
        finally:
            self.name = plain


def test_a_name_with_quotes_signs_and_emoji(registry):
    """Both quotes at once, which MLflow's filters cannot have; the unit tests have either."""
    named = Named(registry, 'O\'Brien "100%" 🍷 %27 `x`')
    assert "is the first champion" in named.train("0.5")
    assert "takes the place of version 1" in named.train("0.1")
    assert named.roles["Production"] == "2"
    assert "champion       version 1 (before: 2)" in named.do("rollback")
    assert named.roles["Production"] == "1"


@pytest.mark.parametrize("name", ["a/b", "a:b"])
def test_names_that_some_version_refuses_are_refused_before_training(registry, name):
    named = Named(registry, "")
    config = named._folder / "refused.yaml"
    config.write_text(
        f"resources: {{mlflow: {{config: {{registered_model_name: {json.dumps(name)}, "
        f"experiment_name: {named.name}}}}}}}\n"
    )
    arguments = ["--tracking-uri", named.server.uri, "--config", str(config)]
    done = run_command("run", "--mlflow", named.key, *arguments)
    assert done.returncode != 0
    assert "registered_model_name" in done.stdout + done.stderr
    assert named.server.runs(named.name) == []
