"""How each fault of the matrix is brought about, and what is asked afterwards."""

from __future__ import annotations

import errno
import os
import re
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg2
import requests

from wine_quality.execution.lost_runs import is_worker
from wine_quality_tests.faults import fault_matrix as matrix
from wine_quality_tests.faults.fault_matrix import Cell, Outcome
from wine_quality_tests.faults.faulty_stack import FaultyStack
from wine_quality_tests.faults.invariants import Stored, broken, stored
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.support.stack_client import descendants

AT_LOGGING = r"/runs/log-batch"
AGREE_SECONDS = 60.0
RUN_SECONDS = 300.0
CLOCK_JUMP_SECONDS = 3600
_HANG_SECONDS = 5.0
_ENDED = ("SUCCESS", "FAILURE", "CANCELED")
# What a failed run has to say, whatever else: the service, and what to do.
SAID = {
    matrix.MLFLOW: (r"MLflow( tracking)? server http://127\.0\.0\.1:\d+", "Start it|start it"),
    matrix.S3: (r"(S3|store).*http://127\.0\.0\.1:\d+", "Start it|start it"),
    matrix.POSTGRES: (
        r"PostgreSQL|psycopg2|port \d+ failed|run worker",
        "xecute|Is the server running",
    ),
    matrix.CODE: (r"code server|code location|run worker", "xecute"),
    matrix.WORKER: (
        r"Run execution process .* was terminated|run worker",
        "Possible solutions|xecute",
    ),
    # A run that was forked in its version's environment has no other process.
    matrix.PLAN: (
        r"The process that ran this plan with MLflow|Run execution process .* was terminated"
        r"|the run's process \d+ is gone: it was killed",
        "logs|xecute|Possible solutions",
    ),
    matrix.S3_DISK: (r"S3 store .*http://127\.0\.0\.1:\d+|MLflow", "free space|re-execute"),
    matrix.POSTGRES_DISK: (r"No space left|psycopg2|run worker", "xecute|free"),
    # Nobody is there to say more than the browser does.
    matrix.WEBSERVER: (r"127\.0\.0\.1.*port=?\d+", "refused"),
    matrix.DAEMON: (r"daemon", "start"),
}
_IN_DAGSTERS_WORDS = (matrix.POSTGRES, matrix.POSTGRES_DISK, matrix.CODE)
_SERVER = {matrix.S3: "s3", matrix.POSTGRES: "postgres"}
_SERVICE = {
    matrix.DAEMON: "dagster-daemon",
    matrix.WEBSERVER: "dagster-webserver",
    matrix.CODE: "dagster-code",
}


class Case:
    """One cell on the shared stack: its own experiment and model, its fault, its questions."""

    def __init__(self, stack: FaultyStack, cell: Cell) -> None:
        self.stack, self.cell = stack, cell
        self.name = f"fault-{uuid.uuid4().hex[:8]}"
        self.mlflow = stack.servers[f"mlflow-{cell.version}"]
        self.server = stack.servers[_SERVER.get(cell.row, self.mlflow.name)]
        self.service = _SERVICE.get(cell.row, self.server.name)
        self.recovered = 0.0
        self.run_id: str | None = None
        self.refusal = ""
        self._tags: dict[str, str] = {}

    def execute(self) -> Outcome:
        """The fault, a minute for all to agree, the words shown, the retry."""
        before = stored(self.stack)
        try:
            self._disturb()
        finally:
            self._undo()
        await_condition(self._webserver_answers, "the webserver", 60)
        status = self._end()
        seconds = self._await_agreement(before)
        if self.run_id is None:
            words = self._words(self.refusal)
            self._launch()
            assert self._end() == "SUCCESS", self._log()
            self.recovered = time.monotonic()
            self._await_agreement(before)
            return Outcome(self.cell, f"launch refused{words}, a later one succeeds", seconds)
        if status == "SUCCESS":
            return Outcome(self.cell, "run succeeds", seconds)
        words = self._words("\n".join(self.stack.messages(self.run_id)))
        self._retry(before)
        return Outcome(self.cell, f"run fails{words}, retry succeeds", seconds)

    def hang_for_good(self) -> None:
        """The run worker is stopped and never goes on by itself: the run ends when its time is
        over, and what the worker does when somebody has it go on changes nothing."""
        before = stored(self.stack)
        self._tags = {"dagster/max_runtime": "60"}
        self._in_mid_run(self._hang)
        assert self._end() == "FAILURE", self._log()
        self.recovered = time.monotonic()
        self._await_agreement(before)
        assert re.search("[Ee]xceed.* maximum runtime", self._log()), self._log()
        os.kill(self._stopped, signal.SIGCONT)
        await_condition(lambda: not is_worker(self._stopped), "the worker to end")
        self.recovered = time.monotonic()
        self._await_agreement(before)
        assert self._status() == "FAILURE"
        assert stored(self.stack).versions == before.versions
        self._retry(before)

    def _disturb(self) -> None:
        column, row = self.cell.column, self.cell.row
        if row == matrix.CLOCK:
            self._in_mid_run(lambda: self.stack.set_clock(CLOCK_JUMP_SECONDS))
            time.sleep(_HANG_SECONDS)
        elif row == matrix.S3_DISK or row == matrix.POSTGRES_DISK:
            self._fill_disk()
        elif column == matrix.START:
            self._down_at_start()
        elif column == matrix.ERRORS:
            self.server.http.fail_every(7)
            self._launch()
            self._end()
            assert self.server.http.failed, "no request was failed"
        elif column == matrix.LOST:
            self._lose_answers()
        elif column in (matrix.AFTER_5, matrix.AFTER_60):
            self._in_mid_run(lambda: self.stack.keep_down(self.service))
            time.sleep(5 if column == matrix.AFTER_5 else 60)
        elif column == matrix.HANG:
            self._in_mid_run(self._hang)
            time.sleep(_HANG_SECONDS)
        else:
            self._in_mid_run(self._kill)

    def _undo(self) -> None:
        self._continue()
        if self.cell.row in (matrix.S3_DISK, matrix.POSTGRES_DISK):
            self._ballast.unlink()
        if self.cell.row == matrix.CLOCK:
            self.stack.set_clock(0)
        for server in self.stack.servers.values():
            server.restore()
        if self.stack.is_kept_down(self.service):
            self.stack.let_up(self.service)
        self.recovered = time.monotonic()

    def _config(self) -> dict[str, Any]:
        fields = {
            "version": self.cell.version,
            "experiment_name": self.name,
            "registered_model_name": self.name,
        }
        return {"resources": {"mlflow": {"config": fields}}}

    def _launch(self) -> None:
        self.run_id = self.stack.launch(self._config(), tags=self._tags)

    def _is_refused(self) -> bool:
        """Launch; whether that could not be done, with the words in ``refusal``."""
        try:
            self._launch()
        except (requests.RequestException, AssertionError) as error:
            self.refusal = str(error)
            return True
        return False

    def _down_at_start(self) -> None:
        self.stack.keep_down(self.service)
        if self._is_refused():
            return
        if self.cell.row == matrix.DAEMON:
            assert self._status() == "QUEUED"
        elif self.cell.row == matrix.CODE:
            # It stays in the queue.
            tried = "Run dequeue failed to reach the user code server, re-submitting"
            await_condition(lambda: tried in self._log(), tried, 120)
        elif self.cell.row != matrix.POSTGRES:
            self._end()

    def _in_mid_run(self, act: Callable[[], None]) -> None:
        """Act while the run waits for MLflow to take its parameters."""
        http = self.mlflow.http
        http.hold(AT_LOGGING)
        self._launch()
        assert http.held.wait(90), self._log()
        act()
        http.release()

    def _kill(self) -> None:
        if self.cell.row in (matrix.WORKER, matrix.PLAN):
            os.kill(self._process(), signal.SIGKILL)
        else:
            self.stack.kill_group(self.service)

    def _hang(self) -> None:
        if self.cell.row in (matrix.WORKER, matrix.PLAN):
            os.kill(self._process(), signal.SIGSTOP)
        elif self.cell.row in _SERVICE:
            self.stack.send(self.service, signal.SIGSTOP)
        else:
            self.server.link.hang()

    def _continue(self) -> None:
        if self.cell.column != matrix.HANG or self.run_id is None:
            return
        if self.cell.row in (matrix.WORKER, matrix.PLAN):
            os.kill(self._stopped, signal.SIGCONT)
        elif self.cell.row in _SERVICE:
            self.stack.send(self.service, signal.SIGCONT)

    def _process(self) -> int:
        """The run worker, or the process below it that has the other MLflow."""
        assert self.run_id is not None
        found = self.stack.worker_pid(self.run_id)
        if self.cell.row == matrix.PLAN:
            # One forked from the warm process of its version has none below it.
            found = next(filter(_runs_a_plan, descendants(found)), found)
        self._stopped = found
        return found

    def _lose_answers(self) -> None:
        """Each of the requests that make something is executed once with its answer lost."""
        if self.cell.row == matrix.MLFLOW:
            lost = 0
            for pattern in (r"POST .*/runs/create", r"POST .*/model-versions/create"):
                self.server.http.lose_answer(pattern)
                if self.run_id is None:
                    self._launch()
                await_condition(lambda: bool(self.server.http.lost), f"{pattern} to be lost")
                lost += self.server.http.lost
            assert lost == 2
        elif self.cell.row == matrix.S3:
            self.server.http.lose_answer(r"^PUT .*/elasticnet_model/")
            self._launch()
            await_condition(lambda: bool(self.server.http.lost), "a PUT to be lost")
        else:
            self._in_mid_run(lambda: self.server.link.lose_answer(b"INSERT INTO event_logs"))
            await_condition(lambda: bool(self.server.link.lost), "an INSERT to be lost")
        self._end()

    def _fill_disk(self) -> None:
        """Before the run begins, or in the middle of it."""
        if self.cell.column == matrix.START:
            self._write_ballast()
            if self._is_refused():
                return
            # Where only S3's disk is full the run ends by itself.
            if self.cell.row == matrix.S3_DISK:
                self._end()
        else:
            self._in_mid_run(self._write_ballast)
            time.sleep(_HANG_SECONDS)

    @property
    def _ballast(self) -> Path:
        disk = "s3/data" if self.cell.row == matrix.S3_DISK else "postgres"
        return self.stack.disk(disk) / "ballast"

    def _write_ballast(self) -> None:
        """Take every byte that is left."""
        with self._ballast.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(1 << 16)):
                    pass
            except OSError as error:
                assert error.errno == errno.ENOSPC

    def _status(self) -> str | None:
        """As the database has it; None while that does not answer."""
        try:
            found = self.stack.query(
                "dagster", "DAGSTER", f"SELECT status FROM runs WHERE run_id = '{self.run_id}'"
            )
        except psycopg2.OperationalError:
            return None
        return found[0][0] if found else None

    def _end(self) -> str | None:
        if self.run_id is None:
            return None
        await_condition(
            lambda: self._status() in _ENDED, f"the end of run {self.run_id}", RUN_SECONDS
        )
        return self._status()

    def _webserver_answers(self) -> bool:
        try:
            self.stack.graphql("{ runsOrError(limit: 1) { ... on Runs { count } } }")
        except (requests.RequestException, AssertionError):
            return False
        return True

    def _await_agreement(self, before: Stored) -> float:
        """Seconds from recovery until no invariant is broken."""
        while left := broken(self.stack, before):
            since = time.monotonic() - self.recovered
            assert since < AGREE_SECONDS, f"{since:.0f} s after recovery: {left}\n{self._log()}"
            time.sleep(0.5)
        return time.monotonic() - self.recovered

    def _words(self, text: str) -> str:
        """Words that the error lacks, where it is Dagster's own and nothing here can mend it; every
        other has to name the service and what to do."""
        service, what_to_do = SAID[self.cell.row]
        assert re.search(service, text), f"no {service!r} in:\n{text[-3000:]}"
        if re.search(what_to_do, text):
            return ""
        assert self.cell.row in _IN_DAGSTERS_WORDS, f"no {what_to_do!r} in:\n{text[-3000:]}"
        return " (says not what to do)"

    def _retry(self, before: Stored) -> None:
        """A re-execution from failure ends well, in the same MLflow run where there was one."""
        assert self.run_id is not None
        made = self._mlflow_runs()
        self.run_id = self.stack.reexecute_from_failure(self.run_id)
        self.recovered = time.monotonic()
        assert self._end() == "SUCCESS", self._log()
        self.recovered = time.monotonic()
        self._await_agreement(before)
        [mine] = self._mlflow_runs()
        assert made in ([], [mine]), (made, mine)

    def _mlflow_runs(self) -> list[str]:
        database = f"mlflow_{self.cell.version.replace('.', '_')}"
        found = self.stack.query(
            database,
            "MLFLOW",
            "SELECT run_uuid FROM runs JOIN experiments USING (experiment_id) "
            f"WHERE experiments.name = '{self.name}' AND runs.lifecycle_stage = 'active'",
        )
        return [run for (run,) in found]

    def _log(self) -> str:
        if self.run_id is None:
            return self.refusal
        try:
            return "\n".join(self.stack.messages(self.run_id)[-25:])
        except (requests.RequestException, AssertionError) as error:
            return f"(no log: {error})"


def _runs_a_plan(pid: int) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
    return b"wine_quality.execution.worker" in command
