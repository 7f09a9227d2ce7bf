"""Real MLflow servers as processes that die with the tests."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from wine_quality.environments.versions import MlflowVersion

READY_SECONDS = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class MlflowServer:
    """sqlite behind it, artifacts proxied (``--serve-artifacts``)."""

    def __init__(self, version: MlflowVersion, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.uri = f"http://127.0.0.1:{port}"
        self.log = folder / "server.log"
        command = [str(version.require_python().with_name("mlflow")), "server"]
        command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
        command += ["--serve-artifacts", "--artifacts-destination", str(folder / "artifacts")]
        command += ["--default-artifact-root", "mlflow-artifacts:/"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        self._process = subprocess.Popen(
            command,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
            env={**version.process_variables(), "HOME": str(folder)},
            cwd=folder,
            start_new_session=True,
            preexec_fn=_die_with_parent,
        )
        self._await_health()

    def _await_health(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"MLflow server not ready:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        """End it and its gunicorn workers, which outlive a parent that is only asked."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()
