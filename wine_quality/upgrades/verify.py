"""Compares what there was with what there is after the upgrade."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from wine_quality.upgrades.census import Census, as_it_is, columns_of, sum_tables, take_census
from wine_quality.upgrades.errors import UpgradeError
from wine_quality.upgrades.place import Place
from wine_quality.upgrades.probe import LOADED, NOT_LOADABLE, NOT_READ, NOT_TRUSTED

TOLERANCE = 1e-9
"""Relative; other versions of numpy round the last digits otherwise."""

SAME = "predicts the same"
DIFFERS = "predicts otherwise"
NOT_COMPARED = "not compared"
_ROLE_TABLES = {"registered_model_aliases", "registered_model_tags"}
"""Grow when roles that stood as stages get aliases."""


@dataclass(frozen=True)
class CheckedVersion:
    """A model version after the upgrade.

    Attributes:
        result: ``SAME``, ``DIFFERS``, ``NOT_COMPARED``, or a result of ``probe``'s.
        reason: Why, where it is not the same.
        format: Of its estimator: ``skops`` or ``pickle``; empty where it was not read.
    """

    model: str
    version: str
    result: str
    reason: str = ""
    format: str = ""


def require_same_rows(source: Any, staged: Any, place: Place) -> dict[str, int]:
    """Check that the staged copy has each row of the source, cell by cell, with moved locations.

    Args:
        source, staged: Connections.

    Returns:
        Rows of each table.

    Raises:
        UpgradeError: a table or a column is gone, or rows differ; names them.
    """
    before, after = columns_of(source), columns_of(staged)
    gone = [table for table in before if table not in after]
    gone += [f"{t}.{c}" for t in before if t in after for c in sorted(before[t] - after[t])]
    if gone:
        raise UpgradeError(f"the upgrade of the schema has dropped {', '.join(sorted(gone))}.")
    moved = place.move.change if place.move else as_it_is
    wanted = sum_tables(source, before, moved)
    found = sum_tables(staged, before, as_it_is)
    differing = [
        f"{table} ({wanted[table].rows} rows before, {found[table].rows} after)"
        for table in wanted
        if wanted[table] != found[table]
    ]
    if differing:
        raise UpgradeError(f"rows differ after the upgrade: {', '.join(differing)}.")
    return {table: total.rows for table, total in wanted.items()}


def require_counts(before: Census, staged: Any) -> Census:
    """Check that each table has as many rows as in the source, after the roles were carried over
    (tables of the roles may have more), and that states of experiments and runs are the same.

    Raises:
        UpgradeError: they differ.
    """
    after = take_census(staged)
    for table, number in before.tables.items():
        there = after.tables.get(table, 0)
        if there != number and not (table in _ROLE_TABLES and there > number):
            raise UpgradeError(f"{table} had {number} rows and has {there}.")
    if (after.experiments, after.runs) != (before.experiments, before.runs):
        raise UpgradeError("states of experiments or runs differ after the upgrade.")
    return after


def require_same_roles(
    before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]
) -> None:
    """Check that each role has the same holder by the clients of both versions, except for models
    that the new client refuses.

    Raises:
        UpgradeError: one has another.
    """
    found = {entry["model"]: entry for entry in after}
    for entry in before:
        if "error" in found[entry["model"]]:
            continue
        for role in ("champion", "challenger"):
            had, has = entry[role], found[entry["model"]][role]
            if had != has:
                raise UpgradeError(
                    f"the {role} of {entry['model']} was version {had} and would be {has}."
                )


def compare_predictions(before: Mapping[str, Any], after: Mapping[str, Any]) -> CheckedVersion:
    """Compare the predictions of one version in its own environment and in the new one."""
    name, number = before["model"], before["version"]
    kind = after.get("format") or before.get("format", "")
    if after["result"] != LOADED:
        return CheckedVersion(name, number, after["result"], after["reason"], kind)
    if before["result"] != LOADED:
        return CheckedVersion(name, number, NOT_COMPARED, before["reason"], kind)
    old, new = before["predictions"], after["predictions"]
    is_same = len(old) == len(new) and all(
        math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        for one, other in zip(old, new, strict=True)
    )
    if is_same:
        return CheckedVersion(name, number, SAME, "" if old else "it has no example", kind)
    return CheckedVersion(name, number, DIFFERS, f"{old[:3]} before, {new[:3]} now", kind)


ADVICE = {
    NOT_LOADABLE: "train it again, or serve it in its own environment (make serve does)",
    NOT_READ: "its entry or its files could not be read",
    NOT_COMPARED: "it loads now, and did not in its own environment",
    NOT_TRUSTED: "not loaded, for it is not known to be of this pipeline (make trust)",
    DIFFERS: "do not use it before you know why",
}
