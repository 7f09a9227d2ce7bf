"""Names of files, as a deliverer chooses them: they forge no line, and no terminal obeys them."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wine_quality.notices.notice import Notice
from wine_quality.paths import PACKAGED_RED_WINE

FORGED = "2026-11-26 12:00:00 - dagster - INFO - all checks passed"
EVIL = f"wines\n{FORGED}\x1b[2J\x1b[31m\u202ecod.csv"


def texts_in(plain: Any) -> Iterator[str]:
    """All strings in plain data."""
    if isinstance(plain, str):
        yield plain
    elif isinstance(plain, (dict, list)):
        for one in plain.values() if isinstance(plain, dict) else plain:
            yield from texts_in(one)


@pytest.mark.parametrize("content", ["good", "bad"])
@pytest.mark.parametrize("engine", ["in_memory", "duckdb"])
def test_a_name_forges_no_line(tmp_path: Path, home: Path, capfd, engine: str, content: str):
    from dagster import DagsterInstance, materialize, serialize_value

    from wine_quality.definitions import defs
    from wine_quality.defs.data.raw_wine_csv import raw_wine_csv
    from wine_quality.defs.data.train_test_split import train_test_split
    from wine_quality.engines.choice import EngineChoice
    from wine_quality.engines.resource import TrainingEngine
    from wine_quality.execution.progress import console_logger
    from wine_quality.history.wine_history import WineHistory

    file = tmp_path / EVIL
    file.write_bytes(PACKAGED_RED_WINE.read_bytes() if content == "good" else b"no;wines\n1;2\n")
    if engine == "duckdb":
        (tmp_path / f"linked-{EVIL}").symlink_to(tmp_path / "nothing")
    url = f"{tmp_path}/" if engine == "duckdb" else str(file)
    with DagsterInstance.ephemeral() as instance:
        done = materialize(
            [raw_wine_csv, train_test_split],
            instance=instance,
            resources={
                "wine_history": WineHistory(),
                "training_engine": TrainingEngine(engine=EngineChoice(engine)),
                "io_manager": defs.resources["io_manager"],
            },
            run_config={
                "ops": {"raw_wine_csv": {"config": {"csv_url": url}}},
                "loggers": {"console": {"config": {}}},
            },
            raise_on_error=False,
        )
        assert done.success == (content == "good")
        logs = instance.all_logs(done.run_id)
    for entry in logs:
        event = entry.dagster_event
        if event is not None and event.is_step_event and event.event_type_value != "STEP_START":
            for text in texts_in(json.loads(serialize_value(entry))):
                for raw in ("\x1b", "\u202e", f"\n{FORGED}"):
                    assert raw not in text, (raw, entry.user_message)
    shown = "".join(capfd.readouterr())
    assert "wines\\n" in "".join(entry.user_message + str(entry.dagster_event) for entry in logs)
    assert "\x1b[2J" not in shown and "\u202e" not in shown
    assert not any(line.startswith(FORGED) for line in shown.splitlines())
    assert console_logger is not None


def test_the_console_escapes_what_a_library_says(capfd):
    from dagster import build_init_logger_context

    from wine_quality.execution.progress import console_logger

    config = {"log_level": "INFO", "name": "escaping"}
    made = console_logger.logger_fn(build_init_logger_context(logger_config=config))
    made.info("a\x1b[2Jb %s\nnext", "\u202ec")
    shown = "".join(capfd.readouterr())
    assert "\x1b[2J" not in shown and "\u202e" not in shown
    assert r"a\x1b[2Jb \u202ec" in shown and "next" in shown.splitlines()
    logging.getLogger("escaping").handlers.clear()


def test_notices_show_names_in_one_line():
    notice = Notice("a\nb", ("File: x\x1b[31m",), (("l\ni", "http://h/\n"),))
    assert notice.text().splitlines() == [r"a\nb", r"File: x\x1b[31m", r"l\ni: http://h/\n"]
