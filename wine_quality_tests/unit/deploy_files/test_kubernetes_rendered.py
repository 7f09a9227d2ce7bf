"""deploy/kubernetes as kubectl and helm render it, without a cluster.

Dagster's chart is not on the package index: where it is at hand, ``$WINE_QUALITY_DAGSTER_CHART``
names its folder or archive, and ``$WINE_QUALITY_DAGSTER_VALUES_SCHEMA`` the schema of its values.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.unit.deploy_files.test_kubernetes import KUBERNETES, slug, values

EXAMPLE = PROJECT_ROOT / "deploy" / "kubernetes-example"
RELEASES = ("1.30", "1.36")
CHART = os.environ.get("WINE_QUALITY_DAGSTER_CHART", "")
SCHEMA = os.environ.get("WINE_QUALITY_DAGSTER_VALUES_SCHEMA", "")

needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl")
needs_chart = pytest.mark.skipif(
    not (CHART and shutil.which("helm") and shutil.which("kubectl")),
    reason="no helm, or $WINE_QUALITY_DAGSTER_CHART is not set",
)


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    """A cluster's folder as the README has people make it: a copy with addresses and secrets."""
    root = tmp_path_factory.mktemp("cluster")
    folder = shutil.copytree(EXAMPLE, root / "deploy" / "own")
    # kustomize takes folders by relative paths only.
    shutil.copytree(KUBERNETES, root / "deploy" / "kubernetes")
    shutil.copytree(KUBERNETES.parent / "requirements", root / "deploy" / "requirements")
    for example in folder.glob("*.env.example"):
        filled = example.read_text().replace("=\n", "=filled-in\n")
        example.with_suffix("").write_text(filled)
    text = (folder / "kustomization.yaml").read_text()
    text = text.replace("newName: registry.example.internal/", "newName: registry.test/")
    (folder / "kustomization.yaml").write_text(text.replace("postgres.example.", "postgres.own."))
    return folder


def install(folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    script = folder.parent / "kubernetes" / "install.sh"
    environment = {**os.environ, "CHART": CHART, **variables}
    return subprocess.run(
        ["sh", str(script), str(folder), "--dry-run"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture(scope="module")
def rendered(own) -> list[dict]:
    done = subprocess.run(
        ["kubectl", "kustomize", str(own)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return list(yaml.safe_load_all(done.stdout))


@pytest.fixture(scope="module")
def everything(own) -> list[dict]:
    done = install(own, IMAGE="registry.test/dagster:9")
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def check_strictly(documents: list[dict]) -> None:
    import kubernetes_validate

    for document in documents:
        for release in RELEASES:
            kubernetes_validate.validate(document, release, strict=True)


def test_the_kustomization_lists_every_manifest():
    listed = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    files = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert set(listed) == files - {"kustomization.yaml", "dagster-values.yaml"}
    assert len(listed) == len(set(listed))


@needs_kubectl
def test_one_kustomization_renders_all_but_dagster(rendered):
    check_strictly(rendered)
    named = {(one["kind"], one["metadata"]["name"]) for one in rendered}
    for key in MLFLOW_VERSIONS:
        for kind in ("Deployment", "Service", "PodDisruptionBudget"):
            assert (kind, slug(key)) in named
    for secret in ("dagster-postgresql", "mlflow", "wine-quality"):
        # No hash is part of the name: Dagster's chart asks for it.
        assert ("Secret", secret) in named
    spaces = {one["metadata"].get("namespace") for one in rendered if one["kind"] != "Namespace"}
    assert spaces == {"wine-quality"}


@needs_kubectl
def test_addresses_and_images_of_the_overlay_are_used(rendered):
    text = yaml.safe_dump_all(rendered)
    assert "registry.example.internal" not in text
    (config,) = (
        one
        for one in rendered
        if one["kind"] == "ConfigMap" and one["metadata"]["name"] == "mlflow"
    )
    assert config["data"]["POSTGRES_HOST"] == "postgres.own.internal"
    images = {
        one["spec"]["template"]["spec"]["containers"][0]["image"]
        for one in rendered
        if one["kind"] == "Deployment"
    }
    assert images == {f"registry.test/wine-quality-mlflow:{key}" for key in MLFLOW_VERSIONS}


def stub_tools(folder: Path) -> str:
    """PATH with a kubectl and a helm that are never asked anything."""
    folder.mkdir()
    for name in ("kubectl", "helm"):
        (folder / name).write_text("#!/bin/sh\necho called >&2; exit 3\n")
        (folder / name).chmod(0o755)
    return f"{folder}{os.pathsep}{os.environ['PATH']}"


def test_a_missing_secret_stops_before_anything_is_asked(tmp_path, own):
    path = stub_tools(tmp_path / "bin")
    folder = shutil.copytree(own, own.parent / "lacking")
    secret = folder / "mlflow.env"
    secret.write_text(
        secret.read_text().replace("AWS_ACCESS_KEY_ID=filled-in", "AWS_ACCESS_KEY_ID=")
    )
    done = install(folder, PATH=path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"install.sh: {secret} has no value for AWS_ACCESS_KEY_ID\n"
    secret.unlink()
    done = install(folder, PATH=path)
    assert done.stderr == f"install.sh: {secret} is missing; copy mlflow.env.example\n"


def test_dagster_has_probes_that_its_chart_passes_on():
    """Of the code server the chart takes only commands; each startup probe has to be enabled."""
    webserver, daemon = values()["dagsterWebserver"], values()["dagsterDaemon"]
    (code,) = values()["dagster-user-deployments"]["deployments"]
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert webserver[kind]["httpGet"] == {
            "path": "/server_info",
            "port": webserver["service"]["port"],
        }
        *program, address = code[kind]["exec"]["command"]
        assert program == ["python", "-m", "wine_quality.stack.health", "code"]
        assert address == f"127.0.0.1:{code['port']}"
    assert webserver["startupProbe"]["enabled"] is code["startupProbe"]["enabled"] is True
    assert daemon["livenessProbe"]["exec"]["command"] == ["dagster-daemon", "liveness-check"]


@needs_chart
def test_the_probes_reach_the_pods_of_dagster(everything):
    found = {
        one["spec"]["template"]["metadata"]["labels"]["component"]: set(container)
        for one in everything
        if one["kind"] == "Deployment"
        and "component" in one["spec"]["template"]["metadata"]["labels"]
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    every = {"startupProbe", "readinessProbe", "livenessProbe"}
    assert every <= found["user-deployments"]
    assert "livenessProbe" in found["dagster-daemon"]
    assert len(found) == 3  # the webserver's component had another name in older charts
    assert all("livenessProbe" in container for container in found.values())


@needs_chart
def test_the_whole_platform_renders_and_is_strictly_valid(everything):
    check_strictly(everything)
    images = {
        container["image"]
        for one in everything
        if one["kind"] == "Deployment" and one["spec"]["template"]["spec"]["containers"]
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    mlflow = {f"registry.test/wine-quality-mlflow:{key}" for key in MLFLOW_VERSIONS}
    assert images == {*mlflow, "registry.test/dagster:9"}


@needs_chart
def test_each_network_policy_selects_pods_that_are_there(everything):
    pods = [
        one["spec"]["template"]["metadata"]["labels"]
        for one in everything
        if one["kind"] == "Deployment"
    ]
    for policy in (one for one in everything if one["kind"] == "NetworkPolicy"):
        wanted = policy["spec"]["podSelector"].get("matchLabels", {})
        selected = [labels for labels in pods if wanted.items() <= labels.items()]
        assert selected, policy["metadata"]["name"]
        for rule in policy["spec"].get("ingress", []):
            for peer in rule["from"]:
                for term in peer["podSelector"].get("matchExpressions", []):
                    components = {labels.get(term["key"]) for labels in pods}
                    assert set(term["values"]) <= components


@needs_chart
def test_dagster_accepts_the_dagster_yaml_of_the_chart(everything, tmp_path, monkeypatch):
    from dagster._config import process_config
    from dagster._core.instance.ref import InstanceRef
    from dagster_k8s import K8sRunLauncher

    from wine_quality.execution.run_pods import VersionPodRunCoordinator

    (config,) = (one for one in everything if "dagster.yaml" in (one.get("data") or {}))
    (tmp_path / "dagster.yaml").write_text(config["data"]["dagster.yaml"])
    monkeypatch.setenv("DAGSTER_PG_PASSWORD", "any")
    loaded = InstanceRef.from_dir(str(tmp_path))
    assert loaded.settings["run_monitoring"]["max_runtime_seconds"] == 86400
    assert loaded.settings["telemetry"] == {"enabled": False}
    for data, kind in (
        (loaded.run_launcher_data, K8sRunLauncher),
        (loaded.run_coordinator_data, VersionPodRunCoordinator),
    ):
        assert (data.class_name, data.module_name.split(".")[0]) == (
            kind.__name__,
            kind.__module__.split(".")[0],
        )
        checked = process_config(kind.config_type(), yaml.safe_load(data.config_yaml))
        assert checked.success, [error.message for error in checked.errors]
    coordinator = yaml.safe_load(loaded.run_coordinator_data.config_yaml)
    assert sorted(coordinator["pods"]) == sorted(MLFLOW_VERSIONS)


def is_wrong(error) -> bool:
    """Whether it is more than a value that is missing here: those are among the chart's own."""
    if error.validator == "required":
        return False
    branches: dict[int, bool] = {}
    for below in error.context or ():
        branch = below.schema_path[0]
        branches[branch] = branches.get(branch, False) or is_wrong(below)
    return all(branches.values())


@pytest.mark.skipif(not SCHEMA, reason="$WINE_QUALITY_DAGSTER_VALUES_SCHEMA is not set")
def test_values_fit_the_schema_of_the_chart():
    import jsonschema

    schema = json.loads(Path(SCHEMA).read_text())
    validator = jsonschema.validators.validator_for(schema)(schema)
    for given in (values(), yaml.safe_load((EXAMPLE / "dagster-values.yaml").read_text())):
        errors = filter(is_wrong, validator.iter_errors(given))
        assert [f"{one.json_path}: {one.message}" for one in errors] == []
    wrong = {"telemetry": {"enabled": "sometimes"}}
    assert any(map(is_wrong, validator.iter_errors(wrong)))
