#!/bin/sh
# Write each secret of .env into a file of its own, secrets/<NAME>, for MLOps.yml: containers get them
# as files, so that `docker inspect` shows none. Run it again when .env has changed; `make stack-env`
# does it too.
set -eu
cd "$(dirname "$0")"
env_file=${1:-.env}
[ -r "$env_file" ] || { echo "there is no $env_file: cp .env.example .env, or \`make stack-env\`" >&2; exit 1; }
umask 077
mkdir -p secrets
for name in \
  POSTGRES_PASSWORD DAGSTER_POSTGRES_PASSWORD MLFLOW_POSTGRES_PASSWORD METRICS_POSTGRES_PASSWORD \
  MINIO_ROOT_USER MINIO_ROOT_PASSWORD AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY \
  WINE_QUALITY_ASSETS_KEY WINE_QUALITY_ASSETS_SECRET PROXY_PASSWORD
do
  value=$(sed -n "s/^$name=//p" "$env_file" | tail -n 1)
  [ -n "$value" ] || { echo "$env_file has no $name: copy it from .env.example" >&2; exit 1; }
  printf '%s' "$value" > "secrets/$name"
  # The folder is its owner's; the users of the containers read the file that is mounted.
  chmod 444 "secrets/$name"
done
# Empty: the code location makes its own.
sed -n "s/^WINE_QUALITY_SIGNING_KEY=//p" "$env_file" | tail -n 1 | tr -d '\n' \
  > secrets/WINE_QUALITY_SIGNING_KEY
chmod 444 secrets/WINE_QUALITY_SIGNING_KEY
