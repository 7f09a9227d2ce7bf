"""Champion and challenger where clients of several versions meet: one truth for all of them."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MlflowVersion
from wine_quality.tracking.registry.champion import ChampionRegistry
from wine_quality.tracking.registry.roles import CHALLENGER, CHAMPION
from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.integration.test_promotion import Registry
from wine_quality_tests.support.servers import MlflowServer
from wine_quality_tests.support.warm_commands import run_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

OLD, MIDDLE, NEW = (MLFLOW_VERSIONS[key] for key in ("1.26", "2.1.1", "3"))
STAGES = {CHAMPION: "Production", CHALLENGER: "Staging"}


@pytest.fixture(autouse=True)
def _pickles_too(home, monkeypatch) -> None:
    monkeypatch.setenv("WINE_QUALITY_LOADABLE_FORMATS", "skops,pickle")


def holders(server: MlflowServer, name: str, role: str) -> tuple[str | None, str | None]:
    """The versions by alias and by stage, as the server itself has them."""
    query = urllib.parse.urlencode({"name": name})
    found = server.get(f"registered-models/get?{query}")["registered_model"]
    aliases = {entry["alias"]: entry["version"] for entry in found.get("aliases", [])}
    stages = {one["current_stage"]: one["version"] for one in found.get("latest_versions", [])}
    return aliases.get(role), stages.get(STAGES[role])


def by(version: MlflowVersion, registry: Registry) -> Registry:
    """The same model, used with that version's client."""
    other = Registry(version, registry.server, registry._folder)
    other.name = registry.name
    return other


@pytest.mark.skipif(
    not (OLD.python.exists() and MIDDLE.python.exists()), reason="no Python 3.11 here"
)
def test_the_champion_of_an_upgraded_server(tmp_path: Path):
    """Stages that MLflow 1.26 set are what MLflow 3 goes on with."""
    server = MlflowServer(OLD, tmp_path / "mlflow")
    registry = Registry(OLD, server, tmp_path)
    try:
        registry.train("0.5")
        assert "takes the place of version 1 (RMSE 0.793164)" in registry.train("0.01")
        assert registry.champion == "2"
    finally:
        server.stop()
    upgrade = [str(NEW.python.with_name("mlflow")), "db", "upgrade", f"sqlite:///{server.database}"]
    done = subprocess.run(upgrade, capture_output=True, text=True, env=NEW.process_variables())
    assert done.returncode == 0, done.stdout + done.stderr
    server = MlflowServer(NEW, tmp_path / "mlflow")
    registry.server = server
    try:
        new = by(NEW, registry)
        output = new.train("0.7")
        assert "version 2 is the champion by its stage Production: it gets the alias" in output
        assert "stays the champion; version 3 (RMSE 0.829" in output, output
        assert holders(server, registry.name, CHAMPION) == ("2", "2")
        assert holders(server, registry.name, CHALLENGER) == ("3", "3")
        for client in (new, by(MIDDLE, registry)):
            output = client.do("promote", "--version", "2")
            assert "version 2 is the champion already" in output
            assert "gets the alias" not in output
        assert "champion       version 1 (before: 2)" in by(MIDDLE, registry).do("rollback")
        assert holders(server, registry.name, CHAMPION) == ("1", "1")
    finally:
        server.stop()


@pytest.mark.skipif(not MIDDLE.python.exists(), reason="no Python 3.11 here")
def test_two_versions_take_turns_on_one_server(mlflow_server: Callable, tmp_path: Path):
    new = Registry(NEW, mlflow_server(NEW), tmp_path)
    middle = by(MIDDLE, new)
    server, name = new.server, new.name
    new.train("0.5")
    assert "takes the place of version 1" in middle.train("0.3")
    assert "takes the place of version 2" in new.train("0.1")
    before = "3"
    for client, command, version in (
        (middle, "promote", "1"),
        (new, "rollback", "3"),
        (middle, "promote", "2"),
        (new, "promote", "1"),
        (middle, "rollback", "2"),
        (new, "rollback", "3"),
        (middle, "promote", "1"),
        (new, "promote", "2"),
    ):
        named = ["--version", version] if command == "promote" else []
        output = client.do(command, *named)
        assert f"champion       version {version} (before: {before})" in output
        assert holders(server, name, CHAMPION) == (version, version)
        assert holders(server, name, CHALLENGER)[0] == holders(server, name, CHALLENGER)[1]
        before = version


def test_two_champions_end_in_one_sentence_and_a_person_decides(
    mlflow_server: Callable, tmp_path: Path
):
    new = Registry(NEW, mlflow_server(NEW), tmp_path)
    new.train("0.5")
    manual = "ops: {champion_model: {config: {policy: manual}}}"
    new.train("0.3", ops=manual)
    new.train("0.1", ops=manual)
    new.server.rest("registered-models/alias", name=new.name, alias=CHAMPION, version="2")
    transition = {"name": new.name, "version": "3", "stage": "Production"}
    new.server.rest("model-versions/transition-stage", **transition)
    for command in ("run", "rollback"):
        output = new.do(command, ok=False)
        assert "version 2 has the alias champion" in output, output
        assert "make promote VERSION=2 (or 3)." in output, output
    assert holders(new.server, new.name, CHAMPION) == ("2", "3")
    output = new.do("promote", "--version", "3")
    assert "champion       version 3 (before: 2)" in output
    assert holders(new.server, new.name, CHAMPION) == ("3", "3")


@pytest.fixture
def proxy(mlflow_server) -> Iterator[FaultProxy]:
    proxy = FaultProxy(mlflow_server(NEW).uri)
    yield proxy
    proxy.stop()


@pytest.mark.parametrize(
    "answer",
    [
        (404, b"<!doctype html><title>404 Not Found</title>"),
        (404, b'{"detail":"Not Found"}'),
        (410, b"Gone"),
    ],
    ids=["404", "404-json", "410"],
)
def test_a_server_without_stages(mlflow_server, proxy, answer):
    """A stand-in refuses what MLflow has announced to remove."""
    server, name = mlflow_server(NEW), f"roles-{uuid.uuid4().hex[:8]}"
    client = MlflowClient(proxy.uri)
    client.create_registered_model(name)
    for _ in range(2):
        client.create_model_version(name, "s3://bucket/nowhere")
    proxy.refuse("transition-stage|get-latest-versions", answer=answer)
    registry = ChampionRegistry(client, name)
    for version in ("1", "2"):
        registry.assign_role(CHALLENGER, version)
        registry.promote(version, registry.adopt(CHAMPION, print))
        assert registry.holder(CHAMPION) == version
        assert holders(server, name, CHAMPION) == (version, None)
        assert holders(server, name, CHALLENGER) == (None, None)


# In the environment of MLflow 2.1.1, whose client knows no aliases.
_OTHER_CLIENT = """
import json, sys
from mlflow.tracking import MlflowClient
from wine_quality.tracking.registry.champion import ChampionRegistry
from wine_quality.upkeep.kept_versions import _aliased
registry = ChampionRegistry(MlflowClient(sys.argv[1]), sys.argv[2])
notes = []
seen = [registry.adopt("champion", notes.append), registry.holder("challenger")]
kept = sorted(_aliased(registry._client, registry.name))
registry.assign_role("challenger", "2")
registry.promote("2", seen[0])
seen.append(registry.holder("champion"))
print(json.dumps([*seen, kept, notes]))
"""


@pytest.mark.parametrize("of_server", [NEW, MIDDLE], ids=["3", "2.1.1"])
@pytest.mark.skipif(not MIDDLE.python.exists(), reason="no Python 3.11 here")
def test_the_client_of_2_1_1(mlflow_server: Callable, of_server: MlflowVersion):
    server, name = mlflow_server(of_server), f"O'Brien-{uuid.uuid4().hex[:8]}"
    server.rest("registered-models/create", name=name)
    for _ in range(3):
        server.rest("model-versions/create", name=name, source="s3://bucket/nowhere")
    at_first = {"name": name, "version": "1", "stage": "Production"}
    server.rest("model-versions/transition-stage", **at_first)
    if of_server is NEW:
        server.rest("registered-models/alias", name=name, alias="theirs", version="3")
    done = run_python(
        *(MIDDLE.python, "-W", "ignore", "-c", _OTHER_CLIENT, server.uri, name),
        env=MIDDLE.process_variables(),
    )
    assert done.returncode == 0, done.stderr
    champion, challenger, promoted, kept, notes = json.loads(done.stdout.splitlines()[-1])
    assert (champion, challenger, promoted) == ("1", None, "2")
    alias, stage = holders(server, name, CHAMPION)
    assert stage == "2" and holders(server, name, CHALLENGER) == (None, None)
    if of_server is NEW:
        assert alias == "2" and kept == ["1", "3"] and "gets the alias champion" in notes[0]
    else:
        assert alias is None and kept == notes == []
