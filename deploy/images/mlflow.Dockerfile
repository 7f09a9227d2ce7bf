# A tracking server of one MLflow version; the context is the project's root:
#   docker build -f deploy/images/mlflow.Dockerfile --build-arg MLFLOW_VERSION=2.1.1 .
ARG PYTHON=docker.io/library/python:3.11.15-slim-bookworm

FROM ${PYTHON} AS build
# By the project's locked uv: pip 23.0.1, which base images of Python 3.11 have, cannot read the hashes
# of a requirement with extras.
COPY deploy/requirements/uv.txt /build/uv.txt
RUN python -m pip install --no-cache-dir --require-hashes --only-binary :all: --target /build/uv \
    --requirement /build/uv.txt
# 3, 2.1.1 or 1.26: the lock files of deploy/requirements.
ARG MLFLOW_VERSION=3
COPY deploy/requirements/server-${MLFLOW_VERSION}.txt /build/requirements.txt
# Wheels only: what builds a source package would come without hashes. Compiled here: where the server
# runs, nothing is written, so that each start would compile all of it. pandas' own tests are not needed.
RUN python -m venv --without-pip /opt/mlflow \
 && /build/uv/bin/uv pip sync --no-cache --require-hashes --only-binary :all: \
    --python /opt/mlflow/bin/python /build/requirements.txt \
 && rm -rf /opt/mlflow/lib/python3*/site-packages/pandas/tests \
 && python -m compileall -q -j 0 /opt/mlflow/lib

FROM ${PYTHON}
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin wine
COPY --from=build /opt/mlflow /opt/mlflow
COPY deploy/docker-compose/mlflow/serve.sh /opt/mlflow/serve.sh
COPY deploy/docker-compose/mlflow/await.py /opt/mlflow/await.py
# Where the server writes is /tmp: the rest may be read-only.
ENV PATH=/opt/mlflow/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MLFLOW_HOST=0.0.0.0 \
    MLFLOW_PORT=5000
USER 10001:10001
WORKDIR /tmp
EXPOSE 5000
# The first start makes the database's tables. podman keeps this only with `--format docker`, so
# MLOps.yml has it too.
HEALTHCHECK --interval=10s --timeout=5s --start-period=120s --retries=6 \
  CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"MLFLOW_PORT\"]}/health', timeout=4)"]
CMD ["/bin/sh", "/opt/mlflow/serve.sh"]
