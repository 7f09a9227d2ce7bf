"""The two stores of a move, and the variables that each one's process gets."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.moves.errors import MoveError
from wine_quality.paths import embedded_store
from wine_quality.settings.runs import (
    FROM_MLFLOW_TRACKING_PASSWORD,
    MLFLOW,
    TO_MLFLOW_TRACKING_PASSWORD,
)
from wine_quality.tracking.servers.addresses import (
    REGISTRY_VARIABLE,
    configured_uri,
    without_password,
)
from wine_quality.tracking.servers.embedded_store import ARTIFACTS, embedded_uri
from wine_quality.upgrades.plan import is_older

_VARIABLE = "MLFLOW_TRACKING_PASSWORD"
OF_SOURCE = FROM_MLFLOW_TRACKING_PASSWORD.removesuffix(_VARIABLE)
OF_TARGET = TO_MLFLOW_TRACKING_PASSWORD.removesuffix(_VARIABLE)
"""Begin the names of variables for one side alone, such as
``WINE_QUALITY_FROM_MLFLOW_TRACKING_PASSWORD`` and ``WINE_QUALITY_TO_MLFLOW_TRACKING_PASSWORD``."""

_SQLITE = "sqlite:///"
_NAME_SERVERS = ("MLFLOW_TRACKING_URI", REGISTRY_VARIABLE)


@dataclass(frozen=True)
class Side:
    """A server, or a sqlite store that the client opens itself.

    Attributes:
        uri: For MLflow's client.
        variables: Its process's whole environment, but for those of the version's Python.
        prefix: Of the names of variables for this side alone.
    """

    version: MlflowVersion
    uri: str = field(repr=False)
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    prefix: str = ""

    @property
    def database(self) -> Path | None:
        """The file of a sqlite store; None for a server."""
        is_sqlite = self.uri.startswith(_SQLITE)
        return Path(self.uri.removeprefix(_SQLITE)) if is_sqlite else None

    @property
    def artifacts(self) -> str:
        """Root of new experiments' artifacts; empty: the server decides."""
        return "" if self.database is None else str(self.database.parent / ARTIFACTS)

    @property
    def is_made(self) -> bool:
        """Whether the store exists; always True for a server, which is asked later."""
        database = self.database
        return database is None or (database.exists() and database.stat().st_size > 0)

    @property
    def title(self) -> str:
        """In words, without a password."""
        key = self.version.key
        if self.uri == embedded_uri(key):
            return f"the embedded store of MLflow {key} ({embedded_store(key)})"
        return f"{without_password(self.uri)} (MLflow {key})"

    @property
    def question(self) -> dict[str, str]:
        """The first line for ``worker``: version, address and artifact root to connect to."""
        return {"version": self.version.key, "uri": self.uri, "artifacts": self.artifacts}


def source_and_target(
    source: MlflowVersion, target: MlflowVersion, from_uri: str | None, to_uri: str | None
) -> tuple[Side, Side]:
    """Source and target: the given addresses, else each version's variables, else embedded stores.

    Raises:
        MoveError: both are the same, or one is of a kind that is not moved.
    """
    first = _side(source, from_uri, OF_SOURCE, "--from-uri")
    second = _side(target, to_uri, OF_TARGET, "--to-uri")
    if _plain(first.uri) == _plain(second.uri):
        raise MoveError(
            f'both sides are {first.title}. Name the other one: ARGS="--to-uri http://…", or '
            "--from-uri."
        )
    if os.environ.get(REGISTRY_VARIABLE):
        raise MoveError(
            f"{REGISTRY_VARIABLE} names a registry apart from the tracking server, whose models "
            "are not moved. Unset it to move what the tracking servers themselves have."
        )
    if not first.is_made:
        raise MoveError(f"there is no {first.title.removeprefix('the ')}.")
    return first, second


def require_not_older(source: MlflowVersion, target: MlflowVersion) -> None:
    """Raises ``MoveError`` where the target's MLflow is older: it has no logged models, takes
    shorter parameters, and loads no skops."""
    if is_older(target, source):
        raise MoveError(
            f"MLflow {target.key} is older than {source.key} and cannot keep all that it tracks "
            "(logged models, data sets, long parameters). Nothing is moved to an older MLflow."
        )


def _side(version: MlflowVersion, given: str | None, prefix: str, option: str) -> Side:
    uri = given or configured_uri(version.key) or embedded_uri(version.key)
    if not uri.startswith(("http://", "https://", _SQLITE)):
        raise MoveError(
            f"{option} is {without_password(uri)}: a server is named by http:// or https://, and a "
            "store on this machine by sqlite:///. Of a database behind a server, name the server."
        )
    return Side(version, uri.rstrip("/"), _variables(prefix), prefix)


def _variables(prefix: str) -> dict[str, str]:
    """This process's variables, without those of servers, and with those of the side alone."""
    kept = {
        name: text
        for name, text in os.environ.items()
        if name not in _NAME_SERVERS and not name.startswith((OF_SOURCE, OF_TARGET, f"{MLFLOW}_"))
    }
    own = {
        name.removeprefix(prefix): text
        for name, text in os.environ.items()
        if name.startswith(prefix)
    }
    return {**kept, **own}


def _plain(uri: str) -> str:
    return without_password(uri).rstrip("/").lower()
