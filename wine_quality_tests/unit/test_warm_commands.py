"""The lists of modules that the warm process of the tests takes from the project's files."""

from __future__ import annotations

import pytest

from wine_quality.dagster_support import dagster_private
from wine_quality_tests.support import warm_commands
from wine_quality_tests.support.warm_commands import listed, modules_of_a_command


def test_listed_reads_what_the_file_would_define():
    file = "wine_quality/dagster_support/dagster_private.py"
    assert listed(file, "RUN_MODULES") == list(dagster_private.RUN_MODULES)


def test_listed_does_not_run_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(warm_commands, "PROJECT", tmp_path)
    text = 'raise SystemExit\nOTHER = ("one",)\nNAMES = ("two", "three.four")\n'
    (tmp_path / "file.py").write_text(text)
    assert listed("file.py", "NAMES") == ["two", "three.four"]


def test_listed_names_the_file_that_lacks_it(tmp_path, monkeypatch):
    monkeypatch.setattr(warm_commands, "PROJECT", tmp_path)
    (tmp_path / "file.py").write_text("def function():\n    NAMES = ('inside',)\n")
    with pytest.raises(LookupError, match=r"file\.py has no NAMES"):
        listed("file.py", "NAMES")


def test_nothing_of_the_project_is_loaded_before_the_fork():
    modules = modules_of_a_command()
    assert set(warm_commands.LIBRARIES) < set(modules)
    roots = {module.partition(".")[0] for module in modules}
    assert roots.isdisjoint({"wine_quality", "setuptools", "pip"})
