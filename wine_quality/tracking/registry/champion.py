"""Which version of a registered model is the champion, and which one challenges it.

Aliases where the client has them (MLflow 2.3 and later), else the stages Production and Staging.
MLflow has no transactions, so a promotion leaves tags by which two that meet can see each other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wine_quality.tracking.servers.failures import is_forbidden

CHAMPION = "champion"
CHALLENGER = "challenger"
_STAGES = {CHAMPION: "Production", CHALLENGER: "Staging"}
_NO_STAGE = "None"

# On a version: OPEN from before its promotion is decided until it is.
DECISION_TAG = "wine_quality.decision"
OPEN = "open"
# The version it took the place of; "none" for the first champion.
PREVIOUS_TAG = "wine_quality.previous_champion"
NONE = "none"
# Set by a rollback: never to be promoted by itself again.
WITHDRAWN_TAG = "wine_quality.withdrawn"

NEIGHBOURS = 20
"""Runs that end together register versions with numbers this near to each other."""


class ChampionRegistry:
    """Roles of the versions of one registered model."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name
        self._has_aliases = hasattr(client, "set_registered_model_alias")

    def holder(self, role: str) -> str | None:
        """The version that has the role; None when nobody has, or its version was deleted."""
        from mlflow.exceptions import MlflowException

        try:
            if self._has_aliases:
                return str(self._client.get_model_version_by_alias(self.name, role).version)
            found = self._client.get_latest_versions(self.name, [_STAGES[role]])
        except MlflowException as error:
            # No such model, no such alias, or an alias whose version is gone.
            codes = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
            if error.error_code in codes or self._is_hidden(error):
                return None
            raise
        return str(found[0].version) if found else None

    def give(self, role: str, version: str) -> None:
        """The role goes to this version, and whoever had it has it no longer."""
        if self._has_aliases:
            self._client.set_registered_model_alias(self.name, role, version)
        else:
            self._client.transition_model_version_stage(
                self.name, version, _STAGES[role], archive_existing_versions=True
            )

    def take(self, role: str, version: str) -> None:
        """This version has the role no longer."""
        if self.holder(role) != version:
            return
        if self._has_aliases:
            self._delete_alias(role)
        else:
            self._client.transition_model_version_stage(self.name, version, _NO_STAGE)

    def _delete_alias(self, role: str) -> None:
        """Where the user may set aliases, but not delete them (EDIT in MLflow's basic-auth app),
        it stays until another version gets it."""
        from mlflow.exceptions import MlflowException

        try:
            self._client.delete_registered_model_alias(self.name, role)
        except MlflowException as error:
            if not is_forbidden(error):
                raise

    def version(self, number: str) -> Any | None:
        """The model version with that number; None when there is none."""
        from mlflow.exceptions import MlflowException

        try:
            return self._client.get_model_version(self.name, number)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST" or self._is_hidden(error):
                return None
            raise

    def _is_hidden(self, error: Exception) -> bool:
        """Whether MLflow's basic-auth app refused a question about a model that is not there, or
        that this user may not even see: it answers 403 to both where the user is no admin."""
        from mlflow.exceptions import MlflowException

        if not is_forbidden(error):
            return False
        try:
            self._client.get_registered_model(self.name)
        except MlflowException as answer:
            return answer.error_code == "RESOURCE_DOES_NOT_EXIST" or is_forbidden(answer)
        return False

    def tag(self, version: str, key: str, value: str) -> None:
        self._client.set_model_version_tag(self.name, version, key, value)

    def rivals(self, version: str, champion: str | None) -> list[str]:
        """Versions that are being decided on now, or took the place of the same champion.

        Only the neighbours are asked, however many versions the model has.
        """
        return [
            str(other.version)
            for other in self._neighbours(int(version))
            if WITHDRAWN_TAG not in other.tags
            and (
                other.tags.get(DECISION_TAG) == OPEN
                or other.tags.get(PREVIOUS_TAG) == (champion or NONE)
            )
        ]

    def _neighbours(self, number: int) -> Iterator[Any]:
        if self._has_aliases:
            newest = self._client.search_model_versions(
                f"name='{self.name}'", NEIGHBOURS, order_by=["version_number DESC"]
            )
            yield from (other for other in newest if int(other.version) != number)
            return
        # 1.26 and 2.1.1 cannot ask for the newest.
        for other in range(max(1, number - NEIGHBOURS), number + NEIGHBOURS + 1):
            found = self.version(str(other)) if other != number else None
            if found is not None:
                yield found

    def crown(self, version: str, champion: str | None) -> None:
        """Make it the champion in place of ``champion``, which stays loadable."""
        self.tag(version, PREVIOUS_TAG, champion or NONE)
        found = self.version(version)
        if found is not None and WITHDRAWN_TAG in found.tags:
            self._client.delete_model_version_tag(self.name, version, WITHDRAWN_TAG)
        self.give(CHAMPION, version)
        if self._has_aliases:  # a version has one stage at a time, but any number of aliases
            self.take(CHALLENGER, version)
