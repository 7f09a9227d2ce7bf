"""The model's manifests, held against the schemas of their resources.

No cluster: nothing here shows that a controller takes them.
"""

from __future__ import annotations

import copy
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pydantic
import pytest
import yaml
from dagster import DagsterInvalidConfigError, job, op, validate_run_config
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes_validate import ValidationError, validate

from wine_quality.dagster_support.config_fields import describe_problems
from wine_quality.defs.deployment.model_deployment import DeploymentConfig, ManifestConfig
from wine_quality.deployment.manifest_settings import (
    KSERVE_MODES,
    LONGEST_NAME,
    ManifestModel,
    ManifestSettings,
)
from wine_quality.deployment.manifests import yaml_files, yaml_text
from wine_quality.deployment.targets import load_target, target_names
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support import published_models
from wine_quality_tests.support.resource_schemas import RELEASES, WRONG, check, schema

MODEL = ManifestModel(
    name="ElasticnetWineModel",
    version="7",
    run_id="082c239b4ee54bef83e9927de3b51aa3",
    mlflow_version="1.26",
    scikit_learn_version="1.2.2",
    requirements_hash="0123abcd99",
    storage_uri="s3://assetsbucket/deployments/ElasticnetWineModel/7/repository",
)
TARGETS = target_names()
SCALING = {"replicas": 2, "min_replicas": 2, "max_replicas": 5, "target_cpu_percent": 60}


def made(target: str, model: ManifestModel = MODEL, **given_settings: Any) -> list[dict]:
    return load_target(target).documents(model, ManifestSettings(**given_settings))


def pods(documents: list[dict]) -> list[dict]:
    """Every pod specification in the documents."""
    found = []
    for document in documents:
        spec = document["spec"]
        if document["kind"] == "Server":
            found.append(spec["podSpec"])
        elif document["kind"] == "SeldonDeployment":
            found += [part["spec"] for one in spec["predictors"] for part in one["componentSpecs"]]
        elif document["kind"] == "InferenceService":
            found.append(spec["predictor"])
    return found


def variables(container: dict) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["env"]}


@pytest.mark.parametrize("mode", KSERVE_MODES)
@pytest.mark.parametrize("scaling", [{}, SCALING], ids=["fixed", "scaled"])
@pytest.mark.parametrize("target", TARGETS)
def test_manifests_fit_their_schemas(target, scaling, mode):
    documents = made(target, kserve_mode=mode, environment_secret="wine-metrics", **scaling)
    for document in documents:
        check(document)
    assert list(yaml.safe_load_all(yaml_text(documents, "Written by a test"))) == documents
    assert yaml_text(documents, "Written by a test").startswith("# Written by a test\n---\n")


words = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)
label_values = st.from_regex(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?)?", fullmatch=True)
some_settings = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"([a-z]([-a-z0-9]{0,43}[a-z0-9])?)?", fullmatch=True),
        "namespace": words,
        "labels": st.dictionaries(words | words.map("example.org/{}".format), label_values),
        "cpu_request": st.integers(1, 900).map("{}m".format),
        "cpu_limit": st.sampled_from(["", "1", "1.5", "64"]),
        "memory_request": st.integers(64, 900).map("{}Mi".format),
        "memory_limit": st.sampled_from(["", "1Gi", "2G"]),
        "replicas": st.integers(1, 9),
        "min_replicas": st.integers(1, 9),
        "max_replicas": st.none() | st.integers(9, 99),
        "target_cpu_percent": st.integers(1, 100),
        "image": st.sampled_from(["", "registry.example.org:5000/a/b:7", f"a@sha256:{'0' * 64}"]),
        "image_pull_policy": st.sampled_from(["IfNotPresent", "Always", "Never"]),
        "environment_secret": st.just("") | words,
        "storage_secret": words,
        "kserve_mode": st.sampled_from(KSERVE_MODES),
    }
)


@pytest.mark.parametrize("text", ["a\x85b", "a\u2028b", "ç 🍷", "a\\x85b", "\ufeffx"])
def test_line_breaks_of_unicode_are_kept(text):
    documents = [{"name": text}]
    assert list(yaml.safe_load_all(yaml_text(documents))) == documents


@settings(max_examples=15, deadline=None)
@given(
    given_settings=some_settings,
    name=st.text(min_size=1, max_size=300).map("M{}".format),
    version=st.integers(1, 10**9).map(str),
)
def test_whatever_is_set_fits(given_settings, name, version):
    model = ManifestModel(name, version, "0" * 32, "3", "1.9.1", "0" * 64, "s3://bucket/a/b")
    for target in TARGETS:
        documents = made(target, model, **given_settings)
        for document in documents:
            check(document, RELEASES[-1:])
            assert document["metadata"]["namespace"] == given_settings["namespace"]
            assert document["metadata"]["labels"].items() >= given_settings["labels"].items()
            assert len(document["metadata"]["name"]) <= LONGEST_NAME + len("-server")
        assert list(yaml.safe_load_all(yaml_text(documents))) == documents
        (pod,) = pods(documents)
        resources = pod["containers"][0]["resources"]
        assert resources["requests"]["cpu"] == given_settings["cpu_request"]
        assert resources.get("limits", {}).get("memory", "") == given_settings["memory_limit"]


def broken(kind: str, path: tuple, **changes: Any) -> dict:
    every = [one for target in TARGETS for one in made(target, **SCALING)]
    (document,) = (copy.deepcopy(one) for one in every if one["kind"] == kind)
    node: Any = document
    for step in path:
        node = node[step]
    for name, value in changes.items():
        if value is None:
            del node[name]
        else:
            node[name] = value
    return document


_PREDICTOR = ("spec", "predictors", 0)
_HPA = (*_PREDICTOR, "componentSpecs", 0, "hpaSpec")
_CONTAINER = ("spec", "predictor", "containers", 0)


@pytest.mark.parametrize(
    ("kind", "path", "change"),
    [
        ("Model", ("spec",), {"storageURI": "s3://a/b"}),
        ("Model", ("spec",), {"storageUri": None}),
        ("Model", ("spec",), {"requirements": "sklearn"}),
        ("Model", ("spec",), {"memory": "64 MB"}),
        ("Model", ("metadata",), {"label": {}}),
        ("Model", (), {"apiVersion": "mlops.seldon.io/v1"}),
        ("Server", ("spec",), {"capability": ["a"]}),
        ("Server", ("spec",), {"serverConfig": None}),
        ("Server", ("spec",), {"maxReplicas": "3"}),
        ("Server", ("spec", "podSpec"), {"volume": []}),
        ("Server", ("spec", "podSpec", "containers", 0), {"readinesProbe": {}}),
        ("SeldonDeployment", ("spec",), {"protocol": "v3"}),
        ("SeldonDeployment", _PREDICTOR, {"annotations": {"seldon.io/no-engine": True}}),
        ("SeldonDeployment", (*_PREDICTOR, "graph"), {"type": "model"}),
        ("SeldonDeployment", _PREDICTOR, {"componentSpec": []}),
        ("SeldonDeployment", (*_PREDICTOR, "componentSpecs", 0, "spec"), {"containers": None}),
        ("SeldonDeployment", _HPA, {"maxReplicas": None}),
        ("SeldonDeployment", (*_HPA, "metricsv2", 0, "resource"), {"target": None}),
        ("SeldonDeployment", (*_HPA, "metricsv2", 0), {"resources": {}}),
        ("InferenceService", ("spec", "predictor"), {"scaleMetric": "gpu"}),
        ("InferenceService", ("spec", "predictor"), {"minReplica": 1}),
        ("InferenceService", ("spec", "predictor"), {"protocolVersion": "v2"}),
        ("InferenceService", ("spec", "predictor"), {"securityContext": {"runAsUser": "root"}}),
        ("InferenceService", ("spec", "predictor", "deploymentStrategy"), {"type": 1}),
        ("InferenceService", _CONTAINER, {"resources": {"request": {}}}),
        ("InferenceService", (*_CONTAINER, "env", 0), {"value": 1}),
    ],
)
def test_the_schemas_see_what_is_wrong(kind, path, change):
    check(broken(kind, ()))
    with pytest.raises(WRONG):
        check(broken(kind, path, **change))


_JSON_TYPES = {"int": "integer", "str": "string", "bool": "boolean"}


@pytest.mark.slow
def test_the_schemas_are_those_of_the_published_models(tmp_path):
    published_models.install(tmp_path)
    seldon = tmp_path / "seldon_deploy_sdk" / "models"
    kserve = tmp_path / "kserve" / "models"
    compared = [
        *_compare(seldon, "SeldonModel", schema("Model")),
        *_compare(seldon, "SeldonDeployment", schema("SeldonDeployment")),
        *_compare(kserve, "V1beta1InferenceService", schema("InferenceService")),
    ]
    assert {"storageUri", "metricsv2", "scaleTarget"} < set(compared)
    with pytest.raises(AssertionError, match="storageURI"):
        list(_compare(seldon, "SeldonModel", _with_field("storageURI")))


def _with_field(name: str) -> dict:
    shape = copy.deepcopy(schema("Model"))
    shape["properties"]["spec"]["properties"][name] = {"type": "string"}
    return shape


def _compare(models: Path, name: str, shape: dict) -> list[str]:
    """The names of the fields of ``shape``, each found in the model class with the same type."""
    published, compared = published_models.fields(models, name), []
    for field, below in shape["properties"].items():
        assert field in published, f"{name} has no {field}"
        kind = published[field]
        compared.append(field)
        while kind.startswith("list[") and below.get("type") == "array" and "items" in below:
            kind, below = kind.removeprefix("list[").removesuffix("]"), below["items"]
        if below.get("type") == "object" and "properties" in below:
            compared += _compare(models, kind, below)
        elif kind in _JSON_TYPES and "const" not in below:
            assert below.get("type") == _JSON_TYPES[kind], f"{name}.{field} is {kind}"
        elif kind == "dict(str, str)":
            assert below["additionalProperties"] == {"type": "string"}, f"{name}.{field}"
        elif below.get("type") == "string":
            # An enumeration: a class without fields.
            assert published_models.fields(models, kind) == {}, f"{name}.{field} is {kind}"
        elif kind.startswith("list["):
            assert below.get("type") == "array" or below.get("x-wrap") == "MetricSpecs"
    return compared


@pytest.mark.parametrize("mode", KSERVE_MODES)
@pytest.mark.parametrize("target", TARGETS)
def test_pods_run_without_root_on_a_read_only_disk(target, mode):
    (pod,) = pods(made(target, kserve_mode=mode))
    (container,) = pod["containers"]
    rights = container["securityContext"]
    assert rights["runAsNonRoot"] is True and rights["runAsUser"] == 1000
    assert rights["readOnlyRootFilesystem"] is True
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
    (volume,) = pod["volumes"]
    assert set(volume) == {"name", "emptyDir"}
    assert container["volumeMounts"] == [{"name": volume["name"], "mountPath": "/tmp"}]
    # What MLServer and others write lies there.
    given_variables = variables(container)
    for name in ("HOME", "MLSERVER_METRICS_DIR", "MLSERVER_ENVIRONMENTS_DIR"):
        assert given_variables[name].startswith("/tmp"), name


@pytest.mark.parametrize("target", ["seldon-core-v1", "kserve"])
def test_probes_and_ports_are_those_of_the_server(target):
    (pod,) = pods(made(target))
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    given_variables = variables(container)
    assert sorted(ports.values()) == [
        int(given_variables[f"MLSERVER_{name}_PORT"]) for name in ("HTTP", "GRPC", "METRICS")
    ]
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = container[name]["httpGet"]
        assert ports[asked["port"]] == int(given_variables["MLSERVER_HTTP_PORT"])
        assert asked["path"] == f"/v2/health/{'live' if name == 'livenessProbe' else 'ready'}"
    assert "WINE_QUALITY_SERVE_REPOSITORY_API" not in given_variables


def test_knative_gets_one_port_and_nothing_of_the_pods_own():
    (document,) = made("kserve", kserve_mode="Knative", **SCALING)
    predictor = document["spec"]["predictor"]
    assert len(predictor["containers"][0]["ports"]) == 1
    assert not {"securityContext", "deploymentStrategy"} & set(predictor)
    assert predictor["scaleMetric"] == "concurrency"
    assert "serving.kserve.io/autoscalerClass" not in document["metadata"]["annotations"]


def test_seldon_v2_places_the_model_on_its_server_alone():
    server, model = made("seldon-core-v2")
    assert model["spec"]["requirements"] == server["spec"]["capabilities"] == [MODEL.capability]
    (container,) = server["spec"]["podSpec"]["containers"]
    given_variables = variables(container)
    # The agent loads models over the API that is closed elsewhere, from where it put them.
    assert given_variables["WINE_QUALITY_SERVE_REPOSITORY_API"] == "true"
    assert container["args"] == [given_variables["MLSERVER_MODELS_DIR"]]
    assert given_variables["MLSERVER_LOAD_MODELS_AT_STARTUP"] == "false"
    assert container["name"] == "mlserver"


def test_another_environment_is_another_capability():
    others = [
        ManifestModel("M", "8", "0", "3", scikit_learn, digest)
        for scikit_learn, digest in (
            ("1.2.2", "0123abcd"),
            ("1.9.1", "0123abcd"),
            ("1.2.2", "fedcba98"),
        )
    ]
    assert [one.capability == MODEL.capability for one in others] == [True, False, False]


def test_scaling():
    fixed = {target: made(target, replicas=4) for target in TARGETS}
    scaled = {target: made(target, **SCALING) for target in TARGETS}
    for server_or_model in fixed["seldon-core-v2"]:
        assert server_or_model["spec"]["replicas"] == 4
        assert "maxReplicas" not in server_or_model["spec"]
    for server_or_model in scaled["seldon-core-v2"]:
        spec = server_or_model["spec"]
        assert (spec["replicas"], spec["minReplicas"], spec["maxReplicas"]) == (2, 2, 5)
    (predictor,) = fixed["seldon-core-v1"][0]["spec"]["predictors"]
    assert predictor["replicas"] == 4 and "hpaSpec" not in predictor["componentSpecs"][0]
    (predictor,) = scaled["seldon-core-v1"][0]["spec"]["predictors"]
    assert "replicas" not in predictor  # the autoscaler's
    assert predictor["componentSpecs"][0]["hpaSpec"] == {
        "minReplicas": 2,
        "maxReplicas": 5,
        "metricsv2": [
            {
                "type": "Resource",
                "resource": {
                    "name": "cpu",
                    "target": {"type": "Utilization", "averageUtilization": 60},
                },
            }
        ],
    }
    predictor = fixed["kserve"][0]["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (4, 4)
    assert "scaleMetric" not in predictor
    predictor = scaled["kserve"][0]["spec"]["predictor"]
    assert (predictor["minReplicas"], predictor["maxReplicas"]) == (2, 5)
    assert (predictor["scaleMetric"], predictor["scaleTarget"]) == ("cpu", 60)


@pytest.mark.parametrize(
    ("registered", "kebab"),
    [
        ("ElasticnetWineModel", "elasticnet-wine-model"),
        ("HTTPModel2Go", "http-model2-go"),
        ("wine_quality model.v2", "wine-quality-model-v2"),
        ("2ndModel", "nd-model"),
        ("Größe", "gr-e"),
        ("A" * 80, "a" * LONGEST_NAME),
    ],
)
def test_kubernetes_names(registered, kebab):
    model = ManifestModel(registered, "7", "0", "3", "1.9.1", "0123abcd")
    (document,) = made("kserve", model)
    assert document["metadata"]["name"] == kebab
    assert document["metadata"]["annotations"]["wine-quality/registered-model"] == registered


def test_a_name_with_nothing_to_use_asks_for_one():
    model = ManifestModel("葡萄酒", "7", "0", "3", "1.9.1", "0123abcd")
    with pytest.raises(ValueError, match="set a Kubernetes name"):
        made("kserve", model)
    (document,) = made("kserve", model, name="wine")
    assert document["metadata"]["name"] == "wine"


def test_the_v2_protocols_name_of_the_model():
    own = load_target("kserve").served_as(MODEL, ManifestSettings())
    assert (own.name, own.version) == ("ElasticnetWineModel", "7")
    given_by_seldon = load_target("seldon-core-v2").served_as(MODEL, ManifestSettings())
    assert (given_by_seldon.name, given_by_seldon.version) == ("elasticnet-wine-model", None)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": "Wine"}, "name is 'Wine'; it must be at most 45"),
        ({"name": "a" * 46}, "at most 45"),
        ({"name": "-wine"}, "beginning with a letter"),
        ({"namespace": "wine.quality"}, "namespace is"),
        ({"namespace": "wine\n"}, "namespace is"),
        ({"labels": {"a b": "c"}}, "labels is 'a b'"),
        ({"labels": {"team": "two words"}}, "labels.team is 'two words'"),
        ({"labels": {"app.kubernetes.io/name": "x"}}, r"app.kubernetes.io/\* is written"),
        ({"image": "Registry/Wine"}, "image is 'Registry/Wine'; it must be an image"),
        ({"image_pull_policy": "Sometimes"}, "IfNotPresent or Always or Never"),
        ({"cpu_request": "1 core"}, "cpu_request: '1 core' is not an amount of cores"),
        ({"cpu_request": "0"}, "cpu_request: '0'"),
        ({"cpu_request": "1Gi"}, "cpu_request"),
        ({"cpu_limit": "50m"}, "cpu_limit is 50m, less than cpu_request 100m: raise it"),
        ({"memory_request": "512m"}, "memory_request: '512m' is not an amount of memory"),
        ({"memory_limit": "1M"}, "memory_limit is 1M, less than memory_request 512Mi"),
        ({"seldon_v2_model_memory": "1Gi"}, "no server could take the model"),
        ({"replicas": 0}, "replicas is 0; it must be at least 1"),
        ({"replicas": True}, "replicas is True"),
        ({"min_replicas": 3, "max_replicas": 2}, r"at least min_replicas \(3\)"),
        ({"target_cpu_percent": 101}, "101; it must be at most 100"),
        ({"storage_secret": ""}, "storage_secret is ''; it must be name of a Secret"),
        ({"storage_provider": "Minio\n  x: y"}, "storage_provider"),
        ({"storage_endpoint": "http://user:secret@minio:9000"}, "without user and password"),
        ({"kserve_mode": "Serverless"}, "Standard or Knative or RawDeployment"),
    ],
)
def test_wrong_settings_say_what_to_do(wrong, message):
    with pytest.raises(pydantic.ValidationError) as refused:
        ManifestSettings(**wrong)
    (problem,) = describe_problems(refused.value)
    assert re.search(message, problem)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": " "}, "name is ' '"),
        ({"version": "champion"}, "version is 'champion'; it must be the registry's"),
        ({"scikit_learn_version": ""}, "scikit_learn_version"),
        ({"requirements_hash": "xyz"}, "hexadecimal"),
    ],
)
def test_wrong_models_say_what_is_wrong(wrong, message):
    with pytest.raises(ValueError, match=message):
        ManifestModel(**{**vars(MODEL), **wrong})


@pytest.mark.parametrize("uri", ["", "/srv/repository", "file:///srv/repository", "s3://bucket"])
def test_seldon_v2_needs_a_store_and_the_others_do_not(uri):
    model = ManifestModel(**{**vars(MODEL), "storage_uri": uri})
    with pytest.raises(ValueError, match="storage_uri is .*s3://bucket"):
        made("seldon-core-v2", model)
    for target in ("seldon-core-v1", "kserve"):
        assert "storage" not in yaml_text(made(target, model))


def test_an_unknown_target_is_refused():
    with pytest.raises(ValueError, match="kserve or seldon-core-v1 or seldon-core-v2"):
        made("seldon")


@pytest.mark.parametrize("endpoint", ["", "http://minio.minio.svc:9000"])
def test_the_storage_secret_is_an_example_without_secrets(endpoint):
    settings_ = ManifestSettings(storage_endpoint=endpoint)
    secret = yaml.safe_load(yaml_files(MODEL, settings_)["secret.example"])
    validate(secret, "1.36", strict=True)
    assert secret["metadata"] == {"name": "wine-quality-storage", "namespace": "wine-quality"}
    (model,) = (one for one in made("seldon-core-v2") if one["kind"] == "Model")
    assert model["spec"]["secretName"] == secret["metadata"]["name"]
    # rclone's remote is called as the scheme of the model's address.
    ((name, text),) = secret["stringData"].items()
    remote = yaml.safe_load(text)
    assert name == remote["name"] == MODEL.storage_uri.partition("://")[0]
    parameters = remote["parameters"]
    assert parameters["access_key_id"] == parameters["secret_access_key"] == ""
    assert parameters["endpoint"] == (endpoint or None)


def test_the_secret_check_sees_a_misspelled_field():
    secret = yaml.safe_load(yaml_files(MODEL, ManifestSettings())["secret.example"])
    secret["stringdata"] = secret.pop("stringData")
    with pytest.raises(ValidationError, match="stringdata"):
        validate(secret, "1.36", strict=True)


def test_run_config_is_the_settings_with_a_description_on_each():
    fields = ManifestConfig.model_fields
    assert fields.keys() == ManifestSettings.model_fields.keys()
    assert not [name for name, field in fields.items() if not field.description]
    given_config = {"labels": {"example.org/team": "wine"}, "max_replicas": 3}
    config, settings_ = ManifestConfig(**given_config), ManifestSettings(**given_config)
    assert config.model_dump() == settings_.model_dump()
    assert yaml_files(MODEL, config) == yaml_files(MODEL, settings_)


def test_wrong_settings_are_refused_before_there_is_a_run():
    """With the sentences above."""

    @op(config_schema=DeploymentConfig.to_config_schema())
    def deploys(_context) -> None:
        pass

    @job
    def deployment() -> None:
        deploys()

    wrong = {"manifests": {"replicas": 0, "name": "Wine"}}
    with pytest.raises(DagsterInvalidConfigError) as refused:
        validate_run_config(deployment, {"ops": {"deploys": {"config": wrong}}})
    assert "replicas is 0; it must be at least 1" in str(refused.value)
    assert "name is 'Wine'; it must be at most 45" in str(refused.value)


_MADE_UP = """
from wine_quality.deployment.pods import metadata
from wine_quality.deployment.target import DeployTarget


class MadeUp(DeployTarget):
    controller = "Made-up"

    def documents(self, model, settings):
        about = metadata(model, settings)
        return [{"apiVersion": "example.org/v1", "kind": "MadeUp", "metadata": about, "spec": {}}]


TARGET = MadeUp()
"""


def test_another_target_is_one_file(tmp_path):
    """In a copy of the package: run config, the command and the files know it by its name."""
    root = PROJECT_ROOT
    copied = shutil.copytree(
        root / "wine_quality",
        tmp_path / "wine_quality",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    (copied / "deployment" / "targets" / "made_up.py").write_text(_MADE_UP)
    for name in ("deploy", "pyproject.toml", "Makefile"):
        (tmp_path / name).symlink_to(root / name)

    def python(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "made-up" in python("-m", "wine_quality", "deploy", "--help")
    script = """
from wine_quality.defs.deployment.model_deployment import DeploymentConfig
from wine_quality.deployment.manifests import yaml_files
from wine_quality.deployment.manifest_settings import ManifestModel
field = DeploymentConfig.to_config_schema().config_type.fields["target"]
print(field.config_type.inner_type.config_values)
print(DeploymentConfig.model_fields["target"].description)
model = ManifestModel("Wine", "7", "0", "3", "1.9.1", "0123abcd")
print(yaml_files(model, DeploymentConfig(target="made-up").manifests)["made-up"])
"""
    choices, described, *text = python("-c", script).splitlines()
    assert "'made-up'" in choices
    assert '"made-up"' in described
    assert "kind: MadeUp" in text
