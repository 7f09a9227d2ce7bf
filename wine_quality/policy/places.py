"""The places that run config may have files written to, and the servers it may name."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

from wine_quality.paths import assets_location, deployments, history_location, predictions
from wine_quality.policy.settings import (
    ENDPOINTS,
    IMAGES,
    OUTPUTS,
    ForbiddenConfigError,
    allowed_items,
    allows_any,
    forbidden,
)
from wine_quality.sources.location import Location, LocationError, parse_location, parse_server

_S3 = "s3://"
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,400}")


def check_place(place: str, field: str) -> str:
    """A folder, or ``s3://bucket/prefix``; nothing else is a place for files, but what tests and
    notebooks keep in memory.

    Raises:
        ForbiddenConfigError: another scheme, or no usable address.
    """
    found = _parsed(place, field)
    chained = "::" in place  # libraries read that as one store within another
    if found.scheme not in ("", "file", "s3", "memory") or found.has_credentials or chained:
        raise ForbiddenConfigError(
            f"{field} is {found.shown!r}, but must be a folder or s3://bucket/prefix."
        )
    return place


def check_output(place: str, field: str) -> None:
    """A place that runs may write to: below one that the environment configures, or that
    ``$WINE_QUALITY_ALLOWED_OUTPUTS`` lists (by default every bucket that the keys open).

    Raises:
        ForbiddenConfigError: it is elsewhere.
    """
    if not place:
        return
    check_place(place, field)
    listed = allowed_items(OUTPUTS) if OUTPUTS in os.environ else [f"{_S3}*"]
    if "*" in listed:
        return
    allowed = [*listed, *_own_places()]
    if place.lower().startswith(_S3):
        wanted = place.rstrip("/")
        for one in allowed:
            base = one.rstrip("/")
            if one == f"{_S3}*" or wanted == base or wanted.startswith(f"{base}/"):
                return
    else:
        roots = [os.path.realpath(os.path.expanduser(one)) for one in allowed if "://" not in one]
        if all(_is_below(roots, reading) for reading in _readings(place)):
            return
    raise forbidden(field, place, "runs may not write there", OUTPUTS)


def check_endpoint(url: str, field: str) -> None:
    """The address of a model's server: one that ``$WINE_QUALITY_ALLOWED_ENDPOINTS`` lists, by
    scheme, host and port; ``local_server`` may be on this machine, too.

    Raises:
        ForbiddenConfigError: it is another.
    """
    if not url:
        return
    try:
        found = parse_server(url)
    except LocationError as error:
        raise ForbiddenConfigError(f"{field}: {error}") from error
    if found.has_credentials or found.query:
        raise ForbiddenConfigError(f"{field} is {found.shown!r}: no user, password or query.")
    if allows_any(ENDPOINTS) or (field.endswith("local_server") and found.host in _LOOPBACK):
        return
    for one in allowed_items(ENDPOINTS):
        if parse_server(one).server[:3] == found.server[:3]:
            return
    raise forbidden(field, url, "runs may not ask this server", ENDPOINTS)


def check_link(url: str, field: str) -> str:
    """An address that people are sent to: ``http(s)://`` without credentials.

    Raises:
        ForbiddenConfigError: it is another.
    """
    if not url:
        return url
    try:
        found = parse_server(url)
    except LocationError as error:
        raise ForbiddenConfigError(f"{field}: {error}") from error
    if found.has_credentials:
        raise ForbiddenConfigError(f"{field} is {found.shown!r}: no user and password in links.")
    return url


def check_image(image: str, field: str) -> None:
    """An image that runs may have started in the cluster: it gets the Secrets that the deployment
    names, so only the platform's operator may list it.

    Raises:
        ForbiddenConfigError: its repository is not listed.
    """
    if not image or allows_any(IMAGES):
        return
    if _IMAGE.fullmatch(image):
        for one in allowed_items(IMAGES):
            base = one.rstrip("/")
            if image == base or any(image.startswith(f"{base}{end}") for end in ("/", ":", "@")):
                return
    raise forbidden(field, image, "runs may not start this image", IMAGES)


def _parsed(text: str, field: str) -> Location:
    try:
        return parse_location(text)
    except LocationError as error:
        raise ForbiddenConfigError(f"{field}: {error}") from error


def _readings(place: str) -> set[str]:
    """The folder, as each library may read it."""
    path = parse_location(place).path
    return {path, unquote(path), os.path.expanduser(path)}


def _is_below(roots: list[str], path: str) -> bool:
    real = os.path.realpath(path)
    return any(os.path.commonpath([real, root]) == root for root in roots)


def _own_places() -> list[str]:
    """Those of values, history, deployments and batch predictions."""
    return [history_location(), assets_location(), deployments(), str(predictions())]
