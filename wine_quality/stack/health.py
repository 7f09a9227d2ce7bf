"""``python -m wine_quality.stack.health code HOST:PORT``, ``webserver URL``, ``daemon URL`` or
``database``, which is Dagster's.

The health checks of the containers, and what one waits for before it starts. Standard library only,
but for the database.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from typing import Any

from wine_quality.stack.dagster import daemon_ready, webserver_ready
from wine_quality.stack.service import port_answers


def main() -> int:
    """Exit code 0 when it is ready, 1 when not."""
    parser = argparse.ArgumentParser(prog="wine_quality.stack.health", description=__doc__)
    parser.add_argument("what", choices=("code", "webserver", "daemon", "database"))
    parser.add_argument(
        "address",
        nargs="?",
        default="",
        help="of the code server HOST:PORT, else the webserver's URL",
    )
    options = parser.parse_args()
    if options.what == "database":
        return _database()
    if options.what == "code":
        host, _, port = options.address.rpartition(":")
        ready = port_answers(host, int(port))
    else:
        checks = {"webserver": webserver_ready, "daemon": daemon_ready}
        ready = checks[options.what](options.address.rstrip("/"))
    return 0 if ready() else 1


def _database() -> int:
    """Whether Dagster's database takes its password, and no restore is half done."""
    import psycopg2

    names = {"host": "HOST", "port": "PORT", "dbname": "DB", "user": "USER", "password": "PASSWORD"}
    given = {name: os.environ[f"DAGSTER_POSTGRES_{of}"] for name, of in names.items()}
    try:
        with closing(psycopg2.connect(connect_timeout=5, **given)) as connection:
            note = _note(connection)
    except psycopg2.Error as error:
        note = " ".join(str(error).split())
    if note:
        print(note, file=sys.stderr)
    return 1 if note else 0


def _note(connection: Any) -> str:
    """PostgreSQL's comment where a restore is half done (``upkeep.restore``), else empty."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT shobj_description(oid, 'pg_database') FROM pg_database "
            "WHERE datname = 'postgres'"
        )
        found = cursor.fetchone()
    text = str(found[0] or "") if found else ""
    return text if text.startswith("A restore") else ""


if __name__ == "__main__":
    sys.exit(main())
