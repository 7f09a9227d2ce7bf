"""An extension named timescaledb that stands in for the real one, which cannot be had everywhere.

What it takes from the real one (2.13 to 2.27): it is trusted, its functions have the same names,
parameters and results, the view has the same columns; and it has the same objections to a table
that is one already, that has rows, or that has a unique index without the column. It divides
nothing into chunks: the table stays what it was.
"""

from __future__ import annotations

import pytest

from wine_quality_tests.support.postgres import PostgresServer

_CONTROL = """
comment = 'stands in for TimescaleDB'
default_version = '1.0'
relocatable = false
trusted = true
"""

_SCRIPT = r"""
CREATE SCHEMA _timescaledb_internal;
CREATE SCHEMA timescaledb_information;
CREATE TABLE _timescaledb_internal.stand_in (
    hypertable_schema name, hypertable_name name,
    dimension name, chunk interval, default_indexes bool
);
CREATE VIEW timescaledb_information.hypertables AS
    SELECT hypertable_schema, hypertable_name FROM _timescaledb_internal.stand_in;
GRANT USAGE ON SCHEMA _timescaledb_internal, timescaledb_information TO PUBLIC;
GRANT SELECT ON ALL TABLES IN SCHEMA _timescaledb_internal, timescaledb_information TO PUBLIC;
CREATE TYPE _timescaledb_internal.dimension_info AS (column_name name, partition_interval interval);

CREATE FUNCTION @extschema@.by_range(
    column_name name, partition_interval anyelement = NULL::bigint, partition_func regproc = NULL
) RETURNS _timescaledb_internal.dimension_info LANGUAGE plpgsql AS $$
BEGIN
    RETURN ROW(column_name, partition_interval::text::interval);
END $$;

CREATE FUNCTION @extschema@.create_hypertable(
    relation regclass, dimension _timescaledb_internal.dimension_info,
    create_default_indexes bool = TRUE, if_not_exists bool = FALSE, migrate_data bool = FALSE
) RETURNS TABLE (hypertable_id int, created bool) LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    place name; title name; occupied bool; lacking name;
BEGIN
    SELECT n.nspname, c.relname INTO place, title
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
    IF EXISTS (SELECT FROM timescaledb_information.hypertables h
               WHERE h.hypertable_schema = place AND h.hypertable_name = title) THEN
        IF NOT if_not_exists THEN
            RAISE EXCEPTION 'table "%" is already a hypertable', title;
        END IF;
        RETURN QUERY SELECT 1, FALSE;
        RETURN;
    END IF;
    EXECUTE format('SELECT EXISTS (SELECT FROM %s)', relation) INTO occupied;
    IF occupied AND NOT migrate_data THEN
        RAISE EXCEPTION 'table "%" is not empty', title;
    END IF;
    SELECT i.indexrelid::regclass::name INTO lacking FROM pg_index i
        WHERE i.indrelid = relation AND i.indisunique AND NOT EXISTS (
            SELECT FROM pg_attribute a WHERE a.attrelid = i.indexrelid
            AND a.attname = dimension.column_name);
    IF lacking IS NOT NULL THEN
        RAISE EXCEPTION
            'cannot create a unique index without the column "%" (used in partitioning)',
            dimension.column_name;
    END IF;
    INSERT INTO _timescaledb_internal.stand_in VALUES
        (place, title, dimension.column_name, dimension.partition_interval, create_default_indexes);
    RETURN QUERY SELECT 1, TRUE;
END $$;
"""

# The real one ends the connection (FATAL) where its library is not preloaded.
_NOT_PRELOADED = "SELECT pg_terminate_backend(pg_backend_pid());"

RECORD = "SELECT * FROM _timescaledb_internal.stand_in"


def offer(server: PostgresServer, database: str, preloaded: bool = True) -> None:
    """Have this database, and no other of the server, find the extension.

    PostgreSQL before 18 looks in its own folder only; the test is skipped there.
    """
    if int(server.execute("SHOW server_version_num")[0][0]) < 180_000:
        pytest.skip("the stand-in for TimescaleDB needs PostgreSQL 18")
    folder = "stand_in" if preloaded else "stand_in_not_preloaded"
    server.write(f"{folder}/extension/timescaledb.control", _CONTROL)
    script = _SCRIPT if preloaded else _NOT_PRELOADED
    path = server.write(f"{folder}/extension/timescaledb--1.0.sql", script)
    for parent in (path.parent, path.parent.parent):
        parent.chmod(0o755)
    place = path.parent.parent
    server.execute(f"ALTER DATABASE {database} SET extension_control_path = '{place}:$system'")
