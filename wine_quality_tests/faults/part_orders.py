"""Materializes assets of two trainings in the order asked, and holds what comes of it against the
rule: a step that is given parts of two trainings stops and names both.

``python -m wine_quality_tests.faults.part_orders FOLDER VERSION URI WAY SELECTIONS [SELECTIONS
...]``: after the whole job, with training A, each SELECTIONS (``model,metrics;champion``)
materializes its parts with training B's settings, one run after the other, on a copy of what the
job left. ``all``: every selection after every state that one selection leaves. Prints a line of
JSON for each.
"""

from __future__ import annotations

import re
import shutil
import sys
import uuid
from pathlib import Path
from typing import Any

from dagster import AssetKey

from wine_quality_tests.faults.part_rule import PARTS, SELECTIONS, State
from wine_quality_tests.support.warm_project import WarmProject, import_all, say

ALPHAS, SEEDS = {"A": 0.3, "B": 0.001}, {"A": 40, "B": 41}
MIXED = re.compile(r"of two trainings|on another split")


def config_of(project: WarmProject, name: str, training: str, way: str) -> dict[str, Any]:
    """Run config of training A or B; ``way`` is in_memory, streamed, or either ``-accumulated``."""
    config = project.config(name, ALPHAS[training], SEEDS[training])
    if way.startswith("streamed"):
        config["resources"]["training_engine"] = {"config": {"engine": "duckdb"}}
    if way.endswith("accumulated"):
        from wine_quality.paths import PACKAGED_RED_WINE

        file = project.folder / "wines.csv"
        if not file.exists():
            shutil.copy(PACKAGED_RED_WINE, file)
        given = {"csv_url": str(file), "training_data": "accumulated"}
        config.setdefault("ops", {})["raw_wine_csv"] = {"config": given}
    return config


def only(config: dict[str, Any], assets: list[str]) -> dict[str, Any]:
    """The config without ops that are not selected, which Dagster refuses."""
    ops = {name: one for name, one in config.get("ops", {}).items() if name in assets}
    return {**config, "ops": ops}


def outcome(project: WarmProject, name: str, run_id: str, made: dict[str, bool]) -> dict[str, Any]:
    """Which parts a run made, what it said of the others, and what is wrong about that."""
    failed, done = {}, set()
    for entry in project.instance.all_logs(run_id):
        event = entry.dagster_event
        if event is not None and event.is_step_failure:
            error = event.step_failure_data.error
            while error.cause is not None:
                error = error.cause
            failed[event.step_key] = error.message
        elif event is not None and event.is_step_success:
            done.add(event.step_key)
    messages = []
    for part, wanted in made.items():
        if (PARTS[part] in done) != wanted:
            messages.append(f"{part} was {'' if PARTS[part] in done else 'not '}made")
    for step, message in failed.items():
        if not MIXED.search(message) or "Materialize " not in message:
            messages.append(f"{step} says: {message}")
    if made.get("champion") and PARTS["champion"] in done:
        messages += promoted_by_another(project, name)
    messages += [
        f"MLflow run is {run['info']['status']}"
        for run in project.mlflow_runs(name)
        if run["info"]["status"] not in ("FINISHED", "FAILED")
    ]
    return {"failed": failed, "broken": messages}


def promoted_by_another(project: WarmProject, name: str) -> list[str]:
    """Where the error that decided is not the one that the version's own MLflow run has."""
    event = project.instance.get_latest_materialization_event(AssetKey("champion_model"))
    assert event is not None and event.asset_materialization is not None
    decision = event.asset_materialization.metadata["decision"].value
    own = {
        version["version"]: {
            metric["key"]: metric["value"]
            for run in project.mlflow_runs(name)
            if run["info"]["run_id"] == version["run_id"]
            for metric in run["data"].get("metrics", [])
        }.get("rmse")
        for version in project.versions(name)
    }
    mine = re.search(r"version (\d+) \(RMSE ([\d.]+)\)(?! stays)", str(decision))
    if mine is None or own.get(mine[1]) is None:
        return [f"no run has the metrics of: {decision}"]
    if f"{own[mine[1]]:.6f}" != mine[2]:
        return [f"{decision} The version's own run has {own[mine[1]]:.6f}"]
    return []


class Orders:
    """Runs selections, each on a copy of the state before it."""

    def __init__(self, folder: Path, key: str, uri: str, way: str) -> None:
        self.folder, self.key, self.uri, self.way = folder, key, uri, way
        self.name = f"parts-{uuid.uuid4().hex[:8]}"
        self._count = 0

    def whole(self) -> Path:
        """The folder that the job leaves."""
        project = WarmProject(self.folder / "A", self.key, self.uri)
        config = config_of(project, self.name, "A", self.way)
        run_id, _ = project.execute("whole", config)
        assert project.status(run_id) == "SUCCESS", project.log.read_text()[-3000:]
        return project.folder

    def materialize(
        self, base: Path, state: State, selection: tuple[str, ...]
    ) -> tuple[Path, State, dict[str, Any]]:
        """A run on a copy of ``base``; the copy, the state by the rule, and what came of it."""
        self._count += 1
        folder = self.folder / f"{self._count}"
        shutil.copytree(base, folder)
        project = WarmProject(folder, self.key, self.uri)
        assets = [PARTS[part] for part in selection]
        config = only(config_of(project, self.name, "B", self.way), assets)
        after, made = state.after(selection, f"B{self._count}")
        run_id, _ = project.execute(f"run {self._count}", config, assets)
        return folder, after, {"made": made, **outcome(project, self.name, run_id, made)}


def every_order(orders: Orders, base: Path) -> None:
    """All selections after the job, then all after each state that those leave."""
    states: dict[State, tuple[Path, list[str]]] = {}
    for first in SELECTIONS:
        folder, state, came = orders.materialize(base, State(), first)
        say(first=[], second=first, **came)
        states.setdefault(state.known(), (folder, []))[1].append("+".join(first))
    for state, (folder, firsts) in states.items():
        if state == State():
            continue
        for second in SELECTIONS:
            copy, _, came = orders.materialize(folder, state, second)
            say(first=firsts, second=second, **came)
            shutil.rmtree(copy)


def main(folder: Path, key: str, uri: str, way: str, wanted: list[str]) -> None:
    import_all()
    orders = Orders(folder, key, uri, way)
    base = orders.whole()
    if wanted == ["all"]:
        every_order(orders, base)
        return
    for order in wanted:
        place, state = base, State()
        for selection in order.split(";"):
            place, state, came = orders.materialize(place, state, tuple(selection.split(",")))
        say(order=order, **came)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:5], wanted=sys.argv[5:])
