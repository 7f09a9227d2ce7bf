"""Whether a backup can be restored here, asked before anything is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from wine_quality.stack.settings import StackError
from wine_quality.upkeep.backup import versions_here
from wine_quality.upkeep.data_services import DataServices
from wine_quality.upkeep.history_tables import require_known_revision

_CHUNKS = b" _timescaledb_internal _hyper_"


def require_fitting(services: DataServices, folder: Path, manifest: dict[str, Any]) -> None:
    """Refuse a backup of something newer than what is here, and one that fits no other server.

    Raises:
        StackError: names what is newer, or explains what to do.
    """
    _require_not_newer(manifest["versions"], versions_here(services))
    history = manifest.get("history") or {}
    if history.get("revision") is not None:
        require_known_revision(history["revision"], "the backup")
    unknown = set(manifest["databases"]) - {name for name, _ in services.databases()}
    if unknown:
        raise StackError(
            f"the backup has the databases {', '.join(sorted(unknown))}, which this platform does "
            "not have: its settings name others, or it lacks an MLflow version."
        )
    if not history:
        _require_no_chunks(services, folder)


def _require_not_newer(theirs: dict[str, Any], ours: dict[str, Any]) -> None:
    """PostgreSQL by its major version, the others by their releases; older backups lack some."""
    pairs = [("PostgreSQL", _major(theirs["postgresql"]), _major(ours["postgresql"]))]
    pairs += [("Dagster", theirs.get("dagster", ""), ours["dagster"])]
    released = theirs.get("mlflow", {})
    for key, release in ours["mlflow"].items():
        pairs += [(f"MLflow {key}", released.get(key, ""), release)]
    for what, its, here in pairs:
        if its and _parts(its) > _parts(here):
            raise StackError(f"the backup is of {what} {its}; here is {here}, which is older.")


def _require_no_chunks(services: DataServices, folder: Path) -> None:
    """Refuse a dump with hypertables, of a backup from before the history was copied separately."""
    name = services.settings["METRICS_POSTGRES_DB"]
    dump = folder / "databases" / f"{name}.dump"
    if not dump.exists():
        return
    if _CHUNKS in services.run("pg_restore", "pg_restore", "--list", read=dump):
        raise StackError(
            f"{dump} is of hypertables, made by an older wine_quality: it fits only the "
            "TimescaleDB that it was made with. Nothing is restored. Make the backup again with "
            "this wine_quality while the platform that it was made of is there."
        )


def _major(version: str) -> str:
    return version.partition(".")[0]


def _parts(version: str) -> tuple[int, ...]:
    from packaging.version import Version

    return Version(version).release
