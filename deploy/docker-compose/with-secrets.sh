#!/bin/sh
# Start a program with the container's secret files as variables of their names.
set -eu
for file in /run/secrets/*; do
  [ -f "$file" ] || continue
  value=$(cat "$file")
  export "${file##*/}=$value"
done
exec "$@"
