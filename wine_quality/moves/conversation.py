"""Talks with ``worker`` in the environment of a side's version."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from wine_quality.environments.process_groups import parent_variable
from wine_quality.moves.errors import MoveError
from wine_quality.moves.sides import Side
from wine_quality.paths import PROJECT_ROOT
from wine_quality.upgrades.probe import PREFIX

END = "end"
"""Key of the last answer to a question; its value is an error message, or empty."""
_QUOTED = 1500


class QuestionFailedError(MoveError):
    """One question failed, and the process goes on."""


class Conversation:
    """A process that is asked one thing after another; it ends with this one.

    Args:
        log: Gets what it writes on stderr.
        more: Of its environment, besides the side's.
    """

    def __init__(self, side: Side, log: Path, more: Mapping[str, str] | None = None) -> None:
        self._side, self._log = side, log
        python = str(side.version.require_python())
        variables = {**side.variables, **(more or {})}
        variables |= {"PYTHONPATH": str(PROJECT_ROOT), "PYTHONUTF8": "1"}
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [python, "-W", "ignore", "-m", "wine_quality.moves.worker"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                encoding="utf-8",
                env={**side.version.process_variables(variables), **parent_variable()},
                cwd=PROJECT_ROOT,
            )
        self._send(side.question)

    def ask(self, action: str, **question: Any) -> Iterator[dict[str, Any]]:
        """The answers, as they come; all must be taken before the next question.

        Raises:
            QuestionFailedError: it failed.
            MoveError: the process ended.
        """
        self._send({"action": action, **question})
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if not line.startswith(PREFIX):
                continue
            answer = json.loads(line.removeprefix(PREFIX))
            if END not in answer:
                yield answer
                continue
            if answer[END]:
                raise QuestionFailedError(self._of_side(answer[END]))
            return
        raise self._ended()

    def one(self, action: str, **question: Any) -> dict[str, Any]:
        """The only answer."""
        (answer,) = self.ask(action, **question)
        return answer

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    pass  # what could not be sent to a process that is gone

    def _send(self, question: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise self._ended() from None

    def _of_side(self, text: str) -> str:
        """An error with the variables of this side, of which a run would have others."""
        text = text.replace(", where Dagster's code runs.", ".")
        return text.replace("MLFLOW_TRACKING_", f"{self._side.prefix}MLFLOW_TRACKING_")

    def _ended(self) -> MoveError:
        self._process.wait()
        end = self._log.read_text(errors="replace").strip()[-_QUOTED:]
        return MoveError(
            f"the client of MLflow {self._side.version.key} for {self._side.title} has ended. The "
            f"end of {self._log}: {end}"
        )
