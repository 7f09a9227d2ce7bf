"""All services of one stack, their ports chosen, from the settings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from wine_quality.environments.mlflow_versions import DEFAULT_VERSION, MlflowVersion, get_version
from wine_quality.paths import home
from wine_quality.sources.location import parse_server
from wine_quality.stack.dagster import dagster_services
from wine_quality.stack.objects import bucket_task, store_service
from wine_quality.stack.postgres import PostgresServer
from wine_quality.stack.proxy import proxy_service, public_url
from wine_quality.stack.service import Service
from wine_quality.stack.settings import choose_port, is_loopback
from wine_quality.stack.tracking import mlflow_service
from wine_quality.tracking.servers.addresses import ui_variable, uri_variable

_LOCAL = "127.0.0.1"


def stack_folder() -> Path:
    """``stack`` in ``$WINE_QUALITY_HOME``: data, logs and state."""
    return home() / "stack"


class Platform:
    """The services to start for the versions picked; none of them runs yet.

    Servers that the settings name (``POSTGRES_HOST``, ``AWS_ENDPOINT_URL``,
    ``WINE_QUALITY_MLFLOW_URI_…``) are used instead of ones of our own. Where ``BIND_ADDRESS`` is
    not a loopback address, only a proxy that asks for a password listens there.
    """

    def __init__(self, keys: Iterable[str], settings: dict[str, str]) -> None:
        self.folder = stack_folder()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports: dict[str, int] = {}
        self._given = settings
        self._is_public = not is_loopback(settings["BIND_ADDRESS"])
        listens = {"BIND_ADDRESS": _LOCAL} if self._is_public else {}
        self._settings = {**settings, **listens}
        self.services: list[Service] = []
        self.postgres: PostgresServer | None = None
        self._data()
        tracking = self._tracking([get_version(key) for key in keys])
        self._dagster(tracking)
        if self._is_public:
            self._proxy()
        self._remember()

    def close(self) -> None:
        if self.postgres:
            self.postgres.close()

    def _data(self) -> None:
        settings = self._settings
        if not settings["POSTGRES_HOST"]:
            port = self._port("postgres", "POSTGRES_PORT", _LOCAL)
            settings.update(POSTGRES_HOST=_LOCAL, POSTGRES_PORT=str(port))
            self.postgres = PostgresServer(self.folder / "postgres", settings, port)
            self.services += self.postgres.services()
        if not settings["AWS_ENDPOINT_URL"]:
            port = self._port("s3", "MINIO_PORT", _LOCAL)
            console = self._port("s3-console", "MINIO_CONSOLE_PORT", _LOCAL)
            self.services.append(store_service(self.folder / "s3", settings, port, console))
            settings["AWS_ENDPOINT_URL"] = f"http://{_LOCAL}:{port}"
        self.services.append(bucket_task(self.folder / "s3", settings, self._named("s3")))

    def _tracking(self, versions: Sequence[MlflowVersion]) -> dict[str, str]:
        """Add the MLflow servers; return the variables with their addresses, for runs."""
        variables = {}
        for version in versions:
            uri, shown = self._settings[uri_variable(version.key)], None
            if not uri:
                name, wanted = f"mlflow-{version.key}", f"MLFLOW_{version.underscored}_PORT"
                port = self._port(name, wanted, self._settings["BIND_ADDRESS"])
                after = ("buckets", *self._named("databases"))
                folder = self.folder / name
                service = mlflow_service(version, folder, self._settings, port, after)
                self.services.append(service)
                uri, shown = f"http://{_LOCAL}:{port}", service.address
                if self._is_public:
                    shown = public_url(self._given, wanted)
            variables[uri_variable(version.key)] = uri
            variables[ui_variable(version.key)] = shown or uri
        # For versions without a server here; one that does not fit is refused by name.
        fallback = uri_variable(DEFAULT_VERSION)
        variables["MLFLOW_TRACKING_URI"] = variables.get(fallback) or next(
            variables[uri_variable(version.key)] for version in versions
        )
        return variables

    def _dagster(self, tracking: dict[str, str]) -> None:
        settings = self._settings
        port = self._port("dagster-webserver", "DAGSTER_PORT", settings["BIND_ADDRESS"])
        shown = parse_server(settings["DAGSTER_WEBSERVER_URL"])
        if self._is_public:
            if shown.host in ("localhost", _LOCAL):
                settings["DAGSTER_WEBSERVER_URL"] = public_url(self._given, "DAGSTER_PORT")
        elif shown.host in ("localhost", _LOCAL):
            settings["DAGSTER_WEBSERVER_URL"] = f"http://{shown.host}:{port}"
        code_port = choose_port(_LOCAL)
        self.services += dagster_services(
            self.folder / "dagster",
            settings,
            port,
            code_port,
            tracking,
            (*self._named("databases"), "buckets"),
        )

    def _proxy(self) -> None:
        names = {"dagster-webserver": "DAGSTER"}
        for name in self.ports:
            if name.startswith("mlflow-"):
                names[name] = f"MLFLOW_{name.removeprefix('mlflow-').replace('.', '_')}"
        behind = {
            other: f"{_LOCAL}:{self.ports[name]}"
            for name, other in names.items()
            if name in self.ports
        }
        proxy = proxy_service(self.folder / "proxy", self._given, behind, ("dagster-webserver",))
        self.services.append(proxy)

    def _named(self, name: str) -> tuple[str, ...]:
        """The service of this name, if it is one of ours."""
        return tuple(service.name for service in self.services if service.name == name)

    def _port(self, name: str, setting: str, address: str) -> int:
        """The one set, else that of last time, else any that is free."""
        last = self._last_ports().get(name)
        # The proxy takes the one set.
        public = self._is_public and name.startswith(("mlflow-", "dagster-"))
        wanted = [] if public else [int(self._settings[setting])]
        wanted += [last] if last else []
        self.ports[name] = choose_port(address, *wanted)
        return self.ports[name]

    def _last_ports(self) -> dict[str, int]:
        try:
            return json.loads((self.folder / "ports.json").read_text())
        except (FileNotFoundError, ValueError):
            return {}

    def _remember(self) -> None:
        (self.folder / "ports.json").write_text(json.dumps(self.ports))
