"""Which metrics database run config may name: libpq sends ``$PGPASSWORD`` to any."""

from __future__ import annotations

import re

from wine_quality.policy.settings import (
    METRICS_URLS,
    ForbiddenConfigError,
    allowed_items,
    forbidden,
)
from wine_quality.settings.runs import METRICS_URL as VARIABLE
from wine_quality.sources.allowed_sources import ANY
from wine_quality.sources.location import Location, LocationError, parse_server

FIELD = "resources.metrics_history.config.url"
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")
# No %XX and no =, by which libpq would read a name as settings.
_DATABASE = re.compile(r"/[A-Za-z0-9_.-]{1,63}")


def allowed_metrics_url(url: str) -> str:
    """The address that metrics are kept at when run config names ``url``.

    Returns:
        The environment's own, or the one that ``$WINE_QUALITY_ALLOWED_METRICS_URLS`` lists, as it
        stands there; only where every one is allowed (the command line), another as it was given.

    Raises:
        ForbiddenConfigError: it is neither, or has more than user, password, host, port and name of
            the database.
    """
    own, listed = VARIABLE.read().strip(), allowed_items(METRICS_URLS)
    if url == own:
        return own
    wanted = _parsed(url)
    for known in (own, *listed):
        if known not in ("", ANY) and _same_database(wanted, known):
            return known
    if ANY in listed:
        return url
    raise forbidden(
        FIELD, url, "it is not the metrics database here, or has another login", METRICS_URLS
    )


def _parsed(url: str) -> Location:
    try:
        found = parse_server(url, _SCHEMES)
    except LocationError as error:
        raise ForbiddenConfigError(
            f"{FIELD}: {error} Write postgresql://HOST:5432/DATABASE; see ${METRICS_URLS}."
        ) from error
    if found.query or not _DATABASE.fullmatch(found.path):
        raise ForbiddenConfigError(
            f"{FIELD} is {found.shown!r}: run config may give host, port and the plain name of a "
            f"database, and no parameters. Those belong into ${VARIABLE} or ${METRICS_URLS}."
        )
    return found


def _same_database(wanted: Location, known: str) -> bool:
    try:
        other = parse_server(known, _SCHEMES)
    except LocationError:
        return False
    if not wanted.names_login_of(other):
        return False
    return _place(wanted) == _place(other)


def _place(url: Location) -> tuple[str, int, str]:
    return url.host.rstrip("."), url.port or 5432, url.path
