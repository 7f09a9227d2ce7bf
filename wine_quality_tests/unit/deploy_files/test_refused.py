"""A container refuses what cannot work in one sentence, before its program starts."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from wine_quality.stack.settings import FOLDER

SHELLS = [
    command
    for command in (["sh"], ["busybox", "sh"])
    # TimescaleDB's and Caddy's images have busybox, the others dash.
    if shutil.which(command[0])
]


@pytest.fixture(params=SHELLS, ids=" ".join)
def shell(request) -> list[str]:
    return request.param


def start(shell: list[str], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """A program that with-secrets.sh starts, with the secrets in a folder."""
    script = folder / "with-secrets.sh"
    text = (FOLDER / "with-secrets.sh").read_text()
    script.write_text(text.replace("/run/secrets/", f"{folder}/secrets/"))
    return subprocess.run(
        [*shell, str(script), "env"],
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )


def is_refused(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence, after a look at it."""
    assert (done.returncode, done.stdout) == (1, ""), done
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("Not started: ")
    return done.stderr


@pytest.fixture
def secrets(tmp_path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "PROXY_PASSWORD").write_text("s3 cret'\"$x")
    (folder / "WINE_QUALITY_SIGNING_KEY").write_text("")
    return folder


def test_secrets_are_variables_of_their_names(shell, tmp_path, secrets):
    done = start(shell, tmp_path)
    assert "PROXY_PASSWORD=s3 cret'\"$x" in done.stdout.splitlines(), done.stderr


def test_an_empty_secret(shell, tmp_path, secrets):
    (secrets / "MINIO_ROOT_PASSWORD").write_text("\n")
    assert "the secret MINIO_ROOT_PASSWORD is empty. Set it in .env" in is_refused(
        start(shell, tmp_path)
    )


def test_a_secret_whose_file_was_missing(shell, tmp_path, secrets):
    """Docker makes a folder of it."""
    (secrets / "MINIO_ROOT_PASSWORD").mkdir()
    text = is_refused(start(shell, tmp_path))
    assert "the file of the secret MINIO_ROOT_PASSWORD was missing" in text and "secrets.sh" in text


def test_the_demo_secrets_where_other_machines_reach_it(shell, tmp_path, secrets):
    given = {"DEMO_PAIRS": "A_SECRET=A_KEY B_SECRET=B_KEY", "BIND_ADDRESS": "0.0.0.0"}
    given |= {"A_KEY": "a", "A_SECRET": "drawn $(x)", "B_KEY": "b", "B_SECRET": "b"}
    text = is_refused(start(shell, tmp_path, **given))
    assert "BIND_ADDRESS is 0.0.0.0, but B_SECRET is the demo's" in text
    for changed in ({"BIND_ADDRESS": "127.0.0.1"}, {"B_SECRET": "drawn"}):
        done = start(shell, tmp_path, **given | changed)
        assert done.returncode == 0 and "DEMO_PAIRS" not in done.stdout, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is mounted, as root")
def test_a_full_disk(shell, tmp_path, secrets):
    volume = tmp_path / "volume"
    volume.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(volume)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this machine mounts no tmpfs")
    try:
        assert start(shell, tmp_path, WRITES=str(volume)).returncode == 0
        kept = volume / "kept"
        with pytest.raises(OSError, match="No space"):
            kept.write_bytes(b"x" * 100_000)
        before = kept.read_bytes()
        text = is_refused(start(shell, tmp_path, WRITES=str(volume)))
        assert f"nothing can be written to the volume at {volume} (No space left on device)" in text
        assert [path.name for path in volume.iterdir()] == ["kept"]
        assert kept.read_bytes() == before
    finally:
        subprocess.run(["umount", str(volume)], check=True)


def databases(shell: list[str], folder: Path, answer: str) -> subprocess.CompletedProcess[str]:
    """databases.sh with a `psql` that answers so to the first question."""
    psql = folder / "psql"
    psql.write_text(f'#!/bin/sh\necho "$*" >> {folder}/calls\n{answer}\n')
    psql.chmod(0o755)
    return subprocess.run(
        [*shell, str(FOLDER / "postgres" / "databases.sh"), "init.sql"],
        env={"PATH": f"{folder}:{os.environ['PATH']}", "POSTGRES_USER": "postgres"},
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("echo 130021", "this PostgreSQL is version 13, and 14 or newer is needed"),
        (
            "echo 'FATAL:  password authentication failed for user \"x\"' >&2; exit 2",
            "PostgreSQL's volume was made with another POSTGRES_PASSWORD than .env has now.",
        ),
        ("echo more >&2; echo 'no such host' >&2; exit 2", "no such host"),
    ],
    ids=["old", "another password", "not there"],
)
def test_a_postgresql_that_cannot_be_used(shell, tmp_path, answer, sentence):
    done = databases(shell, tmp_path, answer)
    assert done.returncode == 1 and done.stderr.count("\n") == 1
    assert done.stderr.startswith(f"The databases were not made: {sentence}")
    assert len((tmp_path / "calls").read_text().splitlines()) == 1


def test_a_postgresql_that_can_be_used(shell, tmp_path):
    done = databases(shell, tmp_path, "echo 170005")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text().splitlines()[1].endswith("--file=init.sql")
