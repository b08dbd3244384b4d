#!/usr/bin/env bash
# Ends a store that a script beside this one started, and nothing else.
#
#   stop.sh NAME [--wipe]         --wipe forgets its data too; the installed program stays
set -euo pipefail
name=${1:-}
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
case $name in
  localstack | garage | ceph | moto | swift | postgres) ;;
  *) name=stop; die "which one, localstack, garage, ceph, moto, swift or postgres?" ;;
esac
enter

if alive; then
  read -r pid _ <"$run/pid"
  if [ "$name" = postgres ]; then
    # It ends its children itself; to SIGTERM it would wait for those who are connected.
    kill -INT "$pid"
  else
    # It was started as the leader of its own session, so its children go with it.
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
# PostgreSQL names its directory there; other stores have one of that name.
if [ -f "$run/data" ]; then
  rm -rf "$(cat "$run/data")"
  rm -f "$run/data"
fi
if [ "${2:-}" = --wipe ]; then rm -rf "$run"; fi
