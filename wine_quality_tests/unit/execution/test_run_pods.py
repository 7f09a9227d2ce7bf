"""The queue that gives each run the pod of its MLflow version, up to the Job it becomes."""

from __future__ import annotations

import json
from unittest.mock import MagicMock

import pytest
import yaml
from dagster import DagsterInstance, DagsterInvalidConfigError, DagsterRun, DagsterRunStatus
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from wine_quality.dagster_support.dagster_private import SubmitRunContext
from wine_quality.execution.run_pods import OWN_TAG, POD_TAG
from wine_quality_tests.unit.deploy_files.test_kubernetes import values

ONE_IMAGE = "registry.example.internal/wine-quality-dagster:1.0.0-k8s"
OLD = {"image": "registry.example.internal/old:1", "resources": {"limits": {"memory": "3Gi"}}}
PODS = {"1.26": OLD, "3": {"resources": {"limits": {"memory": "1Gi"}}}}


def config(version) -> dict:
    return {"resources": {"mlflow": {"config": {"version": version}}}}


@pytest.fixture(scope="module")
def instance_home(tmp_path_factory):
    """Shared, since making the tables takes a second."""
    return tmp_path_factory.mktemp("instance")


@pytest.fixture
def instance_with(instance_home):
    opened = []

    def open_with(coordinator: dict) -> DagsterInstance:
        text = {"run_coordinator": coordinator, "telemetry": {"enabled": False}}
        (instance_home / "dagster.yaml").write_text(yaml.safe_dump(text))
        opened.append(DagsterInstance.from_config(str(instance_home)))
        return opened[-1]

    yield open_with
    for instance in opened:
        instance.dispose()


def queue(**own) -> dict:
    chart = values()["dagsterDaemon"]["runCoordinator"]["config"]["customRunCoordinator"]
    return {**chart, "config": {**chart["config"], **own}}


def submitted(instance, run_config, tags=None, **more) -> DagsterRun:
    """A run as the storage has it once the instance's queue took it."""
    location = GrpcServerCodeLocationOrigin(host="127.0.0.1", port=1, location_name="ml_repository")
    origin = RemoteJobOrigin(RemoteRepositoryOrigin(location, "__repository__"), "job")
    run = DagsterRun(
        "job", run_config=run_config, tags=tags or {}, remote_job_origin=origin, **more
    )
    instance.add_run(run)
    instance.run_coordinator.submit_run(SubmitRunContext(run, workspace=None))
    return instance.get_run_by_id(run.run_id)


def pod_of(run: DagsterRun) -> dict:
    return json.loads(run.tags[POD_TAG])["container_config"]


@pytest.mark.parametrize(
    ("run_config", "pod"),
    [(config("1.26"), OLD), (config("3"), PODS["3"]), ({}, PODS["3"])],
    ids=["1.26", "3", "none"],
)
def test_a_run_gets_the_pod_of_its_version(instance_with, run_config, pod):
    run = submitted(instance_with(queue(pods=PODS)), run_config)
    assert run.status is DagsterRunStatus.QUEUED
    assert pod_of(run) == pod


@pytest.mark.parametrize(
    "run_config", [config("2.1.1"), config({"env": "PICKED"})], ids=["not in it", "by variable"]
)
def test_a_run_that_the_table_says_nothing_of_is_queued_as_it_is(instance_with, run_config):
    run = submitted(instance_with(queue(pods=PODS)), run_config)
    assert run.status is DagsterRunStatus.QUEUED
    assert POD_TAG not in run.tags


def test_what_a_person_wrote_stays(instance_with):
    written = '{"container_config": {"image": "mine:1"}}'
    run = submitted(instance_with(queue(pods=PODS)), config("1.26"), {POD_TAG: written})
    assert run.tags[POD_TAG] == written


def test_a_re_execution_with_another_version_gets_the_other_pod(instance_with):
    instance = instance_with(queue(pods=PODS))
    first = submitted(instance, config("1.26"))
    copied = {name: first.tags[name] for name in (POD_TAG, OWN_TAG)}
    assert pod_of(submitted(instance, config("3"), copied)) == PODS["3"]
    assert pod_of(submitted(instance, config("2.1.1"), copied)) == {}


def test_the_queue_keeps_its_limit(instance_with):
    limits = instance_with(queue()).run_coordinator.get_run_queue_config()
    assert limits.max_concurrent_runs == 4


def test_a_version_that_is_none_is_refused(instance_with):
    with pytest.raises(ValueError, match='unknown MLflow version "1.27"; there are "1.26"'):
        instance_with(queue(pods={"1.27": OLD})).run_coordinator  # noqa: B018


def test_a_misspelled_field_is_refused(instance_with):
    with pytest.raises(DagsterInvalidConfigError, match="img"):
        instance_with(queue(pods={"3": {"img": "x"}})).run_coordinator  # noqa: B018


@pytest.fixture
def job_of(instance_with, tmp_path):
    """The Kubernetes Job that dagster-k8s would create for a run, as plain data."""
    import kubernetes.client
    from dagster._core.code_pointer import ModuleCodePointer
    from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
    from dagster_k8s import K8sRunLauncher

    kubeconfig = tmp_path / "kubeconfig"
    cluster = {"name": "c", "cluster": {"server": "http://127.0.0.1:9"}}
    context = {"name": "c", "context": {"cluster": "c", "user": "u"}}
    parts = {"clusters": [cluster], "contexts": [context], "current-context": "c"}
    kubeconfig.write_text(yaml.safe_dump({**parts, "users": [{"name": "u", "user": {}}]}))
    (code,) = values()["dagster-user-deployments"]["deployments"]
    # What the chart hands on from the code server: no security context is among it.
    handed_on = {
        "env_config_maps": [one["name"] for one in code["envConfigMaps"]],
        "env_secrets": [one["name"] for one in code["envSecrets"]],
        **{name: code[name] for name in ("labels", "volumes", "resources")},
        "volume_mounts": code["volumeMounts"],
    }
    origin = JobPythonOrigin(
        "job",
        RepositoryPythonOrigin(
            executable_path="python",
            code_pointer=ModuleCodePointer("wine_quality.definitions", "defs", None),
            container_image=ONE_IMAGE,
            entry_point=["dagster"],
            container_context={"k8s": handed_on},
        ),
    )
    launched = values()["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]

    def make(run_config, **own) -> dict:
        instance = instance_with(queue(**own))
        run = submitted(instance, run_config, job_code_origin=origin)
        api = MagicMock()
        launcher = K8sRunLauncher(
            service_account_name="dagster",
            instance_config_map="dagster-instance",
            postgres_password_secret=values()["global"]["postgresqlSecretName"],
            dagster_home=values()["global"]["dagsterHome"],
            load_incluster_config=False,
            kubeconfig_file=str(kubeconfig),
            k8s_client_batch_api=api,
            run_k8s_config={
                "container_config": launched["containerConfig"],
                "pod_spec_config": launched["podSpecConfig"],
                "job_spec_config": launched["jobSpecConfig"],
            },
        )
        launcher.register_instance(instance)
        launcher._launch_k8s_job_with_args("dagster-run-1", ["dagster", "--version"], run)
        body = api.create_namespaced_job.call_args.kwargs["body"]
        return kubernetes.client.ApiClient().sanitize_for_serialization(body)

    return make


def test_the_job_of_a_run_has_the_image_and_memory_of_its_version(job_of):
    import kubernetes_validate

    job = job_of(config("1.26"), pods=PODS)
    kubernetes_validate.validate(job, "1.36", strict=True)
    (pod,) = job["spec"]["template"]["spec"]["containers"]
    assert pod["image"] == OLD["image"]
    assert pod["securityContext"]["readOnlyRootFilesystem"] is True
    assert pod["resources"]["limits"] == OLD["resources"]["limits"]


@pytest.mark.parametrize("version", ["3", "2.1.1", "1.26"])
def test_the_job_of_a_run_by_the_values_as_they_stand(job_of, version):
    import kubernetes_validate

    job = job_of(config(version))
    kubernetes_validate.validate(job, "1.36", strict=True)
    template = job["spec"]["template"]
    (pod,) = template["spec"]["containers"]
    table = queue()["config"]["pods"]
    assert pod["image"] == ONE_IMAGE
    assert pod["resources"] == table[version]["resources"]
    assert pod["securityContext"]["readOnlyRootFilesystem"] is True
    assert template["spec"]["securityContext"]["runAsNonRoot"] is True
    assert template["metadata"]["labels"]["wine-quality/mlflow-client"] == "true"
    assert {"configMapRef": {"name": "wine-quality"}} in pod["envFrom"]
    assert {"secretRef": {"name": "wine-quality"}} in pod["envFrom"]
