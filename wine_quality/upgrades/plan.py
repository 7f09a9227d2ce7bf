"""The plan of an upgrade, as a dry run shows it: contents and obstacles. Nothing is written."""

from __future__ import annotations

from dataclasses import dataclass

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MlflowVersion
from wine_quality.upgrades.census import Census, open_runs, take_census
from wine_quality.upgrades.errors import UpgradeError
from wine_quality.upgrades.locations import elsewhere
from wine_quality.upgrades.place import Place
from wine_quality.upgrades.schema import require_known, revision_of


@dataclass(frozen=True)
class Plan:
    """
    Attributes:
        census: Of the source's database.
        revision: Of its schema.
        elsewhere: Locations that stay as they are, by where they are.
        obstacles: Sentences on what prevents the upgrade; empty when it can begin.
    """

    census: Census
    revision: str
    elsewhere: dict[str, int]
    obstacles: tuple[str, ...]


def require_newer(source: MlflowVersion, target: MlflowVersion) -> None:
    """Raises ``UpgradeError`` unless the target is the newer one; MLflow cannot downgrade."""
    if source.key == target.key:
        raise UpgradeError(f"FROM and TO are both {source.key}.")
    if is_older(target, source):
        raise UpgradeError(
            f"MLflow {target.key} is older than {source.key}, and MLflow cannot make a store older."
            f" To go back after an upgrade, use the store that MLflow {target.key} had: it is kept."
        )


def is_older(one: MlflowVersion, other: MlflowVersion) -> bool:
    return _order(one) < _order(other)


def make_plan(place: Place, with_open_runs: bool) -> Plan:
    """Look at both stores.

    Raises:
        UpgradeError: there is nothing to take over.
    """
    obstacles = []
    with place.source_database() as connection:
        census = take_census(connection)
        if not census.tables:
            raise UpgradeError(f"{place.title} has no tables of MLflow's: nothing to take over.")
        revision = revision_of(connection)
        try:
            require_known(revision, place.source, place.target)
        except UpgradeError as error:
            obstacles.append(str(error))
        number, some = open_runs(connection)
        others = elsewhere(connection, place.move)
    if number and not with_open_runs:
        obstacles.append(
            f"{number} {'run is' if number == 1 else 'runs are'} under way ({'; '.join(some)}). "
            "Wait, or end them. Are they none that anybody works on any more: "
            "ARGS=--with-open-runs takes them over as they are"
        )
    return Plan(census, revision, others, (*obstacles, *_in_the_way(place), *place.obstacles()))


def require_empty_target(place: Place) -> None:
    """Raises ``UpgradeError`` where the target has a store with anything in it."""
    found = _in_the_way(place)
    if found:
        raise UpgradeError(found[0])


def _in_the_way(place: Place) -> list[str]:
    database = place.target_database()
    if database is None:
        return []
    with database as connection:
        census = take_census(connection)
    if census.is_empty:
        return []
    return [
        f"MLflow {place.target.key} has a store here that is not empty ("
        f"{sum(census.experiments.values())} experiments, {sum(census.runs.values())} runs, "
        f"{len(census.models)} registered models). Nothing is mixed with it or overwritten: "
        f"{place.how_to_clear_target()}"
    ]


def _order(version: MlflowVersion) -> tuple[int, ...]:
    """Sort key of a version: the numbers of its client, for keys such as ``3`` and ``2.22.5``."""
    numbers = (part for part in version.client.split(".") if part.isdigit())
    known = list(MLFLOW_VERSIONS).index(version.key)
    return (*(int(number) for number in numbers), known)
