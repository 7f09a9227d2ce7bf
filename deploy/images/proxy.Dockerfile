# Caddy, as the proxy that asks for a password; the context is the project's root:
#   docker build -f deploy/images/proxy.Dockerfile .
ARG CADDY=docker.io/library/caddy:2.11.7-alpine

FROM ${CADDY}
# A copy has no file capabilities: with them it would not start where none may be gained.
RUN cp /usr/bin/caddy /usr/local/bin/caddy && rm /usr/bin/caddy \
 && install -d -o 10001 -g 10001 /data
COPY deploy/docker-compose/proxy/ /etc/caddy/
ENV HOME=/tmp \
    XDG_CONFIG_HOME=/tmp \
    XDG_DATA_HOME=/data
USER 10001:10001
EXPOSE 5000 5100 5101 5102
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
  CMD ["sh", "-c", "nc -z 127.0.0.1 \"$DAGSTER_PORT\""]
CMD ["/bin/sh", "/etc/caddy/serve.sh"]
