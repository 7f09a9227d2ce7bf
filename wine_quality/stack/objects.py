"""An S3 server on disk: a minio binary where there is one, else nanio from PyPI."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack.service import Service, http_answers, with_home

_ALIVE = (200, 403)  # an unsigned request is refused


def store_service(folder: Path, settings: dict[str, str], port: int, console: int) -> Service:
    """The server, its objects in ``folder``.

    nanio knows two users, that of the MLflow servers and that of the assets, and no policies; to
    MinIO, whose users are made by its own client, the assets come with the first user's keys, and
    ``settings`` is changed so.
    """
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    minio = shutil.which("minio")
    if minio:
        for name, source in (("KEY", "MINIO_ROOT_USER"), ("SECRET", "MINIO_ROOT_PASSWORD")):
            settings[f"WINE_QUALITY_ASSETS_{name}"] = settings[source]
        command = [minio, "server", str(data), "--address", f"127.0.0.1:{port}"]
        command += ["--console-address", f"127.0.0.1:{console}"]
        root = {name: settings[name] for name in ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")}
        ready = http_answers(f"http://127.0.0.1:{port}/minio/health/live")
    else:
        options = folder / "nanio.toml"
        _write_private(options, _nanio_options(settings))
        command = [sys.executable, "-m", "uvicorn", "--factory", "wine_quality.stack.store:build"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
        root = {
            "NANIO_OPTIONS_FILE": str(options),
            "NANIO_DATA_DIR": str(data),
            "NANIO_REGION": settings["AWS_DEFAULT_REGION"],
        }
        ready = http_answers(f"http://127.0.0.1:{port}/", statuses=_ALIVE)
    return Service(
        name="s3",
        command=tuple(command),
        variables=with_home(folder, root),
        folder=folder,
        ready=ready,
        address=f"http://127.0.0.1:{port}",
        login="AWS_ACCESS_KEY_ID, WINE_QUALITY_ASSETS_KEY",
    )


def bucket_task(folder: Path, settings: Mapping[str, str], after: tuple[str, ...]) -> Service:
    """Makes the two buckets, each with the keys of those who use it."""
    names = ("MLFLOW_BUCKET", "ASSETS_BUCKET", "WINE_QUALITY_ASSETS_KEY")
    return Service(
        name="buckets",
        command=(sys.executable, "-m", "wine_quality.stack.buckets"),
        variables=with_home(
            folder,
            {
                **aws_variables(settings),
                **{name: settings[name] for name in (*names, "WINE_QUALITY_ASSETS_SECRET")},
            },
        ),
        folder=PROJECT_ROOT,
        ready=None,
        after=after,
    )


def aws_variables(settings: Mapping[str, str]) -> dict[str, str]:
    """What an S3 client of the MLflow servers reads, and nobody else gets."""
    names = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DEFAULT_REGION", "ENDPOINT_URL")
    variables = {f"AWS_{name}": settings[f"AWS_{name}"] for name in names}
    if "AWS_CA_BUNDLE" in os.environ:
        variables["AWS_CA_BUNDLE"] = os.environ["AWS_CA_BUNDLE"]
    return variables


def _nanio_options(settings: Mapping[str, str]) -> str:
    users = {
        settings["MINIO_ROOT_USER"]: settings["MINIO_ROOT_PASSWORD"],
        settings["AWS_ACCESS_KEY_ID"]: settings["AWS_SECRET_ACCESS_KEY"],
        settings["WINE_QUALITY_ASSETS_KEY"]: settings["WINE_QUALITY_ASSETS_SECRET"],
    }
    # A JSON string is a TOML string.
    return "".join(
        f"[[users]]\naccess_key = {json.dumps(key)}\nsecret_key = {json.dumps(secret)}\n"
        for key, secret in users.items()
    )


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
