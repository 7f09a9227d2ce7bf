"""Options that several commands take, and the types of their values."""

from __future__ import annotations

import argparse
from typing import Any

from wine_quality.environments.mlflow_versions import DEFAULT_VERSION, MLFLOW_VERSIONS

MLFLOW = "resources.mlflow.config"
VERSION_FIELD = f"{MLFLOW}.version"
MODEL_FIELD = f"{MLFLOW}.registered_model_name"
ENGINE_FIELD = "resources.training_engine.config.engine"


def numbers(text: str) -> list[float]:
    """Of "0.1,1"."""
    try:
        return [float(number) for number in text.split(",")]
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a list of numbers such as 0.1,1"
        ) from None


def days(text: str) -> float:
    """At least 0, and finite."""
    number = float(text)
    if not 0 <= number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of days")
    return number


class OneVersion(argparse.Action):
    """Refuses a second version, as of MLFLOW=3 and ARGS="--mlflow 2.1.1"."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        before = getattr(namespace, self.dest, None)
        if before not in (None, values):
            raise argparse.ArgumentError(self, f"{before} and {values} are two. Give one.")
        setattr(namespace, self.dest, values)


def add_field(command: argparse.ArgumentParser, option: str, path: str, **settings: Any) -> None:
    """An option that sets a field of run config, such as ``ops.raw_wine_csv.config.csv_url``.

    Args:
        settings: Of ``add_argument``.
    """
    if "choices" not in settings and "const" not in settings:
        settings["metavar"] = option.strip("-").replace("-", "_").upper()
    command.add_argument(option, dest=path, **settings)


def add_mlflow(command: argparse.ArgumentParser, dest: str = "mlflow") -> None:
    command.add_argument(
        "--mlflow",
        dest=dest,
        action=OneVersion,
        choices=list(MLFLOW_VERSIONS),
        help=f"MLflow version (--config's, else $WINE_QUALITY_MLFLOW, else {DEFAULT_VERSION})",
    )


def add_servers(command: argparse.ArgumentParser, place: str = "") -> None:
    """Options of this prefix that name the MLflow servers."""
    for option, text in (
        ("--tracking-uri", "MLflow server; default: an embedded store"),
        ("--registry-uri", "MLflow server that has the models, if another"),
    ):
        add_field(command, option, place + option.strip("-").replace("-", "_"), help=text)


def add_run_config(command: argparse.ArgumentParser) -> None:
    """The options of every command that launches a job."""
    add_servers(command, f"{MLFLOW}.")
    command.add_argument("--config", help="YAML file of run config; options win over it")
    command.add_argument("--verbose", action="store_true", help="Dagster's whole log")
    add_mlflow(command, VERSION_FIELD)


def add_model(command: argparse.ArgumentParser) -> None:
    """Of which registered model the version is."""
    text = "registered model (ElasticnetWineModel)"
    add_field(command, "--model", MODEL_FIELD, help=text)


def add_experiment(command: argparse.ArgumentParser) -> None:
    text = "MLflow experiment (wine_quality_experiment1)"
    add_field(command, "--experiment", f"{MLFLOW}.experiment_name", help=text)


def add_training(command: argparse.ArgumentParser, reader: str) -> None:
    """The data to train on, which the op ``reader`` reads."""
    from wine_quality.datasets.accumulate import TrainingData
    from wine_quality.engines.choice import EngineChoice

    place = f"ops.{reader}.config"
    text = "data: https://, s3://, file:// or a path (red wine)"
    add_field(command, "--csv-url", f"{place}.csv_url", help=text)
    choices = [choice.value for choice in TrainingData]
    text = "newest: the file of this run (default); accumulated: all files accepted so far"
    add_field(command, "--training-data", f"{place}.training_data", choices=choices, help=text)
    choices = [choice.value for choice in EngineChoice]
    text = "in_memory: one CSV file (default); duckdb, spark: Parquet or CSV of any size"
    add_field(command, "--training-engine", ENGINE_FIELD, choices=choices, help=text)
    add_experiment(command)
