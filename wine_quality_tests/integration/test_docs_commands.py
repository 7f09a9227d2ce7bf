"""The documentation's commands, run as they stand there, in one home after the other.

A command is pasted into a shell whose folder is a checkout. Only ports are changed, since those in
the pages may be taken here. What is not run is listed with the reason.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.docs_commands import commands_of_blocks
from wine_quality_tests.support.makefile import outside_make
from wine_quality_tests.support.servers import await_condition, free_port

pytestmark = pytest.mark.slow

BY_OTHERS = {
    r"make (test|quick|devenvs|lint)\b.*|(uv tool run )?pre-commit .*": "it is what runs this",
    r"(?s:curl -s http://localhost:5000/graphql .*)": "integration/test_launched_runs.py asks so",
    r"make up|make stack(-down)?\b.*": "ui/ and integration/test_stack.py start them",
    r"make (backup|restore) .*": "integration/test_backup.py, on a stack",
    r"make renew .*": "integration/test_renew.py, on data of the version before",
    r"make (deploy|trust) .*--model .*": "integration/test_family_models.py",
    r"export WINE_QUALITY_TABLE_DATABASES=.*": "integration/test_table_scoring.py, on a database",
    r"make upgrade .*": "integration/test_upgrade.py, between stores that it makes",
    r"make move .*": "integration/test_move.py, between servers that it starts",
    r"make (stack-env|image)|(docker|podman).*|cd deploy/docker-compose": "it needs an engine",
    r"make add-mlflow .*|make run MLFLOW=2\.22\.5|cd deploy/requirements|uv pip .*|git pull": (
        "it needs a network"
    ),
    r"make spark|make run .*s3://wines/2026/.*|WINE_QUALITY_ALLOWED_SPARK_.*": (
        "integration/test_spark_pass.py and test_streamed_runs.py, with a bucket of their own"
    ),
    r"make serve .*": "integration/test_serving.py",
    r"make compare.*": "integration/test_compare.py",
    r"make predict .*": "integration/test_batch_scoring.py, with files that it makes",
    r"cp -r deploy/kubernetes-example .*|deploy/kubernetes/install\.sh .*": (
        "it needs a cluster; unit/deploy_files/ renders what is installed"
    ),
    r"WINE_QUALITY_STORE=seaweedfs make .*|mv \S+/stack/s3/data .*": (
        "integration/test_seaweedfs.py, on a stack of its own"
    ),
    r"make metrics DO=policies|export WINE_QUALITY_KEEP_PREDICTIONS_DAYS=.*": (
        "integration/test_metrics_policies.py, on a database of its own"
    ),
    r"\.venvs/\S+/dagster instance migrate|mv \S+/stack/postgres .*": (
        "they upgrade a platform, which needs one of the older version"
    ),
    r"\.venvs/\S+/python -m pytest \S+ --snapshot-update|make reference": (
        "they write files of the checkout, which unit/defs and unit/docs compare"
    ),
    r"mkdir arriving|.*PLACE=\$PWD/arriving.* make up": (
        "the tutorial's, which is run here, is the same"
    ),
}

GUIDES = ("champion", "deploying", "upkeep")


class Checkout:
    """A folder with all that a checkout has, and a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "checkout"
        self.folder.mkdir()
        for entry in PROJECT_ROOT.iterdir():
            if entry.name not in (".git", ".wine_quality", "arriving", "build"):
                (self.folder / entry.name).symlink_to(entry)
        self.variables = {
            **outside_make(),
            "WINE_QUALITY_HOME": str(folder / "home"),
            "PORT": str(free_port()),
            "MLFLOW_PORT": str(free_port()),
        }

    def paste(self, command: str) -> str:
        """Its output; it must succeed."""
        command = command.replace("localhost:8080", f"localhost:{self.variables['PORT']}")
        done = subprocess.run(
            ["bash", "-ec", command],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    @contextmanager
    def running(self, command: str, ready: str) -> Iterator[None]:
        """It goes on in the background from when it has printed ``ready``; Ctrl-C ends it."""
        log = self.folder.parent / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", command],
                cwd=self.folder,
                env=self.variables,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            await_condition(lambda: ready in log.read_text(), f"{command} to be ready", 120)
            yield
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(60)
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("docs"))


def commands(page: str) -> list[str]:
    """Of a page's blocks, without the comment behind each."""
    found = [re.sub(r"\s+# .*$", "", one.text) for one in commands_of_blocks() if one.page == page]
    assert found, page
    return found


def figures(text: str) -> dict[str, str]:
    """Name and value of the lines that `make run` prints in the end."""
    return dict(re.findall(r"^(\w+(?: \w+)?) {2,}(.+)$", text, re.MULTILINE))


def test_the_readmes_run_prints_what_the_readme_shows(checkout):
    printed = figures(checkout.paste(commands("README.md")[0]))
    shown = figures((PROJECT_ROOT / "README.md").read_text().split("```")[3])
    assert list(printed) == list(shown)
    for name in ("experiment", "MLflow client", "rmse", "mae", "r2", "model", "champion"):
        assert printed[name] == shown[name]


def test_the_tutorial(checkout):
    [_, _, folder, watching, deliver, back] = commands("docs/tutorial.md")
    checkout.paste(folder)
    assert watching.endswith("make up")
    with checkout.running(watching, "Dagster UI:"):
        checkout.paste(deliver)
        history = checkout.folder.parent / "home" / "dagster"
        await_condition(lambda: successes(history) == 2, "the sensor's run to succeed", 200)
    assert "version 1" in checkout.paste(back)


def successes(dagster_home: Path) -> int:
    from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

    with DagsterInstance.from_config(str(dagster_home)) as instance:
        return instance.get_runs_count(RunsFilter(statuses=[DagsterRunStatus.SUCCESS]))


@pytest.mark.parametrize("page", GUIDES)
def test_a_guide(checkout, page):
    if page == "champion":
        challenger(checkout)
    for command in commands(f"docs/how-to/{page}.md"):
        if not by_others(command):
            checkout.paste(command)


def challenger(checkout: Checkout) -> None:
    """A version that is better, in wait for somebody to promote it."""
    (checkout.folder / "manual.yaml").write_text(
        "ops: {champion_model: {config: {policy: manual}}}\n"
        "resources: {hyperparameters: {config: {alpha: 0.01}}}\n"
    )
    checkout.paste('make run ARGS="--config manual.yaml"')


def test_the_guide_to_serving(checkout):
    start, *others = commands("docs/how-to/serving.md")
    with checkout.running(start, checkout.variables["PORT"]):
        answers = [checkout.paste(command) for command in others if not by_others(command)]
    assert len(answers) == 6
    # Both protocols give the same wine the same quality.
    [first, second] = [re.search(r"\d+\.\d{6,}", answer) for answer in answers[:2]]
    assert first and second and first[0] == second[0]


def by_others(command: str) -> bool:
    return any(re.fullmatch(pattern, command) for pattern in BY_OTHERS)


def test_each_command_is_run_here_or_says_why_not():
    run_here = {
        "docs/tutorial.md",
        "docs/how-to/serving.md",
        *map("docs/how-to/{}.md".format, GUIDES),
    }
    ran = {command for page in run_here for command in commands(page)}
    pages = {one.page for one in commands_of_blocks()}
    others = {command for page in pages for command in commands(page)} - ran
    assert {command for command in others if not by_others(command)} == set()
