"""Writes registered models, their versions and roles to the target. In its version's environment.

A version is signed anew only where its source's signature held, and only when its files and its
training record, as they are at the target, are those that the signature was made of.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from wine_quality.families.family import types_of_families
from wine_quality.moves.marks import (
    COMPLETE,
    OPEN,
    PLACEHOLDER_TAG,
    ROLE_TAG,
    SERVER_TAG,
    STATE_TAG,
    VERSION_TAG,
    without_ours,
)
from wine_quality.moves.writing_runs import COPIES
from wine_quality.tracking.backends.explicit_run_tracker import MODEL_VERSIONS_TAG
from wine_quality.tracking.model_files import UntrustedModelError
from wine_quality.tracking.registry.provenance import HASH_TAG, SIGNATURE_TAG, Claims
from wine_quality.tracking.registry.roles import CHALLENGER, CHAMPION, STAGES, RoleConflictError

if TYPE_CHECKING:
    from wine_quality.tracking.registry.champion import ChampionRegistry
    from wine_quality.tracking.tracker import Tracker

_ELSEWHERE = (
    "s3:",
    "gs:",
    "wasb:",
    "wasbs:",
    "abfs:",
    "abfss:",
    "hdfs:",
    "ftp:",
    "http:",
    "https:",
)
"""Addresses that both sides' clients read alike."""


def open_model(tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The registered model ``question["name"]``, new or there; ``is_new`` until a move of it came
    to its end."""
    from mlflow.exceptions import MlflowException

    name = question["name"]
    tags = {SERVER_TAG: question["server"], STATE_TAG: OPEN}
    try:
        tracker.client.create_registered_model(name, tags, question["description"] or None)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    found = tracker.client.get_registered_model(name)
    yield {"is_new": (found.tags or {}).get(STATE_TAG) == OPEN}


def make_version(tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A version of ``question["version"]``, an entry of ``survey``; its number.

    Args of ``question``: ``mark``, ``server``, ``numbers`` of those that are there, and whether it
    is a ``placeholder``, which has its files only.
    """
    version = question["version"]
    source, more = _source(version)
    if question["placeholder"]:
        tags = {PLACEHOLDER_TAG: "true"}
        description = "Keeps a number free while a move is made."
    else:
        tags = COPIES.tags(version["tags"], question["numbers"])
        tags |= {
            VERSION_TAG: question["mark"],
            SERVER_TAG: question["server"],
            STATE_TAG: OPEN,
        }
        description = version["description"]
        if version["run_link"] and not more.get("run_id"):
            more["run_link"] = version["run_link"]
    made = tracker.client.create_model_version(
        version["model"], source, tags=tags, description=description or None, **more
    )
    number = str(made.version)
    if more.get("model_id") and not question["placeholder"]:
        _note_on_logged_model(tracker.client, more["model_id"], version["model"], number)
    yield {"number": number}


def _source(version: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The place of a copy's files, and the ids that go with it."""
    run, model = COPIES.ids.get(version["run"], ""), COPIES.ids.get(version["model_id"], "")
    source = COPIES.address(version["source"])
    if source is None:
        if not version["source"].startswith(_ELSEWHERE):
            raise RuntimeError(
                f"its files ({version['source']}) are of no run that was moved, and lie in the "
                "source's own store"
            )
        source = version["source"]
    more = {"run_id": run or version["run"]} if version["run"] else {}
    return source, {**more, "model_id": model} if model else more


def _note_on_logged_model(client: Any, model_id: str, name: str, number: str) -> None:
    """A server does it by itself, a store without one never."""
    tags = client.get_logged_model(model_id).tags
    noted = json.loads(tags.get(MODEL_VERSIONS_TAG, "[]"))
    if not any((one["name"], str(one["version"])) == (name, number) for one in noted):
        noted.append({"name": name, "version": number})
        client.set_logged_model_tags(model_id, {MODEL_VERSIONS_TAG: json.dumps(noted)})


def settle_version(tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Stage and signature of version ``question["number"]``; then it is complete.

    Args of ``question``: ``version`` at the source, ``claims`` of its signature there or None, and
    ``numbers``.
    """
    of, number = question["version"], question["number"]
    client, problems = tracker.client, []
    found = client.get_model_version(of["model"], number)
    if (getattr(found, "current_stage", None) or "None") != of["stage"]:
        problems += _set_stage(client, of["model"], number, of["stage"])
    if question["claims"] and SIGNATURE_TAG not in found.tags:
        problems += _sign(tracker, found, Claims(**question["claims"]))
    found = client.get_model_version(of["model"], number)
    wanted = COPIES.tags(of["tags"], question["numbers"])
    has = {key: text for key, text in without_ours(found.tags).items() if key != SIGNATURE_TAG}
    has = {key: text for key, text in has.items() if key in wanted or key != HASH_TAG}
    if wanted != has or (found.description or "") != of["description"]:
        problems.append("its tags or its description differ")
    if not problems:
        client.set_model_version_tag(of["model"], number, STATE_TAG, COMPLETE)
    yield {"problems": problems}


def _set_stage(client: Any, name: str, number: str, stage: str) -> list[str]:
    """Set the stage; no problem where MLflow has no stages any more and an alias stands for it."""
    transition = getattr(client, "transition_model_version_stage", None)
    if transition is not None:
        transition(name, number, stage)
        return []
    return [] if stage in STAGES.values() else [f"this MLflow knows no stage {stage}"]


def _sign(tracker: Tracker, found: Any, claimed: Claims) -> list[str]:
    try:
        there, _ = tracker.claims_of(found, types_of_families())
    except (UntrustedModelError, OSError) as error:
        return [f"not signed: {error}"]
    for name in ("files", "record", "dagster_run_id"):
        if getattr(there, name) != getattr(claimed, name):
            return [f"not signed: its {name} is not what was signed at the source"]
    # The version of MLflow that logged it stays.
    tracker.sign(found, replace(there, mlflow_version=claimed.mlflow_version))
    return []


def settle_model(tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Tags, aliases and roles of a model whose versions are there.

    Args of ``question``: ``model``, an entry of ``survey``; ``numbers`` of its versions here by
    those of the source; ``roles``, the source's; ``is_new``.
    """
    client, model, numbers = tracker.client, question["model"], question["numbers"]
    name = model["name"]
    notes: list[str] = []
    problems: list[str] = []
    there = dict(client.get_registered_model(name).tags or {})
    for key, text in COPIES.tags(model["tags"], numbers).items():
        if question["is_new"] or key not in there:
            client.set_registered_model_tag(name, key, text)
    _aliases(client, question, notes, problems)
    registry = tracker.registry(name)
    for role in (CHAMPION, CHALLENGER):
        wanted = numbers.get(question["roles"][role] or "")
        gave = there.get(ROLE_TAG.format(role=role))
        try:
            _give(registry, role, wanted, None if question["is_new"] else (gave,), notes)
        except RoleConflictError as error:
            problems.append(str(error))
            continue
        if wanted and wanted != gave and registry.holder(role) == wanted:
            client.set_registered_model_tag(name, ROLE_TAG.format(role=role), wanted)
    if not problems:
        client.set_registered_model_tag(name, STATE_TAG, COMPLETE)
    yield {
        "notes": notes,
        "problems": problems,
        **{role: registry.holder(role) for role in (CHAMPION, CHALLENGER) if not problems},
    }


def _give(
    registry: ChampionRegistry,
    role: str,
    wanted: str | None,
    gave: tuple[str | None] | None,
    notes: list[str],
) -> None:
    """Give the role as at the source, unless it was given to another version here since.

    Args:
        gave: The version that the last move gave it to; None before the first move.
    """
    has = registry.holder(role)
    if has == wanted:
        registry.adopt(role, notes.append)
    elif gave is not None and has != gave[0]:
        notes.append(
            f"{registry.name}: the {role} stays version {has} here; by the source it would be "
            f"{wanted}."
        )
    elif wanted is not None:
        registry.assign_role(role, wanted)
    elif has is not None:
        registry.revoke_role(role, has)


def _aliases(client: Any, question: dict[str, Any], notes: list[str], problems: list[str]) -> None:
    """The aliases that are not roles, and are not set at the target yet."""
    model, numbers = question["model"], question["numbers"]
    has_some = hasattr(client, "set_registered_model_alias")
    there = client.get_registered_model(model["name"]).aliases if has_some else {}
    for alias, number in model["aliases"].items():
        if alias in (CHAMPION, CHALLENGER):
            continue
        if number not in numbers or not has_some:
            problems.append(f"alias {alias}: it cannot be set")
        elif alias not in there:
            client.set_registered_model_alias(model["name"], alias, numbers[number])
        elif str(there[alias]) != numbers[number]:
            notes.append(f"{model['name']}: the alias {alias} stays at version {there[alias]}.")


def remove_version(tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Delete a placeholder that is not needed any more."""
    found = tracker.client.get_model_version(question["model"], question["number"])
    if PLACEHOLDER_TAG in found.tags:
        tracker.client.delete_model_version(question["model"], question["number"])
    yield from ()
