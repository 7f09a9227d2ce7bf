# Code server, webserver and daemon, with the environments of all MLflow versions; the context is
# the project's root:
#   docker build -f deploy/images/dagster.Dockerfile --build-arg GIT_COMMIT=$(git rev-parse HEAD) .
ARG PYTHON=docker.io/library/python:3.11.15-slim-bookworm

FROM ${PYTHON} AS build
WORKDIR /opt/wine_quality
# Only what the environments are built from: a change of other code leaves this layer be.
COPY deploy/requirements/mlflow-*.txt deploy/requirements/uv.txt deploy/requirements/
COPY wine_quality/__init__.py wine_quality/
COPY wine_quality/escaping.py wine_quality/
COPY wine_quality/paths.py wine_quality/
COPY wine_quality/terminal.py wine_quality/
COPY wine_quality/usable_paths.py wine_quality/
COPY wine_quality/environments/ wine_quality/environments/
COPY wine_quality/settings/ wine_quality/settings/
ENV UV_LINK_MODE=hardlink \
    UV_CACHE_DIR=/tmp/uv-cache \
    PIP_NO_CACHE_DIR=1
# The project's own builder: locked, with hashes. Neither uv nor its cache is needed any more then. What
# the environments have in common is in the layer once.
RUN python -m wine_quality.environments build all \
 && python -m wine_quality.environments share \
 && rm -rf .venvs/uv /tmp/uv-cache
# pandas' own tests are not needed.
RUN rm -rf .venvs/*/lib/python3*/site-packages/pandas/tests

FROM ${PYTHON}
# The places of the volumes belong to the user; code and environments do not.
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin wine \
 && install -d -o wine -g wine /var/lib/dagster /var/lib/wine_quality
WORKDIR /opt/wine_quality
COPY --from=build /opt/wine_quality/.venvs .venvs
COPY deploy/ deploy/
COPY wine_quality/ wine_quality/
RUN .venvs/mlflow-3/bin/python -m compileall -q wine_quality
# Noted in each run.
ARG GIT_COMMIT=unknown
ENV GIT_COMMIT=${GIT_COMMIT} \
    PATH=/opt/wine_quality/.venvs/mlflow-3/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DAGSTER_HOME=/var/lib/dagster \
    WINE_QUALITY_BUILD_ENVIRONMENTS=0 \
    WINE_QUALITY_HOME=/var/lib/wine_quality
USER 10001:10001
EXPOSE 4000 5000
# Of the code server, which is the command; the webserver and the daemon have theirs in MLOps.yml.
HEALTHCHECK --interval=10s --timeout=10s --start-period=120s --retries=6 \
  CMD ["python", "-m", "wine_quality.stack.health", "code", "127.0.0.1:4000"]
CMD ["python", "-m", "dagster", "api", "grpc", "-m", "wine_quality.definitions", "-a", "defs", "-h", "0.0.0.0", "-p", "4000"]
