"""Bytes over ``http(s)://`` and from ``s3://``."""

from __future__ import annotations

import os
import threading

from wine_quality.data.transfer import (
    PassingFault,
    SourceError,
    SourceLimits,
    redact_url,
    too_large,
)

_CHUNK = 1 << 16
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")


def read_http(url: str, limits: SourceLimits, given_up: threading.Event) -> bytes:
    """All of the body, unpacked when it is compressed.

    Raises:
        SourceError: an answer that will stay as it is (404, too large, no URL).
        PassingFault: 429, 5xx, no answer, a broken connection, less than was announced.
    """
    import requests

    try:
        with requests.get(url, stream=True, timeout=limits.timeout_seconds) as answer:
            if answer.status_code == 429 or answer.status_code >= 500:
                raise PassingFault(f"the server answered {answer.status_code} {answer.reason}")
            if answer.status_code != 200:
                raise SourceError(
                    f"{redact_url(url)}: the server answered {answer.status_code} "
                    f"{answer.reason}. Check csv_url."
                )
            pieces, size = [], 0
            for piece in answer.iter_content(_CHUNK):
                size += len(piece)
                if size > limits.max_bytes:
                    raise too_large(url, limits)
                if given_up.is_set():
                    break
                pieces.append(piece)
    except requests.Timeout as error:
        raise PassingFault(f"no answer within {limits.timeout_seconds:g} s") from error
    except requests.exceptions.SSLError as error:
        raise SourceError(f"{redact_url(url)}: TLS failed. Check its certificate.") from error
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        raise PassingFault(f"the connection failed ({type(error).__name__})") from error
    except requests.RequestException as error:
        raise SourceError(
            f"{redact_url(url)}: not a usable URL ({type(error).__name__})."
        ) from error
    return b"".join(pieces)


def read_s3(url: str, limits: SourceLimits) -> bytes:
    """One object, in one try.

    Endpoint, keys and region come from the ``AWS_*`` variables, and ``MLFLOW_S3_ENDPOINT_URL``.

    Raises:
        SourceError: no such object, no access, too large.
        PassingFault: the store does not answer, or answers 429 or 5xx.
    """
    import s3fs
    from botocore import exceptions as aws

    if "/" not in url.removeprefix("s3://").strip("/"):
        raise SourceError(f"{url} names a bucket; csv_url must name an object in it.")
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), None)
    store = s3fs.S3FileSystem(
        endpoint_url=endpoint,
        config_kwargs={
            "connect_timeout": limits.timeout_seconds,
            "read_timeout": limits.timeout_seconds,
            "retries": {"total_max_attempts": 1},
        },
        # What a path held before says nothing of what it holds now.
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    store.retries = 1  # s3fs tries again by itself too
    try:
        size = store.info(url)["size"]
        if size > limits.max_bytes:
            raise too_large(url, limits)
        # A range, should it grow meanwhile; S3 refuses one of an empty object.
        return store.cat_file(url, end=limits.max_bytes) if size else b""
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceError(f"{url}: no such bucket or object.") from error
    except (PermissionError, aws.NoCredentialsError) as error:
        raise SourceError(
            f"{url}: access denied ({error}). Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        ) from error
    except (aws.ConnectionError, aws.HTTPClientError, OSError) as error:
        # An OSError is what s3fs makes of an answer's 5xx.
        raise PassingFault(f"cannot be read from {endpoint or 'AWS'} ({error})") from error
    except Exception as error:
        raise SourceError(f"{url} cannot be read from {endpoint or 'AWS'}: {error}") from error
