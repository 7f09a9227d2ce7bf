"""Input of the manifests: the model, and the settings that it is to run with."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from wine_quality.deployment.quantities import cpu_cores, memory_bytes

# The controllers add up to 18 characters (a StatefulSet's "-server" and its revision), and
# Kubernetes takes 63.
LONGEST_NAME = 45
KSERVE_MODES = ("Standard", "Knative", "RawDeployment")
# Labels that this package writes.
OWN_LABELS = "app.kubernetes.io/"

_LABEL_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


@dataclass(frozen=True)
class ManifestModel:
    """A registered model version whose model repository was written.

    Attributes:
        name: Of the registered model; also its name in the V2 protocol.
        version: Its number in the registry, such as 7.
        run_id: Of the MLflow run that trained it.
        mlflow_version: Key of the version that logged it: 1.26, 2.1.1 or 3.
        scikit_learn_version: What it was trained, and is served, with.
        requirements_hash: Short hash of its locked requirements, 8 or more hexadecimal digits.
        storage_uri: Folder with model-settings.json, as the cluster reaches it, such as
            s3://assetsbucket/deployments/ElasticnetWineModel/7/repository. Only Seldon Core v2
            reads it; empty where the folder is on this machine's disk alone.

    Raises:
        ValueError: names the field and what it must be.
    """

    name: str
    version: str
    run_id: str
    mlflow_version: str
    scikit_learn_version: str
    requirements_hash: str
    storage_uri: str = ""

    def __post_init__(self) -> None:
        _require(bool(self.name.strip()), "name", self.name, "the registered model's name")
        _require(self.version.isdigit(), "version", self.version, "the registry's version number")
        _require(
            bool(_LABEL_PART.fullmatch(self.scikit_learn_version)),
            "scikit_learn_version",
            self.scikit_learn_version,
            "a version, such as 1.9.1",
        )
        _require(
            bool(re.fullmatch(r"[0-9a-f]{8,64}", self.requirements_hash)),
            "requirements_hash",
            self.requirements_hash,
            "8 to 64 hexadecimal digits",
        )

    @property
    def capability(self) -> str:
        """Names the environment that can serve the model, for Seldon Core v2's scheduler."""
        return f"wine-quality-sklearn-{self.scikit_learn_version}-{self.requirements_hash[:8]}"

    @property
    def kubernetes_name(self) -> str:
        """The name in kebab case: ElasticnetWineModel is elasticnet-wine-model.

        Raises:
            ValueError: the name has no letter from a to z.
        """
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.name)
        kebab = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-").lstrip("-0123456789")
        kebab = kebab[:LONGEST_NAME].strip("-")
        _require(bool(kebab), "name", self.name, "a name with a letter; else set a Kubernetes name")
        return kebab


def _require(fits: bool, name: str, value: object, expected: str) -> None:
    if not fits:
        raise ValueError(f"{name} is {value!r}; it must be {expected}")


def _matching(pattern: str, expected: str) -> AfterValidator:
    """Like pydantic's ``pattern``, with an error that describes the expected value in words."""
    compiled = re.compile(pattern, re.ASCII)

    def check(value: str, info: ValidationInfo) -> str:
        _require(bool(compiled.fullmatch(value)), str(info.field_name), value, expected)
        return value

    return AfterValidator(check)


def _amount(parse: Callable[[str], object]) -> AfterValidator:
    def check(value: str, info: ValidationInfo) -> str:
        try:
            if value or not str(info.field_name).endswith("_limit"):
                parse(value)
        except ValueError as error:
            raise ValueError(f"{info.field_name}: {error}") from None
        return value

    return AfterValidator(check)


_SECRET_NAME = r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?"
_SECRET = "name of a Secret: at most 253 of a-z, 0-9, '-' and '.'"
_DnsLabel = Annotated[
    str,
    _matching(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", "at most 63 of a-z, 0-9 and '-'"),
]
_Plain = Annotated[
    str, _matching(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}", "of A-Z, a-z, 0-9, '-' and '.'")
]
_Cores = Annotated[str, _amount(cpu_cores)]
_Memory = Annotated[str, _amount(memory_bytes)]
# Strict: True is not a number of replicas.
_Replicas = Annotated[int, Field(ge=1, le=1000, strict=True)]


def _one_of(*values: str) -> AfterValidator:
    return _matching("|".join(values), " or ".join(values))


class ManifestSettings(BaseModel):
    """Settings of a model's Kubernetes manifests.

    Raises:
        pydantic.ValidationError: names the field, its value and what it may be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[
        str,
        _matching(
            rf"([a-z]([-a-z0-9]{{0,{LONGEST_NAME - 2}}}[a-z0-9])?)?",
            f"at most {LONGEST_NAME} of a-z, 0-9 and '-', beginning with a letter",
        ),
    ] = Field(
        default="",
        description="Kubernetes name, at most 45 of a-z, 0-9 and '-'. Empty: the registered "
        "model's name in kebab case, such as elasticnet-wine-model.",
    )
    namespace: _DnsLabel = Field(default="wine-quality", description="Namespace of all resources.")
    labels: dict[str, str] = Field(
        default={}, description="Labels besides app.kubernetes.io/*, such as {team: wine}."
    )
    image: Annotated[
        str,
        _matching(
            r"([a-z0-9][\w.\-/:]*(@sha256:[0-9a-f]{64})?)?",
            "an image, such as registry.example.org/wine-quality-model:7",
        ),
    ] = Field(
        default="",
        description="Image as the cluster pulls it. Empty: localhost/wine-quality-model:<version>, "
        "which is what `make image` builds.",
    )
    image_pull_policy: Annotated[str, _one_of("IfNotPresent", "Always", "Never")] = Field(
        default="IfNotPresent", description="IfNotPresent, Always or Never."
    )
    environment_secret: Annotated[str, _matching(f"({_SECRET_NAME})?", _SECRET)] = Field(
        default="",
        description="Secret whose keys become variables of the server, such as "
        "WINE_QUALITY_METRICS_URL for the prediction log. Empty: none.",
    )
    cpu_request: _Cores = Field(default="100m", description="Cores a replica is promised.")
    cpu_limit: _Cores = Field(default="1", description="Cores at most. Empty: no limit.")
    memory_request: _Memory = Field(default="512Mi", description="Memory a replica is promised.")
    memory_limit: _Memory = Field(default="1Gi", description="Memory at most. Empty: no limit.")
    replicas: _Replicas = Field(default=1, description="Replicas while nothing scales them.")
    min_replicas: _Replicas = Field(default=1, description="Least replicas of the autoscaler.")
    max_replicas: _Replicas | None = Field(
        default=None, description="Most replicas of the autoscaler. None: no autoscaling."
    )
    target_cpu_percent: Annotated[int, Field(ge=1, le=100)] = Field(
        default=70,
        description="CPU use, in percent of cpu_request, that the autoscaler aims at. Seldon Core "
        "v2 scales by how far inference lags instead, and KServe on Knative by concurrency.",
    )
    storage_secret: Annotated[str, _matching(_SECRET_NAME, _SECRET)] = Field(
        default="wine-quality-storage",
        description="Seldon Core v2: Secret with the rclone settings of the store that holds the "
        "model repositories; secret.example.yaml shows it.",
    )
    storage_provider: _Plain = Field(
        default="Minio",
        description="Seldon Core v2: rclone's S3 provider in secret.example.yaml: Minio, AWS, "
        "Ceph, Other and more.",
    )
    storage_endpoint: Annotated[
        str,
        _matching(
            r"(https?://[^\s@?#]+)?",
            "a URL without user and password, such as http://minio.minio.svc:9000",
        ),
    ] = Field(
        default="",
        description="Seldon Core v2: URL of the store as the cluster reaches it, for "
        "secret.example.yaml. Empty for AWS.",
    )
    storage_region: _Plain = Field(
        default="us-east-1", description="Seldon Core v2: region in secret.example.yaml."
    )
    seldon_v2_server_config: _DnsLabel = Field(
        default="mlserver",
        description="Seldon Core v2: the ServerConfig that the Server builds on.",
    )
    seldon_v2_model_memory: _Memory = Field(
        default="64Mi",
        description="Seldon Core v2: what the scheduler counts for the model, of memory_request.",
    )
    seldon_v1_predictor: _DnsLabel = Field(
        default="default", description="Seldon Core v1: name of the one predictor."
    )
    kserve_mode: Annotated[str, _one_of(*KSERVE_MODES)] = Field(
        default="Standard",
        description="KServe: Standard (Deployments and an HPA), RawDeployment (the same before "
        "KServe 0.16) or Knative.",
    )
    kserve_timeout_seconds: Annotated[int, Field(ge=1, le=3600)] = Field(
        default=60, description="KServe: seconds after which a request is given up."
    )
    kserve_target_concurrency: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=10,
        description="KServe on Knative: requests at once that a replica should have.",
    )

    @field_validator("labels")
    @classmethod
    def _check_labels(cls, labels: dict[str, str]) -> dict[str, str]:
        for key, value in labels.items():
            prefix, slash, name = key.rpartition("/")
            fits = _LABEL_PART.fullmatch(name) and (not slash or _PREFIX.fullmatch(prefix))
            _require(bool(fits), "labels", key, "keys such as team or example.org/team")
            own = key.startswith(OWN_LABELS)
            _require(not own, "labels", key, f"other keys: {OWN_LABELS}* is written")
            _require(
                not value or bool(_LABEL_PART.fullmatch(value)),
                f"labels.{key}",
                value,
                "at most 63 of A-Z, a-z, 0-9, '-', '_' and '.'",
            )
        return labels

    @model_validator(mode="after")
    def _check_together(self) -> Any:
        for resource, parse in (("cpu", cpu_cores), ("memory", memory_bytes)):
            least = getattr(self, f"{resource}_request")
            most = getattr(self, f"{resource}_limit")
            if most and parse(most) < parse(least):
                raise ValueError(
                    f"{resource}_limit is {most}, less than {resource}_request {least}: raise it, "
                    "or leave it empty for none"
                )
        if memory_bytes(self.seldon_v2_model_memory) > memory_bytes(self.memory_request):
            raise ValueError(
                f"seldon_v2_model_memory is {self.seldon_v2_model_memory}, more than "
                f"memory_request {self.memory_request}: no server could take the model"
            )
        if self.max_replicas is not None:
            _require(
                self.min_replicas <= self.max_replicas,
                "max_replicas",
                self.max_replicas,
                f"at least min_replicas ({self.min_replicas}), or none for no autoscaling",
            )
        return self

    @property
    def autoscales(self) -> bool:
        return self.max_replicas is not None

    def name_of(self, model: ManifestModel) -> str:
        """The Kubernetes name."""
        return self.name or model.kubernetes_name

    def image_of(self, model: ManifestModel) -> str:
        """The image that ``make image`` builds, unless another is set."""
        return self.image or f"localhost/wine-quality-model:{model.version}"
