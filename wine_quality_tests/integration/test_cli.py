"""The command line: what it says, how it exits, and what Ctrl-C leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.support.makefile import outside_make
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.support.warm_commands import run_command

pytestmark = pytest.mark.slow

AT_LOGGING = r"/runs/log-(metric|batch)"


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "wine_quality", "run", *arguments]


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command("run", *arguments)


def children_of(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def proxy(mlflow_version, mlflow_server) -> Iterator[FaultProxy]:
    proxy = FaultProxy(mlflow_server(mlflow_version).uri)
    yield proxy
    proxy.stop()


def test_ctrl_c_cancels(home, mlflow_version, mlflow_server, proxy, tmp_path, monkeypatch):
    from dagster import DagsterInstance, DagsterRunStatus

    proxy.hold(AT_LOGGING)
    name = f"interrupted-{mlflow_version.key}"
    arguments = ["--mlflow", mlflow_version.key, "--tracking-uri", proxy.uri, "--experiment", name]
    log = tmp_path / "log"
    process = subprocess.Popen(
        command(*arguments), stdout=log.open("wb"), stderr=subprocess.STDOUT, cwd=PROJECT_ROOT
    )
    try:
        assert proxy.held.wait(60), log.read_text()
        children = children_of(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, log.read_text()
    finally:
        process.kill()
    output = log.read_text()
    assert "is CANCELED, MLflow run" in output
    assert "is KILLED" in output
    assert "Traceback" not in output
    server = mlflow_server(mlflow_version)
    assert server.statuses(name) == ["KILLED"]
    gone = [Path(f"/proc/{child}") for child in children]
    await_condition(lambda: not any(map(Path.exists, gone)), "its children to be gone", 10)
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    with DagsterInstance.get() as instance:
        [run] = instance.get_runs()
        assert run.status == DagsterRunStatus.CANCELED


def test_ctrl_c_before_the_run_leaves_nothing(home, tmp_path):
    log = tmp_path / "log"
    process = subprocess.Popen(
        command("--mlflow", "3"), stdout=log.open("wb"), stderr=subprocess.STDOUT, cwd=PROJECT_ROOT
    )
    await_condition(lambda: "Running" in log.read_text(), "the first line")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130, log.read_text()
    first, *_, last = log.read_text().split("\n\n")
    assert first.startswith("Running wine_quality_model")
    assert last == "Interrupted before the run began.\n"
    assert "Traceback" not in log.read_text()
    assert not (home / "mlflow-3").exists()


def test_the_config_file_picks_the_version(home, tmp_path):
    version = MLFLOW_VERSIONS["2.1.1"]
    if not version.python.exists():
        pytest.skip("no environment of MLflow 2.1.1")
    config = tmp_path / "run.yaml"
    config.write_text('resources: {mlflow: {config: {version: "2.1.1"}}}')
    done = run_cli("--config", str(config))
    assert done.returncode == 0, done.stderr
    assert "MLflow client  2.1.1" in done.stdout
    assert "elasticnet_model done in" in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            'resources: {mlflow: {config: {version: "2.5"}}}',
            'is "2.5"; it must be one of "1.26", "2.1.1" or "3", in quotes.',
        ),
        (
            "resources: {mlflow: {config: {version: 1.26}}}",
            'is 1.26, which YAML takes for no text: quote it. It is one of "1.26", "2.1.1" or "3".',
        ),
        ("resources: {mlflow: {config: {version: 3}}}", "quote it"),
        (
            "ops: {champion_model: {config: {policy: never}}}",
            '(one of "automatic", "manual") got never',
        ),
        (
            "ops: {train_test_split: {config: {test_fraction: 1}}}",
            "error: ops.train_test_split.config.test_fraction is 1.0; it must be less than 1",
        ),
        ("resources: {mlflow: {config: {colour: red}}}", "colour is unknown; There are "),
        (
            "resources: {hyperparameters: {config: {alpha: 0,5}}}",
            'has the key 5: YAML reads "alpha: 0,5" as two entries; write 0.5.',
        ),
        ("ops: {raw_wine_csv: {3: x}}", "ops.raw_wine_csv has the key 3, which YAML does not"),
        (
            "resources:\n  hyperparameters:\n    config:\n      alpha: 1e-3",
            'config.alpha is "1e-3", which YAML reads as text; write 0.001 or 1.0e-3.',
        ),
        ("ops: {raw_wine_cvs: {}}", "ops.raw_wine_cvs is unknown; did you mean raw_wine_csv?"),
        ("ops: {read_wine_quality_csv: {}}", "it is called raw_wine_csv here"),
        ("resources: {mlflow: {config: {model_format: onnx}}}", "onnx"),
        ("ops: [1", "is not YAML"),
        ("just words", "must hold a mapping"),
        (None, "No such file"),
    ],
)
def test_bad_config_is_named_in_one_line(home, tmp_path, content, words):
    config = tmp_path / "run.yaml"
    if content is not None:
        config.write_text(content)
    done = run_command("run", "--config", str(config))
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not (home / "mlflow-3").exists()


TAKE_A_VERSION = (
    *("run", "sweep", "promote", "rollback", "serve", "deploy", "image", "trust"),
    *("metrics", "retention", "up"),
)


@pytest.mark.parametrize("target", TAKE_A_VERSION)
def test_make_names_a_version_only_where_somebody_did(target, monkeypatch):
    """Else the --config file, or $WINE_QUALITY_MLFLOW, would never be asked."""
    for name in ("MLFLOW", "MAKEFLAGS", "MAKELEVEL", "WINE_QUALITY_MLFLOW"):
        monkeypatch.delenv(name, raising=False)

    def commands(*arguments: str, **environment: str) -> list[str]:
        done = subprocess.run(
            ["make", "-n", target, *arguments],
            capture_output=True,
            text=True,
            cwd=PROJECT_ROOT,
            env={**os.environ, **environment},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    assert not any("--mlflow " in line for line in commands())
    for given in (commands("MLFLOW=2.1.1"), commands(MLFLOW="2.1.1")):
        build, command = given
        assert "--mlflow 2.1.1" in command
        assert build.split()[-2:] == ["2.1.1", "3"]
    build, command = commands(WINE_QUALITY_MLFLOW="1.26")
    assert "--mlflow" not in command.replace("--mlflow-port", "")
    assert build.split()[-2:] == ["1.26", "3"]


def test_two_versions_are_one_too_many(home, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text('resources: {mlflow: {config: {version: "2.1.1"}}}')
    for name in ("run", "sweep", "promote", "rollback", "deploy", "retention"):
        done = run_command(name, "--mlflow", "3", "--config", str(config))
        assert done.returncode == 2, done.stderr
        assert done.stderr == (
            f"error: MLFLOW=3 (--mlflow) and {config} (resources.mlflow.config.version: "
            '"2.1.1") name two MLflow versions. Give one.\n'
        )
    done = run_command("serve", "--mlflow", "3", "--mlflow", "2.1.1")
    assert done.returncode == 2
    assert "3 and 2.1.1 are two. Give one." in done.stderr


@pytest.mark.slow
def test_the_config_file_decides(home, mlflow_version, tmp_path):
    """By `make run`, where the version's own client answers; other fields stay the defaults."""
    config = tmp_path / "run.yaml"
    config.write_text(f'resources: {{mlflow: {{config: {{version: "{mlflow_version.key}"}}}}}}')
    environment = outside_make()
    environment.update(WINE_QUALITY_MLFLOW="3" if mlflow_version.key != "3" else "1.26")
    done = subprocess.run(
        ["make", "run", f"ARGS=--config {config}", f"PYTHON={sys.executable}"],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        env=environment,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(rf"^MLflow client  {re.escape(mlflow_version.client)}", done.stdout, re.M)
    assert (home / f"mlflow-{mlflow_version.key}" / "mlflow.db").exists()


def test_a_missing_environment_names_the_command_that_builds_it(home, tmp_path, monkeypatch):
    """The environments' root holds MLflow 3 alone."""
    root = tmp_path / "environments"
    root.mkdir()
    (root / "mlflow-3").symlink_to(Path(sys.prefix))
    monkeypatch.setenv("WINE_QUALITY_ENVIRONMENTS", str(root))
    monkeypatch.setenv("WINE_QUALITY_BUILD_ENVIRONMENTS", "0")
    done = subprocess.run(
        [str(root / "mlflow-3/bin/python"), *command("--mlflow", "2.1.1")[1:]],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        env={**os.environ},
        timeout=100,
    )
    assert done.returncode == 2
    assert "Build it with: make env MLFLOW=2.1.1" in done.stderr


@pytest.mark.parametrize("name", ["run", "image"])
def test_ctrl_c_in_a_build_is_a_sentence(home, tmp_path, name):
    root = tmp_path / "environments"
    root.mkdir()
    (root / "mlflow-3").symlink_to(Path(sys.prefix))
    log = tmp_path / "log"
    # SIGINT is ignored, as in a process that a shell has started in the background.
    process = subprocess.Popen(
        ["sh", "-c", 'trap "" INT; exec "$@"', "sh", str(root / "mlflow-3/bin/python")]
        + ["-m", "wine_quality", name, "--mlflow", "2.1.1"],
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        cwd=PROJECT_ROOT,
        env={**os.environ, "WINE_QUALITY_ENVIRONMENTS": str(root)},
    )
    await_condition(lambda: "Building" in log.read_text(), "the build")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130, log.read_text()
    output = [line for line in log.read_text().splitlines() if line]
    assert output[-1].startswith("Interrupted")
    assert len(output) <= 3, output


def test_a_broken_environment_is_named(home, tmp_path, monkeypatch):
    """Its process dies before it takes the plan."""
    root = tmp_path / "environments"
    broken = root / "mlflow-2.1.1" / "bin" / "python"
    broken.parent.mkdir(parents=True)
    broken.write_text("#!/bin/sh\nexit 7\n")
    broken.chmod(0o755)
    (root / "mlflow-3").symlink_to(Path(sys.prefix))
    monkeypatch.setenv("WINE_QUALITY_ENVIRONMENTS", str(root))
    monkeypatch.setenv("WINE_QUALITY_BUILD_ENVIRONMENTS", "0")
    done = run_cli("--mlflow", "2.1.1")
    assert done.returncode == 1
    assert "ran this plan with MLflow 2.1.1 (pid" in done.stderr
    assert "exited with code 7 before its steps were finished" in done.stderr
    assert "Traceback" not in done.stderr


def test_processes_that_begin_on_an_empty_home_make_its_stores_once(home):
    """Side by side, Dagster's sqlite stores were spoilt: more than one of them migrated."""
    code = (
        "from wine_quality.dagster_support.instance import open_dagster\n"
        "from wine_quality.paths import dagster_home\n"
        "with open_dagster(dagster_home()) as instance:\n"
        "    print(len(instance.get_runs()))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(4)
    ]
    assert [process.communicate(timeout=120)[0] for process in processes] == ["0\n"] * 4
