#!/usr/bin/env bash
# Starts a PostgreSQL for tests of ledgers on loopback and prints how to reach it. It does not sync: a crash loses its data.
#
#   postgres.sh [PORT]            eval "$(scripts/stores/postgres.sh)"; cargo test -p upload-gateway ledger
#   stop.sh postgres              also deletes its data
#
# Root installs Debian's package if it is missing. PostgreSQL does not run as root, so for root it runs as the user of the
# package.
set -euo pipefail
name=postgres
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
enter

find_programs() {
  local found
  found=$(command -v initdb || find /usr/lib/postgresql /usr/pgsql-* -path '*/bin/initdb' 2>/dev/null | sort -V | tail -n 1)
  [ -n "$found" ] && programs=$(dirname "$(readlink -f "$found")")
}
if ! find_programs; then
  [ "$(id -u)" = 0 ] || die "PostgreSQL is not installed: apt-get install postgresql"
  say "installing Debian's PostgreSQL"
  # Keep the package from starting a server.
  if [ ! -e /etc/postgresql-common/createcluster.conf ]; then
    mkdir -p /etc/postgresql-common
    echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  fi
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends postgresql; } >&2
  find_programs || die "the package has no initdb"
fi

as_user=()
if [ "$(id -u)" = 0 ]; then as_user=(setpriv --reuid=postgres --regid=postgres --init-groups --); fi

choose_port "${1:-}"
up() { "$programs/pg_isready" -q -h 127.0.0.1 -p "$port" -U postgres; }
print_env() {
  echo "export UPLOAD_TEST_POSTGRES=postgres://postgres:$(cat "$run/password")@127.0.0.1:$port/postgres"
}
unless_running

# Not in the build directory, which the other user cannot reach.
if [ -s "$run/data" ]; then rm -rf "$(cat "$run/data")"; fi
data=$(mktemp -d "${TMPDIR:-/tmp}/upload-postgres.XXXXXX")
echo "$data" >"$run/data"
(umask 077; od -An -N16 -tx1 /dev/urandom | tr -d ' \n' >"$run/password")
cp "$run/password" "$data/password"
# TLS with a certificate of tests/chaos/tls, which ca.pem there has signed.
cp "$root/tests/chaos/tls/good.pem" "$data/server.pem"
chmod 600 "$data/server.pem" "$data/password"
if [ "$(id -u)" = 0 ]; then chown -R postgres: "$data"; fi
"${as_user[@]}" "$programs/initdb" --no-sync --auth=scram-sha-256 --username=postgres --pwfile="$data/password" --encoding=UTF8 \
  --locale=C -D "$data/db" >"$run/log" 2>&1 || { cat "$run/log" >&2; die "initdb failed"; }
cd /
launch "${as_user[@]}" "$programs/postgres" -D "$data/db" -c listen_addresses=127.0.0.1 -p "$port" -k "$data" \
  -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c max_connections=200 \
  -c ssl=on -c ssl_cert_file="$data/server.pem" -c ssl_key_file="$data/server.pem"
print_env
