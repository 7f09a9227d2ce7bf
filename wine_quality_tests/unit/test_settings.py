"""Each ``WINE_QUALITY_…`` variable is declared once, in ``wine_quality/settings``."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from wine_quality.paths import PROJECT_ROOT
from wine_quality.settings import serving
from wine_quality.settings.setting import Setting

PACKAGE = PROJECT_ROOT / "wine_quality"
NAME = re.compile(r"WINE_QUALITY_\w+")
# Copied beside a model, without the rest of the project; a test below compares their names.
# The others only set variables of processes that they start, by the names of deploy/.env.
ELSEWHERE = ("settings/", "serving/", "stack/", "deployment/targets/", "environments/deploy_files")


def names(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Constant) and NAME.fullmatch(str(node.value)):
            yield f"{file.relative_to(PACKAGE)}:{node.lineno}: {node.value}"


def test_no_other_module_reads_a_variable_by_its_name():
    files = [
        file
        for file in PACKAGE.rglob("*.py")
        if not str(file.relative_to(PACKAGE)).startswith(ELSEWHERE)
    ]
    assert len(files) > 300
    assert [name for file in files for name in names(file)] == []


def test_the_platform_reads_none_by_its_name():
    """It may set them for its processes."""
    read = re.compile(r'environ(\.get\(|\[)f?"WINE_QUALITY')
    assert [
        file.name for file in (PACKAGE / "stack").rglob("*.py") if read.search(file.read_text())
    ] == []


@pytest.mark.parametrize(
    ("module", "variable", "setting"),
    [
        ("limits", "ROWS", serving.SERVE_MAX_ROWS),
        ("limits", "BYTES", serving.SERVE_MAX_BYTES),
        ("limits", "SECONDS", serving.SERVE_MAX_SECONDS),
        ("prediction_log", "INPUTS_VARIABLE", serving.SERVE_LOG_INPUTS),
    ],
)
def test_the_model_servers_names_are_the_same(module, variable, setting):
    found = import_module(f"wine_quality.serving.runtime.{module}")
    assert getattr(found, variable) == setting


def test_a_setting_is_its_name(monkeypatch):
    setting = Setting("WINE_QUALITY_TRIAL", "1", "a trial")
    assert setting.read() == ""
    monkeypatch.setenv(setting, "2")
    assert setting.read() == "2" and f"${setting}" == "$WINE_QUALITY_TRIAL"
    assert setting.of_version("2.1.1") == "WINE_QUALITY_TRIAL_2_1_1"
    again = pickle.loads(pickle.dumps(setting))
    assert (again, again.default, again.meaning) == (setting, "1", "a trial")
