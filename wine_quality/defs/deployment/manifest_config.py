"""Run config of the manifests: ``ManifestSettings`` with a description on each field."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.deployment.manifest_settings import ManifestSettings


class ManifestConfig(CheckedConfig):
    """How the model runs on Kubernetes."""

    name: str = Field(
        default="",
        description="Kubernetes name, at most 45 of a-z, 0-9 and '-'. Empty: the registered "
        "model's name in kebab case, such as elasticnet-wine-model.",
    )
    namespace: str = Field(default="wine-quality", description="Namespace of all resources.")
    labels: dict[str, str] = Field(
        default={}, description="Labels besides app.kubernetes.io/*, such as {team: wine}."
    )
    image: str = Field(
        default="",
        description="Image as the cluster pulls it. Empty: localhost/wine-quality-model:<version>, "
        "which is what `make image` builds.",
    )
    image_pull_policy: str = Field(
        default="IfNotPresent", description="IfNotPresent, Always or Never."
    )
    environment_secret: str = Field(
        default="",
        description="Secret whose keys become variables of the server, such as "
        "WINE_QUALITY_METRICS_URL for the prediction log. Empty: none.",
    )
    cpu_request: str = Field(default="100m", description="Cores a replica is promised.")
    cpu_limit: str = Field(default="1", description="Cores at most. Empty: no limit.")
    memory_request: str = Field(default="512Mi", description="Memory a replica is promised.")
    memory_limit: str = Field(default="1Gi", description="Memory at most. Empty: no limit.")
    replicas: int = Field(default=1, description="Replicas while nothing scales them.")
    min_replicas: int = Field(default=1, description="Least replicas of the autoscaler.")
    max_replicas: int | None = Field(
        default=None, description="Most replicas of the autoscaler. None: no autoscaling."
    )
    target_cpu_percent: int = Field(
        default=70,
        description="CPU use, in percent of cpu_request, that the autoscaler aims at. Seldon Core "
        "v2 scales by how far inference lags instead, and KServe on Knative by concurrency.",
    )
    storage_secret: str = Field(
        default="wine-quality-storage",
        description="Seldon Core v2: Secret with the rclone settings of the store that holds the "
        "model repositories; secret.example.yaml shows it.",
    )
    storage_provider: str = Field(
        default="Minio",
        description="Seldon Core v2: rclone's S3 provider in secret.example.yaml: Minio, AWS, "
        "Ceph, Other and more.",
    )
    storage_endpoint: str = Field(
        default="",
        description="Seldon Core v2: URL of the store as the cluster reaches it, for "
        "secret.example.yaml. Empty for AWS.",
    )
    storage_region: str = Field(
        default="us-east-1", description="Seldon Core v2: region in secret.example.yaml."
    )
    seldon_v2_server_config: str = Field(
        default="mlserver",
        description="Seldon Core v2: the ServerConfig that the Server builds on.",
    )
    seldon_v2_model_memory: str = Field(
        default="64Mi",
        description="Seldon Core v2: what the scheduler counts for the model, of memory_request.",
    )
    seldon_v1_predictor: str = Field(
        default="default", description="Seldon Core v1: name of the one predictor."
    )
    kserve_mode: str = Field(
        default="Standard",
        description="KServe: Standard (Deployments and an HPA), RawDeployment (the same before "
        "KServe 0.16) or Knative.",
    )
    kserve_timeout_seconds: int = Field(
        default=60, description="KServe: seconds after which a request is given up."
    )
    kserve_target_concurrency: int = Field(
        default=10, description="KServe on Knative: requests at once that a replica should have."
    )

    def settings(self) -> ManifestSettings:
        """The same as plain values.

        Raises:
            ValueError: names the field, its value and what it may be.
        """
        given: dict[str, Any] = {name: getattr(self, name) for name in type(self).model_fields}
        return ManifestSettings(**given)
