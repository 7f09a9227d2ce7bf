"""``python -m wine_quality …`` in a process of its own that has its libraries already.

Importing Dagster, MLflow and scikit-learn takes 3 of the 6 seconds of CPU of a `make run`. One
process imports them once and forks itself for each command (``warm_forks``). What a command starts
of ``wine_quality`` in another version's environment is forked, too (``warm_workers``); all else is
started as ever. It is for tests of what commands do: how they start, and what a signal does to
them, is tested on processes without it.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import gc
import importlib
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wine_quality_tests.support import kept_stores, warm_workers

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
# Of Dagster's and MLflow's servers. Neither uvicorn nor gunicorn: by these MLflow sees that a
# process is a server.
OF_SERVERS = [
    *("dagster._cli", "dagster._cli.api", "dagster._grpc.server", "dagster._daemon.cli"),
    *("dagster_graphql.schema", "starlette.applications", "starlette.middleware.cors"),
    *("starlette.staticfiles", "starlette.websockets", "websockets", "httptools", "uvloop"),
    *("fastapi", "flask", "flask_cors", "huey", "mlflow.genai"),
]
OF_MODEL_SERVERS = ["mlserver.server", "mlserver.cli.main", "skops.io"]
FOLDER = "WINE_QUALITY_TESTS_WARM"


def run_command(
    *arguments: str, env: Mapping[str, str] | None = None, timeout: float = 200
) -> subprocess.CompletedProcess[str]:
    """As ``subprocess.run`` of it with captured output, in the project's folder.

    Raises:
        subprocess.TimeoutExpired: after ``timeout`` seconds; the process is ended.
    """
    return run_python(sys.executable, "-m", "wine_quality", *arguments, env=env, timeout=timeout)


def run_python(
    python: str | Path,
    *arguments: str,
    env: Mapping[str, str] | None = None,
    timeout: float = 200,
) -> subprocess.CompletedProcess[str]:
    """As ``run_command``, of ``-m MODULE …`` or ``-c CODE …``, by the Python of any version; with
    a ``-W ignore`` before it or not."""
    command = [str(python), *arguments]
    # Whoever hangs says where when it is aborted; the command, and what it starts.
    environment = {**(os.environ if env is None else env), "PYTHONFAULTHANDLER": "1"}
    connection = warm_workers.connected(sockets(), owner(), command[0], environment)
    with connection, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        with open(os.devnull, "rb") as nothing:
            files = dict(enumerate(file.fileno() for file in (nothing, out, errors)))
            warm_workers.ask(connection, arguments, environment, str(PROJECT), files)
        answers = connection.makefile("rb", buffering=0)
        pid = int(answers.readline())
        ended = _has_ended(connection, timeout)
        if not ended:
            _abort(pid, connection)
        code = int(answers.readline())
        stdout, stderr = (_text(file.fileno()) for file in (out, errors))
    if not ended:
        print(stdout, stderr, sep="\n")
        raise subprocess.TimeoutExpired(command, timeout, stdout, stderr)
    return subprocess.CompletedProcess(command, code, stdout, stderr)


def forked_command(*arguments: str, python: str | Path = sys.executable) -> list[str]:
    """The command of a small process that has ``python ARGUMENTS`` forked, and ends as it does."""
    return warm_workers.stand_in_of([str(python), *arguments], sockets(), owner())


def share_warm_processes() -> None:
    """Have xdist's workers use the warm processes of this one."""
    os.environ[FOLDER] = f"{os.getpid()}:{tempfile.mkdtemp(prefix='wq-warm-')}"


def sockets() -> Path:
    """The folder of the warm processes of these tests."""
    if FOLDER not in os.environ:
        share_warm_processes()
    return Path(os.environ[FOLDER].partition(":")[2])


def owner() -> int:
    """The process with which they end."""
    sockets()
    return int(os.environ[FOLDER].partition(":")[0])


def _has_ended(connection: socket.socket, seconds: float) -> bool:
    return bool(select.select([connection], [], [], seconds)[0])


def _abort(pid: int, connection: socket.socket) -> None:
    """End a command that hangs, and what it started: each says on its stderr where it is."""
    from wine_quality_tests.support.stack_client import descendants

    for hanging in [*reversed(descendants(pid)), pid]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(hanging, signal.SIGABRT)
    if not _has_ended(connection, 10):
        os.kill(pid, signal.SIGKILL)


def _text(number: int) -> str:
    return os.pread(number, os.fstat(number).st_size, 0).decode()


def listed(file: str, name: str) -> list[str]:
    """The modules that a tuple of this file of the project names, read without importing it."""
    for statement in ast.parse((PROJECT / file).read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == name:
            return list(ast.literal_eval(statement.value))
    raise LookupError(f"{file} has no {name}")


def modules_of_a_command() -> list[str]:
    """All that commands and servers import, but for the project itself."""
    named = [
        *listed("wine_quality/defs/warm_up.py", "IMPORTS"),
        *listed("wine_quality/dagster_support/dagster_private.py", "RUN_MODULES"),
    ]
    # setuptools replaces distutils, and only MLflow 1.26 and 2.1.1 ask it and pip for versions.
    left_out = ("wine_quality", "setuptools", "pip")
    others = [module for module in named if module.partition(".")[0] not in left_out]
    return [*LIBRARIES, *others, *LAZY_MODULES, *OF_SERVERS]


@functools.cache
def import_libraries() -> None:
    """Import them, once in a process and its forks; an environment lacks some."""
    for library in [*modules_of_a_command(), *OF_MODEL_SERVERS]:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    kept_stores.keep()


def import_project() -> dict[str, str | None]:
    """Import what the project's own warm processes do, and compute what a run does once.

    Returns:
        The project's variables that were read meanwhile, with their values.
    """
    read: dict[str, str | None] = {}
    look_up = os._Environ.__getitem__

    def note(self: Any, name: str) -> Any:
        noted = read if name.startswith("WINE_QUALITY_") else {}
        noted[name] = None
        noted[name] = look_up(self, name)
        return noted[name]

    os._Environ.__getitem__ = note  # type: ignore[method-assign]
    threshold = gc.get_threshold()
    try:
        from wine_quality.execution import warm_imports

        warm_imports.load()
    except ImportError:  # no Dagster
        pass
    finally:
        os._Environ.__getitem__ = look_up  # type: ignore[method-assign]
        gc.set_threshold(*threshold)
    return read
