#!/usr/bin/env bash
# Stops a server that a script of this directory started, and no other process.
#
#   stop.sh NAME [--wipe]         --wipe also deletes its data; the installed program stays
set -euo pipefail
name=${1:-}
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
case $name in
  localstack | garage | ceph | moto | swift | postgres) ;;
  *) name=stop; die "expected localstack, garage, ceph, moto, swift or postgres" ;;
esac
enter

if alive; then
  read -r pid _ <"$run/pid"
  if [ "$name" = postgres ]; then
    # PostgreSQL ends its children itself. After SIGTERM it would wait for its clients.
    kill -INT "$pid"
  else
    # The process leads its session, so this ends its children too.
    kill -TERM -- "-$pid" 2>/dev/null || kill -TERM "$pid"
  fi
  for _ in $(seq 100); do
    alive || break
    sleep 0.1
  done
  if alive; then kill -KILL -- "-$pid" 2>/dev/null || kill -KILL "$pid"; fi
  say "stopped"
fi
rm -f "$run/pid"
# For PostgreSQL and Ceph, this file names the data directory; for other stores it is a directory.
if [ -f "$run/data" ]; then
  rm -rf "$(cat "$run/data")"
  rm -f "$run/data"
fi
if [ "${2:-}" = --wipe ]; then rm -rf "$run"; fi
