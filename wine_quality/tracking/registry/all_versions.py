"""Every version in a registry, without more in one answer than its server can give."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from wine_quality.tracking.registry.champion import ChampionRegistry
from wine_quality.tracking.registry.name_filter import name_filter
from wine_quality.tracking.registry.version_search import (
    in_unity_catalog,
    search_versions,
    whole_versions,
)

_VERSIONS_PER_SEARCH = 1000
"""MLflow 1.26's server reads each version's tags by a statement of its own, in a time that grows
with the square of their number: 1 s for 1,000, and for 10,000 the 30 s after which gunicorn ends
it. It knows no pages, so that larger models are read version by version (13 ms each, measured on a
busy machine).
"""


def versions_of(client: Any, model: str, say: Callable[[str], None] = print) -> Iterator[Any]:
    """The versions of a registered model; none when there is no such model.

    Args:
        client: An ``MlflowClient`` of any version.
        say: Gets a line of progress where that takes long.
    """
    if not _lists_models(client):
        yield from whole_versions(client, model, name_filter(model) or "")
        return
    from mlflow.exceptions import MlflowException

    try:
        registered = client.get_registered_model(model)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return
        raise
    yield from _of_registered(client, registered, say)


def all_versions(client: Any, say: Callable[[str], None] = print) -> Iterator[Any]:
    """The versions of all registered models; arguments as for ``versions_of``."""
    if not _lists_models(client):
        yield from _of_catalog(client) if in_unity_catalog(client) else search_versions(client, "")
        return
    token = None
    while True:
        page = client.list_registered_models(max_results=100, page_token=token)
        for registered in page:
            yield from _of_registered(client, registered, say)
        token = page.token
        if not token:
            return


def _lists_models(client: Any) -> bool:
    """Whether it is of MLflow 1: the method went with 2.0."""
    return hasattr(client, "list_registered_models")


def _of_catalog(client: Any) -> Iterator[Any]:
    """Model by model, since Unity Catalog searches versions by a model's name only."""
    token = None
    while True:
        page = client.search_registered_models(max_results=100, page_token=token)
        for registered in page:
            yield from versions_of(client, registered.name)
        token = page.token
        if not token:
            return


def _of_registered(client: Any, registered: Any, say: Callable[[str], None]) -> Iterator[Any]:
    last = max((int(version.version) for version in registered.latest_versions), default=0)
    named = name_filter(registered.name)
    if named and last <= _VERSIONS_PER_SEARCH:
        yield from client.search_model_versions(named)
        return
    registry = ChampionRegistry(client, registered.name)
    for number in range(1, last + 1):
        if number % 1000 == 0:
            say(f"{number} of {last} versions of {registered.name} are looked at …")
        version = registry.version(str(number))
        if version is not None:  # else deleted
            yield version
