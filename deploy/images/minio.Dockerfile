# MinIO as a user of its own: its image has no folder that anybody but root writes to. The last
# release of the community project, archived in February 2026; `mc` is in it.
FROM quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z
RUN install -d -o 10001 -g 10001 /objects
COPY deploy/docker-compose/minio/buckets.sh /opt/buckets.sh
# Where mc keeps what it writes.
ENV HOME=/tmp \
    MC_CONFIG_DIR=/tmp/mc
USER 10001:10001
EXPOSE 9000 9001
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=6 CMD ["mc", "ready", "local"]
CMD ["server", "/objects", "--console-address", ":9001"]
