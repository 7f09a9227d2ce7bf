"""The wheel in an environment of its own, far from any checkout.

Its dependencies are linked from this checkout's environments, so that nothing is downloaded: the
wheel itself is all that is installed. The environments of the MLflow versions are links too, with
the stamp that the wheel's own builder writes.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import get_version
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.servers import await_condition, dying_with_us, free_port

pytestmark = pytest.mark.slow

VERSIONS = ("3", "2.1.1")
SOURCES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
SOURCES += ("dagster.yaml", "workspace.yaml")
STAMP = """
import sys
from wine_quality.environments.build import digest, lock_files
from wine_quality.environments.mlflow_versions import get_version
for key in sys.argv[1:]:
    version = get_version(key)
    (version.directory / "wine_quality.stamp").write_text(digest(lock_files(version, False)))
"""
WHERE = "import wine_quality, wine_quality.paths as p; print(wine_quality.__file__, p.PROJECT_ROOT)"


class Installed:
    """The wheel's commands, run by a user whose own folder is empty; where they are given lies
    another package of this name, as in a checkout.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = folder / "user" / "wine_quality"
        self.cwd = folder / "elsewhere"
        (self.cwd / "wine_quality").mkdir(parents=True)
        (self.cwd / "wine_quality" / "__init__.py").write_text("raise ImportError('not this one')")
        mine = ("WINE_QUALITY_", "DAGSTER_", "MLFLOW_", "PYTHONPATH")
        self.variables = {
            **{key: value for key, value in os.environ.items() if not key.startswith(mine)},
            "XDG_DATA_HOME": str(folder / "user"),
            "WINE_QUALITY_ENVIRONMENTS": str(folder / "environments"),
        }

    def bin(self, name: str) -> str:
        return str(self.folder / "app" / "bin" / name)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.cwd,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=250,
        )


def linked_environment(folder: Path, python: Path) -> None:
    """An environment without packages of its own, which sees those of ``python``'s."""
    asked = "import sys, sysconfig; print(sys._base_executable, sysconfig.get_path('purelib'))"
    base, packages = subprocess.check_output([python, "-c", asked], text=True).split()
    subprocess.run([base, "-m", "venv", "--without-pip", folder], check=True, timeout=100)
    [own] = (folder / "lib").glob("python*/site-packages")
    (own / "dependencies.pth").write_text(f"{packages}\n")


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installed:
    for key in VERSIONS:
        if not get_version(key).python.exists():
            pytest.skip(f"the environment of MLflow {key} is not built")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("wine_quality", "deploy/requirements"):
        shutil.copytree(
            PROJECT_ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in SOURCES:
        shutil.copy(PROJECT_ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    offline = ["--no-deps", "--no-index"]
    make = ["wheel", *offline, "--no-build-isolation", "-w", str(folder), str(source)]
    subprocess.run([*pip, *make], check=True, timeout=200)
    linked_environment(folder / "app", Path(sys.executable))
    [wheel] = folder.glob("*.whl")
    into = ["--python", str(folder / "app" / "bin" / "python")]
    subprocess.run([*pip, *into, "install", *offline, str(wheel)], check=True, timeout=200)
    shutil.rmtree(source)
    for key in VERSIONS:
        linked_environment(folder / "environments" / f"mlflow-{key}", get_version(key).python)
    found = Installed(folder)
    stamped = found.run(found.bin("python"), "-I", "-c", STAMP, *VERSIONS)
    assert stamped.returncode == 0, stamped.stderr
    return found


def test_it_is_the_wheel_that_runs(installed: Installed):
    where = installed.run(installed.bin("python"), "-I", "-c", WHERE)
    file, root = where.stdout.split()
    assert Path(file).is_relative_to(installed.folder / "app")
    # Another version's process gets this folder to import from: it has the package alone.
    assert [entry.name for entry in Path(root).iterdir()] == ["wine_quality"]
    for key in VERSIONS:
        python = installed.folder / "environments" / f"mlflow-{key}" / "bin" / "python"
        alone = installed.run(str(python), "-I", "-c", WHERE)
        assert "No module named 'wine_quality'" in alone.stderr


@pytest.mark.parametrize("key", VERSIONS)
def test_the_main_job_runs(installed: Installed, key: str):
    done = installed.run(installed.bin("wine-quality"), "run", "--mlflow", key)
    assert done.returncode == 0, done.stdout + done.stderr
    client = done.stdout.split("MLflow client")[1].split()[0]
    assert client.startswith(get_version(key).client)
    assert "first champion" in done.stdout
    assert f"wine-quality up --mlflow {key}" in done.stdout
    assert (installed.user / f"mlflow-{key}" / "mlflow.db").exists()
    assert (installed.user / "dagster" / "dagster.yaml").exists()


def test_the_ui_opens(installed: Installed):
    port = free_port()
    log = installed.folder / "up.log"
    command = [installed.bin("wine-quality"), "up", "--port", str(port)]
    process = subprocess.Popen(
        dying_with_us(*command, "--mlflow-port", str(free_port())),
        cwd=installed.cwd,
        env=installed.variables,
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
    )

    def ready() -> bool:
        assert process.poll() is None, log.read_text()
        return "Ready after" in log.read_text()

    try:
        await_condition(ready, "`wine-quality up`", 180)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=60) as page:
            assert page.status == 200 and b"Dagster" in page.read()
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


COMPONENT = "wine_quality.model_graph.TrackedModelComponent"
# As `create-dagster project my-project` of 1.13.27 writes them.
SCAFFOLDED = {
    "pyproject.toml": """
[project]
name = "my_project"
requires-python = ">=3.10,<3.15"
version = "0.1.0"

[tool.dg]
directory_type = "project"

[tool.dg.project]
root_module = "my_project"
registry_modules = [
    "my_project.components.*",
]
""",
    "src/my_project/__init__.py": "",
    "src/my_project/defs/__init__.py": "",
    "src/my_project/definitions.py": """
from pathlib import Path

from dagster import definitions, load_from_defs_folder


@definitions
def defs():
    return load_from_defs_folder(path_within_project=Path(__file__).parent)
""",
}


def test_a_scaffolded_project_gets_a_model_by_yaml(installed: Installed):
    """Dagster's own empty project: `dg` shows the component, writes its YAML, and the job runs. The
    project is on the path in place of being installed."""
    project = installed.folder / "my-project"
    for name, text in SCAFFOLDED.items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(text)
    home = installed.folder / "home"
    home.mkdir()
    variables = {
        **installed.variables,
        "PYTHONPATH": str(project / "src"),
        "DAGSTER_HOME": str(home),
        "WINE_QUALITY_HOME": str(home),
    }

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [installed.bin("python"), *arguments],
            cwd=project,
            env=variables,
            capture_output=True,
            text=True,
            timeout=250,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    dg = ("-c", "from dagster_dg_cli.cli import main; main()")
    assert COMPONENT in run(*dg, "list", "components", "--json")
    run(*dg, "scaffold", "defs", COMPONENT, "diabetes")
    assert COMPONENT in (project / "src/my_project/defs/diabetes/defs.yaml").read_text()
    key = VERSIONS[-1]
    config = json.dumps({"resources": {"mlflow": {"config": {"version": key}}}})
    (project / "run.yaml").write_text(config)
    job = ("job", "execute", "-m", "my_project.definitions", "-j", "diabetes")
    logged = run("-m", "dagster", *job, "-c", "run.yaml")
    assert "version 1 (rmse 53." in logged and "is the first champion" in logged
    assert (home / f"mlflow-{key}" / "mlflow.db").exists()


@pytest.mark.parametrize("command", [("stack", "status"), ("backup", "copy")], ids=" ".join)
def test_what_needs_a_checkout_says_so(installed: Installed, command: tuple[str, ...]):
    done = installed.run(installed.bin("wine-quality"), *command)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        f"error: `{command[0]}` needs a checkout of the project: the installed package has no "
        "deploy/."
    )
