"""``python -m wine_quality …`` in a process of its own that has its libraries already.

Importing Dagster, MLflow and scikit-learn takes 3 of the 6 seconds of CPU of a `make run`. One
process imports them once and forks itself for each command. Nothing of ``wine_quality`` is loaded
before the fork, and whatever a command starts is started as ever. It is for tests of what commands
do: how they start, and what a signal does to them, is tested on processes without it.
"""

from __future__ import annotations

import ast
import atexit
import contextlib
import ctypes
import faulthandler
import gc
import importlib
import json
import os
import runpy
import select
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from wine_quality_tests.support import warm_workers

PROJECT = Path(__file__).parents[2]
# In the order that a command itself takes, see wine_quality.execution.startup.
LIBRARIES = [
    *("skops.io", "dagster", "sklearn.linear_model", "sklearn.model_selection"),
    *("pandera.pandas", "matplotlib.figure", "matplotlib.backends.backend_agg"),
    *("mlflow", "mlflow.sklearn", "mlflow.store.tracking.sqlalchemy_store"),
]
# Imported by their libraries at the first use.
LAZY_MODULES = [
    *("pandera.backends.pandas.register", "pandera.backends.pandas.builtin_checks"),
    *("pandera.backends.pandas.builtin_hypotheses", "pandera.backends.register_checks"),
    *("pandera.strategies.pandas_strategies", "hypothesis.extra.pandas"),
    *("opentelemetry.sdk.metrics", "mlflow.tracing.processor.otel"),
    *("narwhals._pandas_like.namespace", "narwhals.stable.v2._namespace"),
    *("sqlalchemy.dialects.sqlite", "dagster._core.executor.in_process"),
    *("dagster._core.workspace.autodiscovery", "dagster._utils.test.definitions"),
    *("pandas.core.methods.to_dict", "pyarrow.pandas_compat", "encodings.utf_8_sig"),
    *("PIL.BmpImagePlugin", "PIL.GifImagePlugin", "PIL.JpegImagePlugin", "PIL.PpmImagePlugin"),
]
_PARENT_DEATH_SIGNAL = 1  # prctl's
_started: _Warm | None = None


def run_command(
    *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 200
) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run`` of it with captured output, in the project's folder.

    Raises:
        subprocess.TimeoutExpired: after ``timeout`` seconds; the process is ended.
    """
    global _started
    if _started is None:
        _started = _Warm()
    return _started.run(arguments, dict(os.environ if env is None else env), timeout)


class _Warm:
    """The process that has the libraries; it ends with the tests."""

    def __init__(self) -> None:
        # Here, since it loads wine_quality.
        from wine_quality_tests.support.servers import dying_with_us

        self._one_at_a_time = threading.Lock()
        self._workers = tempfile.mkdtemp(prefix="wq-warm-")
        self._process = subprocess.Popen(
            dying_with_us(sys.executable, "-m", "wine_quality_tests.support.warm_commands"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # As a command itself says before it imports MLflow.
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            cwd=PROJECT,
            # Unbuffered, so that select tells of all that is there to read.
            bufsize=0,
        )
        atexit.register(self._end)

    def run(
        self, arguments: tuple[str, ...], environment: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        assert self._process.stdin and self._process.stdout
        with self._one_at_a_time, tempfile.TemporaryDirectory() as folder:
            files = [str(Path(folder, name)) for name in ("stdout", "stderr")]
            asked = {
                "arguments": arguments,
                "environment": environment,
                "files": files,
                "workers": (self._workers, os.getpid()),
            }
            self._process.stdin.write(json.dumps(asked).encode() + b"\n")
            pid = int(self._process.stdout.readline())
            ended, _, _ = select.select([self._process.stdout], [], [], timeout)
            if not ended:
                from wine_quality_tests.support.stack_client import descendants

                # Each says on its stderr where it is, see become, and ends.
                for hanging in [*reversed(descendants(pid)), pid]:
                    os.kill(hanging, signal.SIGABRT)
                if not select.select([self._process.stdout], [], [], 10)[0]:
                    os.kill(pid, signal.SIGKILL)
            code = int(self._process.stdout.readline())
            stdout, stderr = (Path(file).read_text() for file in files)
        command = ["wine_quality", *arguments]
        if not ended:
            print(stdout, stderr, sep="\n")
            raise subprocess.TimeoutExpired(command, timeout, stdout, stderr)
        return subprocess.CompletedProcess(command, code, stdout, stderr)

    def _end(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def listed(file: str, name: str) -> list[str]:
    """The modules that a tuple of this file of the project names, read without importing it."""
    for statement in ast.parse((PROJECT / file).read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return list(ast.literal_eval(statement.value))
    raise LookupError(f"{file} has no {name}")


def modules_of_a_command() -> list[str]:
    """All that commands import, but for the project itself."""
    named = [
        *listed("wine_quality/defs/warm_up.py", "IMPORTS"),
        *listed("wine_quality/dagster_support/dagster_private.py", "RUN_MODULES"),
    ]
    # setuptools replaces distutils, and only MLflow 1.26 and 2.1.1 ask it and pip for versions.
    left_out = ("wine_quality", "setuptools", "pip")
    others = [module for module in named if module.partition(".")[0] not in left_out]
    return [*LIBRARIES, *others, *LAZY_MODULES]


def import_libraries() -> None:
    """Import them; an environment lacks some."""
    for library in modules_of_a_command():
        with contextlib.suppress(ImportError):
            importlib.import_module(library)


def serve() -> None:
    """Fork for each line of stdin; returns in the child, as the command to be."""
    import_libraries()
    # What is there already is neither walked nor copied again.
    gc.collect()
    gc.freeze()
    parent = os.getpid()
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            become(parent, **asked)
            return
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    # The tests have ended: with no second walk over all that was imported.
    os._exit(0)


def become(
    parent: int,
    arguments: list[str],
    environment: dict[str, str],
    files: list[str],
    workers: tuple[str, int],
) -> None:
    """Give this process what the command's would have been started with.

    Args:
        workers: For ``warm_workers.install``, which has runs of other versions forked, too.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    for number, file in enumerate([os.devnull, *files]):
        opened = os.open(file, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT)
        os.dup2(opened, number)
        os.close(opened)
    os.environ.clear()
    os.environ.update(environment)
    # Whoever hangs says where when it is aborted; this process, and what it starts.
    faulthandler.enable()
    os.environ["PYTHONFAULTHANDLER"] = "1"
    sys.argv = ["wine_quality", *arguments]
    warm_workers.install(Path(workers[0]), workers[1])


if __name__ == "__main__":
    serve()
    runpy.run_module("wine_quality", run_name="__main__", alter_sys=True)
