#!/usr/bin/env bash
# Starts moto's S3 (from PyPI) on loopback and prints how to reach it.
#
#   moto.sh [PORT]                scripts/probe-stores moto
#   stop.sh moto [--wipe]
#
# It checks neither signatures nor checksums nor lengths. The probe must reject this store.
set -euo pipefail
name=moto
version=${MOTO_VERSION:-5.2.5}
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
enter
venv=$stores/venv-moto
access='test'
secret='test'

if [ ! -e "$venv/.ready-$version" ]; then
  say "installing moto $version, a minute"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "moto[server]==$version" >&2
  touch "$venv/.ready-$version"
fi

# No list of missing features: the tests of stores do not run with moto.
choose_port "${1:-}"
up() { curl -sf -o /dev/null "http://127.0.0.1:$port/moto-api/"; }
unless_running
launch "$venv/bin/moto_server" -H 127.0.0.1 -p "$port"
print_env
