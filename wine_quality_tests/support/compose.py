"""The platform in containers, as its user starts it, over a copy of the compose folder.

podman (or docker) and its compose must be on PATH, and the images built: nothing is pulled here.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import requests
import yaml

from wine_quality.environments.mlflow_versions import DEFAULT_VERSION, MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack.settings import EXAMPLE, FOLDER, read_file
from wine_quality_tests.support.dagster_stack import _LOADED, DagsterStack
from wine_quality_tests.support.images import MINIO, SEAWEEDFS
from wine_quality_tests.support.servers import await_condition, free_port

STAND_INS = PROJECT_ROOT / "wine_quality_tests" / "containers" / "stand-ins.yml"
CODE_IMAGE = "localhost/wine-quality-dagster:tested"
_CODE_ONLY = """FROM localhost/wine-quality-dagster:1.0.0
USER 0:0
RUN rm -rf deploy wine_quality
COPY deploy/ deploy/
COPY wine_quality/ wine_quality/
RUN chmod -R a+rX deploy wine_quality
USER 10001:10001
"""
PORTS = (
    "DAGSTER_PORT",
    *(f"MLFLOW_{key.replace('.', '_')}_PORT" for key in MLFLOW_VERSIONS),
    "MINIO_PORT",
    "MINIO_CONSOLE_PORT",
    "POSTGRES_PORT",
)
_DAEMONS = "{ instance { daemonHealth { allDaemonStatuses { healthy } } } }"
UP_SECONDS = 600
READY_SECONDS = 240
RESTART_SECONDS = 30
STARTED_BY_US = {"DAGSTER_HOME", "MLFLOW_TRACKING_URI", "WINE_QUALITY_HOME"}


def engine() -> str | None:
    """The container engine that is on this machine and answers: ``podman``, ``docker`` or none."""
    for name in ("podman", "docker"):
        if shutil.which(name):
            try:
                done = subprocess.run([name, "info"], capture_output=True, timeout=60)
            except subprocess.TimeoutExpired:
                continue
            if done.returncode == 0:
                return name
    return None


def is_built(name: str, image: str) -> bool:
    done = subprocess.run([name, "image", "inspect", image], capture_output=True, timeout=60)
    return done.returncode == 0


def why_not(versions: tuple[str, ...] = (DEFAULT_VERSION,)) -> str:
    """Why the platform cannot be started in containers here, in one line; empty when it can be."""
    name = engine()
    if name is None:
        return "no container engine answers here"
    images = [f"wine-quality-mlflow:{version}" for version in versions]
    images += ["wine-quality-dagster:1.0.0", "wine-quality-proxy:1.0.0"]
    missing = [image for image in images if not is_built(name, f"localhost/{image}")]
    if not is_built(name, SEAWEEDFS.tag) and not is_built(name, MINIO.tag):
        missing.append("wine-quality-seaweedfs:1.0.0")
    if missing:
        build = "build them (deploy/docker-compose/README.md)"
        return f"{name} has no image {', '.join(missing)}: {build}"
    return ""


def with_code_of_this_checkout(name: str, folder: Path) -> str:
    """The Dagster image with this checkout's code in place of its own; its environments stay.

    Building those takes long; where the lock files have changed since, build the image anew.
    """
    for part in ("deploy", "wine_quality"):
        unwanted = shutil.ignore_patterns("__pycache__", ".env", "secrets")
        shutil.copytree(PROJECT_ROOT / part, folder / part, ignore=unwanted)
    (folder / "Dockerfile").write_text(_CODE_ONLY)
    options = ["--format", "docker"] if name == "podman" else []
    command = [name, "build", *options, "--network", "none", "-t", CODE_IMAGE, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=UP_SECONDS)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]
    return CODE_IMAGE


class Compose(DagsterStack):
    """`podman-compose up` or `docker compose up`, reached through the proxy with its password.

    Attributes:
        home: The copy of the compose folder, ``.env`` and secrets in it.
        settings: Of its ``.env``.
        url: Of the Dagster UI behind the proxy.
        auth: What the proxy asks for.
    """

    def __init__(
        self,
        home: Path,
        project: str,
        versions: tuple[str, ...] = (DEFAULT_VERSION,),
        own: dict[str, Any] | None = None,
        **settings: str,
    ) -> None:
        """Args:
        project: Compose's name, which containers, volumes and the network begin with.
        own: A compose file of one's own beside MLOps.yml.
        """
        self.home, self.project, self.versions = home, project, versions
        self.engine = engine() or "podman"
        shutil.copytree(FOLDER, home, ignore=shutil.ignore_patterns(".env", "secrets"))
        ports = {name: str(free_port()) for name in PORTS}
        ours = {"DAGSTER_WEBSERVER_URL": f"http://127.0.0.1:{ports['DAGSTER_PORT']}"}
        self.settings = {**read_file(EXAMPLE), **ports, **ours, **settings}
        lines = [f"{name}={value}" for name, value in self.settings.items()]
        (home / ".env").write_text("\n".join(lines) + "\n")
        (home / ".env").chmod(0o600)
        subprocess.run(["sh", str(home / "secrets.sh")], check=True, timeout=60)
        self._files = [home / "MLOps.yml"]
        # Where MinIO's image cannot be had, TimescaleDB's cannot either.
        if not is_built(self.engine, MINIO.tag):
            self._files += [home / "seaweedfs.yml", STAND_INS]
        if own:
            self._files.append(home / "own.yml")
            self._files[-1].write_text(yaml.safe_dump(own))
        self.url = f"http://127.0.0.1:{ports['DAGSTER_PORT']}"
        self.auth = (self.settings["PROXY_USER"], self.settings["PROXY_PASSWORD"])

    def compose(self, *arguments: str, seconds: float = UP_SECONDS) -> str:
        """A command of compose's, and all that it said."""
        command = [self.engine, "compose"]
        if self.engine == "podman":
            command = [sys.executable, "-m", "podman_compose", "--in-pod", "false"]
        command += ["--env-file", str(self.home / ".env"), "-p", self.project]
        for file in self._files:
            command += ["-f", str(file)]
        for version in self.versions:
            if version != DEFAULT_VERSION:
                command += ["--profile", f"mlflow-{version}"]
        # A variable of this process would win over the file.
        kept = {n: v for n, v in os.environ.items() if n not in {*self.settings, *STARTED_BY_US}}
        done = subprocess.run(
            [*command, *arguments],
            env=kept,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
        return done.stdout + done.stderr

    def run_engine(self, *arguments: str, seconds: float = 120) -> str:
        done = subprocess.run(
            [self.engine, *arguments], capture_output=True, text=True, timeout=seconds
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def up(self) -> None:
        """Start it in the background, and wait until runs can be launched through the proxy."""
        self.compose("up", "-d", "--no-build")
        try:
            await_condition(self.is_ready, "the platform in containers", READY_SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs(20)}") from error

    def is_ready(self) -> bool:
        try:
            entries = self.graphql(_LOADED)["workspaceOrError"]["locationEntries"]
            daemons = self.graphql(_DAEMONS)
            servers = [self.through_proxy(version, "health") for version in self.versions]
        except (requests.RequestException, AssertionError):
            return False
        healthy = daemons["instance"]["daemonHealth"]["allDaemonStatuses"]
        loaded = [entry["loadStatus"] for entry in entries] == ["LOADED"]
        alive = all(daemon["healthy"] for daemon in healthy)
        return loaded and alive and all(server.ok for server in servers)

    def through_proxy(self, version: str, path: str) -> requests.Response:
        """A GET of an MLflow server's."""
        port = self.settings[f"MLFLOW_{version.replace('.', '_')}_PORT"]
        return requests.get(f"http://127.0.0.1:{port}/{path}", auth=self.auth, timeout=60)

    def graphql(self, query: str, **variables: Any) -> Any:
        asked = {"query": query, "variables": variables}
        answer = requests.post(f"{self.url}/graphql", json=asked, auth=self.auth, timeout=60)
        assert answer.status_code == 200, f"{answer.status_code} {answer.text[:300]}"
        content = answer.json()
        assert "errors" not in content, content
        return content["data"]

    def crash(self, service: str) -> str:
        """Kill a service's main process, as a fault of its own would; how it came back."""
        container = self.container(service)
        form = "{{.State.Pid}} {{.State.StartedAt}}"

        def state() -> list[str]:
            return self.run_engine("inspect", "--format", form, container).split(maxsplit=1)

        pid, started = state()
        os.kill(int(pid), signal.SIGKILL)

        def is_up() -> bool:
            now = state()
            return now[0] not in ("0", pid) and now[1] != started

        try:
            await_condition(is_up, f"{service} after it was killed", RESTART_SECONDS)
        except AssertionError:
            self.run_engine("start", container)
            return "started by hand"
        return "restarted by the engine"

    def down(self, *, volumes: bool = False) -> None:
        self.compose("down", *(["-v"] if volumes else []))

    def stop(self) -> None:
        self.down(volumes=True)

    def containers(self) -> list[str]:
        """Of this project, those that ended too."""
        form = "{{.Names}}"
        label = f"label=com.docker.compose.project={self.project}"
        return self.run_engine("ps", "-a", "--filter", label, "--format", form).split()

    def container(self, service: str) -> str:
        """The name of a service's."""
        labels = (f"project={self.project}", f"service={service}")
        filters = [
            word for one in labels for word in ("--filter", f"label=com.docker.compose.{one}")
        ]
        (name,) = self.run_engine("ps", "-a", *filters, "--format", "{{.Names}}").split()
        return name

    def logs(self, lines: int | None = None) -> str:
        """Output of the containers."""
        option = ["--tail", str(lines)] if lines else []
        texts = []
        for name in self.containers():
            done = subprocess.run(
                [self.engine, "logs", *option, name], capture_output=True, text=True, timeout=60
            )
            texts.append(f"== {name}\n{done.stdout}{done.stderr}")
        return "\n".join(texts)

    def inspected(self) -> str:
        """The containers as `inspect` shows them."""
        return self.run_engine("inspect", *self.containers())

    def volume(self, name: str) -> Path:
        """Where a named volume lies on this machine."""
        found = json.loads(self.run_engine("volume", "inspect", f"{self.project}_{name}"))
        return Path(found[0]["Mountpoint"])

    def gateway(self) -> str:
        """This machine's address as the containers see it."""
        found = json.loads(self.run_engine("network", "inspect", f"{self.project}_default"))[0]
        subnets = found.get("subnets") or found["IPAM"]["Config"]
        return str(subnets[0].get("gateway") or subnets[0]["Gateway"])

    def psql(self, database: str, sql: str) -> list[list[str]]:
        """Rows of a query as PostgreSQL's administrator, columns as texts."""
        container = self.container("postgres")
        command = ["psql", "-h", "127.0.0.1", "-U", self.settings["POSTGRES_USER"], "-d", database]
        secret = f"PGPASSWORD={self.settings['POSTGRES_PASSWORD']}"
        got = self.run_engine("exec", "-e", secret, container, *command, "-AtF", "\t", "-c", sql)
        return [line.split("\t") for line in got.splitlines()]

    def s3(self, key: str, secret: str) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.settings['MINIO_PORT']}",
            region_name=self.settings["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.settings[key],
            aws_secret_access_key=self.settings[secret],
        )
