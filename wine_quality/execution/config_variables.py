"""Which environment variables run config may name as ``{env: NAME}``.

Dagster puts the variable's value in its place, where errors, logs and MLflow show it: without a
limit, anyone who may launch runs could read any secret of the code location.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from wine_quality.escaping import ProjectError
from wine_quality.policy.settings import CONFIG_VARIABLES, allowed_items, allows_any

_SERVERS = [("resources", "mlflow", "config", f"{of}_uri") for of in ("tracking", "registry")]
# The addresses of servers, for the fields that take one.
_ADDRESS = re.compile(r"MLFLOW_(TRACKING|REGISTRY)_URI|WINE_QUALITY_MLFLOW_URI_\w+")


class ForbiddenVariableError(ProjectError, RuntimeError):
    """Run config names a variable that it may not; the message shows how to allow it."""


def check_config_variables(run_config: Mapping[str, Any]) -> None:
    """Raises ``ForbiddenVariableError`` for a variable that is not allowed where it stands."""
    named = CONFIG_VARIABLES.read()
    allowed = allowed_items(CONFIG_VARIABLES)
    for path, variable in _named(run_config, ()):
        known_address = path in _SERVERS and _ADDRESS.fullmatch(variable)
        if not (known_address or allows_any(CONFIG_VARIABLES) or variable in allowed):
            raise ForbiddenVariableError(
                f"{'.'.join(path)} names the variable {variable}, which run config may not read. "
                f"Whoever runs the platform allows it by ${CONFIG_VARIABLES} (now: "
                f"{named or 'none'}), in the environment of the code location."
            )


def _named(config: Any, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Place and name of each variable."""
    if isinstance(config, Mapping):
        if set(config) == {"env"} and isinstance(config["env"], str):
            yield path, config["env"]
            return
        for key, value in config.items():
            yield from _named(value, (*path, str(key)))
    elif isinstance(config, (list, tuple)):
        for number, value in enumerate(config):
            yield from _named(value, (*path, str(number)))
