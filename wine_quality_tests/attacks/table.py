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
    """What an attacker has.

    Attributes:
        loot: An empty folder that the platform's processes could write to.
        kept: A folder with a file that must stay.
        delivered: A folder that runs may read, with good files and bad ones.
        mlflow: host:port of a server that the platform uses.
    """

    http: HttpListener
    postgres: PostgresListener
    loot: Path
    kept: Path
    delivered: Path
    mlflow: str


@dataclass(frozen=True)
class Attack:
    """One run with a hostile config.

    Attributes:
        name: For the table of results.
        config: Run config; the version is added to it.
        refused: A regular expression that the reason must match; None: the run may succeed, as
            long as nothing leaves.
        assets: To materialize; empty: the job ``MODEL``.
        versions: Of MLflow for which it differs.
        is_quick: Part of `make test`.
    """

    name: str
    config: Callable[[World], dict[str, Any]]
    refused: str | None
    assets: tuple[str, ...] = ()
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
EXTRA_JAVA = "spark.driver.extraJavaOptions"

ATTACKS = [
    Attack(
        "tracking_uri: another server",
        lambda w: resource("mlflow", tracking_uri=f"http://127.0.0.1:{w.http.port}"),
        "WINE_QUALITY_ALLOWED_TRACKING_URIS",
        versions=EVERY,
        is_quick=True,
    ),
    Attack(
        "tracking_uri: two hosts to two parsers (\\@)",
        lambda w: resource("mlflow", tracking_uri=f"http://127.0.0.1:{w.http.port}\\@{w.mlflow}"),
        "tracking_uri|WINE_QUALITY_ALLOWED_TRACKING_URIS",
        versions=EVERY,
        is_quick=True,
    ),
    Attack(
        "tracking_uri: two @",
        lambda w: resource("mlflow", tracking_uri=f"http://a@127.0.0.1:{w.http.port}@{w.mlflow}"),
        "tracking_uri|WINE_QUALITY_ALLOWED_TRACKING_URIS",
    ),
    Attack(
        "{env: …}: a password as the name of an experiment",
        lambda w: resource("mlflow", experiment_name={"env": "MLFLOW_TRACKING_PASSWORD"}),
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
        lambda w: source(f"http://127.0.0.1:{w.http.port}/wines.csv"),
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
            target="local", local_server=f"http://127.0.0.1:{w.http.port}", timeout_seconds=1
        ),
        "did not answer within|WINE_QUALITY_ALLOWED",
        assets=DEPLOYMENT,
    ),
]
