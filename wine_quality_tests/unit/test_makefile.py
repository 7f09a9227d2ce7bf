"""Variables on make's command line reach the command, or are refused."""

from __future__ import annotations

import re

import pytest

from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.makefile import dry_make

TEXT = (PROJECT_ROOT / "Makefile").read_text()
TAKEN = {
    name: set(targets.replace("\\\n", " ").split())
    for name, targets in re.findall(r"^([A-Z_]+)_FOR = ((?:.*\\\n)*.*)$", TEXT, re.MULTILINE)
}


def test_the_tables_of_variables_agree_with_the_recipes():
    used: dict[str, set[str]] = {name: set() for name in TAKEN}
    for target, recipe in re.findall(r"^([a-z-]+):(?!=).*\n((?:\t.*\n)+)", TEXT, re.MULTILINE):
        recipe = recipe.replace("$(PICKED)", "$(MLFLOW)").replace("$(BUILT)", "$(MLFLOW)")
        recipe = recipe.replace("$(SIDE_BY_SIDE)", "$(JOBS)").replace("$(WHERE)", "$(ON)")
        for name in re.findall(r"\$\((?:if \$\(|or \$\()?([A-Z_]+)\)", recipe):
            if name in used:
                used[name].add(target)
    assert used == TAKEN


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (("run", "PORT=5005"), "`make run` takes no PORT."),
        (("run", "ALPHA=0.1"), "`make run` takes no ALPHA. Options of its command go into ARGS="),
        (("docs", "ARGS=--port 9"), "`make docs` takes no ARGS. `make` lists the targets"),
        (("run", "test", "MLFLOW=3"), "`make test` takes no MLFLOW."),
        (("VERSION=2.1.1",), "`make help` takes no VERSION."),
    ],
)
def test_a_variable_that_a_target_does_not_take_is_refused(arguments, refusal):
    done = dry_make(*arguments)
    assert done.returncode == 2
    assert refusal in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "command"),
    [
        (("up", "ARGS=--port 5005"), "wine_quality up --port 5005"),
        (("up", "PORT=5005", "MLFLOW_PORT=5105"), "up --port 5005 --mlflow-port 5105"),
        (("serve", "PORT=9090"), "wine_quality serve --port 9090"),
        (("run", "MLFLOW=2.1.1", "ARGS=--csv-url 'a b'"), "--mlflow 2.1.1 --csv-url 'a b'"),
        (("run", "PYTHON=python3", "WINE_QUALITY_HOME=/tmp/x"), "wine_quality run"),
    ],
)
def test_what_a_target_takes_reaches_its_command(arguments, command):
    done = dry_make(*arguments)
    assert done.returncode == 0, done.stderr
    assert command in re.sub(" +", " ", done.stdout)


def test_variables_of_the_environment_stay_what_they_are(monkeypatch):
    """Other programs have a PORT or FILE of their own."""
    monkeypatch.setenv("PORT", "80")
    monkeypatch.setenv("FILE", "x")
    assert dry_make("run").returncode == 0
