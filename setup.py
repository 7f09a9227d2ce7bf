"""Puts the project's files into the wheel; all else about the package is in pyproject.toml.

The lock files, ``dagster.yaml`` and ``workspace.yaml`` lie beside the package in a checkout. A
wheel has them in ``wine_quality/project_files``, where ``wine_quality.paths`` finds them.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithProjectFiles(build_py):
    """``build_py``, and the project's files as package data."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return  # an editable install uses those of the checkout
        folder = Path(self.build_lib) / "wine_quality" / "project_files"
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "requirements").mkdir(parents=True)
        for lock in (ROOT / "deploy" / "requirements").iterdir():
            if lock.suffix in (".txt", ".in"):
                shutil.copy(lock, folder / "requirements")
        for name in ("dagster.yaml", "workspace.yaml"):
            shutil.copy(ROOT / name, folder)


setup(cmdclass={"build_py": BuildWithProjectFiles})
