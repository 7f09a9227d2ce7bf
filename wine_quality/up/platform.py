"""The processes of `make up`: Dagster's code server, webserver and daemon, and the MLflow UIs.

The code server is Dagster's own that can load code anew ("Reload" in the UI). The webserver loads
its libraries meanwhile; the daemon follows.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from wine_quality.dagster_support.instance import is_up_to_date
from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.environments.process_groups import signal_group
from wine_quality.escaping import ProjectError
from wine_quality.execution.warm_client import WarmServers
from wine_quality.paths import dagster_home_in_use, up_state
from wine_quality.settings.internal import MLFLOW_UIS as UIS
from wine_quality.stack.dagster import webserver_ready
from wine_quality.stack.supervisor import Watchdog
from wine_quality.up.logs import Logs
from wine_quality.up.mlflow_uis import MlflowUis
from wine_quality.up.ports import port_of
from wine_quality.up.processes import Process, environment, python, stop
from wine_quality.up.ready import daemon_ready_since

_POLL_SECONDS = 0.1
_READY_SECONDS = 300
_LOCATION = "ml_repository"
_CODE_SERVER = "Dagster's code server"
_RESTARTS = 5
_STORES = "from wine_quality.dagster_support.instance import open_dagster; open_dagster().dispose()"


class ProcessEndedError(ProjectError, RuntimeError):
    """One of the processes ended by itself; the message names it."""


class Platform:
    """
    Args:
        version: Of the runs that name none.
        dagster: The socket of the Dagster UI.
        sockets: A folder that only this user may enter.
    """

    def __init__(
        self, version: MlflowVersion, dagster: socket.socket, uis: MlflowUis, sockets: Path
    ) -> None:
        self._version, self._dagster, self._uis = version, dagster, uis
        self._code_socket = sockets / "code.sock"
        self._sockets = sockets
        self._url = f"http://localhost:{port_of(dagster)}"
        self._warm = WarmServers.of_home(dagster_home_in_use())
        self._warming: asyncio.Future[None] | None = None
        self._processes: list[Process] = []
        self._stopped = asyncio.Event()
        self._began = time.monotonic()
        self._state = up_state()
        self._state.parent.mkdir(parents=True, exist_ok=True)
        self._is_ready = False
        self._restarts = 0
        self._folder = self._state.parent
        self._logs = Logs(self._folder, self._url, _show)
        for key in uis.urls:
            self._logs.bound(self._folder / f"mlflow-{key}.log")

    async def run(self) -> int:
        """Run until SIGINT or SIGTERM.

        Raises:
            ProcessEndedError: a part ended by itself; the others were stopped.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._stopped.set)
        self._note()
        watchdog = Watchdog(self._state)
        mlflow = asyncio.ensure_future(self._uis.serve(self._note))
        running = asyncio.ensure_future(self._run())
        following = asyncio.ensure_future(self._logs.follow())
        stopped = asyncio.ensure_future(self._stopped.wait())
        waited = {running, stopped, mlflow, following}
        try:
            await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
            for one in (running, mlflow, following):
                if one.done():
                    one.result()
            return 0
        finally:
            for task in waited:
                task.cancel()
            await self._stop()
            self._logs.look()
            self._state.unlink(missing_ok=True)
            watchdog.dismiss()

    async def _run(self) -> None:
        variables = self._variables()
        workspace = self._workspace()
        webserver = python("-m", "wine_quality.webserver", "-w", str(workspace))
        # It loads its libraries meanwhile.
        webserver += ["--fd", str(self._dagster.fileno()), "--wait-for", str(self._code_socket)]
        self._start("Dagster's webserver", webserver, variables, self._dagster.fileno())
        if not is_up_to_date(dagster_home_in_use()):
            # Before the others would, all at once.
            await self._await_end(self._start("stores", python("-c", _STORES), variables))
        self._start(_CODE_SERVER, self._code_server(), variables)
        await self._await(self._code_socket.exists, "the code server")
        daemon = python("-m", "dagster._daemon", "run", "-w", str(workspace))
        self._start("Dagster's daemon", daemon, variables)
        daemon_is_ready = daemon_ready_since(self._url, time.time())
        for ready in (webserver_ready(self._url), daemon_is_ready):
            await self._await(ready, "the Dagster UI")
        self._is_ready = True
        self._note()
        self._say()
        # The first run need not wait for the imports.
        self._warming = asyncio.ensure_future(
            asyncio.to_thread(self._warm.try_warm_up, self._version, variables)
        )
        while True:
            self._restart_code_server(variables)
            self._check()
            await asyncio.sleep(_POLL_SECONDS)

    def _restart_code_server(self, variables: dict[str, str]) -> None:
        """Restart it if it has ended: it runs the project's code. The others wait for it."""
        [code] = [process for process in self._processes if process.name == _CODE_SERVER]
        if not code.has_ended() or self._restarts >= _RESTARTS:
            return
        self._restarts += 1
        print(f"{_CODE_SERVER} {code.describe_exit()}; it is started again.", file=sys.stderr)
        signal_group(code.pid, signal.SIGKILL)
        self._processes.remove(code)
        self._code_socket.unlink(missing_ok=True)
        self._start(_CODE_SERVER, self._code_server(), variables)

    def _variables(self) -> dict[str, str]:
        return environment(
            DAGSTER_HOME=str(dagster_home_in_use()),
            DAGSTER_WEBSERVER_URL=self._url,
            WINE_QUALITY_MLFLOW=self._version.key,
            **{UIS: json.dumps(self._uis.urls)},
        )

    def _code_server(self) -> list[str]:
        command = ["-m", "dagster", "code-server", "start", "-s", str(self._code_socket)]
        command += ["-m", "wine_quality.definitions", "-a", "defs", "--location-name", _LOCATION]
        return python(*command, "--inject-env-vars-from-instance")

    def _workspace(self) -> Path:
        server = {"socket": str(self._code_socket), "location_name": _LOCATION}
        file = self._sockets / "workspace.yaml"
        file.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))  # JSON is YAML
        return file

    def _start(
        self, name: str, command: list[str], variables: dict[str, str], *fds: int
    ) -> Process:
        process = Process(name, command, variables, self._logs.file_for(name), pass_fds=fds)
        self._processes.append(process)
        self._note()
        return process

    async def _await(self, condition: Callable[[], bool], what: str) -> None:
        while not await asyncio.to_thread(condition):
            self._check()
            if time.monotonic() - self._began > _READY_SECONDS:
                raise ProcessEndedError(f"{what} is not ready after {_READY_SECONDS} s")
            await asyncio.sleep(_POLL_SECONDS)

    async def _await_end(self, process: Process) -> None:
        while not process.has_ended():
            await asyncio.sleep(_POLL_SECONDS)
        self._processes.remove(process)

    def _check(self) -> None:
        for process in self._processes:
            if process.has_ended():
                raise ProcessEndedError(
                    f"{process.name} {process.describe_exit()}. The end of its log "
                    f"({process.log}):\n{process.last_lines()}"
                )

    async def _stop(self) -> None:
        await asyncio.gather(stop(self._processes), self._uis.stop())
        # Runs too: they are in no group of the above.
        await asyncio.to_thread(self._warm.stop)

    def _say(self) -> None:
        print(f"Dagster UI: {self._url}")
        shown = ", ".join(f"{key}: {url}" for key, url in self._uis.urls.items())
        print(
            f"MLflow UIs: {shown} (each starts when it is opened; {self._url}/mlflow/ lists them)"
        )
        seconds = time.monotonic() - self._began
        print(f"Ready after {seconds:.1f} s. Ctrl-C stops all. Logs: {self._folder}", flush=True)

    def _note(self) -> None:
        """Write the state file, for the watchdog and for other commands over this home."""
        processes = [*self._processes, *self._uis.processes()]
        services = {p.name: {"pid": p.pid, "signal": int(signal.SIGINT)} for p in processes}
        state = {
            "pid": os.getpid(),
            "dagster": self._url,
            "mlflow": self._uis.urls,
            "ready": self._is_ready,
            "services": services,
            "temporary": [str(self._sockets)],
            "dagster_home": str(dagster_home_in_use()),
        }
        fresh = self._state.with_suffix(".new")
        fresh.write_text(json.dumps(state, indent=1))
        fresh.rename(self._state)


def _show(line: str) -> None:
    with suppress(OSError):  # nobody may be there to read it any more
        print(line, flush=True)
