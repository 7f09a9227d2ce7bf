"""`make stack` with a proxy before each of its servers, and services that can be kept down.

``python -m wine_quality_tests.faults.faulty_stack VERSION …`` is the process that watches over it;
the proxies are in the process of the tests, which tells it their ports.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from wine_quality.cli import stack as cli_stack
from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack import supervisor
from wine_quality.stack.platform import Platform
from wine_quality.tracking.servers.addresses import uri_variable
from wine_quality_tests.faults.fault_link import FaultLink
from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.support.servers import await_condition, dying_with_us, free_port
from wine_quality_tests.support.stack_client import UP_SECONDS, Stack

_PROXY = "WINE_QUALITY_TESTS_PROXY_"
_DISKS = "WINE_QUALITY_TESTS_DISKS"
_KEPT_DOWN = "kept-down"
_MONITORING = ("poll_interval_seconds: 10", "poll_interval_seconds: 2")
DISK_MEGABYTES = {"s3/data": 32, "postgres": 600}


class _FaultyPlatform(Platform):
    """Its clients are told the ports of the proxies."""

    def _data(self) -> None:
        super()._data()
        self._settings["POSTGRES_PORT"] = os.environ[f"{_PROXY}postgres"]
        self._settings["AWS_ENDPOINT_URL"] = f"http://127.0.0.1:{os.environ[f'{_PROXY}s3']}"

    def _tracking(self, versions: list[MlflowVersion]) -> dict[str, str]:  # type: ignore[override]
        variables = super()._tracking(versions)
        for version in versions:
            port = os.environ[f"{_PROXY}mlflow-{version.key}"]
            variables[uri_variable(version.key)] = f"http://127.0.0.1:{port}"
        return variables

    def _dagster(self, tracking: dict[str, str]) -> None:
        super()._dagster(tracking)
        file = self.folder / "dagster" / "dagster.yaml"
        text = file.read_text()
        assert _MONITORING[0] in text
        file.unlink()
        # What a person waits 10 s for, a test waits 2 s for.
        file.write_text(text.replace(*_MONITORING))


class _FaultySupervisor(supervisor.Supervisor):
    """Starts no service whose name is a file in ``kept-down``, and never gives one up."""

    def _may_start(self, running: Any) -> bool:
        kept_down = self.logs.parent / _KEPT_DOWN / running.service.name
        return not kept_down.exists() and super()._may_start(running)


def _small_disks(folder: Path) -> None:
    """File systems of their own under the stack's data, gone with the last process of it (root)."""
    libc = ctypes.CDLL(None, use_errno=True)
    clone_newns, ms_private, ms_rec = 0x20000, 1 << 18, 1 << 14
    if libc.unshare(clone_newns) or libc.mount(b"none", b"/", None, ms_rec | ms_private, None):
        raise OSError(ctypes.get_errno(), "no mount namespace of its own")
    for name, megabytes in DISK_MEGABYTES.items():
        place = folder / name
        place.mkdir(parents=True, exist_ok=True)
        options = f"size={megabytes}m,mode=755".encode()
        if libc.mount(b"none", str(place).encode(), b"tmpfs", 0, options):
            raise OSError(ctypes.get_errno(), f"no tmpfs at {place}")


def main(versions: list[str]) -> int:
    cli_stack.Platform = _FaultyPlatform  # type: ignore[misc]
    cli_stack.Supervisor = _FaultySupervisor  # type: ignore[misc]
    supervisor.RESTARTS, supervisor.WINDOW_SECONDS = 1000, 3.0
    if _DISKS in os.environ:
        _small_disks(cli_stack.stack_folder())
    options = argparse.Namespace(action="up", detach=False, quietly=True, versions=versions)
    return cli_stack.stack(options)


def c_compiler() -> str | None:
    """Path of the compiler that builds the clock that can be set; None: there is none."""
    return shutil.which("cc") or shutil.which("gcc")


def _build_clock(folder: Path) -> Path:
    """The library that gives each process another wall clock."""
    built, source = folder / "shifted_clock.so", Path(__file__).with_name("shifted_clock.c")
    compiler = c_compiler()
    assert compiler is not None
    command = [compiler, "-shared", "-fPIC", "-O2", "-o", str(built), str(source)]
    subprocess.run(command, check=True, timeout=60)
    return built


class Server:
    """PostgreSQL, S3 or an MLflow server with what stands before it.

    Attributes:
        link: Goes down and hangs.
        http: Behind the link, for what speaks HTTP: holds requests, fails, loses answers.
    """

    def __init__(self, name: str, port: int) -> None:
        self.name = name
        self._http = None
        if name != "postgres":
            self._http = FaultProxy(f"http://127.0.0.1:{port}", keep_host=True)
            port = int(self._http.uri.rpartition(":")[2])
        self.link = FaultLink(port)

    @property
    def http(self) -> FaultProxy:
        assert self._http is not None, f"{self.name} speaks no HTTP"
        return self._http

    def restore(self) -> None:
        """As if nothing had been before it."""
        self.link.restore()
        if self._http:
            self._http.release()
            self._http.refuse(None)
            self._http.lose_answer(None)
            self._http.fail_every(0)

    def close(self) -> None:
        self.link.close()
        if self._http:
            self._http.stop()


class FaultyStack(Stack):
    """A stack over a home of its own whose servers and services can be disturbed.

    Args:
        versions: Of MLflow.
        small_disks: Have S3 and PostgreSQL on file systems that a test can fill (needs root).
        clock: Have a clock that ``set_clock`` sets (needs a C compiler).
    """

    def __init__(
        self, versions: list[str], *, small_disks: bool = False, clock: bool = False
    ) -> None:
        # Not under pytest's folder, which is closed to the user that PostgreSQL runs as.
        home = Path(tempfile.mkdtemp(prefix="wine-quality-faults-"))
        home.chmod(0o755)
        ports = {"POSTGRES_PORT": "postgres", "MINIO_PORT": "s3", "DAGSTER_PORT": ""}
        for key in versions:
            ports[f"MLFLOW_{key.replace('.', '_')}_PORT"] = f"mlflow-{key}"
        settings = {setting: str(free_port()) for setting in ports}
        super().__init__(home, versions, **settings)
        for name in [n for n in self.environment if n.startswith(("AWS_", "MLFLOW_TRACKING"))]:
            del self.environment[name]
        self._clock = home / "clock"
        if clock:
            self._clock.write_bytes(bytes(8))
            self._clock.chmod(0o644)
            self.environment.update(
                LD_PRELOAD=str(_build_clock(home)), WINE_QUALITY_TESTS_CLOCK=str(self._clock)
            )
        if small_disks:
            self.environment[_DISKS] = "yes"
        self.servers = {
            name: Server(name, int(settings[setting])) for setting, name in ports.items() if name
        }
        for name, server in self.servers.items():
            self.environment[_PROXY + name] = str(server.link.port)
        self._process: subprocess.Popen[bytes] | None = None

    def up(self) -> str:
        log = self.home / "stack.log"
        module = "wine_quality_tests.faults.faulty_stack"
        command = dying_with_us(sys.executable, "-m", module, *self.versions)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=self.environment,
                cwd=PROJECT_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

        def ready() -> bool:
            assert self._process is not None and self._process.poll() is None, log.read_text()
            return (self.home / "stack" / "state.json").exists() and self.state["ready"]

        await_condition(ready, f"the stack, see {log}", UP_SECONDS)
        self.url = f"http://127.0.0.1:{self.state['ports']['dagster-webserver']}"
        return log.read_text()

    def down(self) -> str:
        """Stop it and remove its home."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(90)
        for server in self.servers.values():
            server.close()
        shutil.rmtree(self.home, ignore_errors=True)
        return ""

    def proxied(self, version: str) -> str:
        """Where runs reach the MLflow server."""
        return f"http://127.0.0.1:{self.servers[f'mlflow-{version}'].link.port}"

    def set_clock(self, ahead: int) -> None:
        """Have the wall clocks of all processes jump (stacks of ``clock``)."""
        with self._clock.open("r+b") as file:
            file.write(ahead.to_bytes(8, sys.byteorder, signed=True))

    def disk(self, name: str) -> Path:
        """The folder ``name`` of the stack's as its processes see it."""
        path = (self.home / "stack" / name).resolve()
        return Path(f"/proc/{self.state['pid']}/root{path}")

    def send(self, name: str, number: int) -> None:
        """A signal to all processes of a service."""
        os.killpg(self.state["services"][name]["pid"], number)

    def keep_down(self, name: str) -> None:
        """Kill a service and don't have it started again before ``let_up``."""
        folder = self.home / "stack" / _KEPT_DOWN
        folder.mkdir(exist_ok=True)
        (folder / name).touch()
        self.send(name, signal.SIGKILL)
        await_condition(lambda: not self.state["services"][name]["pid"], f"{name} to be down")

    def is_kept_down(self, name: str) -> bool:
        return (self.home / "stack" / _KEPT_DOWN / name).exists()

    def kill_group(self, name: str) -> None:
        """SIGKILL to all of a service; returns when it is up again."""
        before = self.state["services"][name]["pid"]
        self.send(name, signal.SIGKILL)

        def again() -> bool:
            now = self.state["services"][name]
            return now["ready"] and now["pid"] not in (None, before)

        await_condition(again, f"{name} to be restarted", 120)

    def let_up(self, name: str) -> None:
        """Start it again; returns when it is ready."""
        (self.home / "stack" / _KEPT_DOWN / name).unlink()
        await_condition(lambda: self.state["services"][name]["ready"], f"{name} to be up", 120)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
