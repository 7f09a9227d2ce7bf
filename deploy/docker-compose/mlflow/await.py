"""Exit code 0 when the server's database and bucket take its secrets; MLOps.yml waits for it.

Not while a restore is half done, which `make restore ON=compose` notes as PostgreSQL's comment.
"""

import os
import sys

import boto3
import psycopg2
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

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
limits = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 1})
try:
    boto3.client("s3", config=limits).head_bucket(Bucket=os.environ["MLFLOW_BUCKET"])
except (BotoCoreError, ClientError) as error:
    sys.exit(f"the bucket {os.environ['MLFLOW_BUCKET']} cannot be used: {error}")
