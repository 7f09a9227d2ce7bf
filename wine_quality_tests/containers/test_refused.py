"""Bad input to real containers: a sentence in the log of the one that stops, and nothing lost."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from wine_quality.upkeep.restore import HALF_DONE
from wine_quality_tests.containers.conftest import NOT_HERE
from wine_quality_tests.support.compose import READY_SECONDS, Compose
from wine_quality_tests.support.servers import await_condition

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(NOT_HERE), reason=NOT_HERE),
]


@contextmanager
def secret(platform: Compose, name: str, value: str) -> Iterator[None]:
    """Another one in the file that containers have mounted."""
    file = platform.home / "secrets" / name
    before = file.read_text()
    file.write_text(value)
    try:
        yield
    finally:
        file.write_text(before)


def log(platform: Compose, service: str) -> str:
    command = [platform.engine, "logs", "--tail", "20", platform.container(service)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def await_log(platform: Compose, service: str, sentence: str) -> None:
    await_condition(lambda: sentence in log(platform, service), f"{service}: {sentence}", 120)


def test_a_secret_without_a_value(platform, see):
    sentence = "Not started: the secret PROXY_PASSWORD is empty. Set it in .env"
    with secret(platform, "PROXY_PASSWORD", ""):
        platform.crash("proxy")
        await_log(platform, "proxy", sentence)
    await_condition(platform.is_ready, "the platform with its secret", READY_SECONDS)
    see("a secret without a value, then with it", sentence)


def test_another_password_than_the_volumes(platform, see):
    sentence = "PostgreSQL's volume was made with another POSTGRES_PASSWORD than .env has now."
    with secret(platform, "POSTGRES_PASSWORD", "another"):
        subprocess.run([platform.engine, "start", platform.container("databases")], check=True)
        await_log(platform, "databases", sentence)
    see("another POSTGRES_PASSWORD than the volume's", sentence)
    assert platform.is_ready()


@pytest.mark.parametrize("service", ["dagster-code", "mlflow"])
def test_a_restore_that_is_half_done(platform, see, service):
    note = HALF_DONE.format(folder="/backups/monday")
    form = "{{range .Config.Env}}{{println .}}{{end}}"
    given = platform.run_engine("inspect", "--format", form, platform.container(service))
    (check,) = (line[6:] for line in given.splitlines() if line.startswith("AWAIT="))
    command = [platform.engine, "exec", "-e", "AWAIT=", platform.container(service)]
    command += ["/bin/sh", "/opt/with-secrets.sh", *check.split()]
    assert subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    platform.psql("postgres", f"COMMENT ON DATABASE postgres IS '{note}'")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    finally:
        platform.psql("postgres", "COMMENT ON DATABASE postgres IS NULL")
    see(f"{service} on a half-done restore", done.stderr.strip())
    assert (done.returncode, done.stderr.strip()) == (1, note)
