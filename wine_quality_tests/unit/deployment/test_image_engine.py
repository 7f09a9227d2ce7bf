"""The command that builds a model's image, by the engine that is on PATH."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wine_quality.cli.image import _build


@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_the_health_check_is_kept(monkeypatch, tmp_path: Path, engine: str):
    """podman's own image format has no place for one: "HEALTHCHECK is not supported for OCI"."""
    program = tmp_path / engine
    program.write_text(f'#!/bin/sh\necho "$*" > {tmp_path}/called\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    monkeypatch.setattr("wine_quality.cli.image._ENGINES", (engine,))
    assert _build(tmp_path / "context", "wine:1", skip=False) == 0
    form = "--format docker " if engine == "podman" else ""
    called = (tmp_path / "called").read_text()
    assert called == f"build {form}--tag wine:1 {tmp_path}/context\n"
