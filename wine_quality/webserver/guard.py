"""Who may ask a UI that wants no password: programs of this machine and pages of the UI itself.

A page of another site may have the browser send requests here, with the page's address in
``Origin`` and ``Sec-Fetch-Site``; one that renamed itself to this machine's address (DNS rebinding)
shows its own name in ``Host``. Standard library only.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from wine_quality.settings.allowed import UI_HOSTS as VARIABLE

"""Further names, separated by commas, by which people reach the UIs."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")
_SAFE = ("GET", "HEAD")
_LONGEST_SHOWN = 100
# What a browser sends of its own accord without a preflight is not among them.
_GRAPHQL_TYPES = ("application/json", "application/graphql")


def allowed_hosts(listens: str = "127.0.0.1") -> frozenset[str]:
    """Host names by which a UI may be asked for: of this machine, what ``listens`` names,
    that of ``$DAGSTER_WEBSERVER_URL`` and those of ``$WINE_QUALITY_ALLOWED_UI_HOSTS``."""
    names = {*LOOPBACK, *VARIABLE.read().split(",")}
    if not _is_any_address(listens):
        names.add(listens)
    names.add(urlsplit(os.environ.get("DAGSTER_WEBSERVER_URL", "")).hostname or "")
    return frozenset(name.strip().lower() for name in names if name.strip())


def refusal(
    method: str,
    path: str,
    headers: Iterable[tuple[str, str]],
    hosts: frozenset[str],
    *,
    websocket: bool = False,
) -> str | None:
    """One sentence why a request is refused, or None.

    Args:
        method: ``GET`` for a websocket.
        path: Without its query.
        headers: Every one as it came, names in any case.
        hosts: From ``allowed_hosts``.
    """
    sent: dict[str, list[str]] = {}
    for name, value in headers:
        sent.setdefault(name.lower(), []).append(value.strip())
    host = sent.get("host", [])
    if len(host) != 1 or _host_of(host[0]) not in hosts:
        return (
            f"This UI is not to be reached as {_shown(host)}; names besides this machine's own are "
            f"allowed by ${VARIABLE}."
        )
    foreign = _foreign(method, path, sent, host[0], websocket)
    if foreign:
        return foreign
    # Not ==: to Starlette's routes "/graphql\n" (%0a) is the same.
    if path.startswith("/graphql") and not websocket:
        return _graphql(method, sent)
    return None


def _foreign(
    method: str, path: str, sent: dict[str, list[str]], host: str, websocket: bool
) -> str | None:
    origins = sent.get("origin", [])
    own = (host.lower(), _netloc(os.environ.get("DAGSTER_WEBSERVER_URL", "")))
    if any(not _netloc(origin) or _netloc(origin) not in own for origin in origins):
        return f"Pages of another site ({_shown(origins)}) may not ask this UI for anything."
    site = [*sent.get("sec-fetch-site", []), "none"][0]
    if site in ("same-origin", "none"):
        return None
    opened = (
        method in _SAFE
        and not websocket
        and sent.get("sec-fetch-mode") == ["navigate"]
        and sent.get("sec-fetch-dest") == ["document"]
        and not path.startswith("/graphql")
    )
    return None if opened else "Pages of another site may only be linked to this UI."


def _graphql(method: str, sent: dict[str, list[str]]) -> str | None:
    if method in _SAFE:
        # The page on which people try queries; it asks by POST.
        if "text/html" in ",".join(sent.get("accept", [])):
            return None
        return "GraphQL is asked by POST here, since any page can have a browser send a GET."
    kind = ",".join(sent.get("content-type", [])).partition(";")[0].strip().lower()
    if method == "POST" and kind not in _GRAPHQL_TYPES:
        return (
            f"GraphQL is asked with Content-Type {_GRAPHQL_TYPES[0]} here, not {_shown([kind])}, "
            "which any page can have a browser send."
        )
    return None


def _host_of(header: str) -> str:
    """``localhost`` of ``localhost:5000``, ``::1`` of ``[::1]:5000``; empty for what is neither."""
    name, port = header, ""
    if header.startswith("["):
        name, _, rest = header[1:].partition("]")
        if rest and not rest.startswith(":"):
            return ""
        port = rest[1:]
    elif ":" in header:
        name, _, port = header.partition(":")
    if port and not (port.isascii() and port.isdigit()):
        return ""
    return name.lower()


def _netloc(origin: str) -> str:
    """``localhost:5000`` of ``http://localhost:5000``; empty for ``null`` and all else."""
    scheme, separator, rest = origin.partition("://")
    if separator and scheme.lower() in ("http", "https"):
        return rest.partition("/")[0].lower()
    return ""


def _is_any_address(listens: str) -> bool:
    try:
        return ipaddress.ip_address(listens).is_unspecified
    except ValueError:
        return False


def _shown(values: Sequence[str]) -> str:
    return ascii(", ".join(values)[:_LONGEST_SHOWN]) if values else "nothing"
