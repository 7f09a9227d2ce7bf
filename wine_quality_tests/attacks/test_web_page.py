"""A web page in the browser of somebody trusted, or one whose name was rebound to this machine."""

from __future__ import annotations

import json

import pytest
import requests

from wine_quality_tests.attacks.conftest import FRONTS
from wine_quality_tests.dagster_stack import _LAUNCH

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
PARAMS = {
    "selector": {
        "repositoryLocationName": "ml_repository",
        "repositoryName": "__repository__",
        "pipelineName": "wine_quality_model",
    },
    "mode": "default",
    "runConfigData": {},
}
REQUESTS = {
    "a page of another origin": {"Origin": "https://evil.example"},
    "a form of another origin": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "a page of another port": {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
    "a rebound name": {"Host": "evil.example"},
}


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("name", REQUESTS)
def test_it_launches_nothing(request, front: str, name: str, record_property):
    record_property("attack", f"{name} launches a run")
    record_property("front", front)
    running = request.getfixturevalue(front)
    answer = requests.post(
        f"{running.url}/graphql",
        data=json.dumps({"query": _LAUNCH, "variables": {"params": PARAMS}}),
        headers={"Content-Type": "text/plain", **REQUESTS[name]},
        timeout=60,
    )
    assert answer.status_code in (400, 403, 421), answer.text[:500]
    assert "runId" not in answer.text
    record_property("said", f"{answer.status_code} {answer.text[:100]}")
