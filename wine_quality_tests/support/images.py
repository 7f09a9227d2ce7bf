"""The platform's images: built by the engine that is here, measured, and searched layer by layer.

Base images are replaced by variables (WINE_QUALITY_BASE_PYTHON, WINE_QUALITY_BASE_CADDY). What a
build needs on one machine only is in WINE_QUALITY_BUILD_OPTIONS, such as ``--network=host``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT

FOLDER = Path("deploy") / "images"
BUILD_SECONDS = 2400
_CHUNK = 1 << 20
_BASE = re.compile(r"^(?:ARG (?P<name>[A-Z]+)=|FROM )(?P<image>[^$\s]+)$", re.MULTILINE)


@dataclass(frozen=True)
class Image:
    """One of the platform's.

    Attributes:
        tag: As MLOps.yml names it.
        dockerfile: From the project's root.
        context: The same.
    """

    tag: str
    dockerfile: Path
    context: Path = Path(".")
    arguments: tuple[str, ...] = ()

    def base(self) -> tuple[str, str]:
        """The build argument that names its base image (empty: none does), and the image."""
        found = _BASE.search((PROJECT_ROOT / self.dockerfile).read_text())
        assert found is not None
        name = found["name"] or ""
        return name, os.environ.get(f"WINE_QUALITY_BASE_{name}") or found["image"]


DAGSTER = Image("localhost/wine-quality-dagster:1.0.0", FOLDER / "dagster.Dockerfile")
PROXY = Image("localhost/wine-quality-proxy:1.0.0", FOLDER / "proxy.Dockerfile")
MINIO = Image("localhost/wine-quality-minio:1.0.0", FOLDER / "minio.Dockerfile")
SEAWEEDFS = Image("localhost/wine-quality-seaweedfs:1.0.0", FOLDER / "seaweedfs.Dockerfile")
MLFLOW = {
    key: Image(
        f"localhost/wine-quality-mlflow:{key}",
        FOLDER / "mlflow.Dockerfile",
        arguments=(f"MLFLOW_VERSION={key}",),
    )
    for key in MLFLOW_VERSIONS
}


def is_here(engine: str, image: str) -> bool:
    """Whether the engine has an image; nothing is pulled."""
    command = [engine, "image", "inspect", image]
    return subprocess.run(command, capture_output=True, timeout=60).returncode == 0


def can_have(engine: str, image: str) -> bool:
    """Whether the engine has an image or can pull it."""
    if is_here(engine, image):
        return True
    try:
        done = subprocess.run([engine, "pull", image], capture_output=True, timeout=120)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def context_with_secrets(folder: Path, secret: str) -> Path:
    """A copy of this checkout as a person has it: with ``.env`` and the secrets' files in it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source, target = PROJECT_ROOT / name, folder / name
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
            # What a build compares, whatever the umask of who made the checkout.
            target.chmod(0o755 if os.access(source, os.X_OK) else 0o644)
    compose = folder / "deploy" / "docker-compose"
    (compose / "secrets").mkdir()
    for file in (folder / ".env", compose / ".env", compose / "secrets" / "POSTGRES_PASSWORD"):
        file.write_text(f"POSTGRES_PASSWORD={secret}\n")
    return folder


def build(engine: str, image: Image, folder: Path, tag: str = "") -> float:
    """Build one from a checkout; the seconds that it took.

    Raises:
        AssertionError: it could not be built; with the end of what the engine said.
    """
    command = [engine, "build", "-f", str(folder / image.dockerfile), "-t", tag or image.tag]
    command += ["--format", "docker"] if engine == "podman" else []
    command += shlex.split(os.environ.get("WINE_QUALITY_BUILD_OPTIONS", ""))
    name, base = image.base()
    for argument in (*image.arguments, *([f"{name}={base}"] if name else [])):
        command += ["--build-arg", argument]
    started = time.monotonic()
    done = subprocess.run(
        [*command, str(folder / image.context)],
        capture_output=True,
        text=True,
        timeout=BUILD_SECONDS,
    )
    assert done.returncode == 0, f"{image.tag}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return time.monotonic() - started


def inspect(engine: str, image: str) -> dict:
    done = subprocess.run(
        [engine, "image", "inspect", image], capture_output=True, check=True, timeout=60
    )
    return json.loads(done.stdout)[0]


def size(engine: str, image: str) -> int:
    """Bytes of its layers, its base image's included."""
    return int(inspect(engine, image)["Size"])


def layers(engine: str, image: str) -> list[str]:
    """Digests of its layers, the base image's first."""
    return inspect(engine, image)["RootFS"]["Layers"]


def is_in_a_layer(engine: str, image: str, secret: str) -> bool:
    """Whether a text is in any file of any layer, removed ones included, or in the history."""
    mark, tail = secret.encode(), b""
    command = [engine, "save", image]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as saving:
        assert saving.stdout is not None
        read = 0
        while chunk := saving.stdout.read(_CHUNK):
            read += len(chunk)
            if mark in tail + chunk:
                saving.kill()
                return True
            tail = chunk[-len(mark) :]
    assert saving.returncode == 0 and read > 1000, f"{image} could not be saved"
    return False
