"""deploy/kubernetes: fits Kubernetes' schemas, and what deploy/docker-compose was run with.

No cluster: nothing here shows that pods start.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import pytest
import yaml

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack.settings import FOLDER

KUBERNETES = PROJECT_ROOT / "deploy" / "kubernetes"
NO_MANIFESTS = ("dagster-values.yaml", "kustomization.yaml")
MANIFESTS = sorted(path.name for path in KUBERNETES.glob("*.yaml") if path.name not in NO_MANIFESTS)
SECRETS = {
    path.name.removesuffix(".env.example"): dict(
        re.findall(r"^([^#=\n]+)=(.*)$", path.read_text(), flags=re.M)
    )
    for path in (KUBERNETES.parent / "kubernetes-example").glob("*.env.example")
}
# What serve.sh and MLflow read, by the list at the top of it.
SERVE = (FOLDER / "mlflow" / "serve.sh").read_text()
KEYS = list(MLFLOW_VERSIONS)

# The keys of the chart that the values may use, by its schema (helm/dagster/schema in the
# repository of Dagster). Helm ignores those that it does not know.
_POD = {"podSecurityContext", "securityContext", "volumes", "volumeMounts", "resources", "image"}
_ENV = {"env", "envConfigMaps", "envSecrets", "labels"}
_PROBES = {"startupProbe", "readinessProbe", "livenessProbe"}
CHART = {
    (): {"global", "generatePostgresqlPasswordSecret", "postgresql", "telemetry"}
    | {"computeLogManager", "additionalInstanceConfig", "dagsterWebserver", "dagsterDaemon"}
    | {"runLauncher", "dagster-user-deployments"},
    ("global",): {"postgresqlSecretName", "dagsterHome"},
    ("postgresql",): {"enabled", "postgresqlHost", "postgresqlUsername", "postgresqlDatabase"}
    | {"postgresqlScheme", "service"},
    ("dagsterWebserver",): _POD | _ENV | _PROBES | {"replicaCount", "service", "dbPoolRecycle"},
    ("dagsterDaemon",): _POD | _ENV | _PROBES | {"enabled", "runCoordinator", "runMonitoring"},
    ("dagsterDaemon", "runCoordinator"): {"enabled", "type", "config"},
    ("dagsterDaemon", "runMonitoring"): {"enabled", "pollIntervalSeconds", "startTimeoutSeconds"}
    | {"cancelTimeoutSeconds", "maxResumeRunAttempts", "maxRuntimeSeconds"},
    ("runLauncher", "config", "k8sRunLauncher"): {"imagePullPolicy", "runK8sConfig"},
    ("dagster-user-deployments",): {"enabled", "enableSubchart", "deployments"},
    ("dagster-user-deployments", "deployments"): _POD
    | _ENV
    | _PROBES
    | {"name", "dagsterApiGrpcArgs", "port", "includeConfigInLaunchedRuns"},
}


def documents(name: str) -> list[dict]:
    return list(yaml.safe_load_all((KUBERNETES / name).read_text()))


def found(kind: str, name: str) -> dict:
    every = [document for file in MANIFESTS for document in documents(file)]
    (one,) = (d for d in every if d["kind"] == kind and d["metadata"]["name"] == name)
    return one


@lru_cache(maxsize=1)
def values() -> dict:
    return yaml.safe_load((KUBERNETES / "dagster-values.yaml").read_text())


def slug(key: str) -> str:
    return "mlflow-" + key.replace(".", "-")


def container(key: str) -> dict:
    (one,) = found("Deployment", slug(key))["spec"]["template"]["spec"]["containers"]
    return one


def server_variables(key: str) -> dict[str, str]:
    """Variables of a server's process, secrets as empty strings."""
    variables: dict[str, str] = {}
    for entry in container(key)["envFrom"]:
        ((source, reference),) = entry.items()
        name = reference["name"]
        is_secret = source == "secretRef"
        variables.update(SECRETS[name] if is_secret else found("ConfigMap", name)["data"])
    return {**variables, **{one["name"]: one["value"] for one in container(key)["env"]}}


@pytest.mark.parametrize("release", ["1.30", "1.36"])
@pytest.mark.parametrize("name", MANIFESTS)
def test_manifests_fit_kubernetes_schemas(name, release):
    import kubernetes_validate

    for document in documents(name):
        kubernetes_validate.validate(document, release, strict=True)


def test_the_check_sees_a_misspelled_field():
    import kubernetes_validate

    wrong = documents("mlflow-3.yaml")[0]
    wrong["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(wrong, "1.36", strict=True)


@pytest.mark.parametrize("key", KEYS)
def test_a_server_gets_what_its_script_reads(key):
    read = set(re.findall(r"[A-Z][A-Z0-9_]{3,}", "\n".join(SERVE.splitlines()[4:8])))
    assert {"POSTGRES_HOST", "MLFLOW_BUCKET", "MLFLOW_PORT", "MLFLOW_SERVER_ALLOWED_HOSTS"} < read
    given = server_variables(key)
    own = {"HOME", *MLFLOW_VERSIONS[key].variables}
    assert set(given) - own == read
    assert {name: given[name] for name in MLFLOW_VERSIONS[key].variables} == dict(
        MLFLOW_VERSIONS[key].variables
    )
    assert given["MLFLOW_POSTGRES_DB"] in (FOLDER / "postgres" / "init.sql").read_text()
    assert given["MLFLOW_POSTGRES_DB"] == slug(key).replace("-", "_")


@pytest.mark.parametrize("key", KEYS)
def test_ports_and_buckets_are_those_of_the_compose_file(key):
    demo = dict(
        line.split("=", 1)
        for line in (FOLDER / ".env.example").read_text().splitlines()
        if "=" in line and not line.startswith("#")
    )
    port = int(demo[f"MLFLOW_{key.replace('.', '_')}_PORT"])
    assert container(key)["ports"] == [{"name": "http", "containerPort": port}]
    assert server_variables(key)["MLFLOW_PORT"] == str(port)
    (service,) = found("Service", slug(key))["spec"]["ports"]
    assert (service["port"], service["targetPort"]) == (port, "http")
    reached = found("ConfigMap", "wine-quality")["data"]
    assert reached[f"WINE_QUALITY_MLFLOW_URI_{key.replace('.', '_')}"] == (
        f"http://{slug(key)}:{port}"
    )
    assert server_variables(key)["MLFLOW_BUCKET"] == demo["MLFLOW_BUCKET"]
    assert reached["WINE_QUALITY_ASSETS"] == f"s3://{demo['ASSETS_BUCKET']}/assets"
    assert values()["dagsterWebserver"]["service"]["port"] == int(demo["DAGSTER_PORT"])
    assert values()["postgresql"]["postgresqlDatabase"] == demo["DAGSTER_POSTGRES_DB"]
    assert values()["postgresql"]["postgresqlUsername"] == demo["DAGSTER_POSTGRES_USER"]


def test_mlflow_3_answers_the_name_that_runs_call_it_by():
    hosts = found("ConfigMap", "mlflow")["data"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert {"mlflow-3", "mlflow-3:*", "localhost:*"} <= set(hosts)
    assert "*" not in hosts


def test_variables_of_runs_are_documented_and_hold_no_key_of_the_artifacts():
    given = {
        *found("ConfigMap", "wine-quality")["data"],
        *SECRETS["wine-quality"],
    }
    assert not [name for name in given if name.startswith("AWS_")]
    documented = "".join(
        page.read_text()
        for page in (FOLDER / "README.md", *sorted((PROJECT_ROOT / "docs").rglob("*.md")))
    )
    names = re.sub(r"`(\w+_)\{([\w,]+)\}`", _spelled_out, documented)
    # One for each version: the documentation says <version>.
    given = {re.sub(r"(MLFLOW_URI|MLFLOW_UI)_[\d_]+$", r"\1_<version>", name) for name in given}
    assert [name for name in sorted(given - {"HOME"}) if name not in names] == []


def _spelled_out(match: re.Match) -> str:
    return " ".join(match[1] + end for end in match[2].split(","))


def test_the_servers_files_differ_only_where_versions_do():
    def plain(key: str) -> str:
        text = (KUBERNETES / f"mlflow-{key}.yaml").read_text()
        text = re.sub(
            r"(\n +# Generated.*)?(\n +- \{name: (PROTO|SETUP|MLFLOW_SERVER).*)+", "", text
        )
        for own in (slug(key), slug(key).replace("-", "_"), container(key)["image"]):
            text = text.replace(own, "OWN")
        text = text.replace(f"MLflow {key} ", "MLflow ")
        return re.sub(r"\b510[0-2]\b|memory: \w+", "N", text)

    assert plain("2.1.1") == plain("3")
    assert plain("1.26") == plain("3")


def test_secrets_are_named_but_not_written():
    assert set(SECRETS) == {"dagster-postgresql", "mlflow", "wine-quality"}
    assert not [value for secret in SECRETS.values() for value in secret.values() if value]
    assert not [d for name in MANIFESTS for d in documents(name) if d["kind"] == "Secret"]
    for name in (*MANIFESTS, "dagster-values.yaml"):
        for path, value in leaves(documents(name)):
            if re.search(r"password|secret|_key", path[-1], re.I) and isinstance(value, str):
                assert value in ("", "dagster-postgresql"), path


def leaves(node: Any, path: tuple[str, ...] = ("",)):
    if isinstance(node, dict):
        for key, value in node.items():
            yield from leaves(value, (*path, str(key)))
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, path)
    else:
        yield path, node


@pytest.mark.parametrize("key", KEYS)
def test_servers_run_without_root_on_a_read_only_disk(key):
    pod = found("Deployment", slug(key))["spec"]["template"]["spec"]
    check_security(pod["securityContext"], container(key)["securityContext"])
    assert pod["automountServiceAccountToken"] is False
    assert {"startupProbe", "readinessProbe", "livenessProbe", "resources"} < set(container(key))


def test_dagster_runs_without_root_on_a_read_only_disk():
    for part in dagster_parts():
        check_security(part["podSecurityContext"], part["securityContext"])
        assert part["resources"]["limits"]["memory"]
        assert {mount["mountPath"] for mount in part["volumeMounts"]} == {
            "/tmp",
            values()["global"]["dagsterHome"],
        }


def check_security(pod: dict, own: dict) -> None:
    assert pod["runAsNonRoot"] is True
    assert pod["runAsUser"] > 0
    assert pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["readOnlyRootFilesystem"] is True
    assert own["allowPrivilegeEscalation"] is False
    assert own["capabilities"] == {"drop": ["ALL"]}


def dagster_parts() -> list[dict]:
    every = values()
    code = every["dagster-user-deployments"]["deployments"]
    return [every["dagsterWebserver"], every["dagsterDaemon"], *code]


def images() -> list[str]:
    served = [container(key)["image"] for key in KEYS]
    own = [f"{p['image']['repository']}:{p['image']['tag']}" for p in dagster_parts()]
    return [*served, *own]


def test_images_are_pinned():
    for image in images():
        name, _, tag = image.rpartition(":")
        assert name and tag and tag != "latest"
    assert len({str(part["image"]) for part in dagster_parts()}) == 1


def test_images_are_those_of_the_compose_file():
    services = yaml.safe_load((FOLDER / "MLOps.yml").read_text())["services"].values()
    built = {service["image"].rsplit("/", 1)[-1].split(":")[0] for service in services}
    assert {image.rsplit("/", 1)[-1].split(":")[0] for image in images()} <= built


@pytest.mark.parametrize("path", CHART, ids=".".join)
def test_values_use_keys_of_the_chart(path):
    node: Any = values()
    for name in path:
        node = node[name]
    for one in node if isinstance(node, list) else [node]:
        assert set(one) <= CHART[path]


def test_values_say_what_the_compose_files_instance_does():
    instance = yaml.safe_load((FOLDER / "dagster.yaml").read_text())
    every = values()
    monitoring = every["dagsterDaemon"]["runMonitoring"]
    assert every["telemetry"] == instance["telemetry"]
    assert every["additionalInstanceConfig"] == {
        name: instance[name] for name in ("nux", "freshness")
    }
    embedded = yaml.safe_load((PROJECT_ROOT / "dagster.yaml").read_text())
    for of_instance in (instance["run_monitoring"], embedded["run_monitoring"]):
        assert monitoring["pollIntervalSeconds"] == of_instance["poll_interval_seconds"]
        assert monitoring["cancelTimeoutSeconds"] == of_instance["cancel_timeout_seconds"]
        # The one-day limit that the documents promise.
        assert monitoring["maxRuntimeSeconds"] == of_instance["max_runtime_seconds"] == 86400
    assert (
        every["postgresql"]["postgresqlScheme"]
        == (instance["storage"]["postgres"]["postgres_db"]["scheme"])
    )
    assert every["postgresql"]["enabled"] is False
    assert every["global"]["postgresqlSecretName"] == "dagster-postgresql"


def test_only_the_code_servers_pods_and_their_runs_reach_mlflow():
    (rule,) = found("NetworkPolicy", "mlflow")["spec"]["ingress"]
    (source,) = rule["from"]
    webserver, daemon, code = dagster_parts()
    assert source["podSelector"]["matchLabels"] == code["labels"]
    assert "labels" not in webserver and "labels" not in daemon
    assert code["includeConfigInLaunchedRuns"] == {"enabled": True}
    assert "envSecrets" not in webserver and "envSecrets" not in daemon
