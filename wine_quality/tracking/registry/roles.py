"""Which version has a role, such as champion, by the model's aliases and stages together.

Each role is written as an alias and as a stage, and then as a tag of the registered model that
notes the version on which both agreed. Where they differ later, the one that was changed since
counts; where both were changed, or never agreed, a person decides.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from wine_quality.escaping import ShownError
from wine_quality.tracking.registry.registered_model import RegisteredModel, RegisteredState
from wine_quality.tracking.servers.failures import is_forbidden

CHAMPION = "champion"
CHALLENGER = "challenger"
STAGES = {CHAMPION: "Production", CHALLENGER: "Staging"}
_NO_STAGE = "None"
AGREED_TAG = "wine_quality.agreed_{role}"
"""Of the registered model: the version that had the role when alias and stage agreed last."""

_TRIES = 10
_PAUSE = 0.2
"""Seconds between two looks at a registry that somebody else is just writing to."""


class RoleConflictError(ShownError, RuntimeError):
    """An alias and a stage name two versions for one role.

    Attributes:
        alias, stage: The versions, by their numbers.
    """

    def __init__(self, name: str, role: str, alias: str, stage: str) -> None:
        self.alias, self.stage = alias, stage
        decide = "Decide for one of them" if role == CHAMPION else "Name the one to promote"
        super().__init__(
            f"{name} has two versions that are the {role}: version {alias} has the alias {role}, "
            f"version {stage} is in the stage {STAGES[role]}, and nobody can tell which was meant "
            f"last. {decide}: make promote VERSION={alias} (or {stage})."
        )


def role_holder(name: str, role: str, state: RegisteredState) -> str | None:
    """The version that has the role by its alias and its stage.

    Raises:
        RoleConflictError: alias and stage differ, and neither was the last to be changed.
    """
    alias, stage, agreed = _described(state, role)
    if state.aliases is None:
        return stage
    if alias is None:
        # The alias was taken away by hand since both agreed; else there never was one.
        return None if stage == agreed else stage
    if stage in (None, alias) or stage == agreed:
        return alias
    if alias == agreed:
        return stage
    raise RoleConflictError(name, role, alias, stage)


class Roles:
    """The roles of the versions of one registered model, read and written."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self._model = RegisteredModel(client, name)
        self.name = name
        # The highest number of a version, when the roles were last read; None: not known.
        self._newest: int | None = None

    def holder(self, role: str) -> str | None:
        """The version that has the role; None when nobody has, or its version was deleted.

        Raises:
            RoleConflictError: alias and stage differ, and neither was the last to be changed.
        """
        return self._settled(role)[1]

    def adopt(self, role: str, note: Callable[[str], None]) -> str | None:
        """As ``holder``, and has alias and stage agree on it from now on.

        Args:
            note: Gets a sentence about each that had to be changed.
        """
        state, version = self._settled(role)
        alias, stage, agreed = _described(state, role)
        if version is None:
            if stage is not None and self._model.set_stage(stage, _NO_STAGE):
                note(
                    f"The alias {role} was taken from {self.name} version {stage}: it leaves the "
                    f"stage {STAGES[role]} too."
                )
            return None
        if alias != version and self._model.set_alias(role, version):
            note(
                f"{self.name} version {version} is the {role} by its stage {STAGES[role]}: it gets "
                f"the alias {role} too{f', which version {alias} had' if alias else ''}."
            )
        if stage != version and self._model.set_stage(version, STAGES[role]):
            note(
                f"{self.name} version {version} is the {role} by its alias: it is in the stage "
                f"{STAGES[role]} now too{f', where version {stage} was' if stage else ''}."
            )
        if (alias, stage, agreed) != (version, version, version):
            self._note_agreement(role)
        return version

    def assign_role(self, role: str, version: str) -> None:
        """Give the role to this version, and take it from the one that had it."""
        self._model.set_alias(role, version)
        self._model.set_stage(version, STAGES[role])
        self._note_agreement(role)

    def revoke_role(self, role: str, version: str) -> None:
        """Take the role from this version."""
        alias, stage, _ = _described(self._read(), role)
        if alias == version:
            self._model.delete_alias(role)
        if stage == version:
            self._model.set_stage(version, _NO_STAGE)

    def version(self, number: str) -> Any | None:
        """The model version with that number; None when there is none."""
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version(self.name, number)
        except MlflowException as error:
            hidden = is_forbidden(error) and self._model.read() is None
            if error.error_code == "RESOURCE_DOES_NOT_EXIST" or hidden:
                return None
            raise

    def _settled(self, role: str) -> tuple[RegisteredState, str | None]:
        """Read until it makes sense: somebody may have written one of the two just now."""
        for left in reversed(range(_TRIES)):
            state = self._read()
            try:
                return state, role_holder(self.name, role, state)
            except RoleConflictError:
                if not left:
                    raise
                time.sleep(_PAUSE)
        raise AssertionError  # the last try returns or raises

    def _note_agreement(self, role: str) -> None:
        """Have the stage follow the alias, and note the version that both name.

        Two processes that give the role at once write alias and stage in any order. The alias
        counts, and the last of them to look finds that both agree.
        """
        if not self._model.knows_aliases:
            return
        for _ in range(_TRIES):
            alias, stage, agreed = _described(self._read(), role)
            if alias is None or stage is None:
                return  # nobody's any more, or a registry that knows one of them only
            if alias == stage:
                if agreed != alias:
                    self._model.set_tag(AGREED_TAG.format(role=role), alias)
                return
            if not self._model.set_stage(alias, STAGES[role]):
                return

    def _read(self) -> RegisteredState:
        """The state without aliases of versions that are gone, which damaged stores still have."""
        state = self._model.read()
        if state is None:
            return RegisteredState()
        # Every version is in a stage, if only in "None"; MLflow gives the latest of each.
        self._newest = max(map(int, state.stages.values()), default=None)
        if state.aliases is None:
            return state
        there = set(state.stages.values())
        aliases = {
            alias: version
            for alias, version in state.aliases.items()
            if alias not in STAGES or version in there or self.version(version) is not None
        }
        return RegisteredState(aliases, state.stages, state.tags)


def _described(state: RegisteredState, role: str) -> tuple[str | None, str | None, str | None]:
    """The versions by alias, by stage, and on which both agreed last."""
    return (
        (state.aliases or {}).get(role),
        state.stages.get(STAGES[role]),
        state.tags.get(AGREED_TAG.format(role=role)),
    )
