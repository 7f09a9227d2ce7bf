"""Which schema a database has, and whether a version's MLflow knows it."""

from __future__ import annotations

from typing import Any

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.tracking.servers.migrations import migrations_of
from wine_quality.upgrades.errors import UpgradeError
from wine_quality.upkeep.mlflow_tables import rows, tables


def revision_of(connection: Any) -> str:
    """Alembic's revision of a database; empty when it has none."""
    if "alembic_version" not in tables(connection):
        return ""
    found = rows(connection, "SELECT version_num FROM alembic_version")
    return str(found[0][0]) if found else ""


def known_revisions(version: MlflowVersion) -> frozenset[str]:
    """Revisions of the migrations in a version's environment, read without importing its MLflow.

    Raises:
        UpgradeError: its MLflow has no migrations where they are expected.
    """
    known = migrations_of(version).known
    if not known:
        raise UpgradeError(f"no migrations are in {version.directory} ({version.build_command})")
    return known


def require_known(revision: str, source: MlflowVersion, target: MlflowVersion) -> None:
    """Check that the target's MLflow can upgrade from a revision.

    Raises:
        UpgradeError: it cannot; the message names the cause.
    """
    if revision in known_revisions(target):
        return
    if not revision:
        raise UpgradeError(f"the store of MLflow {source.key} has no schema revision of MLflow's.")
    raise UpgradeError(
        f"the store of MLflow {source.key} has the schema {revision}, which MLflow {target.key} "
        "does not know: it is newer than that MLflow, or another program made it. Nothing can "
        "upgrade it to there."
    )
