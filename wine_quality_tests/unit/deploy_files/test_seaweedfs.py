"""SeaweedFS in containers has the users that it has under `make stack`."""

from __future__ import annotations

import json
import subprocess

import pytest

from wine_quality.stack.seaweedfs import identities
from wine_quality.stack.settings import EXAMPLE, FOLDER, read_file

OWN_KEYS = {"AWS_ACCESS_KEY_ID": "mlflowkey", "AWS_SECRET_ACCESS_KEY": "mlflow+secret/1="}


def start(tmp_path, **settings: str) -> subprocess.CompletedProcess[str]:
    """serve.sh, with a `weed` that only prints its arguments and its environment."""
    program = tmp_path / "bin" / "weed"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\nenv\n')
    program.chmod(0o755)
    path = f"{program.parent}:/usr/bin:/bin"
    return subprocess.run(
        ["sh", str(FOLDER / "seaweedfs" / "serve.sh")],
        env={"PATH": path, "HOME": str(tmp_path), **read_file(EXAMPLE), **settings},
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize(
    "own",
    [{}, OWN_KEYS, {"WINE_QUALITY_ASSETS_KEY": "minioadmin"}],
    ids=["demo", "MLflow has keys of its own", "the assets have the administrator's"],
)
def test_users_and_their_rights(tmp_path, own):
    done = start(tmp_path, **own)
    assert done.returncode == 0, done.stderr
    users = tmp_path / "s3.json"
    assert f"-s3.config={users}" in done.stdout.splitlines()
    assert json.loads(users.read_text()) == identities({**read_file(EXAMPLE), **own})
    assert users.stat().st_mode & 0o777 == 0o600
    # SeaweedFS makes an administrator of AWS_ACCESS_KEY_ID.
    given = {line.partition("=")[0] for line in done.stdout.splitlines()}
    assert not given & {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "MINIO_ROOT_PASSWORD"}


@pytest.mark.parametrize("value", ["", 'x"y', "two words", "ü"])
def test_a_key_that_cannot_be_written_is_refused(tmp_path, value):
    done = start(tmp_path, AWS_ACCESS_KEY_ID="mlflowkey", AWS_SECRET_ACCESS_KEY=value)
    assert done.returncode == 1
    assert done.stderr.startswith("The mlflow user of the store has an empty key, secret or bucket")
    assert len(done.stderr.splitlines()) == 1
