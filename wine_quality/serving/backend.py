"""One MLServer process that serves one version, and can take a port over and hand it on."""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from itertools import chain
from pathlib import Path
from typing import Any

from wine_quality.metrics_history.database import VARIABLE as URL_VARIABLE
from wine_quality.packaging.repository import REQUEST, SETTINGS
from wine_quality.packaging.served_model import UnservableModelError
from wine_quality.serving.runtime.postgres_connection import Address

RESPONSE = "example-response.json"
"""File of the predictions for the input example, from the run's training record."""
TOLERANCE = 1e-9
READY_SECONDS = 120.0
_ANSWER_SECONDS = 30.0
_DRAIN_SECONDS = 45.0
# No tracking or storage credentials: a model that is served needs none.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")
_PASSED_PREFIXES = ("MLSERVER_", "WINE_QUALITY_SERVE_")
# libpq's, for the prediction log: what its address leaves out, and how it is encrypted.
_LEFT_OUT = {
    **{"host": ("PGHOST",), "port": ("PGPORT",), "dbname": ("PGDATABASE",), "user": ("PGUSER",)},
    "password": ("PGPASSWORD", "PGPASSFILE"),
}
_ENCRYPTION = ("PGSSLMODE", "PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGSSLCRL")


class Backend:
    """Started at once; ready after ``await_ready``, in charge after ``take_over``."""

    def __init__(self, python: Path, folder: Path, public: socket.socket, grpc: int, log: Path):
        """
        Args:
            folder: The model's folder, with ``model-settings.json``.
            public: Listening socket that is handed from process to process.
            grpc: Port of gRPC on the socket's address.
        """
        self.folder = folder
        settings = json.loads((folder / SETTINGS).read_text())
        self.name: str = settings["name"]
        self.version: str = settings["parameters"]["version"]
        private = socket.create_server(("127.0.0.1", 0))
        self._private = f"http://127.0.0.1:{private.getsockname()[1]}"
        report, reporting = os.pipe()
        fds = (private.fileno(), public.fileno(), reporting)
        command = [str(python), "-m", "wine_quality_runtime.server", str(folder.parent)]
        for option, fd in zip(("--private-fd", "--public-fd", "--report-fd"), fds, strict=True):
            command += [option, str(fd)]
        self._log = log
        self._log_before = log.stat().st_size if log.exists() else 0
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                command,
                env=_variables(os.environ, folder, public.getsockname()[0], grpc),
                cwd=folder,  # MLServer reads a .env of where it starts
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=fds,
                start_new_session=True,  # Ctrl-C is for the supervisor, which asks it to drain
            )
        private.close()
        os.close(reporting)
        self._report = report

    @property
    def lives(self) -> bool:
        return self.process.poll() is None

    def await_ready(self) -> None:
        """Wait until the model is loaded and its answer for the example is as expected.

        Raises:
            UnservableModelError: it died, took too long or predicts something else.
        """
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_ready():
            if not self.lives:
                raise UnservableModelError(
                    f"{self._title} could not be loaded: {self._last_words()}"
                )
            if time.monotonic() > deadline:
                raise UnservableModelError(
                    f"{self._title} was not ready after {READY_SECONDS:.0f} s; see {self._log}"
                )
            time.sleep(0.05)
        self._check_example()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self._private}/v2/health/ready", timeout=5):
                return True
        except OSError:
            return False

    def _check_example(self) -> None:
        file = self.folder / REQUEST
        if not file.exists():
            return
        request = urllib.request.Request(
            f"{self._private}/v2/models/{self.name}/infer", file.read_bytes()
        )
        try:
            with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:
                predicted = json.load(answer)["outputs"][0]["data"]
        except urllib.error.HTTPError as error:
            message = error.read(2000).decode("utf-8", "replace")
            raise UnservableModelError(
                f"{self._title} refuses its own input example: {message}"
            ) from None
        except (OSError, ValueError, LookupError) as error:
            raise UnservableModelError(
                f"{self._title} did not answer its example: {error}"
            ) from None
        expected = self._expected()
        if expected is not None and not _alike(predicted, expected):
            raise UnservableModelError(
                f"{self._title} predicts {predicted} for its input example; the model that was "
                f"trained predicts {expected}"
            )

    def _expected(self) -> list[float] | None:
        file = self.folder / RESPONSE
        return json.loads(file.read_text()) if file.exists() else None

    def take_over(self) -> None:
        """Listen on the public socket and on gRPC's port, beside the process that does so now.

        Raises:
            UnservableModelError: it could not.
        """
        self._command("go")
        ready, _, _ = select.select([self._report], [], [], _ANSWER_SECONDS)
        text = os.read(self._report, 4096).decode() if ready else ""
        if text.strip() != "listening":
            raise UnservableModelError(
                f"{self._title} does not listen: {text or self._last_words()}"
            )

    def hand_over(self) -> None:
        """Answer what was accepted, then end."""
        self._command("drain")

    def end(self) -> None:
        """Have it end, however it takes that."""
        if self.lives:
            self.process.terminate()
        self.await_end()

    def await_end(self, seconds: float = _DRAIN_SECONDS) -> None:
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        if self.process.stdin is not None:
            try:
                self.process.stdin.close()
            except BrokenPipeError:
                pass
        if self._report >= 0:
            os.close(self._report)
            self._report = -1

    def _command(self, command: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{command}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # dead; a caller that waits for an answer notices

    @property
    def _title(self) -> str:
        return f"{self.name} version {self.version}"

    def _last_words(self) -> str:
        output = self._log.read_bytes()[self._log_before :].decode("utf-8", "replace")
        lines = output.splitlines()
        errors = [line for line in lines if line.startswith("error: ")]
        return errors[-1].removeprefix("error: ") if errors else f"see {self._log}"


def _variables(given: Mapping[str, str], folder: Path, host: str, grpc: int) -> dict[str, str]:
    kept = {
        name: value
        for name, value in given.items()
        if name in _PASSED_ON or name.startswith(_PASSED_PREFIXES)
    }
    kept |= _of_prediction_log(given)
    own = {
        "PYTHONPATH": str(folder),
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "MLSERVER_HOST": host,
        "MLSERVER_GRPC_PORT": str(grpc),
    }
    return {**kept, **own}


def _of_prediction_log(given: Mapping[str, str]) -> dict[str, str]:
    """The variables that it needs; none where predictions are not logged."""
    url = given.get(URL_VARIABLE, "").strip()
    if not url:
        return {}
    try:
        named = Address.parse(url, URL_VARIABLE).options
    except ValueError:
        return {URL_VARIABLE: url}  # the server reports what is wrong with it
    left_out = [names for option, names in _LEFT_OUT.items() if option not in named]
    names = (URL_VARIABLE, *chain.from_iterable(left_out), *_ENCRYPTION)
    return {name: given[name] for name in names if name in given}


def _alike(predicted: Any, expected: list[float]) -> bool:
    return len(predicted) == len(expected) and all(
        abs(one - other) <= TOLERANCE * max(1.0, abs(other))
        for one, other in zip(predicted, expected, strict=True)
    )
