"""``model_deployment``: the champion, or a version picked, as what others serve."""

import hashlib
import json
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetExecutionContext,
    AutomationCondition,
    Failure,
    MaterializeResult,
    MetadataValue,
    asset,
)
from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.defs.model.values import DeployedVersion
from wine_quality.defs.ownership import GROUP, OWNERS
from wine_quality.deployment.manifest_settings import ManifestSettings
from wine_quality.deployment.targets import target_names
from wine_quality.tracking.registry.champion import CHAMPION
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.links import mlflow_link
from wine_quality.tracking.servers.server_check import name_failing_server
from wine_quality.tracking.step_tags import continues_mlflow_run_of

if TYPE_CHECKING:
    from wine_quality.deployment.manifest_settings import ManifestModel
    from wine_quality.serving.fetch import Fetched


NONE, LOCAL = "none", "local"
# What the files are applied to. Dagster's config enums go by name; here the value is the name.
TargetKey = Enum("TargetKey", {key: key for key in (NONE, LOCAL, *target_names())})  # type: ignore[misc]


class ManifestConfig(ManifestSettings, CheckedConfig):
    """Settings of the model's Kubernetes manifests."""


class DeploymentConfig(CheckedConfig):
    """The version to deploy, and its target."""

    version: str = Field(default="", description="Number of a version. Empty: the champion.")
    target: TargetKey = Field(
        default=TargetKey(NONE),
        description='"none": only write the files. "local": wait until the server of `make serve` '
        f"answers with this version. {', '.join(map(json.dumps, target_names()))}: apply that "
        "manifest to kubernetes_context and wait until the model answers.",
    )
    local_server: str = Field(
        default="http://127.0.0.1:8080", description="Address of `make serve`, for target local."
    )
    kubernetes_context: str = Field(
        default="", description="Context of the kubeconfig that the manifest is applied to."
    )
    endpoint: str = Field(
        default="",
        description="Address of the deployed model, without /v2, such as http://seldon-mesh. "
        "Empty: wait only until the Kubernetes resource is ready.",
    )
    endpoint_headers: dict[str, str] = Field(
        default={}, description="Headers that the ingress routes by, such as {Host: …}."
    )
    timeout_seconds: float = Field(
        default=300, gt=0, description="Seconds to wait until the model answers."
    )
    base_path: str = Field(
        default="",
        description="Folder or s3:// prefix for the files. Empty: $WINE_QUALITY_DEPLOYMENTS, else "
        "deployments beside $WINE_QUALITY_ASSETS, else in $WINE_QUALITY_HOME. Seldon Core v2 "
        "needs one that the cluster reaches.",
    )
    manifests: ManifestConfig = Field(
        default_factory=ManifestConfig, description="How the model runs on Kubernetes."
    )


@asset(
    group_name=GROUP,
    kinds={"mlserver", "kubernetes"},
    owners=OWNERS,
    code_version="1",
    deps=["registered_model", "champion_model"],
    op_tags=continues_mlflow_run_of("champion_model"),
    automation_condition=AutomationCondition.eager(),
)
@name_failing_server(retry_step=True)
def model_deployment(
    context: AssetExecutionContext, config: DeploymentConfig, mlflow: MlflowTracker
):
    """The champion's model repository for MLServer, and manifests for Seldon Core and KServe.

    Written for every target, and applied to the configured one. `make serve` follows the
    champion by itself.
    """
    from wine_quality.packaging.served_model import UnservableModelError
    from wine_quality.serving.fetch import fetch

    tracker, name = mlflow.tracker, mlflow.registered_model_name
    version = config.version or tracker.registry(name).holder(CHAMPION)
    if version is None:
        raise Failure(
            f"{name} has no champion to deploy. Materialize champion_model (`make run`), or name a "
            "version in ops.model_deployment.config.version.",
            allow_retries=False,
        )
    with tempfile.TemporaryDirectory() as temporary:
        try:
            fetched = fetch(tracker, name, version, Path(temporary) / "repository")
        except UnservableModelError as error:
            raise Failure(str(error), allow_retries=False) from error
        written = _write(config, fetched, mlflow.version.value, Path(temporary))
    context.log.info(f"{name} version {version} is in {written.place}")
    deployed = _apply(context, config, written)
    model = fetched.model
    return MaterializeResult(
        value=DeployedVersion(
            name, version, written.place, deployed, tracker.training_of(model.run_id)
        ),
        metadata={
            "model": name,
            "version": version,
            "deployed_to": deployed,
            "files": MetadataValue.path(written.place),
            "model_version": mlflow_link(tracker.model_version_url(name, version)),
            "mlflow_run_id": model.run_id,
            "logged_by": f"MLflow {model.mlflow_version}",
            "environment": ", ".join("==".join(pin) for pin in model.packages),
            "model_settings": MetadataValue.json(written.model_settings),
            **{
                target.replace("-", "_"): MetadataValue.md(f"```yaml\n{text}```")
                for target, text in written.manifests.items()
            },
        },
    )


@dataclass(frozen=True)
class _Written:
    """The files of a version in their place."""

    place: str
    model: "ManifestModel"
    manifests: dict[str, str]
    model_settings: dict[str, Any]


def _write(config: DeploymentConfig, fetched: "Fetched", key: str, temporary: Path) -> _Written:
    """Model repository and manifests; ``model-settings.json`` comes last."""
    from upath import UPath

    from wine_quality.deployment.manifest_settings import ManifestModel
    from wine_quality.deployment.manifests import yaml_files
    from wine_quality.packaging.copy_files import copy_into
    from wine_quality.packaging.repository import REQUIREMENTS, SETTINGS
    from wine_quality.paths import deployments
    from wine_quality.policy.names import inside
    from wine_quality.sources.s3 import assets_options

    model = fetched.model
    base = deployments(config.base_path)
    remote = "://" in base
    # Registries of several MLflow versions number their versions alike.
    place = f"{base}/mlflow-{key}/{model.name}/{model.version}"
    if not remote:
        inside(Path(base), f"mlflow-{key}", model.name, model.version)
    requirements = (fetched.folder / REQUIREMENTS).read_bytes()
    described = ManifestModel(
        name=model.name,
        version=model.version,
        run_id=model.run_id,
        mlflow_version=key,
        scikit_learn_version=dict(model.packages)["scikit-learn"],
        requirements_hash=hashlib.sha256(requirements).hexdigest(),
        storage_uri=f"{place}/repository/{model.name}" if remote else "",
    )
    manifests = yaml_files(described, config.manifests)
    folder = temporary / "manifests"
    folder.mkdir()
    for name, text in manifests.items():
        (folder / f"{name}.yaml").write_text(text)
    target = UPath(place, **(assets_options() if base.startswith("s3://") else {}))
    copy_into(folder, target / "manifests", SETTINGS)
    copy_into(fetched.folder.parent, target / "repository", SETTINGS)
    settings = json.loads((fetched.folder / SETTINGS).read_text())
    return _Written(place, described, manifests, settings)


def _apply(context: AssetExecutionContext, config: DeploymentConfig, written: _Written) -> str:
    """Apply the manifests, wait until the model answers, and return its address."""
    from wine_quality.deployment.apply import Endpoint, deploy
    from wine_quality.deployment.kubectl import DeploymentError, Kubectl
    from wine_quality.deployment.targets import load_target

    target = config.target.value
    try:
        if target == NONE:
            return "nowhere: only its files were written"
        if target == LOCAL:
            _await_local(config, written.model)
            return config.local_server
        if not config.kubernetes_context:
            raise DeploymentError(
                f"target is {target}, but kubernetes_context is empty: name the context, or "
                'set target to "none" to have the files written only'
            )
        deploy(
            load_target(target),
            written.model,
            config.manifests,
            Kubectl(config.kubernetes_context),
            endpoint=Endpoint(config.endpoint, config.endpoint_headers)
            if config.endpoint
            else None,
            timeout_seconds=config.timeout_seconds,
            report=context.log.info,
        )
    except (DeploymentError, ValueError) as error:
        raise Failure(str(error), allow_retries=False) from error
    return f"{target} on context {config.kubernetes_context}"


def _await_local(config: DeploymentConfig, model: "ManifestModel") -> None:
    """Until the server of ``make serve`` answers with this version, which it takes by itself."""
    from wine_quality.deployment.apply import Endpoint, await_answer
    from wine_quality.deployment.kubectl import DeploymentError
    from wine_quality.deployment.target import ServedAs

    url = Endpoint(config.local_server).ready_url(ServedAs(model.name, model.version))
    try:
        await_answer(url, config.timeout_seconds)
    except DeploymentError as error:
        raise DeploymentError(
            f"{error} Is `make serve` running, on this MLflow? It serves the champion, or the "
            "version that it was started with."
        ) from error
