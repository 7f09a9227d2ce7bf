"""Manifests applied, and what is said when that does not work.

The cluster is a stand-in (kubernetes_api.py) whose statuses the tests write; kubectl is a stand-in
too, and the real one besides, where it is. The model's answers are those of a real HTTP server.
"""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from wine_quality.deployment.apply import Endpoint, deploy
from wine_quality.deployment.kubectl import DeploymentError, Kubectl
from wine_quality.deployment.manifest_settings import ManifestSettings
from wine_quality.deployment.target import ServedAs
from wine_quality.deployment.targets import load_target, target_names
from wine_quality_tests.support import stand_in_kubectl
from wine_quality_tests.support.kubernetes_api import KubernetesApi, kubeconfig
from wine_quality_tests.unit.deployment.test_manifests import MODEL

SETTINGS = ManifestSettings()
READY = {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}
PROGRESSING = {
    "observedGeneration": 1,
    "conditions": [
        {"type": "PredictorReady", "status": "False", "reason": "ImagePullBackOff"},
        {"type": "Ready", "status": "False", "message": "Back-off pulling the image"},
    ],
}
AVAILABLE = {"state": "Available"}
SERVED = ServedAs("ElasticnetWineModel", "7")


@pytest.fixture
def api(tmp_path, monkeypatch) -> Iterator[KubernetesApi]:
    # kubectl caches what it discovers under HOME.
    monkeypatch.setenv("HOME", str(tmp_path))
    running = KubernetesApi(tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(running.kubeconfig))
    yield running
    running.stop()


@pytest.fixture(params=["stand-in", "real"])
def kubectl(request, tmp_path) -> Kubectl:
    real = shutil.which("kubectl")
    if request.param == "real" and real is None:
        pytest.skip("there is no kubectl here")
    program = real if request.param == "real" else stand_in_kubectl.write(tmp_path)
    return Kubectl("kind", program=str(program))


class ModelServer:
    """Answers the readiness of a model, at first with ``before`` failures."""

    def __init__(self, path: str, before: int = 0, host: str = "") -> None:
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                server.asked.append(self.path)
                right = self.path == path and (not host or self.headers["Host"] == host)
                ready = right and len(server.asked) > before
                body = b"{}" if ready else b'{"error": "Model ElasticnetWineModel not found"}'
                self.send_response(200 if ready else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def apply_to(kubectl: Kubectl, target: str = "kserve", **given: Any) -> None:
    options: dict[str, Any] = {"poll_seconds": 0.02, "timeout_seconds": 20.0, **given}
    settings = options.pop("settings", SETTINGS)
    deploy(load_target(target), MODEL, settings, kubectl, **options)


@pytest.mark.parametrize("target", target_names())
def test_it_applies_and_waits_until_the_model_answers(api, kubectl, target):
    api.status = {
        "Server": [{}, READY],
        "Model": [{}, PROGRESSING, READY],
        "SeldonDeployment": [{}, {"state": "Creating"}, AVAILABLE],
        "InferenceService": [{}, PROGRESSING, READY],
    }
    served = load_target(target).served_as(MODEL, SETTINGS)
    version = "/versions/7" if served.version else ""
    path = f"/seldon/x/v2/models/{served.name}{version}/ready"
    server, text = ModelServer(path, before=2, host="wine.example.org"), []
    endpoint = Endpoint(f"{server.url}/seldon/x/", {"Host": "wine.example.org"})
    try:
        apply_to(kubectl, target, endpoint=endpoint, report=text.append)
    finally:
        server.stop()
    assert server.asked == [path] * 3
    documents = load_target(target).documents(MODEL, SETTINGS)
    kept = {key: {**held} for key, held in api.held.items()}
    assert list(kept) == [(one["kind"], one["metadata"]["name"]) for one in documents]
    for document in documents:
        held = kept[document["kind"], document["metadata"]["name"]]
        assert held["spec"] == document["spec"]
    patches = [address for method, address in api.requests if method == "PATCH"]
    assert len(patches) == len(documents)
    assert all("fieldManager=wine-quality" in one and "force=true" in one for one in patches)
    assert text[0].startswith("applied ") and text[-1] == f"{endpoint.ready_url(served)} answers"


def test_a_status_from_before_is_not_taken_for_the_new_one(api, kubectl):
    api.status = {"InferenceService": [READY]}
    apply_to(kubectl)
    # Changed, it is of generation 2, which the controller notes at the second look.
    second = {**READY, "observedGeneration": 2}
    api.status = {"InferenceService": [READY, {**PROGRESSING, "observedGeneration": 2}, second]}
    asked = len(api.requests)
    apply_to(kubectl, settings=ManifestSettings(replicas=2))
    looks = [path for method, path in api.requests[asked:] if method == "GET" and "/names" in path]
    assert len(looks) == 3


def test_conditions_are_in_the_message_when_time_is_up(api, kubectl):
    api.status = {"InferenceService": [PROGRESSING]}
    with pytest.raises(DeploymentError) as caught:
        apply_to(kubectl, timeout_seconds=1.0)
    message = str(caught.value)
    assert "InferenceService elasticnet-wine-model was not ready within 1 s" in message
    assert "PredictorReady=False (ImagePullBackOff)" in message
    assert "Back-off pulling the image" in message
    assert "kubectl --context kind --namespace wine-quality describe" in message


def test_a_failed_seldon_deployment_is_not_waited_for(api, kubectl):
    failed = {"state": "Failed", "description": "Can't find container for Predictive Unit"}
    api.status = {"SeldonDeployment": [failed]}
    with pytest.raises(DeploymentError, match="state Failed: Can't find container"):
        apply_to(kubectl, "seldon-core-v1", timeout_seconds=600.0)


def test_a_model_that_never_answers(api, kubectl):
    api.status = {"InferenceService": [READY]}
    server = ModelServer("/elsewhere")
    endpoint = Endpoint(server.url)
    try:
        with pytest.raises(
            DeploymentError, match=r"/7/ready was not within 1.5 s: HTTP 404\. Is the address"
        ):
            apply_to(kubectl, endpoint=endpoint, timeout_seconds=1.5)
    finally:
        server.stop()
    with pytest.raises(DeploymentError, match=r"no answer \(ConnectionError\)"):
        apply_to(kubectl, endpoint=endpoint, timeout_seconds=1.5)


def test_an_unknown_context_is_named_with_those_that_are_known(api, kubectl):
    unknown = Kubectl("prod", program=kubectl.program)
    with pytest.raises(DeploymentError, match="no Kubernetes context 'prod'; kubectl knows kind"):
        apply_to(unknown)
    assert api.requests == []


def test_a_cluster_without_the_resources_definition(api, kubectl):
    api.groups = ("serving.kserve.io/v1beta1",)
    with pytest.raises(DeploymentError, match=r"not know Server \(mlops.seldon.io\): install Seld"):
        apply_to(kubectl, "seldon-core-v2")


def test_a_cluster_that_is_not_there(api, kubectl):
    api.stop()
    with pytest.raises(DeploymentError, match="context 'kind' cannot be reached"):
        apply_to(kubectl)


def test_no_kubectl():
    with pytest.raises(DeploymentError, match="no-kubectl is not on PATH: install it"):
        apply_to(Kubectl("kind", program="no-kubectl"))


def _program(folder: Path, script: str) -> str:
    program = folder / "kubectl"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def test_a_kubectl_that_hangs(tmp_path, monkeypatch):
    kubectl = Kubectl("kind", program=_program(tmp_path, "exec sleep 600"), call_seconds=0.3)
    monkeypatch.setattr("wine_quality.deployment.kubectl._GRACE_SECONDS", 0.2)
    with pytest.raises(DeploymentError, match=r"kubectl config did not end within 0.5 s"):
        apply_to(kubectl)


@pytest.mark.parametrize(
    ("answered", "message"),
    [
        ('namespaces "wine-quality" not found', "kubectl --context kind create namespace wine-q"),
        ("models.mlops.seldon.io is forbidden: User x", "the user of context 'kind' may not"),
        ("admission webhook denied: [cpu] is not\n a metric", "kubectl apply failed: .*cpu. is n"),
    ],
)
def test_refusals_are_told(tmp_path, answered, message):
    script = (
        f"case $1 in config) echo kind;; *) cat >/dev/null; echo '{answered}' >&2; exit 1;; esac"
    )
    with pytest.raises(DeploymentError, match=message):
        apply_to(Kubectl("kind", program=_program(tmp_path, script)))


def test_what_is_no_json_is_told_at_the_end(tmp_path):
    script = "case $1 in config) echo kind;; *) echo applied;; esac"
    with pytest.raises(DeploymentError, match="gave no JSON for InferenceService"):
        apply_to(Kubectl("kind", program=_program(tmp_path, script)), timeout_seconds=0.2)


def test_a_moment_without_the_clusters_api_is_lived_through(api, kubectl, tmp_path, monkeypatch):
    api.status = {"InferenceService": [READY]}
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    down = kubeconfig(elsewhere, "http://127.0.0.1:9")
    known, looks = Kubectl.get, []

    def get(self: Kubectl, document: dict) -> dict:
        looks.append(document["kind"])
        monkeypatch.setenv("KUBECONFIG", str(down if len(looks) < 3 else api.kubeconfig))
        return known(self, document)

    monkeypatch.setattr(Kubectl, "get", get)
    apply_to(kubectl)
    assert len(looks) == 3


@pytest.mark.parametrize(
    ("resource", "ready", "answered"),
    [
        ({}, False, "no conditions yet"),
        ({"status": None}, False, "no conditions yet"),
        ({"status": {"conditions": [{"type": "ModelReady", "status": "True"}]}}, False, "ModelRea"),
        ({"status": READY}, True, "Ready=True"),
        ({"status": READY, "metadata": {"generation": 2}}, False, "has not seen the new"),
        ({"kind": "SeldonDeployment"}, False, "no state yet"),
        (
            {
                "kind": "SeldonDeployment",
                "status": {
                    "state": "Creating",
                    "deploymentStatus": {"wine": {"replicas": 2, "availableReplicas": 1}},
                },
            },
            False,
            "state Creating; wine has 1 of 2 replicas",
        ),
    ],
)
def test_readiness(resource, ready, answered):
    seldon_v1 = resource.get("kind") == "SeldonDeployment"
    found = load_target("seldon-core-v1" if seldon_v1 else "kserve").readiness(resource)
    assert found.ready is ready
    assert answered in found.status


def test_the_address_of_readiness_is_quoted():
    endpoint = Endpoint("http://127.0.0.1:8080/")
    asked = endpoint.ready_url(ServedAs("wine model/2", "7"))
    assert asked == "http://127.0.0.1:8080/v2/models/wine%20model%2F2/versions/7/ready"
    assert Endpoint("http://h").ready_url(ServedAs("wine", None)) == "http://h/v2/models/wine/ready"
    assert endpoint.ready_url(SERVED).endswith("/ElasticnetWineModel/versions/7/ready")
