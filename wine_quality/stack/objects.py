"""An S3 server on disk: MinIO, SeaweedFS or nanio."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from wine_quality.paths import PROJECT_ROOT
from wine_quality.settings.platform import STORE
from wine_quality.stack.private_file import write_private
from wine_quality.stack.renewed import settle
from wine_quality.stack.seaweedfs import seaweedfs_service
from wine_quality.stack.service import Service, http_answers, with_home
from wine_quality.stack.settings import StackError

# MinIO and nanio have always had the same folder: one home has one of them.
_DATA = {"nanio": "data", "minio": "data", "seaweedfs": "seaweedfs"}
_ALIVE = (200, 403)  # an unsigned request is refused


def store_kind(named: str | None = None) -> str:
    """``named``, else ``$WINE_QUALITY_STORE``, else MinIO where it is on PATH, else nanio.

    Raises:
        StackError: it is not the name of a store.
    """
    origin, named = ("WITH", named) if named else (str(STORE), STORE.read())
    if named not in ("", *_DATA):
        raise StackError(f"{origin} is {named!r}; there are {', '.join(_DATA)}.")
    return named or ("minio" if shutil.which("minio") else "nanio")


def store_service(
    folder: Path, settings: dict[str, str], port: int, console: int, named: str | None = None
) -> Service:
    """The server, its objects in ``folder``.

    nanio knows two users, that of the MLflow servers and that of the assets, and no policies; to
    MinIO, whose users are made by its own client, the assets come with the first user's keys, and
    ``settings`` is changed so. SeaweedFS limits each to a bucket.

    Raises:
        StackError: the store's program is not here; or the objects are in another store's folder.
    """
    kind = store_kind(named)
    settle(folder)
    _require_no_other(folder, kind)
    if kind == "seaweedfs":
        return seaweedfs_service(folder, settings, port)
    if kind == "minio":
        return _minio(folder, settings, port, console)
    return _nanio(folder, settings, port)


def _require_no_other(folder: Path, kind: str) -> None:
    """Objects of one store are files of its own, which another would not find."""
    own = folder / _DATA[kind]
    if own.exists() and any(own.iterdir()):
        return
    for other in sorted(set(_DATA.values()) - {_DATA[kind]}):
        place = folder / other
        if place.exists() and any(place.iterdir()):
            theirs = " or ".join(name for name, folder in _DATA.items() if folder == other)
            raise StackError(
                f"{STORE} is {kind}, but the objects are in {place}, of another store: set it to "
                f"{theirs}. With that, `make renew WHAT=store WITH={kind} TO=BACKUP-FOLDER` takes "
                "them over."
            )


def _minio(folder: Path, settings: dict[str, str], port: int, console: int) -> Service:
    program = shutil.which("minio")
    if program is None:
        raise StackError(f"{STORE} is minio, but there is no `minio` on PATH.")
    for name, source in (("KEY", "MINIO_ROOT_USER"), ("SECRET", "MINIO_ROOT_PASSWORD")):
        settings[f"WINE_QUALITY_ASSETS_{name}"] = settings[source]
    command = [program, "server", str(_data(folder, "minio")), "--address", f"127.0.0.1:{port}"]
    command += ["--console-address", f"127.0.0.1:{console}"]
    root = {name: settings[name] for name in ("MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD")}
    ready = http_answers(f"http://127.0.0.1:{port}/minio/health/live")
    return _store(folder, command, root, port, ready)


def _nanio(folder: Path, settings: Mapping[str, str], port: int) -> Service:
    options = folder / "nanio.toml"
    data = _data(folder, "nanio")
    write_private(options, _nanio_options(settings))
    command = [sys.executable, "-m", "uvicorn", "--factory", "wine_quality.stack.store:build"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--no-access-log"]
    variables = {
        "NANIO_OPTIONS_FILE": str(options),
        "NANIO_DATA_DIR": str(data),
        "NANIO_REGION": settings["AWS_DEFAULT_REGION"],
    }
    ready = http_answers(f"http://127.0.0.1:{port}/", statuses=_ALIVE)
    return _store(folder, command, variables, port, ready)


def _data(folder: Path, kind: str) -> Path:
    data = folder / _DATA[kind]
    data.mkdir(parents=True, exist_ok=True)
    return data


def _store(
    folder: Path,
    command: list[str],
    variables: Mapping[str, str],
    port: int,
    ready: Callable[[], bool],
) -> Service:
    return Service(
        name="s3",
        command=tuple(command),
        variables=with_home(folder, variables),
        folder=folder,
        ready=ready,
        address=f"http://127.0.0.1:{port}",
        login="AWS_ACCESS_KEY_ID, WINE_QUALITY_ASSETS_KEY",
    )


def bucket_task(
    folder: Path, settings: Mapping[str, str], after: tuple[str, ...], named: str | None = None
) -> Service:
    """Makes the two buckets, each with the keys of those who use it."""
    names = ["MLFLOW_BUCKET", "ASSETS_BUCKET", "WINE_QUALITY_ASSETS_KEY"]
    if store_kind(named) == "seaweedfs" and after:
        # Its other users may make no bucket.
        names += ["MINIO_ROOT_USER", "MINIO_ROOT_PASSWORD"]
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
    """The ``AWS_*`` variables, which only the MLflow servers and the bucket task get."""
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
