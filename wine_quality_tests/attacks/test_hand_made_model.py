"""A champion that was made by the MLflow server's HTTP API alone is loaded by nobody.

On the stack; ``test_provenance`` does the same on a server by itself, in `make test`.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MlflowVersion
from wine_quality.tracking.registry.provenance import SIGNATURE_TAG
from wine_quality_tests.attacks.conftest import ALL, VERSIONS
from wine_quality_tests.attacks.fronts import log_of
from wine_quality_tests.attacks.hand_made import make_champion, put_payload, register, tags_of
from wine_quality_tests.attacks.table import World
from wine_quality_tests.support.model_server import NAME, Regressor
from wine_quality_tests.support.servers import MlflowServer
from wine_quality_tests.support.serving import Serve
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(not ALL, reason="`make attack` starts the stack"),
]
RUN_SECONDS = 300
REFUSED = "its signature was made for another model, run or files"


class HttpApi(MlflowServer):
    """Of a server that runs already."""

    def __init__(self, version: MlflowVersion, uri: str) -> None:
        self.version, self.uri = version, uri


@pytest.mark.parametrize("key", VERSIONS)
def test_a_hand_made_champion(stack, world: World, key: str, tmp_path: Path, record_property):
    record_property("attack", f"a pickle that was registered by hand [{key}]")
    record_property("front", "stack")
    version, api = MLFLOW_VERSIONS[key], HttpApi(MLFLOW_VERSIONS[key], stack.mlflow(key))
    picked = {"resources": {"mlflow": {"config": {"version": key}}}}
    run = stack.launch(picked)
    assert stack.wait(run, RUN_SECONDS) == "SUCCESS", log_of(stack, run)
    genuine = next(one for one in api.versions(NAME) if one["run_id"])
    files, canary = tmp_path / "files", world.loot / f"unpickled-{key}"
    put_payload(Regressor(files).files, canary)
    copied = {SIGNATURE_TAG: tags_of(genuine)[SIGNATURE_TAG]}
    evil = register(api, genuine, files, copied)
    make_champion(api, NAME, evil)
    try:
        promoting = {**picked, "ops": {"promote_version": {"config": {"version": evil}}}}
        runs = {
            "FAILURE": [
                stack.launch(picked, assets=["model_deployment"]),
                stack.launch(promoting, job="wine_quality_promotion"),
            ],
            "SUCCESS": [stack.launch(picked)],
        }
        for status, launched in runs.items():
            for run in launched:
                assert stack.wait(run, RUN_SECONDS) == status
                assert REFUSED in log_of(stack, run)
        assert api.holder(NAME, "champion") == evil
        options = ("--mlflow", key, "--tracking-uri", api.uri)
        image = run_command("image", "--no-build", *options, env=stack.environment)
        assert REFUSED in image.stderr
        serving = {**stack.environment, "MLFLOW_TRACKING_URI": api.uri}
        with Serve(stack.home, version, "--tracking-uri", api.uri, **serving) as server:
            server.await_output(REFUSED)
    finally:
        make_champion(api, NAME, genuine["version"])
    assert not canary.exists()
    record_property("message", REFUSED)
