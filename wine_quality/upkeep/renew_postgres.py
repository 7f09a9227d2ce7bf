"""The databases of the local stack, in a PostgreSQL of a newer major version."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

from wine_quality.stack.platform import stack_folder
from wine_quality.stack.postgres import PostgresServer
from wine_quality.stack.renewed import fresh_place, left_overs, put_in_place
from wine_quality.stack.settings import StackError, choose_port
from wine_quality.upkeep.data_services import DataServices, started
from wine_quality.upkeep.renewal import Say, backed_up, ready_to_renew, remove, running, swap_back
from wine_quality.upkeep.restore import filled_databases
from wine_quality.upkeep.staged_databases import drop_replaced, swap
from wine_quality.upkeep.table_sums import require_same, sum_tables, total

_OTHERS = "SELECT datname FROM pg_database WHERE NOT datistemplate AND datname <> 'postgres'"


def renew_postgres(folder: Path, given: str, say: Say) -> dict[str, Any]:
    """Restore a backup into a PostgreSQL of a newer major version; returns the manifest.

    Args:
        given: Folder of the new server's programs; empty: that of an empty stack.

    Raises:
        StackError: it is not newer, or the databases are not the same in it.
    """
    with ready_to_renew(folder) as settings:
        place = stack_folder() / "postgres"
        data, version = _postgres_here(place, settings)
        remove(left_overs(data))
        binaries = Path(given).resolve() if given else None
        port = choose_port("127.0.0.1")
        new = PostgresServer(place, settings, port, fresh_place(data).name, binaries)
        try:
            if _major(new.version) <= _major(version):
                raise StackError(
                    f"the data is of PostgreSQL {version}, and {new.bin} has {new.version}: "
                    "WITH names the bin folder of a newer major version."
                )
            say(f"PostgreSQL {version} to {new.version}: a backup first, into {folder}")
            with started(say, settings) as old:
                manifest = backed_up(old, folder, say)
                sums = {name: sum_tables(old, name) for name in manifest["databases"]}
                for name in _databases(old) - set(manifest["databases"]):
                    say(f"NOT taken over: the database {name}; it stays in the old data")
            new.prepare()
            with running(new.services(), say, str(new.sockets)):
                services = DataServices(settings, new.bin, new.version, port, 0, stack_folder())
                with filled_databases(services, folder, manifest, say) as staged:
                    swap(services, staged)
                drop_replaced(services, staged)
                for name, before in sums.items():
                    require_same(before, sum_tables(services, name), name)
            say(f"the same in both: {total(sums)}")
            kept = put_in_place(data, str(_major(version)))
        finally:
            new.close()
            remove(left_overs(data))
    say(f"PostgreSQL {version}'s data is kept in {kept}")
    say(f"to go back, without what came since: {swap_back(data, kept)}")
    if not _is_found(place, settings):
        say(f"from now on set WINE_QUALITY_POSTGRES_BIN={new.bin}")
    return manifest


def _postgres_here(place: Path, settings: dict[str, str]) -> tuple[Path, str]:
    """The data's folder, and the version of its server."""
    server = PostgresServer(place, settings, 0)
    server.close()
    if not (server.data / "PG_VERSION").exists():
        raise StackError(f"there is no PostgreSQL data in {server.data}: nothing to renew.")
    return server.data, server.version


def _is_found(place: Path, settings: dict[str, str]) -> bool:
    """Whether `make stack` finds a server for the data by itself."""
    try:
        PostgresServer(place, settings, 0).close()
    except StackError:
        return False
    return True


def _databases(services: DataServices) -> set[str]:
    with closing(services.connect("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute(_OTHERS)
        return {name for (name,) in cursor.fetchall()}


def _major(version: str) -> int:
    return int(version.partition(".")[0])
