"""``/mlflow/<version>/``: leads to that version's MLflow UI; ``/mlflow/``: which one holds what.

Dagster's metadata links to the embedded stores by such paths, without a host and a port: they lead
to where the UIs are at the time of the click. A browser keeps what follows the ``#``.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Mapping
from html import escape
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MlflowVersion
from wine_quality.paths import embedded_store
from wine_quality.settings.internal import MLFLOW_UIS as UIS
from wine_quality.tracking.servers.addresses import (
    WHICH_MLFLOW,
    configured_uri,
    without_password,
)
from wine_quality.webserver.guard import LOOPBACK
from wine_quality.webserver.layer import Application, Receive, Scope, Send, respond

PREFIX = WHICH_MLFLOW.rstrip("/")
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>MLflow</title>
<style>body {{ font: 15px/1.5 system-ui, sans-serif; margin: 3em; color: #222 }}
table {{ border-collapse: collapse }} th, td {{ text-align: left; padding: .4em 1.5em .4em 0;
border-bottom: 1px solid #ddd }} code {{ font-size: 90% }}</style>
<h1>MLflow versions and their UIs</h1>
<p>Each run is tracked by the MLflow version that its config picks
(<code>resources.mlflow.config.version</code>), and each version has a store of its own.
A UI starts when it is opened, and ends when nobody has looked at it for a while.</p>
<table><tr><th>MLflow</th><th>UI</th><th>runs</th><th>model versions</th><th>store</th>
<th>environment</th></tr>
{rows}</table>
<p><a href="/">Back to Dagster</a></p></html>
"""


class WithMlflowPages:
    """``application``, with the pages below ``/mlflow`` before it."""

    def __init__(self, application: Application) -> None:
        self._application = application
        self._shown_at: dict[str, str] = json.loads(UIS.read() or "{}")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path"]
        ours = self._shown_at and f"{path}/".startswith(f"{PREFIX}/")
        if scope["type"] != "http" or not ours:
            return await self._application(scope, receive, send)
        if scope["method"] not in ("GET", "HEAD"):
            return await respond(send, 405, "Only GET is answered here.\n")
        key, _, rest = path.removeprefix(PREFIX).strip("/").partition("/")
        if not key:
            page = await asyncio.to_thread(versions_page, self._shown_at)
            return await respond(send, 200, page, kind="text/html")
        if key not in self._shown_at:
            known = ", ".join(self._shown_at) or "none"
            text = f"No MLflow UI of a version {key[:40]!a} belongs to this Dagster UI ({known}).\n"
            return await respond(send, 404, text)
        target = _beside(self._shown_at[key], _asked_host(scope))
        query = scope["query_string"].decode("latin-1")
        location = f"{target}/{quote(rest.lstrip('/'))}{'?' if query else ''}{query}"
        await respond(send, 307, f"{location}\n", (b"location", location.encode("latin-1")))


def versions_page(shown_at: Mapping[str, str]) -> str:
    """The page as HTML."""
    rows = [_row(version, shown_at.get(key)) for key, version in MLFLOW_VERSIONS.items()]
    return _PAGE.format(rows="\n".join(reversed(rows)))


def _row(version: MlflowVersion, url: str | None) -> str:
    link = f'<a href="{PREFIX}/{version.key}/">{escape(url)}</a>' if url else "none"
    built = "built" if version.python.exists() else f"<code>{escape(version.build_command)}</code>"
    database = embedded_store(version.key) / "mlflow.db"
    runs, models = _counts(database)
    server = configured_uri(version.key)
    place = f"<code>{escape(str(database.parent))}</code>"
    if server:
        place = f"{place}; new runs go to <code>{escape(without_password(server))}</code>"
    cells = (f"<b>{version.key}</b>", link, runs, models, place, built)
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _counts(database: Path) -> tuple[str, str]:
    """Runs and model versions in an embedded store."""
    asked = (
        "SELECT count(*) FROM runs WHERE lifecycle_stage = 'active'",
        "SELECT count(*) FROM model_versions WHERE current_stage != 'Deleted_Internal'",
    )
    try:
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=2)
    except sqlite3.Error:
        return "0", "0"  # nothing was tracked yet
    try:
        runs, models = (str(connection.execute(query).fetchone()[0]) for query in asked)
        return runs, models
    except sqlite3.Error:
        return "?", "?"
    finally:
        connection.close()


def _asked_host(scope: Scope) -> str:
    """By which name the browser reaches this machine, without the port."""
    named = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    return urlsplit(f"//{named}").hostname or ""


def _beside(url: str, host: str) -> str:
    """The UI's address; of this machine by the name that the browser knows it by."""
    parts = urlsplit(url)
    if parts.hostname in LOOPBACK and host:
        name = f"[{host}]" if ":" in host else host
        parts = parts._replace(netloc=f"{name}:{parts.port}" if parts.port else name)
    return urlunsplit(parts).rstrip("/")
