#!/bin/sh
# Start Caddy (2.6 or later) in front of the UIs and the MLflow servers; it asks for a password.
#
# BIND_ADDRESS (where it can be reached), PROXY_LISTEN (what it listens on: the same, or all of a
# container), PROXY_HOSTS (names people know it by, with commas)
# PROXY_USER, PROXY_PASSWORD
# PROXY_TLS: off (on this machine only), internal (a certificate of its own) or files
# (PROXY_CERTIFICATE, PROXY_CERTIFICATE_KEY)
# DAGSTER_PORT, and MLFLOW_<version>_PORT of each version
# PROXY_DAGSTER, PROXY_MLFLOW_<version> (host and port of each)
set -eu

case $BIND_ADDRESS in
  127.* | localhost | ::1 | \[::1\]) ;;
  *)
    if [ "$PROXY_PASSWORD" = "$PROXY_USER" ]; then
      echo "BIND_ADDRESS is $BIND_ADDRESS, but PROXY_PASSWORD is the demo's, which everybody knows." \
        "Make random ones with \`make stack-env\`, or set BIND_ADDRESS=127.0.0.1." >&2
      exit 1
    fi
    if [ "$PROXY_TLS" = off ]; then
      echo "BIND_ADDRESS is $BIND_ADDRESS, but without TLS everybody on the way reads the password." \
        "Set PROXY_TLS=internal or files (SECURITY.md), or BIND_ADDRESS=127.0.0.1." >&2
      exit 1
    fi
    ;;
esac

case $PROXY_TLS in
  off) export PROXY_SCHEME=http ;;
  internal | files) export PROXY_SCHEME=https ;;
  *)
    echo "PROXY_TLS is $PROXY_TLS; it must be off, internal or files." >&2
    exit 1
    ;;
esac
export PROXY_CERTIFICATE="${PROXY_CERTIFICATE:-/certs/tls.crt}"
export PROXY_CERTIFICATE_KEY="${PROXY_CERTIFICATE_KEY:-/certs/tls.key}"

# The addresses of a port, with commas.
sites() {
  list=
  for name in $(echo "$PROXY_HOSTS" | tr , ' '); do
    list="${list:+$list, }$PROXY_SCHEME://$name:$1"
  done
  echo "$list"
}
PROXY_DAGSTER_SITES=$(sites "$DAGSTER_PORT")
# versions: site_variables (make versions)
PROXY_MLFLOW_3_SITES=$(sites "$MLFLOW_3_PORT")
export PROXY_MLFLOW_3_SITES
PROXY_MLFLOW_2_1_1_SITES=$(sites "$MLFLOW_2_1_1_PORT")
export PROXY_MLFLOW_2_1_1_SITES
PROXY_MLFLOW_1_26_SITES=$(sites "$MLFLOW_1_26_PORT")
export PROXY_MLFLOW_1_26_SITES
# end of versions
PROXY_PATTERN=$(echo "$PROXY_HOSTS" | sed 's/[.]/\\./g; s/,/|/g; s/[][]/\\&/g')
# By standard input: arguments stand in the list of processes.
PROXY_PASSWORD_HASH=$(printf '%s\n' "$PROXY_PASSWORD" | caddy hash-password)
export PROXY_DAGSTER_SITES PROXY_PATTERN PROXY_PASSWORD_HASH
unset PROXY_PASSWORD
exec caddy run --config "${PROXY_CADDYFILE:-/etc/caddy/Caddyfile}" --adapter caddyfile
