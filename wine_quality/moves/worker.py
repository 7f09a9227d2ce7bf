"""``python -m wine_quality.moves.worker``: one side of a move, asked line by line on stdin.

The first line names the server or store to connect to. Answers are lines of JSON on stdout behind
``PREFIX``, the last one to each question with ``END``.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from wine_quality.environments.process_groups import end_with_parent
from wine_quality.escaping import ShownError
from wine_quality.moves import reading, survey, writing_models, writing_runs
from wine_quality.moves.conversation import END
from wine_quality.upgrades.probe import answer, open_tracker

if TYPE_CHECKING:
    from wine_quality.tracking.tracker import Tracker

Action = Callable[["Tracker", dict[str, Any]], Iterator[dict[str, Any]]]
ACTIONS: dict[str, Action] = {
    "survey": survey.survey,
    "export run": reading.export_run,
    "read version": reading.read_version,
    "read roles": reading.read_roles,
    "know": writing_runs.know,
    "open experiment": writing_runs.open_experiment,
    "open run": writing_runs.open_run,
    "import run": writing_runs.import_run,
    "link models": writing_runs.link_models,
    "delete": writing_runs.delete,
    "open model": writing_models.open_model,
    "make version": writing_models.make_version,
    "settle version": writing_models.settle_version,
    "settle model": writing_models.settle_model,
    "remove version": writing_models.remove_version,
}


def main() -> None:
    end_with_parent()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    side = json.loads(sys.stdin.readline())
    try:
        tracker = open_tracker(side)
    except Exception as error:
        sys.stdin.readline()
        answer({END: _in_words(error)})
        return
    for line in sys.stdin:
        question = json.loads(line)
        try:
            for found in ACTIONS[question["action"]](tracker, question):
                answer(found)
            answer({END: ""})
        except Exception as error:
            answer({END: _in_words(error)})


def _in_words(error: Exception) -> str:
    return str(error) if isinstance(error, ShownError) else f"{type(error).__name__}: {error}"


if __name__ == "__main__":
    main()
