"""Asks ``probe`` in the environment of a version."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.environments.process_groups import parent_variable
from wine_quality.paths import PROJECT_ROOT
from wine_quality.settings.runs import LOADABLE_FORMATS, MLFLOW
from wine_quality.tracking.registry.loadable import loadable_formats
from wine_quality.upgrades.errors import UpgradeError
from wine_quality.upgrades.probe import PREFIX

_OF_SERVERS = ("MLFLOW_", f"{MLFLOW}_")
_QUOTED = 500
_ERROR = re.compile(r"[\w.]+(Error|Exception|Interrupt)\b")


def ask(
    version: MlflowVersion,
    action: str,
    question: Mapping[str, Any],
    log: Path,
    variables: Mapping[str, str] | None = None,
) -> Iterator[dict[str, Any]]:
    """The answers of one action, as they come.

    Args:
        log: Gets what it writes on stderr.
        variables: Of its environment, besides this process's own.

    Raises:
        UpgradeError: it failed; quotes the end of the log.
    """
    command = [str(version.require_python()), "-W", "ignore", "-m", "wine_quality.upgrades.probe"]
    given = version.process_variables({**_variables(), **(variables or {})})
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [*command, action],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            encoding="utf-8",
            env={**given, **parent_variable()},
            cwd=PROJECT_ROOT,
        )
    assert process.stdin is not None and process.stdout is not None
    try:
        with process.stdin:
            process.stdin.write(json.dumps({"version": version.key, **question}))
        for line in process.stdout:
            if line.startswith(PREFIX):
                yield json.loads(line.removeprefix(PREFIX))
        code = process.wait()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    if code != 0:
        raise UpgradeError(
            f"MLflow {version.key} failed ({action}): {_reason(log)}. More is in {log}. The same "
            "command goes on from here."
        )


def _reason(log: Path) -> str:
    """The last error in a log, else its end."""
    lines = log.read_text(errors="replace").strip().splitlines()
    errors = [line for line in lines if _ERROR.match(line)]
    return (errors or lines or ["it wrote nothing"])[-1][:_QUOTED]


def formats_of(source: MlflowVersion, target: MlflowVersion) -> dict[str, str]:
    """The variable by which the target's process may load both versions' formats: signed versions
    come from this pipeline, in any format. A variable that is set already stays."""
    if LOADABLE_FORMATS.read():
        return {}
    formats = loadable_formats(source.key, "skops") | loadable_formats(target.key, "skops")
    return {LOADABLE_FORMATS: ",".join(sorted(formats))}


def _variables() -> dict[str, str]:
    """This process's variables, without those that name a server."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith(_OF_SERVERS)}
    return {**kept, "PYTHONPATH": str(PROJECT_ROOT), "PYTHONUTF8": "1"}
