"""What the manifests are made from: the model, and how it is to run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from wine_quality.deployment.quantities import cpu_cores, memory_bytes

# The controllers add up to 18 characters (a StatefulSet's "-server" and its revision), and
# Kubernetes takes 63.
LONGEST_NAME = 45
KSERVE_MODES = ("Standard", "Knative", "RawDeployment")
PULL_POLICIES = ("IfNotPresent", "Always", "Never")
# Labels that this package writes.
OWN_LABELS = "app.kubernetes.io/"

_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SECRET = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
_LABEL_PART = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_IMAGE = re.compile(r"[a-z0-9][\w.\-/:]*(@sha256:[0-9a-f]{64})?", re.ASCII)
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
            ValueError: nothing of the name can stand in one of Kubernetes.
        """
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", self.name)
        kebab = re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-").lstrip("-0123456789")
        kebab = kebab[:LONGEST_NAME].strip("-")
        _require(bool(kebab), "name", self.name, "a name with a letter; else set a Kubernetes name")
        return kebab


@dataclass(frozen=True)
class ManifestSettings:
    """How a model runs on Kubernetes. ``wine_quality.defs.deployment.manifest_config`` describes
    each field to the person who fills it in.

    Raises:
        ValueError: names the field, its value and what it may be.
    """

    name: str = ""
    namespace: str = "wine-quality"
    labels: Mapping[str, str] = field(default_factory=dict)
    image: str = ""
    image_pull_policy: str = "IfNotPresent"
    environment_secret: str = ""
    cpu_request: str = "100m"
    cpu_limit: str = "1"
    memory_request: str = "512Mi"
    memory_limit: str = "1Gi"
    replicas: int = 1
    min_replicas: int = 1
    max_replicas: int | None = None
    target_cpu_percent: int = 70
    storage_secret: str = "wine-quality-storage"
    storage_provider: str = "Minio"
    storage_endpoint: str = ""
    storage_region: str = "us-east-1"
    seldon_v2_server_config: str = "mlserver"
    seldon_v2_model_memory: str = "64Mi"
    seldon_v1_predictor: str = "default"
    kserve_mode: str = "Standard"
    kserve_timeout_seconds: int = 60
    kserve_target_concurrency: int = 10

    def __post_init__(self) -> None:
        if self.name:
            _require(
                bool(_NAME.fullmatch(self.name)) and len(self.name) <= LONGEST_NAME,
                "name",
                self.name,
                f"at most {LONGEST_NAME} of a-z, 0-9 and '-', beginning with a letter",
            )
        _check_names(self)
        _check_labels(self.labels)
        _check_resources(self)
        _check_scaling(self)

    @property
    def autoscales(self) -> bool:
        return self.max_replicas is not None

    def name_of(self, model: ManifestModel) -> str:
        """The Kubernetes name."""
        return self.name or model.kubernetes_name

    def image_of(self, model: ManifestModel) -> str:
        """The image that ``make image`` builds, unless another is set."""
        return self.image or f"localhost/wine-quality-model:{model.version}"


def _check_names(settings: ManifestSettings) -> None:
    dns = "at most 63 of a-z, 0-9 and '-'"
    for name in ("namespace", "seldon_v1_predictor", "seldon_v2_server_config"):
        value = getattr(settings, name)
        _require(bool(_NAMESPACE.fullmatch(value)) and len(value) <= 63, name, value, dns)
    secret = "name of a Secret: at most 253 of a-z, 0-9, '-' and '.'"
    for name in ("storage_secret", "environment_secret"):
        value = getattr(settings, name)
        fits = bool(_SECRET.fullmatch(value)) and len(value) <= 253
        _require(fits or (not value and name == "environment_secret"), name, value, secret)
    image = settings.image
    _require(
        not image or bool(_IMAGE.fullmatch(image)),
        "image",
        image,
        "an image, such as registry.example.org/wine-quality-model:7",
    )
    _one_of("image_pull_policy", settings.image_pull_policy, PULL_POLICIES)
    _one_of("kserve_mode", settings.kserve_mode, KSERVE_MODES)
    for name in ("storage_provider", "storage_region"):
        value = getattr(settings, name)
        plain = bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.-]{0,62}", value))
        _require(plain, name, value, "of A-Z, a-z, 0-9, '-' and '.'")
    endpoint = settings.storage_endpoint
    _require(
        not endpoint or bool(re.fullmatch(r"https?://[^\s@?#]+", endpoint)),
        "storage_endpoint",
        endpoint,
        "a URL without user and password, such as http://minio.minio.svc:9000",
    )


def _check_labels(labels: Mapping[str, str]) -> None:
    for key, value in labels.items():
        prefix, slash, name = str(key).rpartition("/")
        fits = bool(_LABEL_PART.fullmatch(name)) and (not slash or bool(_PREFIX.fullmatch(prefix)))
        _require(fits, "labels", key, "keys such as team or example.org/team")
        _require(
            not key.startswith(OWN_LABELS), "labels", key, f"other keys: {OWN_LABELS}* is written"
        )
        _require(
            value == "" or bool(_LABEL_PART.fullmatch(value)),
            f"labels.{key}",
            value,
            "at most 63 of A-Z, a-z, 0-9, '-', '_' and '.'",
        )


def _check_resources(settings: ManifestSettings) -> None:
    for resource, amount in (("cpu", cpu_cores), ("memory", memory_bytes)):
        least = _amount(settings, f"{resource}_request", amount)
        if getattr(settings, f"{resource}_limit"):
            most = _amount(settings, f"{resource}_limit", amount)
            if most < least:
                raise ValueError(
                    f"{resource}_limit is {getattr(settings, f'{resource}_limit')}, less than "
                    f"{resource}_request {getattr(settings, f'{resource}_request')}: raise it, "
                    "or leave it empty for none"
                )
    model = _amount(settings, "seldon_v2_model_memory", memory_bytes)
    if model > memory_bytes(settings.memory_request):
        raise ValueError(
            f"seldon_v2_model_memory is {settings.seldon_v2_model_memory}, more than "
            f"memory_request {settings.memory_request}: no server could take the model"
        )


def _amount(settings: ManifestSettings, name: str, parse: Any) -> Any:
    try:
        return parse(getattr(settings, name))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _check_scaling(settings: ManifestSettings) -> None:
    for name, least, most in (
        ("replicas", 1, 1000),
        ("min_replicas", 1, 1000),
        ("target_cpu_percent", 1, 100),
        ("kserve_timeout_seconds", 1, 3600),
        ("kserve_target_concurrency", 1, 10_000),
    ):
        value = getattr(settings, name)
        _require(_is_whole(value) and least <= value <= most, name, value, f"{least} to {most}")
    highest = settings.max_replicas
    if highest is not None:
        _require(
            _is_whole(highest) and settings.min_replicas <= highest <= 1000,
            "max_replicas",
            highest,
            f"at least min_replicas ({settings.min_replicas}), or none for no autoscaling",
        )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _one_of(name: str, value: object, known: tuple[str, ...]) -> None:
    _require(value in known, name, value, " or ".join(known))


def _require(fits: bool, name: str, value: object, expected: str) -> None:
    if not fits:
        raise ValueError(f"{name} is {value!r}; it must be {expected}")
