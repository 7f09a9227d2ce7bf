"""A web page in the browser of somebody trusted, or one whose name was rebound to this machine."""

from __future__ import annotations

import json

import pytest
import requests

from wine_quality_tests.attacks.conftest import FRONTS
from wine_quality_tests.support.dagster_stack import _LAUNCH

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
HEADERS = {
    "a page of another origin": {"Origin": "https://evil.example"},
    "a form of another origin": {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    "a page of another port": {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
    "a link that is followed": {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    "a rebound name": {"Host": "evil.example"},
}
# What a browser sends without asking the server first, and what it sends when both are one to it.
WAYS = {
    "text/plain": ("POST", {"Content-Type": "text/plain"}),
    "GET": ("GET", {}),
    "JSON": ("POST", {"Content-Type": "application/json"}),
}


@pytest.mark.parametrize("front", FRONTS)
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", HEADERS)
def test_it_launches_nothing(request, front: str, name: str, way: str, record_property):
    record_property("attack", f"{name} launches a run by {way}")
    record_property("front", front)
    running = request.getfixturevalue(front)
    method, kind = WAYS[way]
    asked = {"query": _LAUNCH, "variables": json.dumps({"params": PARAMS})}
    in_body = way == "JSON"
    answer = requests.request(
        method,
        f"{running.url}/graphql",
        params=None if in_body else asked,
        data=json.dumps(asked | {"variables": {"params": PARAMS}}) if in_body else "x",
        headers={**kind, **HEADERS[name]},
        # A browser sends the proxy's password by itself.
        auth=running.auth,
        timeout=60,
    )
    # To a name that is not its own Caddy, the proxy, says nothing at all, with status 200.
    is_silent = running.auth is not None and "Host" in HEADERS[name] and answer.content == b""
    assert is_silent or answer.status_code in (400, 403, 421), answer.text[:500]
    assert "runId" not in answer.text and "No GraphQL query found" not in answer.text
    record_property("message", f"{answer.status_code} {' '.join(answer.text[:100].split())}")
