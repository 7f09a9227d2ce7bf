"""``python -m wine_quality trust``: sign versions from before there were signatures.

What would be signed is shown first: what each version is of, and the hash of its files. Nothing of
it is loaded.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from wine_quality.cli.exits import BAD_USE, fail
from wine_quality.cli.model_version import in_own_environment, resolve_version
from wine_quality.cli.options import add_mlflow, add_servers
from wine_quality.environments.mlflow_versions import MlflowVersion

if TYPE_CHECKING:
    from wine_quality.tracking.registry.provenance import Claims
    from wine_quality.tracking.tracker import Tracker

ALL = "all"


@dataclass(frozen=True)
class Candidate:
    """A version that could be signed.

    Attributes:
        found: The model version, as the client gives it.
        claims: Those that its signature would hold; None when it is refused.
        finding: Its format, or why it is refused.
        run_is_known: Whether the Dagster run that its tags name made its MLflow run; None without
            a Dagster instance.
    """

    found: Any
    claims: Claims | None
    finding: str
    run_is_known: bool | None


def add_options(command: argparse.ArgumentParser) -> None:
    text = "a number, or all (the champion)"
    command.add_argument("--version", default="champion", help=text)
    text = "sign what is shown without asking"
    command.add_argument("--yes", action="store_true", help=text)
    text = "also versions whose Dagster run is not known here"
    command.add_argument("--unknown-runs", action="store_true", help=text)
    command.add_argument("--model", help="registered model (ElasticnetWineModel)")
    add_servers(command)
    add_mlflow(command)


def trust(options: argparse.Namespace) -> int:
    """0 when all that was asked for is signed, 1 when something is not, 2 on bad use."""
    version = in_own_environment(options)
    if version is None:
        return BAD_USE
    return _trust(options, version)


def _trust(options: argparse.Namespace, version: MlflowVersion) -> int:
    from wine_quality.tracking.registry.signing_key import SigningKeyError, signing_keys
    from wine_quality.tracking.servers.server_check import TrackingServerError

    try:
        keys = signing_keys()
        tracker, found = _asked_for(options, version)
        with ExitStack() as stack:
            candidates = _candidates(tracker, found, _dagster_runs(stack))
        return _decide(options, tracker, candidates, keys.origin)
    except (SigningKeyError, TrackingServerError, LookupError) as error:
        return fail(error.args[0])


def _asked_for(
    options: argparse.Namespace, version: MlflowVersion
) -> tuple[Tracker, Iterable[Any]]:
    """The registry and the versions, as the client gives them.

    Raises:
        LookupError: there are none.
    """
    from wine_quality.tracking.registry.all_versions import versions_of

    tracker, name, number = resolve_version(options, version)
    if options.version == ALL:
        every = sorted(versions_of(tracker.client, name), key=lambda one: int(one.version))
        if not every:
            raise LookupError(f"{name} has no version")
        return tracker, every
    found = tracker.registry(name).version(number) if number is not None else None
    if found is None:
        raise LookupError(f"{name} has no version {options.version}")
    return tracker, [found]


def _dagster_runs(stack: ExitStack) -> Callable[[str], str] | None:
    """The MLflow run that a Dagster run made, or ""; by $DAGSTER_HOME's instance, else by the
    home's. None when there is neither."""
    from wine_quality.dagster_support.instance import open_dagster, stores_are_made
    from wine_quality.dagster_support.run_tag_names import MLFLOW_RUN_TAG, under_current_names
    from wine_quality.paths import dagster_home_in_use

    folder = dagster_home_in_use()
    if not os.environ.get("DAGSTER_HOME") and not stores_are_made(folder):
        return None
    instance = stack.enter_context(open_dagster(folder))

    def made_by(run_id: str) -> str:
        run = instance.get_run_by_id(run_id)
        return under_current_names(run.tags).get(MLFLOW_RUN_TAG, "") if run is not None else ""

    return made_by


def _candidates(
    tracker: Tracker, found: Iterable[Any], made_by: Callable[[str], str] | None
) -> list[Candidate]:
    """The versions without a signature that is accepted here."""
    from wine_quality.families.family import types_of_families
    from wine_quality.tracking.registry.provenance import UntrustedModelError, require_signature

    candidates = []
    for version in found:
        try:
            require_signature(version)
            continue
        except UntrustedModelError:
            pass
        try:
            claims, kind = tracker.claims_of(version, types_of_families())
        except (UntrustedModelError, FileNotFoundError) as error:
            candidates.append(Candidate(version, None, str(error), None))
            continue
        is_known = made_by and made_by(claims.dagster_run_id) == claims.mlflow_run_id
        candidates.append(Candidate(version, claims, kind, is_known))
    return candidates


def _decide(
    options: argparse.Namespace, tracker: Tracker, candidates: list[Candidate], origin: str
) -> int:
    if not candidates:
        print("Nothing to sign: what was asked for carries a signature that is accepted here.")
        return 0
    for candidate in candidates:
        print(_shown(candidate))
    good = [
        one
        for one in candidates
        if one.claims is not None and (one.run_is_known is not False or options.unknown_runs)
    ]
    left = len(candidates) - len(good)
    if left:
        print(f"{left} of {len(candidates)} cannot be signed, see above.", file=sys.stderr)
    if not good:
        return 1
    if not (options.yes or _agreed(len(good))):
        print(
            "Nothing was signed. A signature says that you know these files to be what was trained "
            "here: they will be loaded, which may run code. ARGS=--yes signs them.",
            file=sys.stderr,
        )
        return 1
    for candidate in good:
        assert candidate.claims is not None
        tracker.sign(candidate.found, candidate.claims)
    print(f"{len(good)} version(s) are signed now, with the key in {origin}.")
    return 1 if left else 0


def _shown(candidate: Candidate) -> str:
    found, claims = candidate.found, candidate.claims
    made = datetime.fromtimestamp(found.creation_timestamp / 1000, timezone.utc)
    title = f"{found.name} version {found.version}, registered {made:%Y-%m-%d %H:%M} UTC"
    if claims is None:
        return f"{title}: refused. {candidate.finding}"
    known = {
        None: "",
        True: ", which made that MLflow run",
        False: ", of which this Dagster instance does not know that it made that MLflow run: "
        "refused. If it was deleted, or is of another instance ($DAGSTER_HOME): "
        "ARGS=--unknown-runs",
    }
    return (
        f"{title}: {candidate.finding}\n"
        f"    MLflow run {claims.mlflow_run_id}, files {claims.files}\n"
        f"    Dagster run {claims.dagster_run_id}{known[candidate.run_is_known]}"
    )


def _agreed(number: int) -> bool:
    if not sys.stdin.isatty():
        return False
    return input(f"Sign {number} version(s)? [y/N] ").strip().lower() in ("y", "yes")
