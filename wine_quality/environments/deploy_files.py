"""The files in ``deploy`` that name each MLflow version, written from the table: `make versions`.

A file of many subjects has the versions' lines between two comments, ``versions: NAME`` and
``end of versions``; the server of each version on Kubernetes is a file by itself, made of
``mlflow-version.yaml.in``. Standard library only, as all of this package.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from wine_quality.environments.mlflow_versions import (
    DEFAULT_VERSION,
    MLFLOW_VERSIONS,
    MlflowVersion,
)
from wine_quality.escaping import ProjectError
from wine_quality.paths import PROJECT_ROOT

_BLOCK = re.compile(
    r"(?P<first>^[ \t]*(?:#|--) versions: (?P<name>[a-z_]+)[^\n]*\n)"
    r".*?"
    r"(?P<last>^[ \t]*(?:#|--) end of versions$)",
    re.DOTALL | re.MULTILINE,
)
FILES = (
    "docker-compose/.env.example",
    "docker-compose/MLOps.yml",
    "docker-compose/postgres/init.sql",
    "docker-compose/proxy/Caddyfile",
    "docker-compose/proxy/serve.sh",
    "kubernetes/dagster-values.yaml",
    "kubernetes/kustomization.yaml",
    "kubernetes/wine-quality.yaml",
)
_PATTERN = "kubernetes/mlflow-version.yaml.in"


class UnknownBlockError(ProjectError, ValueError):
    """A file has a block of versions that nothing here writes."""


def deploy_files(folder: Path, versions: Iterable[MlflowVersion]) -> dict[Path, str]:
    """Each file below ``folder`` that names versions, as it should be.

    Args:
        folder: ``deploy``, whose files are read.
        versions: In the order in which they are listed.

    Raises:
        UnknownBlockError: a file has a block of another name.
    """
    listed = tuple(versions)
    written = {folder / name: _with_blocks(folder / name, listed) for name in FILES}
    pattern = (folder / _PATTERN).read_text()
    for version in listed:
        file = folder / "kubernetes" / f"mlflow-{version.key}.yaml"
        written[file] = _filled(pattern, version)
    return written


def newest_first() -> tuple[MlflowVersion, ...]:
    return tuple(reversed(list(MLFLOW_VERSIONS.values())))


def _with_blocks(file: Path, versions: tuple[MlflowVersion, ...]) -> str:
    def block(found: re.Match[str]) -> str:
        name = found["name"]
        if name not in _BLOCKS:
            known = ", ".join(_BLOCKS)
            raise UnknownBlockError(f"{file}: no block of versions is called {name}; {known} are")
        return found["first"] + "".join(map(_BLOCKS[name], versions)) + found["last"]

    return _BLOCK.sub(block, file.read_text())


def _filled(pattern: str, version: MlflowVersion) -> str:
    own = "".join(
        f"            - {{name: {name}, value: {_quoted(value)}}}\n"
        for name, value in version.variables.items()
    )
    values = {
        "KEY": version.key,
        "HOST": _dashed(version),
        "DATABASE": version.underscored,
        "PORT": str(version.port),
        "REQUESTED": _mebibytes(version.server_mib // 2),
        "LIMIT": _mebibytes(version.server_mib),
    }
    text = pattern.replace("            # @VARIABLES@\n", own)
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _dashed(version: MlflowVersion) -> str:
    return version.key.replace(".", "-")


def _service(version: MlflowVersion) -> str:
    """Name of the service in Compose; the default version, always there, is ``mlflow``."""
    return "mlflow" if version.key == DEFAULT_VERSION else f"mlflow-{_dashed(version)}"


def _port(version: MlflowVersion) -> str:
    return f"${{MLFLOW_{version.underscored}_PORT:-{version.port}}}"


def _mebibytes(number: int) -> str:
    return f"{number}Mi" if number % 1024 else f"{number // 1024}Gi"


def _quoted(text: str) -> str:
    """The text quoted for YAML."""
    return f'"{text}"' if text in ("true", "false") or text[:1].isdigit() else text


def _compose_service(version: MlflowVersion) -> str:
    is_default = version.key == DEFAULT_VERSION
    lines = [
        f"{_service(version)}:",
        "  <<: *mlflow",
        "" if is_default else f"  profiles: [mlflow-{version.key}]",
        "" if version.server_mib == 1024 else f"  mem_limit: {version.server_mib // 1024}g",
        f"  image: localhost/wine-quality-mlflow:{version.key}",
        "  build:",
        "    context: ../..",
        "    dockerfile: deploy/images/mlflow.Dockerfile",
        f'    args: {{MLFLOW_VERSION: "{version.key}"}}',
        "  environment:",
        "    <<: *mlflow-variables",
        f"    MLFLOW_POSTGRES_DB: mlflow_{version.underscored}",
        *(f"    {name}: {_quoted(value)}" for name, value in version.variables.items()),
    ]
    return "".join(f"  {line}\n" for line in lines if line) + "\n"


def _compose_addresses(version: MlflowVersion) -> str:
    key = version.underscored
    uri, ui = f"WINE_QUALITY_MLFLOW_URI_{key}", f"WINE_QUALITY_MLFLOW_UI_{key}"
    return (
        f"      {uri}: ${{{uri}:-http://{_service(version)}:5000}}\n"
        f"      {ui}: ${{{uri}:-http://localhost:{_port(version)}}}\n"
    )


def _proxied(version: MlflowVersion) -> str:
    key = version.underscored
    return (
        f"      MLFLOW_{key}_PORT: {_port(version)}\n"
        f"      PROXY_MLFLOW_{key}: {_service(version)}:5000\n"
    )


def _published(version: MlflowVersion) -> str:
    return f"      - ${{BIND_ADDRESS:-127.0.0.1}}:{_port(version)}:{_port(version)}\n"


def _site(version: MlflowVersion) -> str:
    name = f"MLFLOW_{version.underscored}"
    return f"{{$PROXY_{name}_SITES}} {{\n\timport site {{${name}_PORT}} {{$PROXY_{name}}}\n}}\n"


def _site_variable(version: MlflowVersion) -> str:
    name = f"MLFLOW_{version.underscored}"
    return f'PROXY_{name}_SITES=$(sites "${name}_PORT")\nexport PROXY_{name}_SITES\n'


def _pod(version: MlflowVersion) -> str:
    return (
        f'            "{version.key}":\n'
        "              resources:\n"
        "                requests: {cpu: 500m, memory: 1Gi}\n"
        "                limits: {memory: 2Gi}\n"
    )


def _cluster_address(version: MlflowVersion) -> str:
    address = f"http://mlflow-{_dashed(version)}:{version.port}"
    return f"  WINE_QUALITY_MLFLOW_URI_{version.underscored}: {address}\n"


def _cluster_page(version: MlflowVersion) -> str:
    return f"  WINE_QUALITY_MLFLOW_UI_{version.underscored}: http://localhost:{version.port}\n"


def _manifest(version: MlflowVersion) -> str:
    return f"  - mlflow-{version.key}.yaml\n"


_BLOCKS: dict[str, Callable[[MlflowVersion], str]] = {
    "ports": lambda version: f"MLFLOW_{version.underscored}_PORT={version.port}\n",
    "own_servers": lambda version: f"WINE_QUALITY_MLFLOW_URI_{version.underscored}=\n",
    "services": _compose_service,
    "addresses": _compose_addresses,
    "proxied": _proxied,
    "published": _published,
    "databases": lambda version: f"    ('mlflow_{version.underscored}', :'mlflow_user'),\n",
    "sites": _site,
    "site_variables": _site_variable,
    "pods": _pod,
    "cluster_addresses": _cluster_address,
    "cluster_pages": _cluster_page,
    "manifests": _manifest,
}


def main() -> int:
    """Write the files that differ, and name them."""
    for file, text in deploy_files(PROJECT_ROOT / "deploy", newest_first()).items():
        if not file.exists() or file.read_text() != text:
            file.write_text(text)
            print(f"wrote {file.relative_to(PROJECT_ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
