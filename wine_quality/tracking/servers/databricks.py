"""Databricks as MLflow server: which addresses mean it, and where people see its workspace.

Reads files and variables only: MLflow's own helpers ask the workspace.
"""

from __future__ import annotations

import configparser
import os
import re
from pathlib import Path

from wine_quality.environments.mlflow_versions import get_version
from wine_quality.policy.names import BadNameError
from wine_quality.sources.location import LocationError, parse_server

_URI = re.compile(r"databricks(-uc)?(://(?P<profile>[^/:]*).*)?")
_LEVEL = re.compile(r"[^\s./\\]+")
UNITY_CATALOG = "databricks-uc"


def is_databricks(uri: str) -> bool:
    """``databricks``, ``databricks-uc``, and either with ``://profile``."""
    return bool(_URI.fullmatch(uri))


def is_unity_catalog(uri: str) -> bool:
    """Whether a registry's address means Unity Catalog."""
    return is_databricks(uri) and uri.startswith(UNITY_CATALOG)


def registry_in_use(version: str, tracking_uri: str, registry_uri: str) -> str:
    """The registry of a version's client: MLflow 3 takes Unity Catalog for runs that are
    tracked on Databricks.

    Args:
        version: Key in the version table.
        registry_uri: Empty: none was given.
    """
    if registry_uri or get_version(version).major < 3 or not is_databricks(tracking_uri):
        return registry_uri or tracking_uri
    return re.sub(r"^databricks(-uc)?", UNITY_CATALOG, tracking_uri)


def workspace_url(uri: str) -> str:
    """``https://host`` of the workspace; empty where it cannot be known without a request.

    It stands in ``$DATABRICKS_HOST``, or in the profile that the address or
    ``$DATABRICKS_CONFIG_PROFILE`` names. Where address and variable name two, MLflow's versions
    differ in which one counts.
    """
    found = _URI.fullmatch(uri)
    named = found and found["profile"]
    given = _address(os.environ.get("DATABRICKS_HOST", ""))
    if given and not named:
        return given
    profile = named or os.environ.get("DATABRICKS_CONFIG_PROFILE") or "DEFAULT"
    in_file = _address(_host_in_file(profile))
    return in_file if given in ("", in_file) else ""


def check_unity_catalog_name(name: str, field: str) -> str:
    """Raises ``BadNameError`` unless it is ``catalog.schema.model``."""
    levels = name.split(".")
    if len(levels) != 3 or not all(_LEVEL.fullmatch(level) for level in levels):
        raise BadNameError(
            f"{field} is {name!r}, but Unity Catalog takes catalog.schema.model, without spaces."
        )
    return name


def check_experiment_path(name: str, tracking_uri: str) -> None:
    """Raises ``BadNameError`` for the name of an experiment that Databricks would not make."""
    if is_databricks(tracking_uri) and not name.startswith("/"):
        raise BadNameError(
            f"resources.mlflow.config.experiment_name is {name!r}, but experiments of Databricks "
            "are absolute paths, such as /Users/someone@example.org/wine."
        )


def _host_in_file(profile: str) -> str:
    place = os.environ.get("DATABRICKS_CONFIG_FILE") or "~/.databrickscfg"
    # As Databricks reads it: values in DEFAULT do not count for the others.
    profiles = configparser.ConfigParser(interpolation=None, default_section="")
    try:
        profiles.read(Path(place).expanduser(), encoding="utf-8")
        return profiles.get(profile, "host", fallback="")
    except (configparser.Error, UnicodeDecodeError):
        return ""


def _address(host: str) -> str:
    """Scheme, host and port only; empty for text that is not an address."""
    text = host.strip()
    if not text:
        return ""
    try:
        found = parse_server(text if "://" in text else f"https://{text}")
    except LocationError:
        return ""
    port = f":{found.port}" if found.port else ""
    return f"{found.scheme}://{found.host}{port}"
