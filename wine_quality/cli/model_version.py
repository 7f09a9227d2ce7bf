"""Which registered version a command means, for those that take the champion or a number."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from wine_quality.environments.build import require_built
from wine_quality.environments.mlflow_versions import (
    EnvironmentMissingError,
    MlflowVersion,
    default_version,
    get_version,
)
from wine_quality.environments.own_client import reexec_in_environment
from wine_quality.policy.names import check_model_name

if TYPE_CHECKING:
    import argparse

    from wine_quality.tracking.tracker import Tracker

_CHAMPION = "champion"


def in_own_environment(options: argparse.Namespace) -> MlflowVersion | None:
    """The MLflow version that was picked; the command goes on in its environment. None on bad use,
    for which an error was printed."""
    try:
        version = get_version(options.mlflow or default_version())
        require_built(version)
        words = (_CHAMPION, "all") if options.command == "trust" else (_CHAMPION,)
        if options.version not in words and not options.version.isdigit():
            raise ValueError(
                f"--version {options.version!r} is neither a number nor {' nor '.join(words)}"
            )
        if options.model:
            check_model_name(options.model, "--model")
    except (ValueError, EnvironmentMissingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return None
    reexec_in_environment(version)
    return version


def resolve_version(
    options: argparse.Namespace, version: MlflowVersion
) -> tuple[Tracker, str, str | None]:
    """The registry, the model's name, and the number of the version; None without a champion.

    Raises:
        TrackingServerError: the server does not answer, is another version's, or has two champions.
    """
    from wine_quality.project import MODEL
    from wine_quality.tracking.connection import connect, tracking_settings
    from wine_quality.tracking.registry.champion import CHAMPION
    from wine_quality.tracking.registry.roles import RoleConflictError
    from wine_quality.tracking.servers.server_check import TrackingServerError

    name = options.model or MODEL
    settings = tracking_settings(version, options.tracking_uri, options.registry_uri)
    tracker = connect(version, settings, lambda text: print(text, file=sys.stderr))
    number = options.version
    if number == _CHAMPION:
        try:
            number = tracker.registry(name).holder(CHAMPION)
        except RoleConflictError as conflict:
            raise TrackingServerError(str(conflict)) from conflict
    return tracker, name, number
