#!/usr/bin/env bash
# Starts moto's S3 (from PyPI) on loopback and prints how to reach it.
#
#   moto.sh [PORT]                scripts/probe-stores moto
#   stop.sh moto [--wipe]
#
# It checks neither signatures nor checksums nor lengths: the store that no probe may be content with.
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

# What the tests of the store cannot ask of it is nearly everything.
choose_port "${1:-}"
up() { curl -sf -o /dev/null "http://127.0.0.1:$port/moto-api/"; }
unless_running
launch "$venv/bin/moto_server" -H 127.0.0.1 -p "$port"
tell
