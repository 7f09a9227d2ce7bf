-- Databases and roles of the platform, for psql 14 or later. Names and passwords come from the
-- environment (.env.example). It may be run again: passwords are set anew, nothing is removed.
\set ON_ERROR_STOP on
\getenv dagster_db DAGSTER_POSTGRES_DB
\getenv dagster_user DAGSTER_POSTGRES_USER
\getenv dagster_password DAGSTER_POSTGRES_PASSWORD
\getenv mlflow_user MLFLOW_POSTGRES_USER
\getenv mlflow_password MLFLOW_POSTGRES_PASSWORD
\getenv metrics_db METRICS_POSTGRES_DB
\getenv metrics_user METRICS_POSTGRES_USER
\getenv metrics_password METRICS_POSTGRES_PASSWORD

-- Passwords are not for the server's log. Where the administrator is no superuser (hosted servers)
-- these two are refused, and the rest is done.
\set ON_ERROR_STOP off
SET log_statement = 'none';
SET log_min_error_statement = 'panic';
\set ON_ERROR_STOP on

SELECT format('CREATE ROLE %I LOGIN', name)
FROM (VALUES (:'dagster_user'), (:'mlflow_user'), (:'metrics_user')) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec

ALTER ROLE :"dagster_user" PASSWORD :'dagster_password';
ALTER ROLE :"mlflow_user" PASSWORD :'mlflow_password';
ALTER ROLE :"metrics_user" PASSWORD :'metrics_password';

-- The database schemas of MLflow versions differ, so one each. Of template0: TimescaleDB's image
-- has its extension in template1.
CREATE TEMPORARY TABLE wanted (db, owner) AS VALUES
    (:'dagster_db', :'dagster_user'),
    -- versions: databases (make versions)
    ('mlflow_3', :'mlflow_user'),
    ('mlflow_2_1_1', :'mlflow_user'),
    ('mlflow_1_26', :'mlflow_user'),
    -- end of versions
    (:'metrics_db', :'metrics_user');

SELECT format('CREATE DATABASE %I OWNER %I TEMPLATE template0', db, owner) FROM wanted
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = db) \gexec

-- Each role sees its own only.
SELECT format('REVOKE CONNECT ON DATABASE %I FROM PUBLIC', db) FROM wanted \gexec

-- TimescaleDB, where the server has it and has loaded it; the metrics history is a plain table
-- elsewhere.
SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')
   AND current_setting('shared_preload_libraries') LIKE '%timescaledb%' AS has_timescaledb \gset
\connect :metrics_db
\if :has_timescaledb
  \set ON_ERROR_STOP off
  CREATE EXTENSION IF NOT EXISTS timescaledb;
\endif
