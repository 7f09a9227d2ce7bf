"""Dagster's lines that `make up` shows, on lines that Dagster really printed."""

from __future__ import annotations

from pathlib import Path

from wine_quality.up import logs
from wine_quality.up.logs import Logs
from wine_quality.up.shown_lines import FailuresShown, ShownLines

RUN = "54948088-f628-47bf-8e6d-bb4f573751a9"
AT = "2026-11-26 14:54:35 +0000 - "
OF_RUN = f"{AT}dagster - {{}} - wine_quality_model - {RUN} - "
HIDDEN = f"""\
{AT}dagster.code_server - INFO - Started Dagster code server for module wine_quality.definitions
{AT}dagster.daemon.SensorDaemon - INFO - Checking for new runs for sensor: mlflow_run_closer
{AT}dagster.daemon.SensorDaemon - INFO - Sensor promotion_notice skipped: No new champion.
{OF_RUN.format("DEBUG")}29919 - raw_wine_csv - STEP_START - Started.
{OF_RUN.format("INFO")}raw_wine_csv - 1599 rows
{OF_RUN.format("ERROR")}30506 - raw_wine_csv - STEP_FAILURE - It failed.
{OF_RUN.format("ERROR")}champion_model - Dependencies for step x failed.
    raise WinesRefusedError(str(error), str(error)) from error
INFO:     127.0.0.1:5000 - "GET / HTTP/1.1" 200 OK
""".splitlines()


def shown(*lines: str) -> list[str]:
    picked = ShownLines("http://localhost:5000")
    return [text for line in lines if (text := picked.shown(line)) is not None]


def test_ticks_steps_and_tracebacks_are_for_the_log():
    assert shown(*HIDDEN) == []


def test_a_run_is_a_line_when_it_starts_and_one_when_it_ends():
    start = OF_RUN.format("DEBUG") + "29919 - RUN_START - Started execution of run."
    for event, level, end in (
        ("RUN_SUCCESS - Finished.", "DEBUG", "succeeded after 0 s"),
        ("RUN_CANCELED - Canceled.", "ERROR", "was cancelled after 0 s"),
        ("RUN_FAILURE - alpha is -1.", "ERROR", "failed after 0 s: alpha is -1."),
    ):
        coloured = f"\x1b[32m{OF_RUN.format(level)}29919 - {event}\x1b[0m"
        first, last = shown(start, coloured)
        assert first == "14:54:35 wine_quality_model 54948088 started"
        assert last.startswith(f"14:54:35 wine_quality_model 54948088 {end}")
        assert last.endswith(f"http://localhost:5000/runs/{RUN}") == ("SUCCESS" not in event)


FAILED_IN_A_STEP = f"""\
{OF_RUN.format("ERROR")}4204 - RUN_FAILURE - Execution of run for "wine_quality_model" failed. \
Steps failed: ['raw_wine_csv'].

/data/wine.csv: it lies in no folder that may be read here.

The above exception was caused by the following exception:
""".splitlines()


def test_a_run_that_failed_in_a_step_shows_the_reason_and_not_the_names_of_steps():
    assert shown(*FAILED_IN_A_STEP) == [
        "14:54:35 wine_quality_model 54948088 failed: /data/wine.csv: it lies in no folder that "
        f"may be read here.  http://localhost:5000/runs/{RUN}"
    ]


def test_a_failure_without_a_reason_is_shown_before_the_next_line():
    start = OF_RUN.format("DEBUG") + "29919 - RUN_START - Started execution of run."
    (both,) = shown(FAILED_IN_A_STEP[0], "", start)
    failed, started = both.splitlines()
    assert "Steps failed: ['raw_wine_csv'].  http" in failed
    assert started == "14:54:35 wine_quality_model 54948088 started"


def test_the_notice_of_a_failure_is_not_shown_when_another_process_has_logged_the_failure():
    notice = f"{AT}dagster - INFO - __repository__ - run_failure_notice - wine_quality_model failed"
    failures = FailuresShown()
    daemon, code_server = (ShownLines("http://localhost:5000", failures) for _ in range(2))
    assert code_server.shown(notice) == "14:54:35 wine_quality_model failed"
    daemon.shown(OF_RUN.format("ERROR") + "30506 - RUN_FAILURE - No such file.")
    assert code_server.shown(notice) is None


def test_notices_are_shown_but_not_the_failure_that_the_run_has_said():
    promoted = f"{AT}dagster - INFO - __repository__ - promotion_notice - Wine version 2 is it"
    failed = f"{AT}dagster - INFO - __repository__ - run_failure_notice - wine_quality_model failed"
    by_run = OF_RUN.format("ERROR") + "30506 - RUN_FAILURE - No such file."
    assert shown(promoted, failed) == [
        "14:54:35 Wine version 2 is it",
        "14:54:35 wine_quality_model failed",
    ]
    assert len(shown(by_run, failed)) == 1


def test_warnings_and_errors_are_shown_once():
    tick = f"{AT}dagster.daemon.SensorDaemon - ERROR - Sensor x could not be evaluated"
    step = OF_RUN.format("WARNING") + "elasticnet_model - the data has drifted"
    assert shown(tick, step, tick) == [
        "14:54:35 error: dagster.daemon.SensorDaemon: Sensor x could not be evaluated",
        "14:54:35 warning: wine_quality_model 54948088: elasticnet_model - the data has drifted",
    ]


def test_a_log_is_followed_line_by_line_and_stays_small(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(logs, "LARGEST", 1000)
    messages: list[str] = []
    kept = Logs(tmp_path, "http://localhost:5000", messages.append)
    file = kept.file_for("Dagster's daemon")
    assert file == tmp_path / "dagster-daemon.log"
    error = f"{AT}dagster.daemon - ERROR - number "
    with file.open("ab", buffering=0) as process:
        process.write(f"{error}1\n{error}".encode())
        kept.look()
        process.write(b"2\n")
        kept.look()
        process.write((HIDDEN[0] + "\n").encode() * 20)
        kept.look()
        assert file.stat().st_size == 0
        process.write(f"{error}3\n".encode())
        kept.look()
    assert [line[-1] for line in messages] == ["1", "2", "3"]
    assert b"number 1" in (tmp_path / "dagster-daemon.log.1").read_bytes()
    assert file.read_text() == f"{error}3\n"
    # The next `make up` begins a new one.
    assert kept.file_for("Dagster's daemon").read_text() == ""
    assert (tmp_path / "dagster-daemon.log.1").read_text() == f"{error}3\n"
    file.write_text(f"{error}4\n")
    kept.look()
    assert messages[-1][-1] == "4" and len(messages) == 4  # each line once
