"""Exit code 0 when the server's database is there and takes its password; MLOps.yml waits."""

import os

import psycopg2

psycopg2.connect(
    host=os.environ["POSTGRES_HOST"],
    port=os.environ["POSTGRES_PORT"],
    dbname=os.environ["MLFLOW_POSTGRES_DB"],
    user=os.environ["MLFLOW_POSTGRES_USER"],
    password=os.environ["MLFLOW_POSTGRES_PASSWORD"],
    connect_timeout=5,
).close()
