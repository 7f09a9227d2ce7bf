"""Which containers `ON=compose` means, and what it says when there are none.

The engine is a stand-in here: `make containers` runs it with a real one.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wine_quality.__main__ import main
from wine_quality.stack.settings import StackError
from wine_quality.upkeep.containers import find_containers

LISTED = [
    {"Id": f"id-{service}", "Config": {"Labels": {"com.docker.compose.service": service}}}
    for service in ("postgres", "minio", "dagster-code")
]


@pytest.fixture
def path(tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr("shutil.which", lambda name: _there(folder / name))
    return folder


def _there(path: Path) -> str | None:
    return str(path) if path.exists() else None


def engine(path: Path, name: str, project: str = "dh", refusal: str = "") -> None:
    """An engine that knows three containers of one project, of which two run."""
    (path / f"{name}.json").write_text(json.dumps(LISTED))
    (path / name).write_text(f"""#!/bin/sh
echo "$@" >> {path}/{name}.log
[ -z "{refusal}" ] || {{ echo "{refusal}" >&2; exit 1; }}
case "$*" in
  *project={project}) echo id-postgres; echo id-minio; echo id-dagster-code ;;
  ps*--filter*) ;;
  ps*) echo id-postgres; echo id-minio ;;
  inspect*) cat {path}/{name}.json ;;
  exec*) exit 7 ;;
esac
""")
    (path / name).chmod(0o755)


def test_the_first_engine_that_has_the_project_is_taken(path):
    engine(path, "podman", project="another")
    engine(path, "docker")
    found = find_containers("dh")
    assert found.engine == "docker"
    assert found.of("postgres") == "id-postgres"
    assert found.running() == {"postgres", "minio"}
    with pytest.raises(StackError, match="dh has no container of mlflow; start the platform first"):
        found.of("mlflow")


def test_an_engine_that_does_not_answer_is_named(path):
    with pytest.raises(StackError, match="neither podman nor docker is on PATH"):
        find_containers("dh")
    engine(path, "docker", refusal="Cannot connect to the Docker daemon")
    engine(path, "podman", project="another")
    expected = "know no containers of the compose project dh .*Cannot connect to the Docker daemon"
    with pytest.raises(StackError, match=expected):
        find_containers("dh")


@pytest.mark.parametrize(
    ("name", "printed", "old"),
    [
        ("podman", "podman version 3.4.4", "podman 3.4.4 is older than 4.3, and"),
        ("podman", "podman version 4.3.1", ""),
        ("podman", "podman version 5.10.0-dev", ""),
        ("docker", "Docker version 19.03.15, build 99e3ed8", "docker 19.03.15 is older than 20.10"),
        ("docker", "Docker version 28.2.2, build e6534b4", ""),
        ("docker", "something else", ""),
    ],
)
def test_an_old_engine_is_named(path, name, printed, old):
    engine(path, name)
    script = (
        (path / name).read_text().replace("  exec*)", f"  --version) echo '{printed}' ;;\n  exec*)")
    )
    (path / name).write_text(script)
    warning = find_containers("dh").warning()
    assert warning.startswith(old) and bool(warning) == bool(old)


@pytest.mark.parametrize("command", [["backup", "x"], ["restore", "x"], ["gc"], ["retention"]])
def test_commands_say_that_there_is_no_platform(path, tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wine_quality.upkeep.restore.verify", lambda folder: {})
    engine(path, "podman")
    assert main([*command, "--on", "compose", "--project", "mine"]) == 1
    assert "know no containers of the compose project mine" in capsys.readouterr().err


def test_retention_runs_in_the_code_locations_container(path):
    engine(path, "podman")
    options = ["--days", "30", "--delete", "--mlflow", "3"]
    assert main(["retention", "--on", "compose", *options]) == 7
    last = (path / "podman.log").read_text().splitlines()[-1]
    run = "python -m wine_quality retention"
    assert last == (
        f"exec id-dagster-code /bin/sh /opt/with-secrets.sh {run} --delete --days 30.0 --mlflow 3"
    )


def test_a_run_of_a_command_in_a_container_is_of_the_code_server(monkeypatch):
    """The image has no other workspace than that."""
    from wine_quality.execution import terminal_run

    monkeypatch.setenv("DAGSTER_CODE_HOST", "dagster-code")
    monkeypatch.setenv("DAGSTER_CODE_PORT", "4000")
    location = terminal_run._repository.__wrapped__().code_location_origin
    assert (location.host, location.port) == ("dagster-code", 4000)
    assert location.location_name == "ml_repository"
