#!/usr/bin/env bash
# Starts OpenStack Swift with its S3 API (from PyPI) on loopback and prints how to reach it.
#
#   swift.sh [PORT]               eval "$(scripts/stores/swift.sh)"; cargo test --test behaviour real_store
#   stop.sh swift [--wipe]
#
# Swift rejects a part with a wrong SHA-256, and stores no SHA-256. It runs one account, container and object server without
# replicas. Root installs the library for erasure codes, which is Debian's, if it is missing. Its access key has a colon.
set -euo pipefail
name=swift
version=${SWIFT_VERSION:-2.38.3}
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
enter
venv=$stores/venv-swift
access='test:tester'
secret='testing'

if [ ! -e "$venv/.ready-$version" ]; then
  if ! ls /usr/lib/*/liberasurecode.so >/dev/null 2>&1; then
    [ "$(id -u)" = 0 ] || die "a library is not installed: apt-get install liberasurecode-dev"
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends liberasurecode-dev; } >&2
  fi
  say "installing Swift $version, a minute"
  python3 -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "swift==$version" >&2
  touch "$venv/.ready-$version"
fi

# The features that tests must not expect of this store.
# shellcheck disable=SC2034 # read by print_env
lacks="composite object-size sse queue"
choose_port "${1:-}"
server_ports=()
up() { # whether the proxy and its servers answer
  local kind_port
  for kind_port in "${server_ports[@]}"; do curl -s -o /dev/null "http://127.0.0.1:$kind_port/" || return; done
  curl -sf -o /dev/null "http://127.0.0.1:$port/healthcheck"
}
unless_running

etc=$run/etc
rm -rf "$etc"
mkdir -p "$etc" "$run/data.d/one"
printf '[swift-hash]\nswift_hash_path_suffix = upload\n[storage-policy:0]\nname = one\ndefault = yes\n' >"$etc/swift.conf"
server() { # NAME PORT PIPELINE
  cat >"$etc/$1-server.conf" <<END
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = $2
swift_dir = $etc
devices = $run/data.d
mount_check = false
user = $(id -un)
workers = 0
log_level = WARNING
[pipeline:main]
pipeline = $3
[app:$1-server]
use = egg:swift#$1
END
}
for kind in account container object; do
  server_port=$(free_port)
  server_ports+=("$server_port")
  server $kind "$server_port" $kind-server
  ring=("$venv/bin/swift-ring-builder" "$etc/$kind.builder")
  "${ring[@]}" create 4 1 1 >/dev/null
  "${ring[@]}" add "r1z1-127.0.0.1:$server_port/one" 1 >/dev/null
  "${ring[@]}" rebalance >/dev/null
done
server proxy "$port" "catch_errors gatekeeper healthcheck cache bulk s3api tempauth copy slo dlo proxy-server"
{
  echo 'account_autocreate = true'
  for filter in catch_errors gatekeeper healthcheck bulk copy slo dlo; do printf '[filter:%s]\nuse = egg:swift#%s\n' $filter $filter; done
  printf '[filter:cache]\nuse = egg:swift#memcache\n'
  printf '[filter:s3api]\nuse = egg:swift#s3api\nlocation = us-east-1\n'
  printf '[filter:tempauth]\nuse = egg:swift#tempauth\nuser_test_tester = %s .admin\n' "$secret"
} >>"$etc/proxy-server.conf"
# Each server leaves the session, so the leader ends them by their process ids.
# shellcheck disable=SC2016 # arguments of the inner script
launch bash -c 'trap "kill \$(jobs -p); exit" TERM
  for kind in account container object proxy; do "$1/swift-$kind-server" "$2/$kind-server.conf" & done
  wait' swift "$venv/bin" "$etc"
print_env
