#!/bin/sh
# Make databases and roles (the file that is the argument). What PostgreSQL cannot do is refused before.
#
# POSTGRES_USER, PGHOST, PGPORT, PGPASSWORD, and those of init.sql
set -eu
administrator() {
  psql --no-psqlrc --quiet --username="$POSTGRES_USER" --dbname=postgres "$@"
}
refuse() {
  echo "The databases were not made: $*" >&2
  exit 1
}
if ! version=$(administrator --tuples-only --no-align --command='SHOW server_version_num' 2>&1); then
  case $version in
    *'password authentication failed'*)
      refuse "PostgreSQL's volume was made with another POSTGRES_PASSWORD than .env has now. Put that one" \
        "back into .env and run secrets.sh, or set the new one in PostgreSQL's container:" \
        "psql -U $POSTGRES_USER -c '\\password'. Nothing was changed."
      ;;
    *) refuse "$(echo "$version" | tail -n 1)" ;;
  esac
fi
if [ "$version" -lt 140000 ]; then
  refuse "this PostgreSQL is version $((version / 10000)), and 14 or newer is needed. Nothing was changed."
fi
administrator --file="$1"
