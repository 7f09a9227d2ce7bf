#!/bin/sh
# Start SeaweedFS as an S3 store with two users: the root, and that of the assets for one bucket only.
#
# MINIO_ROOT_USER, MINIO_ROOT_PASSWORD, WINE_QUALITY_ASSETS_KEY, WINE_QUALITY_ASSETS_SECRET, ASSETS_BUCKET
set -eu
umask 077
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
exec weed server -dir /objects -ip 127.0.0.1 -ip.bind 0.0.0.0 -master.volumeSizeLimitMB 64 \
  -volume.max 0 -s3 -s3.port 9000 -s3.config /tmp/s3.json
