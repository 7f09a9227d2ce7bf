"""``python -m wine_quality.stack.health code HOST:PORT``, ``webserver URL``, ``daemon URL`` or
``stores``, which are Dagster's database and the bucket of the asset values.

The health checks of the containers, and what one waits for before it starts. Standard library only,
but for the database.
"""

from __future__ import annotations

import argparse
import os
import sys
from contextlib import closing
from typing import Any

from wine_quality.settings import places
from wine_quality.stack.dagster import daemon_ready, webserver_ready
from wine_quality.stack.service import port_answers


def main() -> int:
    """Exit code 0 when it is ready, 1 when not."""
    parser = argparse.ArgumentParser(prog="wine_quality.stack.health", description=__doc__)
    parser.add_argument("what", choices=("code", "webserver", "daemon", "stores"))
    parser.add_argument(
        "address",
        nargs="?",
        default="",
        help="of the code server HOST:PORT, else the webserver's URL",
    )
    options = parser.parse_args()
    if options.what == "stores":
        reason = _database() or _bucket()
        if reason:
            print(reason, file=sys.stderr)
        return 1 if reason else 0
    if options.what == "code":
        host, _, port = options.address.rpartition(":")
        ready = port_answers(host, int(port))
    else:
        checks = {"webserver": webserver_ready, "daemon": daemon_ready}
        ready = checks[options.what](options.address.rstrip("/"))
    return 0 if ready() else 1


def _database() -> str:
    """Why Dagster's database cannot be used, such as a half-done restore; empty when it can."""
    import psycopg2

    names = {"host": "HOST", "port": "PORT", "dbname": "DB", "user": "USER", "password": "PASSWORD"}
    given = {name: os.environ[f"DAGSTER_POSTGRES_{of}"] for name, of in names.items()}
    try:
        with closing(psycopg2.connect(connect_timeout=5, **given)) as connection:
            return _note(connection)
    except psycopg2.Error as error:
        return " ".join(str(error).split())


def _bucket() -> str:
    """Why the bucket of asset values cannot be used; empty when it can, or values go elsewhere."""
    scheme, _, place = (places.ASSETS.read() or "").partition("://")
    if scheme != "s3":
        return ""
    from botocore.exceptions import BotoCoreError, ClientError

    from wine_quality.stack.buckets import s3_client

    name = place.partition("/")[0]
    key, secret = os.environ[places.ASSETS_KEY], os.environ[places.ASSETS_SECRET]
    where = {"endpoint_url": places.ASSETS_ENDPOINT, "region_name": places.ASSETS_REGION}
    address = {option: os.environ[name] for option, name in where.items()}
    client = s3_client(key, secret, 5, **address)
    try:
        client.head_bucket(Bucket=name)
    except (BotoCoreError, ClientError) as error:
        return f"the bucket {name} cannot be used: {error}"
    return ""


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
