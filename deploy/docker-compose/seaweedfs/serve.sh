#!/bin/sh
# Start SeaweedFS as an S3 store with two users: the administrator, whose keys MLflow has, and that of
# the assets for one bucket only. S3 and its gRPC port listen beyond the container, the services behind
# them on 127.0.0.1, where over HTTP they answer nobody without a token.
#
# MINIO_ROOT_USER, MINIO_ROOT_PASSWORD, WINE_QUALITY_ASSETS_KEY, WINE_QUALITY_ASSETS_SECRET, ASSETS_BUCKET
# BIND_ADDRESS
set -eu
# All else starts after the store only, so nothing is published with the demo's values.
case $BIND_ADDRESS in
  127.* | localhost | ::1 | \[::1\]) ;;
  *)
    if [ "$MINIO_ROOT_PASSWORD" = "$MINIO_ROOT_USER" ] \
      || [ "$WINE_QUALITY_ASSETS_SECRET" = "$WINE_QUALITY_ASSETS_KEY" ]; then
      echo "BIND_ADDRESS is $BIND_ADDRESS, but .env has the demo's secrets, which everybody knows." \
        "Make random ones with \`make stack-env\`, or set BIND_ADDRESS=127.0.0.1." >&2
      exit 1
    fi
    ;;
esac
umask 077
for value in "$MINIO_ROOT_USER" "$MINIO_ROOT_PASSWORD" "$WINE_QUALITY_ASSETS_KEY" \
  "$WINE_QUALITY_ASSETS_SECRET" "$ASSETS_BUCKET"; do
  case $value in
    '' | *[!A-Za-z0-9._/+=-]*)
      echo "A key of the store, or the assets' bucket, is empty or has a character other than" \
        "letters, digits and ._/+=-" >&2
      exit 1
      ;;
  esac
done
cat > /tmp/s3.json <<END
{"identities": [
  {"name": "root",
   "credentials": [{"accessKey": "$MINIO_ROOT_USER", "secretKey": "$MINIO_ROOT_PASSWORD"}],
   "actions": ["Admin", "Read", "List", "Tagging", "Write"]},
  {"name": "assets",
   "credentials": [{"accessKey": "$WINE_QUALITY_ASSETS_KEY", "secretKey": "$WINE_QUALITY_ASSETS_SECRET"}],
   "actions": ["Read:$ASSETS_BUCKET", "List:$ASSETS_BUCKET", "Tagging:$ASSETS_BUCKET", "Write:$ASSETS_BUCKET"]}
]}
END
mkdir -p /tmp/.seaweedfs
for section in jwt.signing jwt.signing.read jwt.filer_signing jwt.filer_signing.read; do
  echo "[$section]"
  echo "key = \"$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')\""
done > /tmp/.seaweedfs/security.toml
exec env HOME=/tmp weed -logtostderr=true server -dir=/objects -ip=127.0.0.1 -ip.bind=127.0.0.1 \
  -master.telemetry=false -master.volumeSizeLimitMB=64 -volume.max=0 -volume.preStopSeconds=1 \
  -s3 -s3.ip.bind=0.0.0.0 -s3.port=9000 -s3.config=/tmp/s3.json -s3.iam=false \
  -s3.port.iceberg=0 -s3.port.lance=0
