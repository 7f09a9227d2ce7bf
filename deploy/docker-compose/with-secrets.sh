#!/bin/sh
# Start a program with the container's secret files as variables of their names. Where AWAIT is set, it
# is a command that must succeed first: engines differ in what they start when, so each service waits
# for what it needs itself.
set -eu
for file in /run/secrets/*; do
  [ -f "$file" ] || continue
  value=$(cat "$file")
  export "${file##*/}=$value"
done
if [ -n "${AWAIT:-}" ]; then
  check=$AWAIT
  unset AWAIT
  tries=0
  # Words of a command, not a line for a shell.
  until reason=$($check 2>&1); do
    tries=$((tries + 1))
    if [ "$tries" -ge 120 ]; then
      echo "Not started: \"$check\" has failed $tries times. ${reason##*
}" >&2
      exit 1
    fi
    sleep 1
  done
fi
exec "$@"
