#!/bin/sh
# Start a program with the container's secret files as variables of their names. What cannot work is
# refused in one sentence first: a secret without a value, the demo's secrets where other machines reach
# the platform, a volume that cannot be written to.
#
# AWAIT: a command that must succeed before. Engines differ in what they start when, so each service
# waits for what it needs itself.
# WRITES: folders that the service writes to.
# DEMO_PAIRS: SECRET=NAME of secrets that the demo has the same as the name beside them; BIND_ADDRESS
set -eu
refuse() {
  echo "Not started: $*" >&2
  exit 1
}
for file in /run/secrets/*; do
  name=${file##*/}
  if [ -d "$file" ]; then
    refuse "the file of the secret $name was missing when the container was made. Run secrets.sh" \
      "beside MLOps.yml, then \`up -d --force-recreate\`."
  fi
  [ -e "$file" ] || continue
  value=$(cat "$file") || refuse "the file of the secret $name cannot be read; run secrets.sh again."
  # Without that key the code location makes one.
  if [ -z "$value" ] && [ "$name" != WINE_QUALITY_SIGNING_KEY ]; then
    refuse "the secret $name is empty. Set it in .env (\`make stack-env\` makes all of them), run" \
      "secrets.sh, then start the container again."
  fi
  export "$name=$value"
done
case ${BIND_ADDRESS-127.0.0.1} in
  127.* | localhost | ::1 | \[::1\]) ;;
  *)
    for pair in ${DEMO_PAIRS:-}; do
      eval "secret=\$${pair%=*} user=\$${pair#*=}"
      # shellcheck disable=SC2154
      if [ "$secret" = "$user" ]; then
        refuse "BIND_ADDRESS is $BIND_ADDRESS, but ${pair%=*} is the demo's, which everybody knows." \
          "Make random secrets with \`make stack-env\`, or set BIND_ADDRESS=127.0.0.1."
      fi
    done
    ;;
esac
# Not the shell's own echo: that of dash calls a full disk an I/O error.
for folder in ${WRITES:-}; do
  if ! reason=$({ env echo wine_quality > "$folder/.write-check" && rm "$folder/.write-check"; } 2>&1); then
    rm -f "$folder/.write-check"
    refuse "nothing can be written to the volume at $folder (${reason##*: }). Free some space, or give" \
      "the folder to the container's user; nothing that is there was changed."
  fi
done
unset DEMO_PAIRS WRITES
if [ -n "${AWAIT:-}" ]; then
  check=$AWAIT
  unset AWAIT
  tries=0
  # Words of a command, not a line for a shell.
  until reason=$($check 2>&1); do
    tries=$((tries + 1))
    if [ "$tries" -ge 120 ]; then
      refuse "\"$check\" has failed $tries times. ${reason##*
}"
    fi
    sleep 1
  done
fi
exec "$@"
