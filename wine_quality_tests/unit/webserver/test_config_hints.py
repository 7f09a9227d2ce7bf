"""Hints in answers about wrong run config, and all other answers as they came.

That Dagster's own webserver answers so is tested in integration/test_launchpad_hints.py.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from wine_quality.webserver.config_hints import WithConfigHints, hinted

SENTENCE = (
    'Invalid scalar at path root:resources:hyperparameters:config:alpha. Value "{}" of type '
    '"<class \'str\'>" is not valid for expected type "Float".'
)


def refused(*messages: Any, typename: str = "RunConfigValidationInvalid") -> bytes:
    errors = [{"message": message, "path": []} for message in messages]
    result = {"__typename": typename, "errors": errors}
    return json.dumps({"data": {"isPipelineConfigValid": result}}).encode()


def messages_of(body: bytes) -> list[str]:
    return [one["message"] for one in json.loads(body)["data"]["isPipelineConfigValid"]["errors"]]


def test_only_the_message_with_a_hint_changes():
    whole = SENTENCE.format("1e-3")
    body = refused("ü something else", whole)
    changed = hinted(body)
    assert changed is not None
    other, message = messages_of(changed)
    assert other == "ü something else"
    assert message.startswith('resources.hyperparameters.config.alpha is "1e-3", which YAML reads')
    assert message.endswith(f"\n{whole}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html></html>",
        b'{"data": "RunConfigValidationInvalid"',  # cut off
        b"\xff\xfe RunConfigValidationInvalid",
        b'"RunConfigValidationInvalid"',
        b"[" * 200_000 + b'"RunConfigValidationInvalid"' + b"]" * 200_000,
        b'{"__typename": "RunConfigValidationInvalid"}',
        b'{"__typename": "RunConfigValidationInvalid", "errors": "many"}',
        b'{"__typename": "RunConfigValidationInvalid", "errors": [null, 3, {"message": 4}, []]}',
        refused(SENTENCE.format("much")),
        refused(SENTENCE.format('1e-3" and "quotes')),
        refused("Invalid scalar at path", "Received unexpected config entry"),
        refused(None, SENTENCE[:90]),
        refused(SENTENCE.format("1e-3"), typename="PythonError"),
    ],
)
def test_what_has_no_hint_or_is_unknown_passes_unchanged(body):
    assert hinted(body) is None


async def _ask(scope: dict[str, Any], *parts: dict[str, Any]) -> list[dict[str, Any]]:
    sent = []

    async def application(_scope, _receive, send) -> None:
        for part in parts:
            await send(part)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    async def send(message: Any) -> None:
        sent.append(message)

    await WithConfigHints(application)(scope, receive, send)
    return sent


GRAPHQL = {"type": "http", "path": "/graphql", "method": "POST"}


def start(body: bytes) -> dict[str, Any]:
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    return {"type": "http.response.start", "status": 200, "headers": headers}


def test_the_length_is_that_of_the_longer_answer():
    body = refused(SENTENCE.format("1e-3"))
    sent = asyncio.run(_ask(GRAPHQL, start(body), {"type": "http.response.body", "body": body}))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert len(sent[1]["body"]) > len(body)
    assert dict(sent[0]["headers"])[b"content-length"] == b"%d" % len(sent[1]["body"])


@pytest.mark.parametrize("scope", [GRAPHQL, {**GRAPHQL, "path": "/report"}])
def test_an_answer_in_parts_passes_as_it_comes(scope):
    body = refused(SENTENCE.format("1e-3"))
    parts = [
        start(body),
        {"type": "http.response.body", "body": body[:9], "more_body": True},
        {"type": "http.response.body", "body": body[9:]},
    ]
    assert asyncio.run(_ask(scope, *parts)) == parts
