"""Alias and stage are one truth: read, adopted and written, on a store that knows both."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import pytest
from mlflow.tracking import MlflowClient

from wine_quality.tracking.registry.all_versions import versions_of
from wine_quality.tracking.registry.champion import DECISION_TAG, OPEN, ChampionRegistry
from wine_quality.tracking.registry.registered_model import RegisteredModel, RegisteredState
from wine_quality.tracking.registry.roles import (
    CHALLENGER,
    CHAMPION,
    RoleConflictError,
    role_holder,
)

NAME = "wine"


@pytest.mark.parametrize(
    ("alias", "stage", "agreed", "holder"),
    [
        (None, None, None, None),
        (None, "2", None, "2"),  # an upgraded store, or another tool
        ("1", None, None, "1"),  # a store of MLflow 3 from before both were written
        ("1", "1", None, "1"),
        ("2", "1", "1", "2"),  # the alias was moved by hand, or a promotion was broken off
        ("1", "2", "1", "2"),  # the stage was
        (None, "1", "1", None),  # the alias was taken away
        (None, "2", "1", "2"),
        ("1", None, "1", "1"),  # MLflow without stages
        ("2", None, "1", "2"),
    ],
)
def test_the_one_that_was_changed_counts(alias, stage, agreed, holder):
    assert role_holder(NAME, CHAMPION, state_of(alias, stage, agreed)) == holder


@pytest.mark.parametrize("agreed", [None, "3"])
def test_where_nobody_can_tell_both_are_named(agreed):
    with pytest.raises(RoleConflictError) as error:
        role_holder(NAME, CHAMPION, state_of("1", "2", agreed))
    for part in ("version 1 has the alias champion", "version 2 is in the stage Production"):
        assert part in str(error.value)
    assert "Decide for one of them: make promote VERSION=1 (or 2)." in str(error.value)


def test_without_aliases_the_stage_counts_whatever_was_copied_with_it():
    tags = {"wine_quality.agreed_champion": "2"}
    state = RegisteredState(aliases=None, stages={"Production": "2"}, tags=tags)
    assert role_holder(NAME, CHAMPION, state) == "2"


def state_of(alias: str | None, stage: str | None, agreed: str | None) -> RegisteredState:
    return RegisteredState(
        {CHAMPION: alias} if alias else {},
        {"Production": stage, "None": "9"} if stage else {"None": "9"},
        {"wine_quality.agreed_champion": agreed} if agreed else {},
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> Path:
    """A store with a model of three versions, made once: its tables take a second."""
    database = tmp_path_factory.mktemp("store") / "mlflow.db"
    client = MlflowClient(tracking_uri=f"sqlite:///{database}")
    client.create_registered_model(NAME)
    for _ in range(3):
        client.create_model_version(NAME, (database.parent / "model").as_uri())
    return database


@pytest.fixture
def client(store, tmp_path) -> MlflowClient:
    """Of a copy of that store."""
    copy = shutil.copy(store, tmp_path / "mlflow.db")
    return MlflowClient(tracking_uri=f"sqlite:///{copy}")


def seen(client: MlflowClient, role: str = CHAMPION) -> tuple[str | None, str | None]:
    """The versions by alias and by stage, as MLflow's own client has them."""
    found = client.get_registered_model(NAME)
    stage = {CHAMPION: "Production", CHALLENGER: "Staging"}[role]
    by_stage = [str(one.version) for one in found.latest_versions if one.current_stage == stage]
    alias = found.aliases.get(role)
    return str(alias) if alias else None, by_stage[0] if by_stage else None


def adopted(client: MlflowClient) -> tuple[str | None, list[str]]:
    notes: list[str] = []
    return ChampionRegistry(client, NAME).adopt(CHAMPION, notes.append), notes


def test_both_are_written_and_read(client):
    registry = ChampionRegistry(client, NAME)
    registry.assign_role(CHALLENGER, "1")
    assert seen(client, CHALLENGER) == ("1", "1")
    registry.promote("1", None)
    assert (seen(client), seen(client, CHALLENGER)) == (("1", "1"), (None, None))
    registry.assign_role(CHALLENGER, "2")
    registry.promote("2", "1")
    assert (registry.holder(CHAMPION), registry.holder(CHALLENGER)) == ("2", None)
    assert seen(client) == ("2", "2")
    assert client.get_model_version(NAME, "1").current_stage == "Archived"
    registry.revoke_role(CHAMPION, "2")
    assert seen(client) == (None, None)
    assert adopted(client) == (None, [])


def test_a_stage_of_an_upgraded_store_is_adopted_once(client):
    client.transition_model_version_stage(NAME, "2", "Production")
    champion, notes = adopted(client)
    assert champion == "2" and seen(client) == ("2", "2")
    assert notes == [
        "wine version 2 is the champion by its stage Production: it gets the alias champion too."
    ]
    assert adopted(client) == ("2", [])


def test_what_is_moved_by_hand_is_followed(client):
    ChampionRegistry(client, NAME).assign_role(CHAMPION, "1")
    client.set_registered_model_alias(NAME, CHAMPION, "2")
    champion, notes = adopted(client)
    assert champion == "2" and seen(client) == ("2", "2")
    assert "it is in the stage Production now too, where version 1 was" in notes[0]
    # As tools do it: nothing else is archived.
    client.transition_model_version_stage(NAME, "3", "Production")
    champion, notes = adopted(client)
    assert champion == "3" and seen(client) == ("3", "3")
    assert "it gets the alias champion too, which version 2 had" in notes[0]
    client.delete_registered_model_alias(NAME, CHAMPION)
    champion, notes = adopted(client)
    assert champion is None and seen(client)[0] is None and "leaves the stage" in notes[0]


def test_both_set_by_hand(client, monkeypatch):
    monkeypatch.setattr("wine_quality.tracking.registry.roles._PAUSE", 0)
    client.set_registered_model_alias(NAME, CHAMPION, "1")
    client.transition_model_version_stage(NAME, "2", "Production")
    for ask in (ChampionRegistry(client, NAME).holder, lambda _: adopted(client)):
        with pytest.raises(RoleConflictError, match="version 1 has the alias"):
            ask(CHAMPION)
    assert seen(client) == ("1", "2")
    ChampionRegistry(client, NAME).assign_role(CHAMPION, "2")
    assert adopted(client) == ("2", []) and seen(client) == ("2", "2")


def test_a_promotion_that_was_broken_off_in_between(client, monkeypatch):
    registry = ChampionRegistry(client, NAME)
    registry.promote("1", None)
    with monkeypatch.context() as patch:
        patch.setattr(RegisteredModel, "set_stage", broken_off)
        with pytest.raises(KeyboardInterrupt):
            registry.promote("2", "1")
    assert seen(client) == ("2", "1")
    assert ChampionRegistry(client, NAME).holder(CHAMPION) == "2"
    assert adopted(client)[0] == "2" and seen(client) == ("2", "2")


def broken_off(*_: Any) -> bool:
    raise KeyboardInterrupt


def test_many_who_promote_at_once_end_with_one_champion(client):
    def promote(version: str) -> None:
        for _ in range(5):
            ChampionRegistry(client, NAME).assign_role(CHAMPION, version)

    threads = [threading.Thread(target=promote, args=(version,)) for version in "123"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alias, stage = seen(client)
    assert alias == stage == ChampionRegistry(client, NAME).holder(CHAMPION)


def test_an_alias_of_a_version_that_is_gone_and_a_model_that_is_not_there(client):
    registry = ChampionRegistry(client, NAME)
    registry.assign_role(CHAMPION, "2")
    client.delete_model_version(NAME, "2")
    assert registry.holder(CHAMPION) is None
    assert ChampionRegistry(client, "another").holder(CHAMPION) is None
    assert ChampionRegistry(client, "another").adopt(CHAMPION, pytest.fail) is None


@pytest.mark.parametrize("name", ["O'Brien", 'the "best"', "both ' and \"", "100% 🍷 %27 `x`"])
def test_names_of_any_kind_are_found(client, name):
    client.create_registered_model(name)
    for _ in range(3):
        client.create_model_version(name, "s3://bucket/model")
    registry = ChampionRegistry(client, name)
    registry.tag("2", DECISION_TAG, OPEN)
    assert registry.rivals("3", None) == ["2"]
    assert [str(one.version) for one in versions_of(client, name)] == ["3", "2", "1"]
    registry.promote("3", None)
    assert registry.holder(CHAMPION) == "3"


class WithoutStages:
    """A client as MLflow has announced it: aliases, and nothing of stages.

    A stand-in: no such MLflow is out yet.
    """

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        if name in ("transition_model_version_stage", "get_latest_versions"):
            raise AttributeError(name)
        return getattr(self._client, name)


def test_a_client_without_stages(client):
    ChampionRegistry(client, NAME).assign_role(CHAMPION, "1")
    later = ChampionRegistry(WithoutStages(client), NAME)
    later.promote("2", "1")
    assert later.holder(CHAMPION) == "2"
    assert seen(client) == ("2", "1")
    # One that still has them agrees.
    assert ChampionRegistry(client, NAME).holder(CHAMPION) == "2"


def test_two_that_make_one_tag_at_once_both_succeed():
    """MLflow's store refuses one of them, as two runs that promote for the first time saw."""
    from mlflow.exceptions import MlflowException

    class Raced:
        refused = 0

        def set_registered_model_alias(self, *_given: str) -> None: ...

        def set_registered_model_tag(self, _name: str, key: str, value: str) -> None:
            if not self.refused:
                self.refused += 1
                raise MlflowException("(sqlite3.IntegrityError) UNIQUE constraint failed: tags.key")
            self.tag = (key, value)

    client = Raced()
    RegisteredModel(client, NAME).set_tag("agreed", "1")
    assert (client.refused, client.tag) == (1, ("agreed", "1"))
