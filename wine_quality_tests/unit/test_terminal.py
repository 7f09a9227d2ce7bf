"""Terminals that cannot show every character."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from wine_quality.paths import PROJECT_ROOT

_PRINTS = """
import os, subprocess, sys
from wine_quality.terminal import escape_unprintable
escape_unprintable()
print("Running … ± – Größe \U0001f377")
print("at the end …", file=sys.stderr)
sys.stdout.flush()
child = "print('a child', chr(8230), chr(252))"
sys.exit(subprocess.run([sys.executable, "-c", child]).returncode)
"""


@pytest.mark.parametrize(
    ("variables", "shown"),
    [
        ({"PYTHONIOENCODING": "ascii"}, b"Running ... +- - Gr\\xf6\\xdfe \\U0001f377"),
        ({"PYTHONIOENCODING": "latin-1"}, b"Running ... \xb1 - Gr\xf6\xdfe \\U0001f377"),
        ({"PYTHONIOENCODING": "ascii:strict"}, b"Running ... +- - Gr"),
        ({"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}, b"Running ... +- - Gr"),
        ({"LC_ALL": "POSIX"}, "Running … ± – Größe \U0001f377".encode()),
        ({"PYTHONIOENCODING": "utf-8"}, "Running … ± – Größe \U0001f377".encode()),
    ],
)
def test_every_character_is_printed_in_some_way(tmp_path, variables, shown):
    script = tmp_path / "prints.py"
    script.write_text(_PRINTS, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        cwd=PROJECT_ROOT,
        env={**_plain_environment(), "PYTHONPATH": str(PROJECT_ROOT), **variables},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(shown)
    assert b"a child " in done.stdout
    assert done.stderr.startswith(b"at the end ")


def test_a_command_says_what_is_wrong_on_any_terminal(tmp_path):
    config = tmp_path / "Größe.yaml"
    config.write_text("[1", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "wine_quality", "run", "--config", str(config)],
        capture_output=True,
        cwd=PROJECT_ROOT,
        env={
            **_plain_environment(),
            "WINE_QUALITY_HOME": str(tmp_path / "home"),
            "PYTHONIOENCODING": "ascii",
        },
    )
    assert done.returncode == 2
    assert b"Gr\\xf6\\xdfe.yaml is not YAML" in done.stderr
    assert b"Traceback" not in done.stderr


def _plain_environment() -> dict[str, str]:
    ours = ("LC_", "LANG", "PYTHON")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
