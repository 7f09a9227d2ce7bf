#!/bin/sh
# Start SeaweedFS as an S3 store with its administrator, and a user each for the assets and MLflow with
# one bucket only; MLflow may have the administrator's keys, then there is no user for it. S3 and its gRPC
# port listen beyond the container, the services behind them on 127.0.0.1, where over HTTP they answer
# nobody without a token.
#
# MINIO_ROOT_USER, MINIO_ROOT_PASSWORD, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, MLFLOW_BUCKET
# WINE_QUALITY_ASSETS_KEY, WINE_QUALITY_ASSETS_SECRET, ASSETS_BUCKET
set -eu
umask 077

comma=
# A user as SeaweedFS reads it: name, key, secret, and the bucket that it may use (none: it may do all).
identity() {
  for value in "$@"; do
    case $value in
      '' | *[!A-Za-z0-9._/+=-]*)
        echo "The $1 user of the store has an empty key, secret or bucket, or one with a character other" \
          "than letters, digits and ._/+=-: set them in .env (\`make stack-env\` makes all of them)." >&2
        exit 1
        ;;
    esac
  done
  actions='"Admin", "Read", "List", "Tagging", "Write"'
  [ -z "${4:-}" ] || actions="\"Read:$4\", \"List:$4\", \"Tagging:$4\", \"Write:$4\""
  printf '%s{"name": "%s", "credentials": [{"accessKey": "%s", "secretKey": "%s"}], "actions": [%s]}\n' \
    "$comma" "$1" "$2" "$3" "$actions"
  comma=', '
}
{
  echo '{"identities": ['
  identity root "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD"
  [ "$AWS_ACCESS_KEY_ID" = "$MINIO_ROOT_USER" ] ||
    identity mlflow "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" "$MLFLOW_BUCKET"
  [ "$WINE_QUALITY_ASSETS_KEY" = "$MINIO_ROOT_USER" ] ||
    identity assets "$WINE_QUALITY_ASSETS_KEY" "$WINE_QUALITY_ASSETS_SECRET" "$ASSETS_BUCKET"
  echo ']}'
} > "$HOME/s3.json"
mkdir -p "$HOME/.seaweedfs"
for section in jwt.signing jwt.signing.read jwt.filer_signing jwt.filer_signing.read; do
  echo "[$section]"
  echo "key = \"$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')\""
done > "$HOME/.seaweedfs/security.toml"
# It would make an administrator of what AWS_ACCESS_KEY_ID names; the other secrets it does not need.
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY MINIO_ROOT_PASSWORD WINE_QUALITY_ASSETS_SECRET
exec weed -logtostderr=true server -dir=/objects -ip=127.0.0.1 -ip.bind=127.0.0.1 \
  -master.telemetry=false -master.volumeSizeLimitMB=64 -volume.max=0 -volume.preStopSeconds=1 \
  -s3 -s3.ip.bind=0.0.0.0 -s3.port=9000 -s3.config="$HOME/s3.json" -s3.iam=false \
  -s3.port.iceberg=0 -s3.port.lance=0
