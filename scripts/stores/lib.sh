# What the scripts that start a store have in common; sourced, not run. Border: nothing here knows a store. Linux only.
#
# Programs go to ${UPLOAD_STORES:-target/stores}, each store's data and log to the directory `run/NAME` in it. A process is
# known by its id and its start time, so that no later process with the same id is ever taken for it.

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

# Makes the store's directory, and lets one start of it at a time through.
enter() {
  run=$stores/run/$name
  mkdir -p "$run"
  exec 9>"$stores/run/$name.lock"
  flock 9
}

# The port of the store if it runs; else the one asked for, else a free one.
choose_port() {
  if alive && [ -s "$run/port" ]; then
    port=$(cat "$run/port")
    [ "${1:-$port}" = "$port" ] || die "it runs on port $port; stop it first"
  else
    port=${1:-$(free_port)}
  fi
}

# Ends here, with what a client needs, if it runs already and answers.
unless_running() {
  if alive && up; then
    say "already running"
    tell
    exit
  fi
  : >"$run/log"
}

# Starts a command at the head of a session of its own, and waits until it answers.
launch() {
  setsid nohup "$@" >>"$run/log" 2>&1 </dev/null 9>&- &
  remember $!
  echo "$port" >"$run/port"
  wait_up
}

# Waits until `up` succeeds, for at most 60 seconds, or until the process has died.
wait_up() {
  for _ in $(seq 600); do
    up && return
    alive || { tail -n 20 "$run/log" >&2; die "it ended at once; its log is $run/log"; }
    sleep 0.1
  done
  die "it does not answer; its log is $run/log"
}

# Prints, in the form of assignments, what a client needs; also kept in the file `env`.
tell() {
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
