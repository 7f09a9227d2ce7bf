"""Run config of a command: its --config file, and its options, which win over the file's fields.

Not over its MLflow version: two different ones are an error.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from wine_quality.cli.options import VERSION_FIELD
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, get_version
from wine_quality.tracking.version_choice import named_version


def run_config(options: argparse.Namespace) -> dict[str, Any]:
    """Run config as the Launchpad takes it; options win over the file's fields.

    Each option with a dot in its name is the field at that path (``options.add_field``).

    Raises:
        ValueError: the file cannot be read, is not a mapping all the way to a field set here, or
            names another MLflow version than the option.
    """
    config = _config_file(options.config) if options.config else {}
    _require_one_version(options, config)
    for path, value in vars(options).items():
        if "." in path and value is not None:
            *levels, last = path.split(".")
            node = config
            for key in levels:
                if node.get(key) is None:
                    node[key] = {}
                node = node[key]
                if not isinstance(node, dict):
                    raise ValueError(f"{options.config}: {key} must be a mapping")
            node[last] = value
    if not options.verbose:
        config.setdefault("loggers", {"progress": {}})
    return config


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
        ValueError: it is not a known version, or is a number; the message lists the versions.
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
    mlflow = getattr(options, VERSION_FIELD)
    if mlflow and in_file and mlflow != in_file:
        raise ValueError(
            f"MLFLOW={mlflow} (--mlflow) and {options.config} "
            f'(resources.mlflow.config.version: "{in_file}") name two MLflow versions. Give one.'
        )
