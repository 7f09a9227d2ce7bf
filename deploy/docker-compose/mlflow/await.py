"""Exit code 0 when the server's database is there and takes its password; MLOps.yml waits.

Not while a restore is half done, which `make restore ON=compose` notes as PostgreSQL's comment.
"""

import os
import sys

import psycopg2

NOTE = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 'postgres'"

try:
    connection = psycopg2.connect(
        host=os.environ["POSTGRES_HOST"],
        port=os.environ["POSTGRES_PORT"],
        dbname=os.environ["MLFLOW_POSTGRES_DB"],
        user=os.environ["MLFLOW_POSTGRES_USER"],
        password=os.environ["MLFLOW_POSTGRES_PASSWORD"],
        connect_timeout=5,
    )
except psycopg2.Error as error:
    sys.exit(" ".join(str(error).split()))
with connection.cursor() as cursor:
    cursor.execute(NOTE)
    ((note,),) = cursor.fetchall()
connection.close()
if note and note.startswith("A restore"):
    sys.exit(note)
