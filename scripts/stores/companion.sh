#!/usr/bin/env bash
# Installs an Uppy Companion (from npm, as it is) and prints where; with `run`, starts one before the S3 store that runs.
#
#   companion.sh                  eval "$(scripts/stores/companion.sh)"; cargo test --test behaviour -- companion::
#   companion.sh install VERSION  another version than the one of companion/package-lock.json
#   companion.sh run [PORT]       in the foreground, on loopback, for the bucket that COMPANION_AWS_BUCKET names
#
# Tests start Companions of their own, each before its own proxy and bucket. Exit code 3: there is no Node that it could run on.
set -euo pipefail
name=companion
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
enter
pinned=$root/scripts/stores/companion
wanted=$(sed -n 's/.*"@uppy\/companion": "\([0-9.]*\)".*/\1/p' "$pinned/package.json")
verb=install
case ${1:-} in
  install | run) verb=$1; shift ;;
esac
version=$wanted
if [ "$verb" = install ] && [ -n "${1:-}" ]; then version=$1; fi
place=$stores/companion-$version

if ! command -v npm >/dev/null || ! node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)'; then
  say "needs Node 20 or later, and npm: install them (\`apt-get install nodejs npm\`)"
  exit 3
fi

if [ ! -e "$place/.ready" ]; then
  say "installing @uppy/companion $version, about a minute"
  rm -rf "$place"
  mkdir -p "$place"
  options=(--no-audit --no-fund --ignore-scripts --omit=dev --omit=optional --loglevel=error)
  if [ "$version" = "$wanted" ]; then
    cp "$pinned/package.json" "$pinned/package-lock.json" "$place/"
    (cd "$place" && npm ci "${options[@]}" >&2)
  else
    echo '{ "private": true }' >"$place/package.json"
    (cd "$place" && npm install "${options[@]}" "@uppy/companion@$version" >&2)
  fi
  # It listens on all addresses, and can be told no other: this makes it loopback, and says the port.
  cat >"$place/loopback.cjs" <<'END'
const { Server } = require('node:net')
const { listen } = Server.prototype
Server.prototype.listen = function (port, ...rest) {
  this.once('listening', () => console.error(`loopback port ${this.address().port}.`))
  return listen.call(this, Number(port), '127.0.0.1', ...rest.filter((it) => typeof it === 'function'))
}
END
  touch "$place/.ready"
fi

if [ "$verb" = install ]; then
  echo "export UPLOAD_TEST_COMPANION=$place"
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
say "http://127.0.0.1:$port, before $COMPANION_AWS_ENDPOINT/$COMPANION_AWS_BUCKET"
exec node --require "$place/loopback.cjs" "$place/node_modules/@uppy/companion/bin/companion"
