"""A registered model's aliases, stages and tags, on each version of client and server.

Aliases came with MLflow 2.3, stages are to go. A client of 2.1.1 on a newer server reads and sets
aliases by MLflow's own HTTP layer, with its own credentials. A server or client that has no
stages is met with aliases alone.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from wine_quality.tracking.servers.failures import is_forbidden

if TYPE_CHECKING:
    import requests

Result = TypeVar("Result")
_API = "/api/2.0/mlflow/registered-models"
# Without a code of MLflow's; as FastAPI writes it; of Unity Catalog's client; by a code.
_NO_SUCH_CALL = (
    *("failed with error code 404", "failed with error code 410"),
    *("'detail': 'Not Found'", "'detail': 'Gone'", "'detail': 'Method Not Allowed'"),
    "'transition_model_version_stage' is unsupported",
    "ENDPOINT_NOT_FOUND",
)
_NO_SUCH_MODEL = "RESOURCE_DOES_NOT_EXIST"
# As sqlite and PostgreSQL write it, and MySQL, in lower case.
_ROW_IS_THERE = ("unique constraint", "duplicate entry")
_TRIES = 5


@dataclass(frozen=True)
class RegisteredState:
    """Aliases, stages and tags of a registered model, from one answer of the registry.

    Attributes:
        aliases: Version by alias; None where client or server know no aliases.
        stages: Latest version by stage, such as ``{"Production": "2"}``.
        tags: Of the registered model.
    """

    aliases: Mapping[str, str] | None = None
    stages: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)


def _raced(write: Callable[[], Result]) -> Result:
    """The result of a write that is tried again where another made the same row meanwhile.

    MLflow looks whether a tag or an alias is there and then inserts it; of two that do so at once
    one is refused. The next time it is there, and is changed.
    """
    from mlflow.exceptions import MlflowException

    for _ in range(_TRIES - 1):
        try:
            return write()
        except MlflowException as error:
            if not any(words in str(error).lower() for words in _ROW_IS_THERE):
                raise
    return write()


class RegisteredModel:
    """One registered model, on the server or store of a client of any version."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name
        self._native = hasattr(client, "set_registered_model_alias")
        # None: not asked yet.
        self._aliases_known: bool | None = True if self._native else None
        if not self._native and _host_of(client) is None:
            self._aliases_known = False

    def read(self) -> RegisteredState | None:
        """Its state; None when the model does not exist, or this user may not see it: MLflow's
        basic-auth app may answer 403 to both."""
        from mlflow.exceptions import MlflowException

        try:
            if not self._native and self._aliases_known is not False:
                return self._read_by_http()
            return _state_of(self._client.get_registered_model(self.name), self._native)
        except MlflowException as error:
            if error.error_code == _NO_SUCH_MODEL or is_forbidden(error):
                return None
            raise

    @property
    def knows_aliases(self) -> bool:
        """Whether the server is known to have aliases, by the requests so far."""
        return bool(self._aliases_known)

    def set_alias(self, alias: str, version: str) -> bool:
        """Whether it was set: False where client or server know no aliases."""
        if self._native:
            _raced(lambda: self._client.set_registered_model_alias(self.name, alias, version))
            return True
        return _raced(lambda: self._by_http("POST", alias=alias, version=version))

    def delete_alias(self, alias: str) -> bool:
        """Whether the server knows aliases; one that is gone already is not an error.

        Where the user may set aliases, but not delete them (EDIT in MLflow's basic-auth app), it
        stays until another version gets it.
        """
        from mlflow.exceptions import MlflowException

        try:
            if not self._native:
                return self._by_http("DELETE", alias=alias)
            self._client.delete_registered_model_alias(self.name, alias)
        except MlflowException as error:
            if not is_forbidden(error):
                raise
        return True

    def set_stage(self, version: str, stage: str) -> bool:
        """Whether the version is in the stage now, and no other one: False where client or server
        know no stages."""
        from mlflow.exceptions import MlflowException

        transition = getattr(self._client, "transition_model_version_stage", None)
        if transition is None:
            return False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # that stages are to go
                archive = stage not in ("None", "Archived")
                transition(self.name, version, stage, archive_existing_versions=archive)
        except MlflowException as error:
            if not _no_such_call(error):
                raise
            return False
        return True

    def set_tag(self, key: str, value: str) -> None:
        _raced(lambda: self._client.set_registered_model_tag(self.name, key, value))

    def _read_by_http(self) -> RegisteredState:
        answer = self._ask("GET", "get", params={"name": self.name})
        found = _content(answer, "get")["registered_model"]
        aliases = {entry["alias"]: str(entry["version"]) for entry in found.get("aliases", [])}
        return RegisteredState(
            aliases if aliases or self._server_knows_aliases() else None,
            {
                entry["current_stage"]: str(entry["version"])
                for entry in found.get("latest_versions", [])
                if entry.get("current_stage")
            },
            {entry["key"]: entry.get("value", "") for entry in found.get("tags", [])},
        )

    def _server_knows_aliases(self) -> bool:
        """Ask for an alias once, which need not exist, and note whether the call does."""
        if self._aliases_known is None:
            any_alias = {"name": self.name, "alias": "champion"}
            self._aliases_known = not _lacks_endpoint(self._ask("GET", "alias", params=any_alias))
        return self._aliases_known

    def _by_http(self, method: str, **arguments: str) -> bool:
        if self._aliases_known is False:
            return False
        answer = self._ask(method, "alias", json={"name": self.name, **arguments})
        self._aliases_known = not _lacks_endpoint(answer)
        if self._aliases_known:
            _content(answer, "alias")
        return self._aliases_known

    def _ask(self, method: str, page: str, **more: Any) -> requests.Response:
        from mlflow.utils.rest_utils import http_request

        host = _host_of(self._client)
        return http_request(host_creds=host, endpoint=f"{_API}/{page}", method=method, **more)


def _state_of(found: Any, has_aliases: bool) -> RegisteredState:
    """The state from a ``RegisteredModel`` entity of any client; fields that it lacks are empty."""
    return RegisteredState(
        {alias: str(number) for alias, number in found.aliases.items()} if has_aliases else None,
        {
            version.current_stage: str(version.version)
            for version in getattr(found, "latest_versions", None) or []
            if getattr(version, "current_stage", None)
        },
        dict(found.tags or {}),
    )


def _host_of(client: Any) -> Any | None:
    """Host and credentials of a client that asks a server; None of one that opens a store itself,
    and of MLflow 1, whose servers are of MLflow 1 too."""
    import mlflow

    if mlflow.__version__.startswith("1."):
        return None
    store = client._get_registry_client().store
    return store.get_host_creds() if hasattr(store, "get_host_creds") else None


def _lacks_endpoint(answer: requests.Response) -> bool:
    """Whether the server lacks this call: before 2.3 it answers 404 with HTML. A model or an alias
    that is not there is reported in JSON."""
    if answer.status_code != 404:
        return False
    try:
        return not isinstance(json.loads(answer.text), dict)
    except ValueError:
        return True


def _content(answer: requests.Response, page: str) -> dict[str, Any]:
    """The JSON of an answer. Raises ``MlflowException`` as the client's own calls do."""
    from mlflow.utils.rest_utils import verify_rest_response

    return json.loads(verify_rest_response(answer, f"{_API}/{page}").text)


def _no_such_call(error: Exception) -> bool:
    """Whether the server, or the client's store, lacks this call: MLflow without stages.

    A model or version that is not there is reported with another code.
    """
    text = str(error)
    return any(phrase in text for phrase in _NO_SUCH_CALL)
