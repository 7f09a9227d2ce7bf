"""The parts of a move that need no MLflow: ids and addresses, marks, sides, counts, numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.moves.conversation import QuestionFailedError
from wine_quality.moves.errors import MoveError
from wine_quality.moves.files import FilesDifferError, require_same
from wine_quality.moves.inventory import Inventory
from wine_quality.moves.marks import origin_of, version_mark, without_ours
from wine_quality.moves.model_moves import ModelMoves
from wine_quality.moves.report import Report, counted, report_lines
from wine_quality.moves.rewriting import Copies
from wine_quality.moves.sides import source_and_target

OLD, NEW = MLFLOW_VERSIONS["1.26"], MLFLOW_VERSIONS["3"]
RUN, COPY, OTHER = "a" * 32, "b" * 32, "c" * 32
MODEL, MODEL_COPY = f"m-{'d' * 32}", f"m-{'e' * 32}"


@pytest.fixture
def copies() -> Copies:
    found = Copies()
    found.note(RUN, COPY, f"mlflow-artifacts:/1/{RUN}/artifacts", f"s3://b/7/{COPY}/artifacts/")
    found.note(MODEL, MODEL_COPY, f"/it's/models/{MODEL}", f"/new/{MODEL_COPY}")
    return found


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"mlflow-artifacts:/1/{RUN}/artifacts/model", f"s3://b/7/{COPY}/artifacts/model"),
        (f"mlflow-artifacts:/1/{RUN}/artifacts", f"s3://b/7/{COPY}/artifacts"),
        (f"mlflow-artifacts:/1/{RUN}/artifacts-of-others", None),
        (f"runs:/{RUN}/model", f"runs:/{COPY}/model"),
        (f"runs:/{OTHER}/model", None),
        (f"models:/{MODEL}", f"models:/{MODEL_COPY}"),
        (f"/it's/models/{MODEL}/", f"/new/{MODEL_COPY}"),
        ("s3://bucket/model", None),
        ("", None),
    ],
)
def test_addresses_of_copies(copies: Copies, before: str, after: str | None):
    assert copies.address(before) == after


def test_tags_name_the_copies(copies: Copies):
    history = json.dumps([{"run_id": RUN, "model_uuid": OTHER, "model_id": MODEL}])
    tags = {
        "mlflow.parentRunId": RUN,
        "mlflow.log-model.history": history,
        "mlflow.note.content": f"see mlflow-artifacts:/1/{RUN}/artifacts/plot.png, {RUN}0",
        "theirs": RUN,
        "theirs too": f"run {RUN}",  # nobody knows what it means
        "wine_quality.previous_champion": "4",
        "wine_quality.model_sha256": RUN * 2,
        "wine_quality.signature": "1:…",
        "wine_quality.moved_from_run": OTHER,
    }
    assert copies.tags(tags, {"4": "9"}) == {
        "mlflow.parentRunId": COPY,
        "mlflow.log-model.history": history.replace(RUN, COPY).replace(MODEL, MODEL_COPY),
        "mlflow.note.content": f"see s3://b/7/{COPY}/artifacts/plot.png, {RUN}0",
        "theirs": COPY,
        "theirs too": f"run {RUN}",
        "wine_quality.previous_champion": "9",
        "wine_quality.model_sha256": RUN * 2,
    }


def test_a_copy_of_a_copy_is_known_by_the_first():
    assert origin_of(COPY, {"wine_quality.moved_from_run": RUN}) == RUN
    assert origin_of(RUN, {}) == RUN
    assert version_mark("9", 20, {"wine_quality.moved_version": "4@10"}) == "4@10"
    assert version_mark("4", 10, {}) == "4@10"
    assert without_ours({"wine_quality.moved": "open", "a": "b"}) == {"a": "b"}


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_HOME", str(tmp_path))
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI", "WINE_QUALITY_MLFLOW_URI_1_26"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_each_side_has_its_own_credentials(home, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "both")
    monkeypatch.setenv("WINE_QUALITY_FROM_MLFLOW_TRACKING_PASSWORD", "first")
    monkeypatch.setenv("WINE_QUALITY_TO_MLFLOW_TRACKING_PASSWORD", "second")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://another")
    source, target = source_and_target(OLD, NEW, "http://u:secret@old:1/", "https://new:2")
    for side, password in ((source, "first"), (target, "second")):
        names = {name: text for name, text in side.variables.items() if "MLFLOW_TRACKING" in name}
        assert names == {
            "MLFLOW_TRACKING_USERNAME": "both",
            "MLFLOW_TRACKING_PASSWORD": password,
        }
        assert "secret" not in side.title + repr(side)
    assert source.artifacts == "" and source.is_made


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (("http://old:1", "http://old:1/"), "both sides are http://old:1"),
        (("http://u:p@old:1", "http://OLD:1"), "both sides are"),
        (("databricks", "http://new"), "--from-uri is databricks"),
        (("http://old", "mysql://u:p@db/m"), "--to-uri is mysql://db/m"),
        ((None, "http://new"), "there is no embedded store of MLflow 1.26"),
        (("sqlite:////nowhere/x.db", "http://new"), "there is no sqlite:"),
    ],
)
def test_sides_that_are_refused(home, given, wanted):
    with pytest.raises(MoveError) as refused:
        source_and_target(OLD, NEW, *given)
    assert wanted in str(refused.value) and "u:p" not in str(refused.value)


def test_a_registry_apart_is_refused(home, monkeypatch):
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "http://models")
    with pytest.raises(MoveError, match="registry apart"):
        source_and_target(OLD, NEW, "http://old", "http://new")


def test_files_that_differ_are_named():
    require_same({"a": "1"}, {"a": "1"})
    with pytest.raises(FilesDifferError, match="sent: a, b, c"):
        require_same({"a": "1", "b": "2"}, {"a": "3", "c": "2"})


def run(number: int, **more: Any) -> dict[str, Any]:
    entry = {"kind": "run", "id": f"{number}", "origin": f"{number}", "state": "", "name": ""}
    return {**entry, "experiment": "0", "status": "FINISHED", "lifecycle": "active", **more}


def version(number: int, **tags: str) -> dict[str, Any]:
    return {"kind": "version", "model": "m", "number": f"{number}", "created": 7, "tags": tags}


def inventory(*entries: dict[str, Any]) -> Inventory:
    found = Inventory()
    found.add({"kind": "experiment", "id": "0", "name": "it's", "lifecycle": "active"})
    for entry in entries:
        found.add(entry)
    return found


def test_what_is_there_is_counted_by_its_origin():
    has = inventory(run(1), run(2), run(3), run(4))
    target = inventory(
        run(1),  # of an upgraded copy: the same id
        run(11, origin="2", state="complete"),
        run(12, origin="3", state="open"),
        run(13, origin="3", state="complete"),
        run(14, origin="4", state="partial"),
        run(15),
    )
    assert (counted(has, target)["runs"].there, counted(has, target)["runs"].source) == (3, 4)
    by_origin, twice = target.by_origin()
    assert by_origin["3"]["id"] == "13" and [one["id"] for one in twice] == ["12"]
    assert inventory(run(1, status="RUNNING", name="a")).open_runs() == ["1 a of it's"]


class Target:
    """Stands for the target's process: counts versions up as MLflow does."""

    def __init__(self, last: int, fails: tuple[str, ...] = ()) -> None:
        self.last, self.fails = last, fails
        self.made: list[tuple[str, bool]] = []

    def one(self, _action: str, **question: Any) -> dict[str, str]:
        if question["version"]["number"] in self.fails:
            raise QuestionFailedError("its files are gone")
        self.last += 1
        self.made.append((str(self.last), question["placeholder"]))
        return {"number": str(self.last)}

    def ask(self, _action: str, **_question: Any) -> Iterator[dict[str, Any]]:
        yield from ()


@pytest.mark.parametrize(
    ("there", "last", "fails", "numbers", "placeholders"),
    [
        ([], 0, (), ["1", "2", "5"], ["3", "4"]),
        # Killed after a placeholder: it counts, and is removed in the end.
        (
            [version(1, **{"wine_quality.moved_version": "1@7"})]
            + [version(2, **{"wine_quality.moved_version": "2@7"})]
            + [version(3, **{"wine_quality.moved_placeholder": "true"})],
            *(3, (), ["1", "2", "5"], ["3", "4"]),
        ),
        ([version(1)], 1, (), ["1", "2", "5"], ["3", "4"]),  # of an upgraded copy
        ([{**version(1), "created": 8}], 1, (), ["2", "3", "5"], ["4"]),  # the target's own
        ([], 0, ("2",), ["1", "5"], ["2", "3", "4"]),
    ],
)
def test_numbers_are_kept_where_they_are_free(there, last, fails, numbers, placeholders):
    target, report = Target(last, fails), Report("here", "there")
    moves = ModelMoves(target, target, "here", report, print)  # type: ignore[arg-type]
    copies, removed = moves._versions([version(1), version(2), version(5)], there)
    assert [number for _, number in copies] == numbers
    assert removed == placeholders
    assert [one.name for one in report.not_carried] == [f"m version {one}" for one in fails]
    renumbered = [number for of, number in copies if of["number"] != number]
    assert len(report.notes) == len(renumbered)


def test_all_that_was_not_carried_is_shown(tmp_path):
    report = Report("here", "there", counted(inventory(run(1), run(2)), inventory()))
    report.counts["runs"].copied = 1
    for number in range(30):
        report.miss("run", f"r{number}\x1b", "gone")
    lines = list(report_lines(report, report.write(tmp_path)))
    assert any("2 at the source: 0 were there, 1 copied, 1 not" in line for line in lines)
    assert sum(line.startswith("not carried") for line in lines) == 30
    assert "\x1b" not in "".join(lines)
    assert len(json.loads((tmp_path / "report.json").read_text())["not_carried"]) == 30
