"""``python -m wine_quality trust``: note the hash of a version's files, for one that has none."""

from __future__ import annotations

import argparse
import sys

from wine_quality.cli_version import in_own_environment, meant
from wine_quality.environments.versions import MlflowVersion

BAD_USE = 2


def trust(options: argparse.Namespace) -> int:
    """0 when it is noted, 1 when the registry was against it, 2 on bad use."""
    version = in_own_environment(options)
    if version is None:
        return BAD_USE
    return _trust(options, version)


def _trust(options: argparse.Namespace, version: MlflowVersion) -> int:
    from wine_quality.tracking.provenance import UntrustedModelError
    from wine_quality.tracking.server_check import TrackingServerError

    try:
        tracker, name, number = meant(options, version)
        if number is None or tracker.registry(name).version(number) is None:
            print(f"error: {name} has no version {options.version}", file=sys.stderr)
            return 1
        noted = tracker.note_hash(name, number)
    except (UntrustedModelError, FileNotFoundError, TrackingServerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{name} version {number}: its files have the SHA-256 {noted}, which is noted now.")
    return 0
