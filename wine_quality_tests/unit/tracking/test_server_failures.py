"""Errors of MLflow's clients as faults of their server, by the texts of each version."""

from __future__ import annotations

import pytest

from wine_quality.tracking.servers.failures import Subjects, advice, failure_of

POOL = "HTTPConnectionPool(host='127.0.0.1', port=9): Max retries exceeded with url: /version"
REFUSED = f"{POOL} (Caused by NewConnectionError('…: [Errno 111] Connection refused'))"
URL = "API request to http://127.0.0.1:9/api/2.0/mlflow/runs/log-batch failed with exception"


def error_of(text: str) -> Exception:
    from mlflow.exceptions import MlflowException

    return MlflowException(text)


@pytest.mark.parametrize(
    ("text", "status", "is_passing"),
    [
        (f"{URL} {REFUSED}", None, True),
        (f"{URL} {POOL} (Caused by ResponseError('too many 500 error responses'))", 500, True),
        (f"{URL} {POOL} (Caused by ResponseError('too many 429 error responses'))", 429, True),
        (
            "API request to endpoint /api/2.0/mlflow/runs/create failed with error code 403 != "
            "200. Response body: 'Permission denied'",
            403,
            False,
        ),
    ],
)
def test_status(text, status, is_passing):
    failure = failure_of(error_of(text))
    assert failure is not None
    assert (failure.status, failure.is_passing) == (status, is_passing)


def test_what_mlflow_itself_refuses_is_no_failure_of_its_server():
    assert failure_of(error_of("RESOURCE_DOES_NOT_EXIST: no such run")) is None
    assert failure_of(ValueError("API of something else")) is None


@pytest.mark.parametrize(
    ("endpoint", "sentence"),
    [
        ("runs/create", "may not make runs in the experiment 'wines'"),
        ("runs/search", "may not read the experiment 'wines'"),
        ("model-versions/create", "may not register a version of the registered model 'Red'"),
        ("registered-models/get", "may not read the registered model 'Red'"),
        ("model-versions/delete-tag", "may not delete what belongs to the registered model"),
    ],
)
def test_the_permission_that_is_lacking(endpoint, sentence):
    text = f"API request to endpoint /api/2.0/mlflow/{endpoint} failed with error code 403 != 200"
    failure = failure_of(error_of(text))
    assert failure is not None
    assert sentence in advice(failure, Subjects("wines", "Red"))


def test_a_permission_that_is_lacking_by_the_servers_own_words():
    """As Databricks and other servers say it: with MLflow's code for it."""
    from mlflow.exceptions import RestException

    words = {"error_code": "PERMISSION_DENIED", "message": "User lacks USE CATALOG on wines"}
    failure = failure_of(RestException(words))
    assert failure is not None
    assert "User lacks USE CATALOG on wines" in advice(failure, None)
