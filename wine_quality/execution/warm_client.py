"""The warm processes of one Dagster home, as a launcher sees them. Standard library only."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.escaping import ProjectError
from wine_quality.execution import messages
from wine_quality.execution.code_state import code_state
from wine_quality.execution.messages import ConnectionEndedError
from wine_quality.execution.warm_server import lock_of, pid_of
from wine_quality.execution.worker_process import WorkerProcess
from wine_quality.paths import PROJECT_ROOT
from wine_quality.settings import internal, runs

# A JSON file with the environment of runs, where that is not the launcher's own (`make stack`).
RUN_VARIABLES = internal.RUN_VARIABLES
MINUTES, MEMORY = runs.WARM_MINUTES, runs.WARM_MIB
_START_SECONDS = 90.0
_ANSWER_SECONDS = 30.0
_POLL_SECONDS = 0.02
# In the environment of warm processes and their runs: whose they are.
_MARK = internal.WARM_FOLDER
# Without threads of their own BLAS and Arrow can be forked; a run gives BLAS its threads back.
_ONE_THREAD = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}


class WarmProcessError(ProjectError, RuntimeError):
    """No warm process can take the run; the message gives the reason."""


def idle_minutes(variables: Mapping[str, str]) -> float:
    """``$WINE_QUALITY_WARM_MINUTES``, else 10; 0: no process is kept warm.

    Raises:
        WarmProcessError: it is not a number.
    """
    return _number(variables, MINUTES, 10)


def _number(variables: Mapping[str, str], name: str, default: int) -> float:
    given = variables.get(name) or default
    try:
        return float(given)
    except ValueError:
        raise WarmProcessError(f"${name} is {given!r}, not a number") from None


class WarmServers:
    """One process per MLflow version, started when a run first needs it.

    Args:
        folder: Where their sockets and logs lie, readable by this user alone.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @classmethod
    def of_home(cls, dagster_home: Path) -> WarmServers:
        """Those of a Dagster instance ($DAGSTER_HOME)."""
        return cls(dagster_home.resolve() / "warm")

    def launch(
        self,
        version: MlflowVersion,
        variables: Mapping[str, str],
        run_id: str,
        instance: str,
        note: Callable[[WorkerProcess], None],
    ) -> None:
        """Have a run executed in a process forked from the version's warm one.

        Args:
            version: Whose environment; it is built.
            variables: The environment of the run, all of it.
            run_id: The run.
            instance: A serialized reference to its Dagster instance.
            note: Called with the run's process before the run begins; if it raises, nothing is run.

        Raises:
            WarmProcessError: nothing has been run, nor will be.
        """
        state = code_state(version, variables)
        request = {"ask": "launch", "run": run_id, "instance": instance, "state": state}
        # A second time when the first process has old code, or was just about to end.
        for _ in range(2):
            with self._connected(version, variables, state) as connection:
                try:
                    messages.send(connection, request, _outputs())
                    answer, _ = messages.receive(connection)
                except ConnectionEndedError:
                    continue
                if answer.get("stale"):
                    continue
                if "refused" in answer:
                    raise WarmProcessError(f"the warm process refused the run: {answer['refused']}")
                worker = WorkerProcess.of(answer["pid"])
                if worker is None:
                    continue
                note(worker)
                try:
                    messages.send(connection, {"begin": True})
                except ConnectionEndedError:
                    continue
                return
        raise WarmProcessError(
            f"the warm process of MLflow {version.key} ended twice: {self.log(version)}"
        )

    def warm_up(self, version: MlflowVersion, variables: Mapping[str, str]) -> None:
        """Have it ready before the first run; nothing happens when it is.

        Raises:
            WarmProcessError: it could not be started.
        """
        with self._connected(version, variables, code_state(version, variables)):
            pass

    def try_warm_up(self, version: MlflowVersion, variables: Mapping[str, str]) -> None:
        """As ``warm_up``, for runs of a launcher with these variables; errors are ignored.

        The first run then logs the reason, and runs without a warm process.
        """
        with suppress(WarmProcessError, OSError):
            if idle_minutes(variables) > 0:
                self.warm_up(version, variables_of(version, variables))

    def pids(self) -> dict[str, int]:
        """The warm processes there are, by version."""
        found = {path.stem: pid_of(path) for path in sorted(self._folder.glob("*.sock"))}
        return {key.removeprefix("mlflow-"): pid for key, pid in found.items() if pid}

    def stop(self, grace_seconds: float = 10.0) -> None:
        """End all of them, and the runs forked from them as Ctrl-C would, also of ones now gone."""
        ending = self._processes()
        for process in ending:
            process.send(signal.SIGINT)
        deadline = time.monotonic() + grace_seconds
        while ending and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            ending = [process for process in ending if process.is_running()]
        for process in [*ending, *self._processes()]:
            process.send(signal.SIGKILL)

    def _processes(self) -> list[WorkerProcess]:
        """Warm processes and runs of this folder, by what they were started with."""
        marked = f"{_MARK}={self._folder}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if b"wine_quality.execution.warm_server" not in (entry / "cmdline").read_bytes():
                    continue
                variables = (entry / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            process = WorkerProcess.of(int(entry.name)) if marked in variables else None
            found += [process] if process else []
        return found

    def log(self, version: MlflowVersion) -> str:
        """The last that the version's warm process wrote."""
        try:
            return self._log_path(version).read_text(errors="replace")[-2000:].strip()
        except OSError as error:
            return str(error)

    def _path(self, version: MlflowVersion) -> Path:
        return self._folder / f"mlflow-{version.key}.sock"

    def _log_path(self, version: MlflowVersion) -> Path:
        return self._folder / f"mlflow-{version.key}.log"

    @contextmanager
    def _connected(
        self, version: MlflowVersion, variables: Mapping[str, str], state: str
    ) -> Iterator[socket.socket]:
        path = self._path(version)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        try:
            connection = messages.connect(path, _ANSWER_SECONDS)
        except OSError:
            with lock_of(path).open("w") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX)
                try:
                    connection = messages.connect(path, _ANSWER_SECONDS)
                except OSError:
                    connection = self._start(version, variables, state)
        with connection:
            yield connection

    def _start(
        self, version: MlflowVersion, variables: Mapping[str, str], state: str
    ) -> socket.socket:
        owner = WorkerProcess.of(os.getpid())
        if owner is None or not sys.platform.startswith("linux"):
            raise WarmProcessError("warm processes need Linux, with /proc")
        path = self._path(version)
        settings = {
            "socket": str(path),
            "state": state,
            "owner": vars(owner),
            "idle_seconds": 60 * idle_minutes(variables),
            "memory": _number(variables, MEMORY, 400),
            "restore": {name: variables.get(name) for name in _ONE_THREAD},
        }
        warnings = [f"-W{option}" for option in sys.warnoptions]
        descriptor = os.open(self._log_path(version), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as log:
            process = subprocess.Popen(
                [str(version.python), *warnings, "-m", "wine_quality.execution.warm_server"],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**variables, **_ONE_THREAD, _MARK: str(self._folder)},
                # A session of its own: what ends the launcher, or Ctrl-C, ends no run.
                start_new_session=True,
            )
        assert process.stdin is not None
        try:
            with process.stdin:
                process.stdin.write(json.dumps(settings).encode() + b"\n")
        except BrokenPipeError:
            pass  # it has ended; the reason is in its log
        deadline = time.monotonic() + _START_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
            if path.exists():
                try:
                    return messages.connect(path, _ANSWER_SECONDS)
                except OSError:
                    pass  # the socket of one that was killed; this one takes its place
        process.kill()
        raise WarmProcessError(
            f"the warm process of MLflow {version.key} did not start: {self.log(version)}"
        )


def _outputs() -> tuple[int, ...]:
    """Standard output and error for runs: this process's own, as with a code server."""
    return (1, 2)


def variables_of(version: MlflowVersion, variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process of this version, on top of ``variables``."""
    paths = [str(PROJECT_ROOT), *filter(None, [variables.get("PYTHONPATH")])]
    return {**version.process_variables(variables), "PYTHONPATH": os.pathsep.join(paths)}
