"""``python -m wine_quality.stack.buckets``: make the platform's buckets where they are missing."""

from __future__ import annotations

import os
import sys
from typing import Any


def s3_client(key: str, secret: str, read_timeout: float, **place: str) -> Any:
    """A client of the platform's store: that of ``place`` (``endpoint_url``, ``region_name``), else
    of the ``AWS_*`` variables; ``read_timeout`` in seconds."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        config=Config(
            connect_timeout=5,
            read_timeout=read_timeout,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
        **place,
    )


def make_bucket(name: str, key: str, secret: str) -> None:
    """Make a bucket unless it is there; the store is that of the ``AWS_*`` variables."""
    from botocore.exceptions import ClientError

    client = s3_client(key, secret, 20)
    try:
        client.head_bucket(Bucket=name)
        return
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
    try:
        client.create_bucket(Bucket=name)
    except client.exceptions.BucketAlreadyOwnedByYou:
        pass  # made by another meanwhile


def main() -> int:
    """Make each with its user's keys, or all with the administrator's where those are given."""
    wanted = (
        ("MLFLOW_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        ("ASSETS_BUCKET", "WINE_QUALITY_ASSETS_KEY", "WINE_QUALITY_ASSETS_SECRET"),
    )
    from botocore.exceptions import BotoCoreError, ClientError

    for name, key, secret in wanted:
        if "MINIO_ROOT_USER" in os.environ:
            key, secret = "MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"
        try:
            make_bucket(os.environ[name], os.environ[key], os.environ[secret])
        except (BotoCoreError, ClientError) as error:
            print(f"bucket {os.environ[name]} cannot be made with ${key}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
