"""A command is one module, which is imported only when it is used."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from importlib import import_module

import pytest

from wine_quality import cli
from wine_quality.__main__ import COMMANDS, main, parser
from wine_quality.cli.run_config import run_config


def test_each_module_with_options_is_a_command():
    modules = [
        import_module(f"wine_quality.cli.{one.name}") for one in pkgutil.iter_modules(cli.__path__)
    ]
    with_options = {
        module.__name__.rpartition(".")[2] for module in modules if hasattr(module, "add_options")
    }
    assert with_options == set(COMMANDS)
    assert all(callable(getattr(import_module(f"wine_quality.cli.{one}"), one)) for one in COMMANDS)


def imported(*arguments: str) -> set[str]:
    """The commands whose modules a command line imports."""
    program = (
        "import sys; from wine_quality.__main__ import main\n"
        "try: main(sys.argv[1:])\n"
        "except SystemExit: pass\n"
        "print(*(name for name in sys.modules if name.startswith('wine_quality.cli.')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True
    )
    found = {name.rpartition(".")[2] for name in done.stdout.splitlines()[-1].split()}
    return found & set(COMMANDS)


def test_only_the_command_that_is_used_is_imported():
    assert imported("--help") == set()
    assert imported("forgot") == set()
    assert imported("gc", "--help") == {"gc"}
    assert imported("restore", "--help") == {"restore", "backup"}


def test_options_become_fields_of_run_config_where_the_job_has_them():
    given = ["sweep", "--folds", "3", "--training-engine", "duckdb", "--mlflow", "2.1.1"]
    assert run_config(parser("sweep").parse_args(given)) == {
        "ops": {"sweep_points": {"config": {"folds": 3}}},
        "resources": {
            "training_engine": {"config": {"engine": "duckdb"}},
            "mlflow": {"config": {"version": "2.1.1"}},
        },
        "loggers": {"progress": {}},
    }
    delete = parser("retention").parse_args(["retention", "--delete", "--verbose"])
    assert run_config(delete) == {"ops": {"remove_old": {"config": {"dry_run": False}}}}


def test_without_dagster_a_command_names_the_make_target(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert main(["serve"]) == 2
    assert "has no dagster. `make serve` builds" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"wine_quality {command}" in capsys.readouterr().out
