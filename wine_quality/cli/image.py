"""``python -m wine_quality image``: an image that serves a version, or the context to build it."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

from wine_quality.cli.exits import BAD_USE, fail
from wine_quality.cli.model_version import in_own_environment, resolve_version
from wine_quality.cli.options import add_mlflow, add_servers
from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.paths import IS_CHECKOUT, PROJECT_ROOT

_ENGINES = ("docker", "podman")


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--version", default="champion", help="number of a version (champion)")
    command.add_argument("--model", help="registered model (ElasticnetWineModel)")
    text = "folder of the build context (build/image/MODEL-VERSION)"
    command.add_argument("--output", help=text)
    text = "name of the image (localhost/wine-quality-model:VERSION)"
    command.add_argument("--tag", help=text)
    command.add_argument("--no-build", action="store_true", help="only write the build context")
    add_servers(command)
    add_mlflow(command)


def image(options: argparse.Namespace) -> int:
    """0 when it was done, 1 when the version or its build was against it, 2 on bad use."""
    version = in_own_environment(options)
    if version is None:
        return BAD_USE
    return _image(options, version)


def _image(options: argparse.Namespace, version: MlflowVersion) -> int:
    from wine_quality.packaging.image import image_tag, write_context
    from wine_quality.packaging.served_model import UnservableModelError
    from wine_quality.serving.fetch import fetch
    from wine_quality.tracking.servers.server_check import TrackingServerError

    try:
        tracker, name, number = resolve_version(options, version)
        if number is None:
            raise UnservableModelError(f"{name} has no champion; `make run` makes one")
        beside = PROJECT_ROOT if IS_CHECKOUT else Path.cwd()
        default = beside / "build" / "image" / f"{name}-{number}"
        folder = Path(options.output).resolve() if options.output else default
        folder.parent.mkdir(parents=True, exist_ok=True)
        if options.output and folder.exists() and not (folder / "Dockerfile").exists():
            raise UnservableModelError(f"{folder} is there already and is no build context")
        with tempfile.TemporaryDirectory() as temporary:
            fetched = fetch(tracker, name, number, Path(temporary))
            write_context(fetched.model, fetched.folder, folder)
    except (UnservableModelError, TrackingServerError) as error:
        return fail(error)
    print(f"{name} version {number}: the build context is in {folder}")
    return _build(folder, options.tag or image_tag(fetched.model), options.no_build)


def _build(folder: Path, tag: str, skip: bool) -> int:
    engine = next((name for name in _ENGINES if shutil.which(name)), None)
    if skip or engine is None:
        why = "" if skip else f"Neither {' nor '.join(_ENGINES)} is on PATH. "
        print(f"{why}Build it with: docker build --tag {tag} {folder}")
        return 0
    # Else podman leaves out the health check, which its own format has no place for.
    form = ["--format", "docker"] if engine == "podman" else []
    done = subprocess.run([engine, "build", *form, "--tag", tag, str(folder)])
    if done.returncode == 0:
        ports = "-p 8080:8080 -p 8081:8081"
        print(f"run it with: {engine} run --rm {ports} --read-only --tmpfs /tmp {tag}")
    return 1 if done.returncode else 0
