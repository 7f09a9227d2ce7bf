"""The table of MLflow versions. Adding one takes a lock file and an entry here.

Standard library only: the table is read before any environment exists.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wine_quality.escaping import ProjectError
from wine_quality.paths import IS_CHECKOUT, LOCK_FILES, PROJECT_ROOT, user_folder
from wine_quality.settings.places import ENVIRONMENTS
from wine_quality.settings.runs import MLFLOW
from wine_quality.usable_paths import is_unusable, usable_folder

DEFAULT_VERSION = "3"
MODEL_PACKAGES = ("scikit-learn", "numpy", "scipy", "pandas", "cloudpickle", "skops")
"""Packages that a logged model is pinned to, besides MLflow: it is loaded with the versions of the
environment that trained it."""


class EnvironmentMissingError(ProjectError, RuntimeError):
    """The environment of a known MLflow version has not been built."""


@dataclass(frozen=True)
class MlflowVersion:
    """One selectable MLflow version.

    Attributes:
        key: The value of ``resources.mlflow.config.version`` in run config.
        client: Prefix that the ``mlflow.__version__`` of its environment must have.
        servers: Major versions of the tracking servers this client was run against
            with success, registration and model loading included.
        backend: ``module:Class`` of the tracker that speaks this version's API.
        pythons: Interpreters (``major.minor``) its lock file resolves for, best first.
        port: Of its server under `make stack`, in Compose and on Kubernetes, unless set otherwise.
        variables: Environment variables that its processes need.
        server_mib: Memory that its server may use in a container, in MiB.
    """

    key: str
    client: str
    servers: tuple[int, ...]
    backend: str
    pythons: tuple[str, ...]
    port: int
    variables: Mapping[str, str] = field(default_factory=dict)
    server_mib: int = 1024

    @property
    def underscored(self) -> str:
        """``2_1_1``: in names of variables and databases."""
        return self.key.replace(".", "_")

    @property
    def lock_file(self) -> Path:
        return LOCK_FILES / f"mlflow-{self.key}.txt"

    @property
    def directory(self) -> Path:
        return environments_root() / f"mlflow-{self.key}"

    @property
    def python(self) -> Path:
        """The interpreter of this version's environment, whether or not it exists yet."""
        return self.directory / "bin" / "python"

    @property
    def is_resident(self) -> bool:
        """Whether the running interpreter belongs to this version's environment."""
        return Path(sys.prefix).resolve() == self.directory.resolve()

    @property
    def is_guarded(self) -> bool:
        """Whether its server looks at Host and Origin, and runs in uvicorn; else in gunicorn."""
        return self.major >= 3

    @property
    def major(self) -> int:
        """Major version of its client."""
        return int(self.client.partition(".")[0])

    @property
    def build_command(self) -> str:
        if IS_CHECKOUT:
            return f"make env MLFLOW={self.key}"
        return f"python -m wine_quality.environments build {self.key}"

    def require_python(self) -> Path:
        """The interpreter, or an error that names the command that builds it."""
        if not self.python.exists():
            raise EnvironmentMissingError(
                f"MLflow {self.key} was picked, but its environment {self.directory} does not "
                f"exist. Build it with: {self.build_command}"
            )
        return self.python

    def process_variables(self, variables: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment of a process of this version, on top of ``variables`` (None: of this
        process's own)."""
        below = os.environ if variables is None else variables
        # mlflow server looks gunicorn up on PATH.
        path = os.pathsep.join([str(self.directory / "bin"), below.get("PATH", os.defpath)])
        # Else `-m` would import a checkout that lies where the command was given.
        safe = {} if IS_CHECKOUT else {"PYTHONSAFEPATH": "1"}
        return {**below, **self.variables, **safe, "PATH": path}


# These MLflow import distutils.dir_util; setuptools' replacement of it is half-importable
# when the standard library's was loaded first.
_DISTUTILS = {"SETUPTOOLS_USE_DISTUTILS": "stdlib"}
_EXPLICIT = "wine_quality.tracking.backends.explicit_run_tracker:ExplicitRunTracker"

MLFLOW_VERSIONS: Mapping[str, MlflowVersion] = {
    version.key: version
    for version in (
        MlflowVersion(
            key="1.26",
            client="1.26.",
            servers=(1,),
            backend="wine_quality.tracking.backends.dagster_mlflow_tracker:DagsterMlflowTracker",
            pythons=("3.11",),
            port=5102,
            # mlflow 1.26's generated protobuf code is refused by the C++ and upb
            # implementations of protobuf >= 4, which Dagster needs on Python 3.11.
            variables={"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python", **_DISTUTILS},
        ),
        MlflowVersion(
            key="2.1.1",
            client="2.1.1",
            servers=(2, 3),
            backend=_EXPLICIT,
            pythons=("3.11",),
            port=5101,
            variables=_DISTUTILS,
        ),
        MlflowVersion(
            key="3",
            client="3.",
            servers=(3,),
            backend=_EXPLICIT,
            pythons=("3.11", "3.12", "3.13", "3.14"),
            port=5100,
            # A server's workers for generative AI's scorers: ten processes that nothing here uses.
            variables={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            server_mib=2048,
        ),
    )
}


def environments_root() -> Path:
    """``$WINE_QUALITY_ENVIRONMENTS``, else ``.venvs`` in the checkout, else ``environments`` in the
    user's folder; where that has a ``%`` or a ``?``, the folder that it is a link to."""
    return usable_folder(environments_link())


def environments_link() -> Path:
    """``environments_root`` before a path with ``%`` or ``?`` is replaced."""
    configured = ENVIRONMENTS.read()
    default = PROJECT_ROOT / ".venvs" if IS_CHECKOUT else user_folder() / "environments"
    return Path(configured) if configured else default


def reexec_by_usable_path() -> None:
    """Begin this process again by its environment's real path, where that is usable and its own is
    not: MLflow looks itself up by the one that Python was started by."""
    prefix, real = Path(sys.prefix), Path(sys.prefix).resolve()
    if is_unusable(prefix) and not is_unusable(real):
        python = str(real / "bin" / "python")
        os.execv(python, [python, *sys.orig_argv[1:]])


def get_version(key: str) -> MlflowVersion:
    """Look a version up by its key.

    Raises:
        ValueError: when the key is not in the table; the message lists the keys that are.
    """
    try:
        return MLFLOW_VERSIONS[key]
    except KeyError:
        known = ", ".join(f'"{known_key}"' for known_key in MLFLOW_VERSIONS)
        raise ValueError(f'unknown MLflow version "{key}"; there are {known}') from None


def default_version() -> str:
    """``$WINE_QUALITY_MLFLOW``, else the current one."""
    key = MLFLOW.read() or DEFAULT_VERSION
    if key not in MLFLOW_VERSIONS:
        raise ValueError(f"$WINE_QUALITY_MLFLOW is {key!r}; known: {', '.join(MLFLOW_VERSIONS)}")
    return key
