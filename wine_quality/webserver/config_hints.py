"""The command line's hints at mistakes in run config, in the Launchpad beside Dagster's sentences.

Dagster checks the types of run config in its webserver, before any code of the project. So the
hints are put into the answers of its GraphQL that hold such a refusal; all others pass unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from wine_quality.dagster_support.config_hints import name_hint, number_hint
from wine_quality.dagster_support.original_names import ORIGINAL_NAMES
from wine_quality.webserver.layer import Application, Message, Receive, Scope, Send

_REFUSED = "RunConfigValidationInvalid"
_LONGEST = 1_000_000
"""Bytes of an answer that is looked into."""
_AT = r"(?:at the root|at path root:?(?P<place>\S*?))\. "
_NUMBER = re.compile(
    rf"Invalid scalar {_AT}Value \"(?P<value>[^\"]*)\" of type \"<class 'str'>\" is not valid for "
    r'expected type "(?P<type>\w+)"\.'
)
_NAME = re.compile(rf'Received unexpected config entry "(?P<name>[^"]*)" {_AT}Expected: "')
_NAMES = re.compile(rf'Received unexpected config entries "\[(?P<names>[^"]*)\]" {_AT}Expected: "')
_QUOTED = re.compile(r"'([^']*)'")
_TYPE_TOKEN = re.compile(r"[{}]|(\w+)\??:(?= )")


class WithConfigHints:
    """``application``, whose answers about wrong run config get the hints."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        asks = scope["type"] == "http" and scope["path"].rstrip("/") == "/graphql"
        await self._application(scope, receive, _adding_hints(send) if asks else send)


def _adding_hints(send: Send) -> Send:
    """Holds the headers back until the body's first part is there."""
    held: list[Message] = []

    async def with_hints(message: Message) -> None:
        if message["type"] == "http.response.start":
            return held.append(message)
        if held:
            start = held.pop()
            if message["type"] == "http.response.body" and not message.get("more_body"):
                body = hinted(message.get("body", b""))
                if body is not None:
                    message = {**message, "body": body}
                    start = {**start, "headers": _with_length(start, len(body))}
            await send(start)
        await send(message)

    return with_hints


def _with_length(start: Message, length: int) -> list[tuple[bytes, bytes]]:
    others = [one for one in start.get("headers", []) if one[0].lower() != b"content-length"]
    return [*others, (b"content-length", str(length).encode())]


def hinted(body: bytes) -> bytes | None:
    """An answer of GraphQL with a hint before each sentence that has one; None: as it is."""
    if f'"{_REFUSED}"'.encode() not in body or len(body) > _LONGEST:
        return None
    try:
        answer = json.loads(body)
        if not _add_hints(answer):
            return None
        return json.dumps(answer, separators=(",", ":")).encode()
    except (ValueError, RecursionError):  # no answer that is known here
        return None


def _add_hints(answer: Any) -> bool:
    """Add the hints to an answer, in place; whether there were any."""
    added = False
    for error in _refusals(answer):
        message = error.get("message")
        hint = hint_for(message) if isinstance(message, str) else None
        if hint:
            error["message"] = f"{hint}\n{message}"
            added = True
    return added


def _refusals(value: Any) -> Iterator[dict[str, Any]]:
    """The errors of refused run config, wherever they are in an answer."""
    if isinstance(value, list):
        for one in value:
            yield from _refusals(one)
    elif isinstance(value, dict) and value.get("__typename") == _REFUSED:
        errors = value.get("errors")
        for error in errors if isinstance(errors, list) else ():
            if isinstance(error, dict):
                yield error
    elif isinstance(value, dict):
        yield from _refusals(list(value.values()))


def hint_for(message: str) -> str | None:
    """The command line's hint for one of Dagster's messages on run config; None without one."""
    if found := _NUMBER.match(message):
        hint = number_hint(found["value"], found["type"])
        return f"{_dotted(found['place'])} {hint}" if hint else None
    if found := _NAME.match(message):
        names, known = [found["name"]], _fields_of(message[found.end() :])
    elif found := _NAMES.match(message):
        names, known = _QUOTED.findall(found["names"]), _QUOTED.findall(message[found.end() :])
    else:
        return None
    place = _dotted(found["place"])
    hints = [name_hint(name, place, known, ORIGINAL_NAMES) for name in names]
    return " ".join(hint for hint in hints if hint) or None


def _dotted(place: str | None) -> str:
    """``resources.mlflow`` of Dagster's ``resources:mlflow``."""
    return (place or "").replace(":", ".")


def _fields_of(printed: str) -> list[str]:
    """The outermost names of a type as Dagster prints it: ``{ a?: { b: Int } c: Float }``."""
    depth, names = 0, []
    for token in _TYPE_TOKEN.finditer(printed):
        if token[0] in "{}":
            depth += 1 if token[0] == "{" else -1
        elif depth == 1:
            names.append(token[1])
    return names
