#!/usr/bin/env bash
# Starts Ceph's S3 (Debian's RADOS gateway 16, with one monitor and one OSD) on loopback and prints how to reach it.
#
#   ceph.sh [PORT]                eval "$(scripts/stores/ceph.sh)"; cargo test --test behaviour real_store
#   stop.sh ceph                  also deletes its data
#
# A distributed store without SHA-256 checksums of parts: it rejects a wrong payload hash and a wrong Content-MD5. Root
# installs its packages if they are missing. It starts in half a minute and needs about 1 GiB of memory.
set -euo pipefail
name=ceph
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
enter
access=AKIACEPHCEPHCEPH0001
secret='loopback-only-loopback-only-loopback-only'

if ! command -v radosgw >/dev/null || ! command -v ceph-osd >/dev/null || ! command -v ceph-mon >/dev/null; then
  [ "$(id -u)" = 0 ] || die "Ceph is not installed: apt-get install ceph-mon ceph-osd radosgw"
  say "installing Debian's Ceph"
  { apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends ceph-mon ceph-osd radosgw ceph-common; } >&2
fi

# The features that tests must not expect of this store.
# shellcheck disable=SC2034 # read by print_env
lacks="sha256 composite complete-once object-size sse queue"
choose_port "${1:-}"
up() { curl -s -o /dev/null "http://127.0.0.1:$port/"; }
unless_running

if [ -s "$run/data" ]; then rm -rf "$(cat "$run/data")"; fi
data=$(mktemp -d "${TMPDIR:-/tmp}/upload-ceph.XXXXXX")
echo "$data" >"$run/data"
mkdir -p "$data"/{mon,osd,log}
fsid=$(cat /proc/sys/kernel/random/uuid)
mon=$(free_port)
conf=$data/ceph.conf
cat >"$conf" <<END
[global]
fsid = $fsid
mon_initial_members = a
mon_host = [v2:127.0.0.1:$mon]
ms_bind_ipv6 = false
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
mon_warn_on_insecure_global_id_reclaim = false
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 4
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_max_pg_per_osd = 1000
mon_data = $data/mon
mon_data_avail_crit = 1
osd_data = $data/osd
osd_objectstore = bluestore
bluestore_block_size = 8589934592
bluestore_fsck_on_mount = false
osd_memory_target = 939524096
run_dir = $data
admin_socket =
log_file = $data/log/\$name.log
mon_cluster_log_file = $data/log/cluster.log
crash_dir = $data/log
keyring = $data/keyring
rgw_enable_usage_log = false
rgw_gc_obj_min_wait = 10
# Accept the password of a topic: Ceph requires TLS for it, or a proxy's header that claims TLS.
rgw_trust_forwarded_https = true
[osd]
keyring = $data/osd/keyring
END

{
  ceph-authtool -C "$data/keyring" --gen-key -n mon. --cap mon 'allow *'
  ceph-authtool "$data/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *'
  monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon]" "$data/monmap"
  ceph-mon -c "$conf" --mkfs -i a --monmap "$data/monmap" --keyring "$data/keyring"
} >"$run/log" 2>&1 || { tail -n 20 "$run/log" >&2; die "could not create its monitor; the log is $run/log"; }

# A script that starts the daemons, and stops them when it is stopped.
cat >"$data/run" <<'END'
#!/usr/bin/env bash
# Runs the daemons of one Ceph: DIR PORT ACCESS SECRET
data=$1 conf=$1/ceph.conf port=$2
trap 'kill $(jobs -p) 2>/dev/null; wait; exit' TERM INT
ceph-mon -c "$conf" -f -i a &
osd=$(cat /proc/sys/kernel/random/uuid)
ceph -c "$conf" --connect-timeout 60 osd new "$osd" || exit
ceph -c "$conf" auth get-or-create osd.0 mon 'allow profile osd' osd 'allow *' -o "$data/osd/keyring" || exit
ceph-osd -c "$conf" -i 0 --mkfs --osd-uuid "$osd" || exit
ceph-osd -c "$conf" -f -i 0 &
radosgw-admin -c "$conf" user create --uid test --display-name test --access-key "$3" --secret-key "$4" || exit
radosgw -c "$conf" -f -n client.admin --rgw_frontends "beast endpoint=127.0.0.1:$port" &
wait
END
chmod +x "$data/run"
cd "$data"
launch "$data/run" "$data" "$port" "$access" "$secret"
print_env
