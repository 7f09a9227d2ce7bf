"""Tables of PostgreSQL, in databases that the platform's environment names with their logins.

Run config names host, database and table, never a user or password: Dagster keeps and shows it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote_plus

from wine_quality.escaping import escaped
from wine_quality.settings.places import TABLE_DATABASES
from wine_quality.sources.allowed_sources import ForbiddenSourceError
from wine_quality.sources.location import Location, LocationError, parse_server
from wine_quality.sources.transfer import SourceError

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")
_QUERY = re.compile(r"table=([^&=]+)")
_FORM = "Write postgresql://HOST:5432/DATABASE?table=SCHEMA.NAME"


@dataclass(frozen=True)
class TableSource:
    """A table, and the address of its database with the login.

    Attributes:
        url: As libpq takes it; not to be shown.
        parts: The table's name, or its schema's and its name, not quoted.
        shown: For people, without the login.
    """

    url: str = field(repr=False)
    parts: Sequence[str]
    shown: str


def is_table(source: str) -> bool:
    """Whether a source is a table of a database."""
    return source.partition("://")[0].lower() in _SCHEMES


def find_table(source: str) -> TableSource:
    """The table that ``source`` names.

    Raises:
        ForbiddenSourceError: ``$WINE_QUALITY_TABLE_DATABASES`` does not list its database.
        SourceError: it is not of the form above, or holds a login.
    """
    try:
        wanted = parse_server(source, _SCHEMES)
    except LocationError as error:
        raise SourceError(f"{error} {_FORM}.") from error
    if wanted.has_credentials:
        raise SourceError(
            f"{wanted.shown} names a user or password, which Dagster would keep and show. Leave it "
            f"out here: it belongs into ${TABLE_DATABASES}."
        )
    named = _QUERY.fullmatch(wanted.query)
    parts = unquote_plus(named[1]).split(".") if named else []
    if len(parts) not in (1, 2) or not all(parts) or "\0" in "".join(parts):
        raise SourceError(f"{wanted.shown} does not name one table. {_FORM}.")
    shown = f"{wanted.shown.partition('?')[0]}?table={escaped('.'.join(parts))}"
    for known in filter(None, map(str.strip, TABLE_DATABASES.read().split(","))):
        if (found := _parsed(known)) is not None and _place(found) == _place(wanted):
            return TableSource(known.replace("+psycopg2", "", 1), parts, shown)
    raise ForbiddenSourceError(
        f"{shown}: its database is not among those whose tables are read here. Whoever runs the "
        f"platform adds it, with a login, to ${TABLE_DATABASES}, in the environment of the code "
        "location: postgresql://USER:PASSWORD@HOST:5432/DATABASE, several with commas."
    )


def _parsed(known: str) -> Location | None:
    try:
        return parse_server(known, _SCHEMES)
    except LocationError:
        return None


def _place(url: Location) -> tuple[str, int, str]:
    return url.host.rstrip("."), url.port or 5432, url.path
