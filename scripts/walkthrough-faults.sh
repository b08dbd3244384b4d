# Scenes of `walkthrough` in which something fails while gateways run: readers that do not read, a restored ledger, a
# PostgreSQL server that dies, a full disk, an object that a hook rejects. Sourced by `walkthrough`, whose functions and
# variables it uses.

# ---- PostgreSQL servers ----

prepare_postgres() {
  local run=$scratch/stores/run/postgres
  programs=$(dirname "$(readlink "/proc/$(cut -d' ' -f1 "$run/pid")/exe")")
  primary_pid=$(cut -d' ' -f1 "$run/pid")
  primary_port=$(cat "$run/port")
  PGPASSWORD=$(cat "$run/password")
  # The user of PostgreSQL cannot enter the scratch directory.
  databases=$(mktemp -d "${TMPDIR:-/tmp}/upload-walkthrough-postgres.XXXXXX")
  [ "$(id -u)" != 0 ] || chown postgres: "$databases"
}
as_postgres() { # PROGRAM ARGUMENTS...: a program of PostgreSQL; its servers must not run as root
  local program=$programs/$1 user=()
  shift
  [ "$(id -u)" != 0 ] || user=(setpriv --reuid=postgres --regid=postgres --init-groups --)
  (cd "$databases" && PGPASSWORD=$PGPASSWORD "${user[@]}" "$program" "$@")
}
sql() { # PORT SQL
  as_postgres psql -h 127.0.0.1 -p "$1" -U postgres -d postgres -Atqc "$2"
}
# NAME FROM PORT: a standby of the server at port FROM. A transaction is then committed when both have it.
start_standby() {
  local name=$1 from=$2 port=$3 options
  as_postgres pg_basebackup -d "postgres://postgres@127.0.0.1:$from/postgres" -D "$databases/$name" -R -X stream -c fast --no-sync
  options="-p $port -k $databases -c listen_addresses=127.0.0.1 -c fsync=off -c max_connections=200"
  as_postgres pg_ctl -D "$databases/$name" -w -s -l "$databases/$name.log" -o "$options" start
  pids+=("$(head -n 1 "$databases/$name/postmaster.pid")")
  sql "$from" "ALTER SYSTEM SET synchronous_standby_names = '*'"
  sql "$from" 'SELECT pg_reload_conf()' >/dev/null
}
is_not_ready() { [ "$(api -o /dev/null -w '%{http_code}' "$address/readyz")" = 503 ]; }

# ---- scenes with the two gateways ----

slow_readers() {
  local id name pid misses=0 slowest
  step "readers that send requests and read no response, during an upload of 64 MiB"
  cat >slow-readers.py <<'END'
import json, socket, sys, time
request = b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n" * 200
held = []
for at in sys.argv[1:]:
    host, port = at.rsplit(":", 1)
    for _ in range(250):
        try:
            client = socket.socket()
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.settimeout(2)
            client.connect((host, int(port)))
            client.sendall(request)
            held.append(client)
        except OSError:
            client.close()
print(len(held), flush=True)
time.sleep(120)
END
  python3 slow-readers.py "${gateway_at[a]}" "${gateway_at[b]}" >slow-readers.count 2>slow-readers.err &
  pid=$!
  pids+=("$pid")
  head -c $((64 << 20)) /dev/urandom >attacked.bin
  begin_put attacked.bin
  : >healthz-times
  while kill -0 "$put_pid" 2>/dev/null; do
    for name in a b; do
      curl -sS --noproxy '*' -m 5 -o /dev/null -f -w '%{time_total}\n' "http://${gateway_at[$name]}/healthz" >>healthz-times || misses=$((misses + 1))
    done
    sleep 0.5
  done
  put_code
  slowest=$(sort -n healthz-times | tail -n 1)
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  echo "$(cat slow-readers.count) connections; /healthz was asked $(wc -l <healthz-times) times, and took at most $slowest s"
  check "/healthz always answered within five seconds" [ "$misses" = 0 ]
  check "put ends with exit code 0" [ "$(cat put.code)" = 0 ]
  id=$(id_of attacked.bin)
  check "the URL of upload url returns the file" reads_back "$id" attacked.bin
}

ledger_restored() {
  local early late before
  step "the ledger is restored from yesterday's backup: one upload was ready, one was in progress, one is newer"
  head -c $((3 << 20)) /dev/urandom >early.bin
  head -c $((64 << 20)) /dev/urandom >late.bin
  head -c $((3 << 20)) /dev/urandom >newer.bin
  begin_put early.bin
  put_code
  check "the first upload ends with exit code 0" [ "$(cat put.code)" = 0 ]
  half=4
  begin_put late.bin
  until_true "half of the parts" half_stored
  kill -9 "$put_pid"
  wait "$put_pid" 2>/dev/null || true
  early=$(id_of early.bin) late=$(id_of late.bin)
  as_postgres pg_dump -h 127.0.0.1 -p "$primary_port" -U postgres -d postgres >backup.sql
  ok "the backup is made while the second upload is in progress"
  check "upload resume completes it" [ "$(code_of client resume "${tls[@]}" --json --store-host "${endpoint#http://}")" = 0 ]
  begin_put newer.bin
  put_code
  check "the third upload ends with exit code 0" [ "$(cat put.code)" = 0 ]
  before=$(objects)
  kill_gateway a
  kill_gateway b
  sql "$primary_port" 'DROP SCHEMA public CASCADE; CREATE SCHEMA public'
  as_postgres psql -h 127.0.0.1 -p "$primary_port" -U postgres -d postgres -q -v ON_ERROR_STOP=1 <backup.sql >restore.log 2>&1
  # As if the day had passed: the second upload has expired, and its lease has ended.
  sql "$primary_port" "UPDATE upload SET lease_until = 0, expires_at = 1 WHERE id = '$late'"
  check "in the restored ledger, the second upload is not ready" [ "$(sql "$primary_port" "SELECT state FROM upload WHERE id = '$late'")" != ready ]
  serve a
  serve b
  until_true "the gateways" is_ready
  check "a sweep ends with 0" [ "$(code_of "$UPLOAD" serve sweep --config serve.toml)" = 0 ]
  check "all objects are still there" exactly objects "$before"
  until_true "the second upload to be ready" is_in_state "$late" ready
  ok "the second upload is ready again"
  check "its URL returns the file" reads_back "$late" late.bin
  check "and that of the first one, too" reads_back "$early" early.bin
  check "the third file is uploaded again" [ "$(code_of client put newer.bin "${tls[@]}" --json --store-host "${endpoint#http://}")" = 0 ]
  check "no multipart upload is open" exactly open_count 0
}

database_failover() {
  local id first_id standby_port
  step "PostgreSQL's primary is killed during an upload of 200 MiB, and a standby is promoted"
  standby_port=$(free_port)
  start_standby standby "$primary_port" "$standby_port"
  # The gateways read this file for each new connection.
  (umask 077; echo "postgres://postgres:$PGPASSWORD@127.0.0.1:$primary_port,127.0.0.1:$standby_port/postgres" >ledger-url.new)
  mv ledger-url.new ledger-url
  head -c $((200 << 20)) /dev/urandom >failover.bin
  half=12
  begin_put failover.bin
  until_true "half of the parts" half_stored
  first_id=$(id_of failover.bin)
  kill -9 "$primary_pid"
  until_true "503 of /readyz" is_not_ready
  ok "the primary is dead, and /readyz answers 503: $(api "$address/readyz" | grep -o '"detail":"[^"]*"')"
  check "the client continues" kill -0 "$put_pid"
  as_postgres pg_ctl -D "$databases/standby" -w -s promote
  until_true "a gateway that is ready" is_ready
  ok "the standby is promoted, and /readyz answers 200"
  put_code
  check "put ends with exit code 0" [ "$(cat put.code)" = 0 ]
  check "the URL of upload url returns the file" reads_back "$first_id" failover.bin
  check "no multipart upload is open" exactly open_count 0

  step "and back: the old primary's port gets a standby, which is promoted during an upload"
  start_standby back "$standby_port" "$primary_port"
  head -c $((64 << 20)) /dev/urandom >back.bin
  half=4
  begin_put back.bin
  until_true "half of the parts" half_stored
  id=$(id_of back.bin)
  as_postgres pg_ctl -D "$databases/standby" -w -s -m fast stop
  until_true "503 of /readyz" is_not_ready
  as_postgres pg_ctl -D "$databases/back" -w -s promote
  until_true "a gateway that is ready" is_ready
  put_code
  check "put ends with exit code 0" [ "$(cat put.code)" = 0 ]
  check "the URL of upload url returns the file" reads_back "$id" back.bin
  check "the upload of the first failover is still ready" is_in_state "$first_id" ready
  echo "gateway a: $(metric a upload_ledger_errors_total) failures of the ledger; gateway b: $(metric b upload_ledger_errors_total)"
}

# ---- scenes with a gateway of their own ----

own_gateway() { # NAME ARGUMENTS...: a gateway with the bucket; sets own_url and own_pid
  local name=$1
  shift
  "$UPLOAD" serve --listen 127.0.0.1:0 --store "s3://$bucket/$name" --s3-region us-east-1 --s3-path-style "$@" 2>"$name.log" &
  own_pid=$!
  pids+=("$own_pid")
  until_true "the gateway $name" has_started "$name.log"
  own_url=$(sed -n 's|^listening on ||p' "$name.log")
}
has_started() { grep -q '^listening on' "$1" || ! kill -0 "$own_pid" 2>/dev/null; }
status_of() { curl -sS --noproxy '*' -m 10 -o /dev/null -w '%{http_code}' "$1" || true; }
has_status() { [ "$(status_of "$2")" = "$1" ]; }
within_seconds() { # SECONDS COMMAND...
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    [ $SECONDS -lt $end ] || return 1
    sleep 0.2
  done
}
own_put() { # FILE FLAGS...
  local file=$1
  shift
  (
    unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY
    exec "$UPLOAD" put "$file" --backend "$own_url" --json "$@"
  )
}
stop_own() {
  kill -TERM "$own_pid" 2>/dev/null || true
  wait "$own_pid" 2>/dev/null || true
}

disk_full() {
  local put code=0
  step "the disk of a SQLite ledger is full during an upload"
  mkdir small
  if ! { [ "$(id -u)" = 0 ] && mount -t tmpfs -o size=4m,mode=700 none small 2>/dev/null; }; then
    echo "skipped: a small file system needs root"
    return
  fi
  mounted=$scratch/small
  own_gateway disk --s3-endpoint "$endpoint" --ledger "sqlite:$scratch/small/ledger.db"
  head -c $((64 << 20)) /dev/urandom >full.bin
  own_put full.bin --limit-rate 8MiB/s --store-host "${endpoint#http://}" >full.out 2>full.err &
  put=$!
  pids+=("$put")
  until_true "two parts" grep -q '"type":"part".*"number":[2-9]' full.out
  dd if=/dev/zero of=small/fill bs=64k 2>/dev/null || true
  ok "the disk is full: $(df --output=avail small | tail -n 1) KiB are left"
  if within_seconds 15 has_status 503 "$own_url/readyz"; then
    ok "/readyz answers 503"
    rm small/fill
  else
    rm small/fill
    fail "/readyz answers $(status_of "$own_url/readyz") although the ledger cannot be written"
  fi
  wait "$put" || code=$?
  check "with free space, put ends with exit code 0" [ $code = 0 ]
  check "/readyz answers 200" within_seconds 15 has_status 200 "$own_url/readyz"
  check "no multipart upload is open" exactly open_count 0
  stop_own
  umount small
  mounted=''
}

# Replays what the filter has recorded.
write_replay() {
  cat >replay.py <<'END'
import http.client, pickle, sys
from urllib.parse import urlsplit

store = urlsplit(sys.argv[1])
with open("recorded", "rb") as file:
    while True:
        try:
            method, path, headers, body = pickle.load(file)
        except EOFError:
            break
        connection = http.client.HTTPConnection(store.hostname, store.port, timeout=60)
        connection.request(method, path, body, headers)
        print(method, path.split("?")[0], connection.getresponse().status)
END
}

rejected_by_a_hook() {
  local key code=0
  step "a hook rejects a file, and its PUT is sent again; a gateway with that hook and a CDN is refused"
  printf '#!/bin/sh\ncat >/dev/null\necho "not wanted"\nexit 10\n' >reject
  chmod 700 reject
  own_gateway cdn --s3-endpoint "$endpoint" --ledger "sqlite:$scratch/cdn.db" --cdn https://cdn.example.com --hook "exec:$scratch/reject"
  check "a gateway with --hook and --cdn does not start" [ -z "$own_url" ]
  wait "$own_pid" || code=$?
  check "it ends with exit code 78" [ $code = 78 ]

  # The URL of the PUT must be valid when it is sent again, and end before the last check.
  own_gateway rejected --s3-endpoint "http://127.0.0.1:$filter_port" --ledger "sqlite:$scratch/rejected.db" \
    --hook "exec:$scratch/reject" --url-ttl 20s --sweep-every 2s
  rm -f recorded
  touch recording
  head -c $((1 << 20)) /dev/urandom >unwanted.bin
  code=0
  own_put unwanted.bin --wait ready --store-host "127.0.0.1:$filter_port" >unwanted.out 2>unwanted.err || code=$?
  rm recording
  check "put ends with exit code 77" [ $code = 77 ]
  key=$(python3 -c 'import pickle; print(pickle.load(open("recorded", "rb"))[1].split("?")[0].split("/", 2)[2])')
  check "the store does not have the file" within_seconds 10 is_absent "$key"
  write_replay
  python3 replay.py "$endpoint" >replayed
  cat replayed
  check "the PUT that is sent again succeeds" grep -q ' 200$' replayed
  check "at the end, the store does not have the file" within_seconds 90 is_absent "$key"
  stop_own
}
is_absent() { ! list -f -o /dev/null "$endpoint/$bucket/$1" 2>/dev/null; }
