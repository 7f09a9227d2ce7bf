"""Bytes and listings from ``s3://``, on any store that speaks S3.

Endpoint, keys and region come from ``WINE_QUALITY_DATA_ENDPOINT``, ``_KEY``, ``_SECRET`` and
``_REGION``, which neither MLflow nor boto looks at; without them from the ``AWS_*`` variables, and
``MLFLOW_S3_ENDPOINT_URL``.
"""

from __future__ import annotations

import datetime
import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from wine_quality.settings import places
from wine_quality.settings.setting import DATA
from wine_quality.sources.location import LocationError, parse_server
from wine_quality.sources.transfer import (
    SourceError,
    SourceLimits,
    TransientSourceError,
    redact_url,
    too_large,
)

if TYPE_CHECKING:
    from aiobotocore.session import AioSession
    from botocore.loaders import Loader
    from s3fs import S3FileSystem

_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")


def _checked(variable: str, address: str) -> str:
    """The address of a store from a variable, checked.

    Raises:
        SourceError: it is not an address that every client reads alike.
    """
    try:
        return parse_server(address).text
    except LocationError as error:
        raise SourceError(f"${variable} cannot be used: {error}") from error


def own_access(prefix: str) -> dict[str, Any]:
    """Arguments for s3fs from ``<prefix>_KEY``, ``_SECRET``, ``_ENDPOINT`` and ``_REGION``, where
    they are set; a key only together with its secret."""
    key, secret, endpoint, region = (
        os.environ.get(f"{prefix}_{name}") for name in ("KEY", "SECRET", "ENDPOINT", "REGION")
    )
    return {
        **({"key": key, "secret": secret} if key and secret else {}),
        **({"endpoint_url": _checked(f"{prefix}_ENDPOINT", endpoint)} if endpoint else {}),
        **({"client_kwargs": {"region_name": region}} if region else {}),
    }


@functools.cache
def _service_files(folders: str | None) -> Loader:
    """botocore's descriptions of AWS, which every session would parse anew: 0.2 s of the processor
    for each client."""
    from botocore.loaders import create_loader

    return create_loader(folders)


def _session() -> AioSession:
    from aiobotocore.session import get_session

    session = get_session()
    loader = _service_files(session.get_config_variable("data_path"))
    session.register_component("data_loader", loader)
    return session


def s3_options(timeout_seconds: float) -> dict[str, Any]:
    """Arguments for s3fs: endpoint and keys, time-outs in seconds, and no cache of listings."""
    return {
        "session": _session(),
        "endpoint_url": next(
            (_checked(name, os.environ[name]) for name in _ENDPOINTS if os.environ.get(name)), None
        ),
        "config_kwargs": {"connect_timeout": timeout_seconds, "read_timeout": timeout_seconds},
        # A cached listing may be out of date.
        "use_listings_cache": False,
        "skip_instance_cache": True,
        **own_access(DATA),
    }


def assets_options() -> dict[str, Any]:
    """s3fs's options for the store of asset values.

    The keys in ``WINE_QUALITY_ASSETS_KEY`` and ``_SECRET``, which neither MLflow nor boto looks at,
    so that a run can hold them and still have none for MLflow's artifacts; without them those of
    the ``AWS_*`` variables. ``_ENDPOINT`` and ``_REGION`` name the store, if it is not AWS.
    """
    return {
        # A listing of before may be out of date.
        "use_listings_cache": False,
        "config_kwargs": {
            "connect_timeout": 10,
            "read_timeout": 60,
            # Stores other than AWS need not know the newer checksums.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        },
        **own_access(places.ASSETS),
    }


def read_s3(url: str, limits: SourceLimits) -> bytes:
    """Read one object, in one try.

    Raises:
        SourceError: no such object, no access, too large.
        TransientSourceError: the store does not answer, or answers 429 or 5xx.
    """
    if "/" not in url.removeprefix("s3://").strip("/"):
        raise SourceError(
            f"{redact_url(url)} names a bucket; {limits.url_setting} must name an object in it."
        )
    with _store(url, limits) as store:
        size = store.info(url)["size"]
        if size > limits.max_bytes:
            raise too_large(url, limits)
        # A range, should it grow meanwhile; S3 refuses one of an empty object.
        return store.cat_file(url, end=limits.max_bytes) if size else b""


def list_s3(url: str, limits: SourceLimits) -> list[tuple[float, str, str]]:
    """Time (Unix seconds), URL and ETag of each object under a prefix.

    Raises:
        SourceError: no such bucket, or no access.
        TransientSourceError: the store does not answer, or answers 429 or 5xx.
    """
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    with _store(url, limits) as store:
        return [
            (entry["LastModified"].timestamp(), f"s3://{bucket}/{entry['Key']}", entry["ETag"])
            for entry in _entries(store, bucket, prefix)
        ]


def _entries(store: S3FileSystem, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """The entries of S3's own pages: s3fs's ``find`` asks more than once, and adds folders."""
    more: dict[str, str] = {}
    while True:
        page = store.call_s3("list_objects_v2", Bucket=bucket, Prefix=prefix, **more)
        yield from page.get("Contents", [])
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def _parse_time(text: Any) -> datetime.datetime:
    """A time in an answer. botocore guesses the format anew for each, which takes longer than all
    else in a listing; S3 writes ISO 8601 there, and other formats elsewhere."""
    if isinstance(text, str) and text.endswith("Z"):
        try:
            return datetime.datetime.fromisoformat(f"{text[:-1]}+00:00")
        except ValueError:
            pass
    from botocore.utils import parse_timestamp

    return parse_timestamp(text)


@contextmanager
def _store(url: str, limits: SourceLimits) -> Iterator[S3FileSystem]:
    """s3fs with the limits; its errors are raised as ``SourceError``."""
    import s3fs
    from botocore import exceptions as aws

    options = s3_options(limits.timeout_seconds)
    options["session"].get_component("response_parser_factory").set_parser_defaults(
        timestamp_parser=_parse_time
    )
    endpoint = options["endpoint_url"]
    options["config_kwargs"]["retries"] = {"total_max_attempts": 1}
    store = s3fs.S3FileSystem(**options)
    store.retries = 1  # s3fs tries again by itself too
    try:
        yield store
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceError(f"{redact_url(url)}: no such bucket or object.") from error
    except (PermissionError, aws.NoCredentialsError) as error:
        raise SourceError(
            f"{redact_url(url)}: access denied ({error}). Set AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, or WINE_QUALITY_DATA_KEY and WINE_QUALITY_DATA_SECRET."
        ) from error
    except (aws.ConnectionError, aws.HTTPClientError, OSError) as error:
        # s3fs raises an OSError for a 5xx answer.
        raise TransientSourceError(f"cannot be read from {endpoint or 'AWS'} ({error})") from error
    except Exception as error:
        raise SourceError(
            f"{redact_url(url)} cannot be read from {endpoint or 'AWS'}: {error}"
        ) from error
