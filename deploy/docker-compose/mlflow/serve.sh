#!/bin/sh
# Start the MLflow server whose `mlflow` is on PATH, of whichever version; the image's command, and
# that of `make stack`. Clients send artifacts through it and need no key of the store.
#
# POSTGRES_HOST, POSTGRES_PORT, MLFLOW_POSTGRES_DB, MLFLOW_POSTGRES_USER, MLFLOW_POSTGRES_PASSWORD
# MLFLOW_BUCKET, AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY
# MLFLOW_HOST, MLFLOW_PORT, MLFLOW_WORKERS
# MLFLOW_SERVER_ALLOWED_HOSTS, MLFLOW_SERVER_CORS_ALLOWED_ORIGINS (MLflow 3 reads them itself)
set -eu
# libpq reads it; in the address it would stand in the list of processes.
export PGPASSWORD="$MLFLOW_POSTGRES_PASSWORD"
export MLFLOW_DISABLE_TELEMETRY=true
# MLflow 3's judges of language models: three more processes, for what is not used here.
export MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false
# Stores other than AWS need not know the newer checksums.
export AWS_REQUEST_CHECKSUM_CALCULATION=when_required
export AWS_RESPONSE_CHECKSUM_VALIDATION=when_required
exec mlflow server \
  --backend-store-uri "postgresql+psycopg2://$MLFLOW_POSTGRES_USER@$POSTGRES_HOST:$POSTGRES_PORT/$MLFLOW_POSTGRES_DB" \
  --serve-artifacts \
  --artifacts-destination "s3://$MLFLOW_BUCKET" \
  --default-artifact-root mlflow-artifacts:/ \
  --host "$MLFLOW_HOST" --port "$MLFLOW_PORT" --workers "${MLFLOW_WORKERS:-1}"
