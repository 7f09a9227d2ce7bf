"""The proxy that asks for a password, for services that other machines are to reach."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.stack.service import Service, port_answers, with_home
from wine_quality.stack.settings import FOLDER, StackError
from wine_quality.stack.tracking import reached

_SERVE = FOLDER / "proxy" / "serve.sh"
_NOBODY = "127.0.0.1:9"
_FROM_SETTINGS = (
    "BIND_ADDRESS",
    *("PROXY_HOSTS", "PROXY_USER", "PROXY_PASSWORD", "PROXY_TLS"),
    *("PROXY_CERTIFICATE", "PROXY_CERTIFICATE_KEY"),
)


def public_url(settings: Mapping[str, str], setting: str) -> str:
    """The public URL of the service on the port in ``setting``."""
    scheme = "http" if settings["PROXY_TLS"] == "off" else "https"
    return f"{scheme}://{settings['PROXY_HOSTS'].split(',')[0]}:{settings[setting]}"


def proxy_service(
    folder: Path, settings: Mapping[str, str], behind: Mapping[str, str], after: Sequence[str]
) -> Service:
    """Caddy on ``BIND_ADDRESS``, everything behind it on this machine's own address.

    Args:
        behind: Host and port of what stands behind it, by ``DAGSTER``, ``MLFLOW_3``, ….

    Raises:
        StackError: Caddy is not on PATH.
    """
    if shutil.which("caddy") is None:
        raise StackError(
            f"BIND_ADDRESS is {settings['BIND_ADDRESS']}; Dagster and MLflow ask nobody for a "
            "password, so other machines reach them through a proxy only. Install Caddy (Debian: "
            "apt-get install caddy), or set BIND_ADDRESS=127.0.0.1."
        )
    names = ["DAGSTER", *(f"MLFLOW_{each.underscored}" for each in MLFLOW_VERSIONS.values())]
    variables = {
        **{name: settings[name] for name in _FROM_SETTINGS},
        **{f"{name}_PORT": settings[f"{name}_PORT"] for name in names},
        **{f"PROXY_{name}": behind.get(name, _NOBODY) for name in names},
        "PROXY_LISTEN": settings["BIND_ADDRESS"],
        "PROXY_CADDYFILE": str(FOLDER / "proxy" / "Caddyfile"),
        # Where its own certificates are kept.
        "XDG_DATA_HOME": str(folder),
    }
    return Service(
        name="proxy",
        command=("/bin/sh", str(_SERVE)),
        variables=with_home(folder, variables),
        folder=folder,
        ready=port_answers(reached(settings["BIND_ADDRESS"]), int(settings["DAGSTER_PORT"])),
        after=tuple(after),
        address=public_url(settings, "DAGSTER_PORT"),
        login="PROXY_USER",
    )
