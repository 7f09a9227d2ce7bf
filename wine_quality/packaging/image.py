"""The build context of an image that serves one version."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from wine_quality.escaping import escaped
from wine_quality.packaging.container import GRPC_PORT, HTTP_PORT, METRICS_PORT, USER
from wine_quality.packaging.repository import REQUIREMENTS
from wine_quality.packaging.served_model import ServedModel
from wine_quality.policy.names import inside

# The patch release that the platform's images are built from; others by their minor.
_BASES = {"3.11": "3.11.15"}
_DOCKERFILE = """\
# {title}, served over REST and gRPC by MLServer. Made by `make image`; build it with
#   docker build --tag {tag} .
#   podman build --format docker --tag {tag} .   (its own format has no place for the health check)
# It holds no credentials. WINE_QUALITY_METRICS_URL, given when it runs, has predictions logged.
ARG PYTHON=docker.io/library/python:{python}-slim-bookworm

FROM ${{PYTHON}} AS build
COPY requirements.txt /build/requirements.txt
# Wheels only: what builds a source package would come without hashes.
RUN python -m venv /opt/serving \\
 && /opt/serving/bin/pip install --no-cache-dir --require-hashes --only-binary :all: \\
    --requirement /build/requirements.txt

FROM ${{PYTHON}}
RUN useradd --uid {user} --user-group --no-create-home --home-dir /tmp \\
    --shell /usr/sbin/nologin wine
COPY --from=build /opt/serving /opt/serving
COPY models/ /mnt/models/
LABEL org.opencontainers.image.title={title_quoted} \\
      wine_quality.run_id={run_id} \\
      wine_quality.mlflow_version={mlflow_version}
# Only /tmp is written to: the rest may be read-only.
ENV PATH=/opt/serving/bin:$PATH \\
    PYTHONPATH={folder} \\
    HOME=/tmp \\
    PYTHONDONTWRITEBYTECODE=1 \\
    PYTHONUNBUFFERED=1 \\
    MLSERVER_HOST=0.0.0.0 \\
    MLSERVER_HTTP_PORT={http} \\
    MLSERVER_GRPC_PORT={grpc} \\
    MLSERVER_METRICS_PORT={metrics} \\
    MLSERVER_METRICS_DIR=/tmp/metrics \\
    MLSERVER_ENVIRONMENTS_DIR=/tmp/environments
USER {user}:{user}
WORKDIR /tmp
EXPOSE {http} {grpc} {metrics}
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \\
  CMD ["python", "-m", "wine_quality_runtime.health"]
ENTRYPOINT ["python", "-m", "wine_quality_runtime.server"]
CMD ["/mnt/models"]
"""


def image_tag(model: ServedModel) -> str:
    """The image's name and tag, also in the manifests."""
    return f"localhost/wine-quality-model:{model.version}"


def write_context(model: ServedModel, repository: Path, folder: Path) -> Path:
    """A folder that ``docker build`` or ``podman build`` takes.

    Args:
        repository: The model's folder, as ``write_repository`` made it.
    """
    making = folder.with_name(f".{folder.name}.making")
    shutil.rmtree(making, ignore_errors=True)
    shutil.copytree(repository, inside(making / "models", model.name))
    shutil.copyfile(repository / REQUIREMENTS, making / REQUIREMENTS)
    (making / "Dockerfile").write_text(dockerfile(model))
    shutil.rmtree(folder, ignore_errors=True)
    making.rename(folder)
    return folder


def dockerfile(model: ServedModel) -> str:
    """Of a slim Python; no root user, a health check, MLServer as entry point."""
    title = escaped(f"{model.name} version {model.version}")
    return _DOCKERFILE.format(
        title=title,
        title_quoted=_quoted(title),
        folder=_quoted(f"/mnt/models/{model.name}"),
        tag=image_tag(model),
        run_id=_quoted(model.run_id),
        mlflow_version=_quoted(model.mlflow_version),
        python=_BASES.get(model.python, model.python),
        user=USER,
        http=HTTP_PORT,
        grpc=GRPC_PORT,
        metrics=METRICS_PORT,
    )


def _quoted(text: str) -> str:
    """A text as one quoted value of a Dockerfile, with any characters escaped."""
    return '"' + re.sub(r'(["\\$])', r"\\\1", escaped(text)) + '"'
