#!/bin/sh
# Make the two buckets, and in the platform's own MinIO the user of the assets, who may use one of
# them and nothing else. It may be run again: nothing is removed, the user's secret is set anew.
# There is no grep in MinIO's image.
#
# AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, MLFLOW_BUCKET
# ASSETS_BUCKET, WINE_QUALITY_ASSETS_KEY, WINE_QUALITY_ASSETS_SECRET
# MINIO_ROOT_USER, MINIO_ROOT_PASSWORD, MINIO_ENDPOINT (where the platform's own MinIO is)
set -eu

# Keys are letters and digits: they stand in addresses here, which mc reads from its environment;
# as arguments they would be in the list of processes.
scheme=${AWS_ENDPOINT_URL%%://*}
host=${AWS_ENDPOINT_URL#*://}
export MC_HOST_mlflow="$scheme://$AWS_ACCESS_KEY_ID:$AWS_SECRET_ACCESS_KEY@$host"
export MC_HOST_assets="$scheme://$WINE_QUALITY_ASSETS_KEY:$WINE_QUALITY_ASSETS_SECRET@$host"

# The store may be starting still: engines differ in what they start when.
tries=0
until mc mb --ignore-existing --region "$AWS_DEFAULT_REGION" "mlflow/$MLFLOW_BUCKET"; do
  tries=$((tries + 1))
  if [ "$tries" -ge 60 ]; then
    echo "The bucket $MLFLOW_BUCKET cannot be made at $AWS_ENDPOINT_URL: does the store run, and do" \
      "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY hold for it?" >&2
    exit 1
  fi
  sleep 1
done

if [ "$AWS_ENDPOINT_URL" != "$MINIO_ENDPOINT" ]; then
  # A store of one's own, whose users its administrator makes.
  mc mb --ignore-existing --region "$AWS_DEFAULT_REGION" "assets/$ASSETS_BUCKET"
  exit
fi

export MC_HOST_root="$scheme://$MINIO_ROOT_USER:$MINIO_ROOT_PASSWORD@$host"
mc mb --ignore-existing --region "$AWS_DEFAULT_REGION" "root/$ASSETS_BUCKET"
printf '%s\n%s\n' "$WINE_QUALITY_ASSETS_KEY" "$WINE_QUALITY_ASSETS_SECRET" | mc admin user add root
policy=${TMPDIR:-/tmp}/assets.json
cat > "$policy" <<END
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Effect": "Allow",
      "Action": ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"],
      "Resource": ["arn:aws:s3:::$ASSETS_BUCKET"]
    },
    {
      "Effect": "Allow",
      "Action": [
        "s3:GetObject", "s3:PutObject", "s3:DeleteObject",
        "s3:AbortMultipartUpload", "s3:ListMultipartUploadParts"
      ],
      "Resource": ["arn:aws:s3:::$ASSETS_BUCKET/*"]
    }
  ]
}
END
mc admin policy create root wine-quality-assets "$policy"
# A policy attached twice is an error.
case $(mc admin user info root "$WINE_QUALITY_ASSETS_KEY") in
  *wine-quality-assets*) ;;
  *) mc admin policy attach root wine-quality-assets --user "$WINE_QUALITY_ASSETS_KEY" ;;
esac
# The keys work.
mc ls "assets/$ASSETS_BUCKET" > /dev/null
