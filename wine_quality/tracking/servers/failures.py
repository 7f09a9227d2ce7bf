"""How an MLflow server failed a request of MLflow's client, in words. Imports no MLflow."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What MLflow's client has tried again for a while before it gives up.
_PASSING = (429, 500, 502, 503, 504)
_AT_ENDPOINT = re.compile(r"API request to (?:endpoint )?(\S+) failed")
_STATUS = re.compile(r"error code (\d{3})|too many (\d{3}) error responses")
_NETWORK = re.compile(r"\[Errno -?\d+\] [^\"')]+")
_REGISTRY = "/(registered-models|model-versions)/"
_LOGIN = (
    "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, where "
    "Dagster's code runs."
)


@dataclass(frozen=True)
class ServerFailure:
    """One request that came to nothing.

    Attributes:
        status: Of the answer; None when there was none.
        endpoint: The path that was asked for, or empty where MLflow's error does not name it.
        text: Of MLflow's error.
    """

    status: int | None
    endpoint: str
    text: str

    @property
    def is_passing(self) -> bool:
        """Whether the same request may be answered a little later."""
        return self.status is None or self.status in _PASSING

    @property
    def is_of_registry(self) -> bool:
        """Whether it was about registered models."""
        return bool(re.search(_REGISTRY, self.endpoint))

    @property
    def reason(self) -> str:
        """The HTTP status or the network's error, without the names of libraries in between."""
        if self.status is not None:
            return f"it answered {self.status}"
        match = _NETWORK.search(self.text)
        return match[0] if match else "it gave no answer"


def failure_of(error: BaseException) -> ServerFailure | None:
    """The failure of a server behind an error of MLflow's client, of any version; None where the
    error has another cause, or the server refused the request by one of MLflow's own rules."""
    text = str(error)
    asked = _AT_ENDPOINT.search(text)
    if asked:
        found = _STATUS.search(text)
        return ServerFailure(int(found[1] or found[2]) if found else None, asked[1], text)
    response = getattr(error, "response", None)
    if response is not None and "/mlflow-artifacts/" in str(getattr(response, "url", "")):
        return ServerFailure(int(response.status_code), response.url, text)
    if hasattr(error, "get_http_status_code"):
        status = error.get_http_status_code()
        if status in (401, 403, 429):
            return ServerFailure(status, "", text)
    return None


def is_forbidden(error: BaseException) -> bool:
    """Whether the user lacks a permission for what was asked."""
    failure = failure_of(error)
    return failure is not None and failure.status == 403


@dataclass(frozen=True)
class Subjects:
    """The experiment and the registered model of a run, for messages about permissions."""

    experiment: str
    model: str


def advice(
    failure: ServerFailure, subjects: Subjects | None, then: str = "", field: str = "tracking_uri"
) -> str:
    """One or two sentences on how to mend the failure.

    Args:
        then: What to do when that is done, such as ``re-execute the run from failure``.
        field: Of the ``mlflow`` resource, which names the server.
    """
    first = _first(failure, subjects, field)
    return f"{first} Then {then}." if then else first


def _first(failure: ServerFailure, subjects: Subjects | None, field: str) -> str:
    status = failure.status
    if status is None:
        return f"Start it, or correct {field}."
    if status == 401:
        return _LOGIN
    if status == 403:
        return _lacking(failure, subjects)
    if status == 404:
        return (
            f"There is no MLflow at this address: correct {field}, which may lack a path of its "
            "proxy."
        )
    if status == 429:
        return "It takes no more requests for now: wait, or have its limit raised."
    if status >= 500:
        return "It is up, but its log says what is wrong there."
    return "It does not take this request; its log may say why."


# What a request does, and the least permission of MLflow's basic-auth app for it. The first fits.
_OF_MODELS = (
    (r"/registered-models/create$", "make {it}", ""),
    (r"/registered-models/(get|search)|/model-versions/(get|search)", "read {it}", "READ"),
    (r"/registered-models/alias$", "read or change aliases of {it}", "EDIT"),
    (r"/model-versions/create$", "register a version of {it}", "EDIT"),
    (r"/delete", "delete what belongs to {it}", "MANAGE"),
    (r"", "change {it} or its versions", "EDIT"),
)
_OF_EXPERIMENTS = (
    (r"/experiments/create$", "make {it}", ""),
    (r"/(runs|experiments)/(delete|restore)", "delete or restore runs of {it}", "MANAGE"),
    (r"/(runs|experiments)/(get|search|list)|/artifacts/list", "read {it}", "READ"),
    (r"/mlflow-artifacts/", "read or write artifacts of {it}", "EDIT"),
    (r"/runs/create$", "make runs in {it}", "EDIT"),
    (r"", "write to runs of {it}", "EDIT"),
)


def _lacking(failure: ServerFailure, subjects: Subjects | None) -> str:
    """A sentence on the permission that the user lacks, its object, and who can grant it."""
    who = "Whoever MLFLOW_TRACKING_USERNAME or MLFLOW_TRACKING_TOKEN names"
    if not failure.endpoint:
        message = f" (it says: {failure.text[:300]})" if failure.text else ""
        return (
            f"{who} lacks a permission there{message}. An administrator of that server can "
            "grant it."
        )
    of_model = failure.is_of_registry
    needs = _OF_MODELS if of_model else _OF_EXPERIMENTS
    deed, permission = next(need[1:] for need in needs if re.search(need[0], failure.endpoint))
    it = "the registered model" if of_model else "the experiment"
    if subjects is not None:
        it += f" {(subjects.model if of_model else subjects.experiment)!r}"
    grant = f"the permission {permission} on it" if permission else "that"
    return (
        f"{who} may not {deed.format(it=it)}. An administrator of that server can grant {grant}, "
        "as can whoever has MANAGE on it."
    )
