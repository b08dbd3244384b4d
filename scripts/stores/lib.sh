# Functions for the scripts that start a server; sourced, not run. Linux only. Not here: anything about a single server.
#
# Programs are installed into ${UPLOAD_STORES:-target/stores}; data and log of each server are in its directory `run/NAME`.
# A process is identified by its id and its start time, so that a later process with the same id is never mistaken for it.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
mkdir -p "${UPLOAD_STORES:-$root/target/stores}"
stores=$(cd "${UPLOAD_STORES:-$root/target/stores}" && pwd)

say() { echo "$name: $*" >&2; }
die() { say "$@"; exit 1; }

started_at() { awk '{ print $22 }' "/proc/$1/stat" 2>/dev/null; }
remember() { echo "$1 $(started_at "$1")" >"$run/pid"; }
alive() {
  local pid start
  [ -s "$run/pid" ] && read -r pid start <"$run/pid" && [ -n "$start" ] && [ "$(started_at "$pid")" = "$start" ]
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# Makes the directory of the server, and takes a lock so that two scripts cannot start it at the same time.
enter() {
  run=$stores/run/$name
  mkdir -p "$run"
  exec 9>"$stores/run/$name.lock"
  flock 9
}

# Sets `port`: that of the running server, otherwise the argument, otherwise a free one.
choose_port() {
  if alive && [ -s "$run/port" ]; then
    port=$(cat "$run/port")
    [ "${1:-$port}" = "$port" ] || die "it already runs on port $port; stop it first: scripts/stores/stop.sh $name"
  else
    port=${1:-$(free_port)}
  fi
}

# If the server already runs and answers, prints how to reach it and exits.
unless_running() {
  if alive && up; then
    say "already running"
    print_env
    exit
  fi
  : >"$run/log"
}

# Starts a command as the leader of a new session, and waits until it answers.
launch() {
  setsid nohup "$@" >>"$run/log" 2>&1 </dev/null 9>&- &
  remember $!
  echo "$port" >"$run/port"
  wait_up
}

# Waits until `up` succeeds; fails after 60 seconds, or if the process has ended.
wait_up() {
  for _ in $(seq 600); do
    up && return
    alive || { tail -n 20 "$run/log" >&2; die "it ended at the start; its log is $run/log"; }
    sleep 0.1
  done
  die "it does not answer; its log is $run/log"
}

# Prints exports of the store's address and keys, and writes them to the file `env`.
print_env() {
  (
    umask 077
    cat >"$run/env" <<END
export UPLOAD_TEST_S3_ENDPOINT=http://127.0.0.1:$port
export UPLOAD_TEST_S3_ACCESS_KEY=$access
export UPLOAD_TEST_S3_SECRET_KEY=$secret
export UPLOAD_TEST_S3_REGION=us-east-1
export UPLOAD_TEST_S3_LACKS="${lacks:-}"
END
  )
  cat "$run/env"
}
