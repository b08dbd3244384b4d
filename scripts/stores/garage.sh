#!/usr/bin/env bash
# Starts Garage (from crates.io), one node on loopback, and prints how to reach it.
#
#   garage.sh [PORT]              eval "$(scripts/stores/garage.sh)"; cargo test --test s3_stores
#   stop.sh garage [--wipe]
#
# The first start compiles it, about ten minutes on two cores. Garage keeps its objects on disk. It checks signatures, SHA-256
# checksums and lengths, and ignores `If-None-Match`.
set -euo pipefail
name=garage
version=${GARAGE_VERSION:-2.5.0}
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
enter
garage=$stores/cargo/bin/garage
# Garage requires GK and 24 hexadecimal digits for the first, and 64 hexadecimal digits for the second.
access=GK000000000000000000000001
secret=0000000000000000000000000000000000000000000000000000000000000001

if [ ! -x "$garage" ] || ! "$garage" --version | grep -q "$version"; then
  say "compiling garage $version, about ten minutes"
  CARGO_TARGET_DIR=$stores/build/garage nice cargo install garage --version "$version" --locked --force --root "$stores/cargo" >&2
fi

# The features that tests must not expect of this store.
# shellcheck disable=SC2034 # read by print_env
lacks="if-none-match object-size empty-part sse queue"
choose_port "${1:-}"
up() { curl -s -o /dev/null "http://127.0.0.1:$port/"; }
unless_running

mkdir -p "$run"/{meta,data}
[ -s "$run/rpc_secret" ] || (umask 077; od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$run/rpc_secret")
rpc=$(free_port)
cat >"$run/garage.toml" <<END
metadata_dir = "$run/meta"
data_dir = "$run/data"
db_engine = "lmdb"
replication_factor = 1
metadata_fsync = false
data_fsync = false
disable_scrub = true
rpc_bind_addr = "127.0.0.1:$rpc"
rpc_public_addr = "127.0.0.1:$rpc"
rpc_secret_file = "$run/rpc_secret"
[s3_api]
api_bind_addr = "127.0.0.1:$port"
s3_region = "us-east-1"
[admin]
api_bind_addr = "127.0.0.1:$(free_port)"
admin_token = "loopback-only"
END
launch env GARAGE_DEFAULT_ACCESS_KEY=$access GARAGE_DEFAULT_SECRET_KEY=$secret \
  "$garage" -c "$run/garage.toml" server --single-node --default-access-key
# A new node rejects changes of keys for a moment.
for _ in $(seq 50); do
  "$garage" -c "$run/garage.toml" key allow --create-bucket "$access" >/dev/null 2>>"$run/log" && break
  sleep 0.2
done
print_env
