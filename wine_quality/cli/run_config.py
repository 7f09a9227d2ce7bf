"""Run config of a command: its --config file, and its options, which win over the file's fields.

Not over its MLflow version: whoever names two is asked which one is meant.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from wine_quality.cli.predict import run_config_fields
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, get_version
from wine_quality.tracking.version_choice import named_version

# Op that reads the wines in each job that does.
READERS = {"run": "raw_wine_csv", "sweep": "sweep_data"}


def run_config(options: argparse.Namespace) -> dict[str, Any]:
    """Run config as the Launchpad takes it; options win over the file's fields.

    Raises:
        ValueError: the file cannot be read, is not a mapping all the way to a field set here, or
            names another MLflow version than the option.
    """
    config = _config_file(options.config) if options.config else {}
    _require_one_version(options, config)
    reader = READERS.get(options.command, "")
    for path, value in {
        ("ops", reader, "config", "csv_url"): options.csv_url,
        ("ops", reader, "config", "training_data"): options.training_data,
        ("ops", "sweep_points", "config", "alphas"): options.alphas,
        ("ops", "sweep_points", "config", "l1_ratios"): options.l1_ratios,
        ("ops", "sweep_points", "config", "folds"): options.folds,
        ("ops", "promote_version", "config", "version"): options.promote,
        ("ops", "return_to_version", "config", "version"): options.return_to,
        ("ops", "model_deployment", "config", "version"): options.deploy,
        ("ops", "model_deployment", "config", "target"): options.target,
        ("ops", "model_deployment", "config", "kubernetes_context"): options.context,
        **run_config_fields(options),
        ("ops", "remove_old", "config", "days"): options.days,
        ("ops", "remove_old", "config", "dry_run"): False if options.delete else None,
        ("resources", "hyperparameters", "config", "alpha"): options.alpha,
        ("resources", "hyperparameters", "config", "l1_ratio"): options.l1_ratio,
        ("resources", "training_engine", "config", "engine"): options.training_engine,
        ("resources", "training_engine", "config", "folds"): _streamed_folds(options),
        ("resources", "mlflow", "config", "version"): options.mlflow,
        ("resources", "mlflow", "config", "tracking_uri"): options.tracking_uri,
        ("resources", "mlflow", "config", "registry_uri"): options.registry_uri,
        ("resources", "mlflow", "config", "experiment_name"): options.experiment,
    }.items():
        if value is not None:
            node = config
            for key in path[:-1]:
                if node.get(key) is None:
                    node[key] = {}
                node = node[key]
                if not isinstance(node, dict):
                    raise ValueError(f"{options.config}: {key} must be a mapping")
            node[path[-1]] = value
    if not options.verbose:
        config.setdefault("loggers", {"progress": {}})
    return config


def _streamed_folds(options: argparse.Namespace) -> int | None:
    """What a sweep asks for, the pass over the data must keep."""
    return options.folds if options.training_engine else None


def _config_file(path: str) -> dict[str, Any]:
    import yaml

    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"--config {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"--config {path} is not YAML: {error}") from error
    if content is not None and not isinstance(content, dict):
        raise ValueError(f"--config {path} must hold a mapping, as the Launchpad does")
    _require_text_keys(content or {}, f"--config {path}", ())
    return content or {}


def _require_text_keys(value: Any, file: str, levels: tuple[str, ...]) -> None:
    """Dagster answers a key that is a number, or nothing, with its own traceback."""
    if isinstance(value, list):
        for number, one in enumerate(value):
            _require_text_keys(one, file, (*levels, str(number)))
    if not isinstance(value, dict):
        return
    before = None
    for key, one in value.items():
        if not isinstance(key, str):
            place = ".".join(levels) or "the file"
            raise ValueError(f"{file}: {place} has the key {key!r}{_comma_hint(key, one, before)}")
        _require_text_keys(one, file, (*levels, key))
        before = (key, one)


def _comma_hint(key: Any, value: Any, before: tuple[str, Any] | None) -> str:
    """``{alpha: 0,5}`` is ``alpha: 0`` and a key 5 to YAML."""
    if value is None and before is not None and type(key) is int and type(before[1]) is int:
        name, whole = before
        return f': YAML reads "{name}: {whole},{key}" as two entries; write {whole}.{key}.'
    return ", which YAML does not read as text: quote it, or write the name that was meant."


def version_in_file(config: dict[str, Any], file: str | None) -> str | None:
    """The MLflow version that run config names, if any.

    Args:
        file: Where it was read from, for the message.

    Raises:
        ValueError: it is none of those there are, or a number; the message lists them.
    """
    named = named_version(config)
    if named is None:
        return None
    where = f" in {file}" if file else ""
    if not isinstance(named, str):
        raise ValueError(
            f"resources.mlflow.config.version{where} is {named!r}, which YAML takes for no text: "
            f"quote it. It is one of {_choices()}."
        )
    if named not in MLFLOW_VERSIONS:
        raise ValueError(
            f'resources.mlflow.config.version{where} is "{named}"; it must be one of {_choices()}, '
            "in quotes."
        )
    return get_version(named).key


def _choices() -> str:
    *others, last = (f'"{key}"' for key in MLFLOW_VERSIONS)
    return f"{', '.join(others)} or {last}"


def _require_one_version(options: argparse.Namespace, config: dict[str, Any]) -> None:
    in_file = version_in_file(config, options.config)
    if options.mlflow and in_file and options.mlflow != in_file:
        raise ValueError(
            f"MLFLOW={options.mlflow} (--mlflow) and {options.config} "
            f'(resources.mlflow.config.version: "{in_file}") name two MLflow versions. Give one.'
        )
