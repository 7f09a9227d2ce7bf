"""``python -m wine_quality trust``: note the hash of a version's files, for one that has none."""

from __future__ import annotations

import argparse
import sys

from wine_quality.environments.own_client import go_on_in
from wine_quality.environments.versions import (
    EnvironmentMissingError,
    MlflowVersion,
    default_version,
    get_version,
)

BAD_USE = 2
_CHAMPION = "champion"


def trust(options: argparse.Namespace) -> int:
    """0 when it is noted, 1 when the registry was against it, 2 on bad use."""
    try:
        version = get_version(options.mlflow or default_version())
        version.require_python()
        if options.version != _CHAMPION and not options.version.isdigit():
            raise ValueError(f"--version {options.version!r} is neither a number nor {_CHAMPION!r}")
    except (ValueError, EnvironmentMissingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_USE
    go_on_in(version)
    return _trust(options, version)


def _trust(options: argparse.Namespace, version: MlflowVersion) -> int:
    from wine_quality.tracking.champion import CHAMPION
    from wine_quality.tracking.connection import MODEL, connect, tracking_settings
    from wine_quality.tracking.provenance import UntrustedModelError
    from wine_quality.tracking.server_check import TrackingServerError

    name = options.model or MODEL
    try:
        settings = tracking_settings(version, options.tracking_uri)
        tracker = connect(version, settings, lambda text: print(text, file=sys.stderr))
        number = options.version
        if number == _CHAMPION:
            number = tracker.registry(name).holder(CHAMPION)
        if number is None or tracker.registry(name).version(number) is None:
            print(f"error: {name} has no version {options.version}", file=sys.stderr)
            return 1
        noted = tracker.note_hash(name, number)
    except (UntrustedModelError, FileNotFoundError, TrackingServerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{name} version {number}: its files have the SHA-256 {noted}, which is noted now.")
    return 0
