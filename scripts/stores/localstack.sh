#!/usr/bin/env bash
# Starts LocalStack's S3 (from PyPI, without a container) on loopback and prints how to reach it.
#
#   localstack.sh [PORT]          eval "$(scripts/stores/localstack.sh)"; cargo test --test s3_stores
#   stop.sh localstack [--wipe]
#
# Exit code 3: no Python is new enough.
# LocalStack is an emulator and keeps its objects in memory. It checks signatures, SHA-256 checksums and lengths.
set -euo pipefail
name=localstack
version=${LOCALSTACK_VERSION:-2026.3.0}
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
enter
# A link to the directory of another run is followed: venv does not write through it.
venv=$(realpath -m "$stores/venv-localstack")
access='test'
secret='test'

# Its metadata says 3.12, but it imports warnings.deprecated, which 3.13 introduced.
new_enough() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 13))' 2>/dev/null; }

find_python() {
  local python
  for python in ${PYTHON:+"$PYTHON"} python3.13 python3.14 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[3-9]*/bin/python python3; do
    if command -v "$python" >/dev/null && new_enough "$python"; then
      echo "$python"
      return
    fi
  done
  say "needs Python 3.13 or later: install one (\`apt-get install python3.13\`, \`pyenv install 3.13\`), or name one with PYTHON=…"
  exit 3
}

if [ ! -e "$venv/.ready-$version" ]; then
  python=$(find_python)
  say "installing localstack-core $version with $("$python" --version), a minute or two"
  "$python" -m venv --clear "$venv"
  # Later versions of cbor2 and pyOpenSSL lack cbor2._decoder and X509.add_extensions, which LocalStack imports.
  "$venv/bin/pip" install --quiet "localstack-core[base-runtime]==$version" 'cbor2<5.9' 'pyOpenSSL<26' 'cryptography<47' service_identity >&2
  touch "$venv/.ready-$version"
fi

# The features that tests must not expect of this store.
# shellcheck disable=SC2034 # read by print_env
lacks="payload"
choose_port "${1:-}"
up() { curl -sf "http://127.0.0.1:$port/_localstack/health" 2>/dev/null | grep -q '"s3": *"\(available\|running\)"'; }
unless_running

mkdir -p "$run"/{tmp,home,vol}
# Its server ignores the configured address and listens on all addresses. This restricts it to loopback.
cat >"$run/main.py" <<'END'
from twisted.internet import endpoints

plain = endpoints.TCP4ServerEndpoint.__init__


def loopback(self, reactor, port, backlog=50, interface=""):
    plain(self, reactor, port, backlog, interface or "127.0.0.1")


endpoints.TCP4ServerEndpoint.__init__ = loopback

from localstack.runtime.main import main

if __name__ == "__main__":
    main()
END
cd "$run"
launch env HOME="$run/home" TMPDIR="$run/tmp" XDG_CACHE_HOME="$run/home/.cache" FILESYSTEM_ROOT="$run/vol" \
  GATEWAY_LISTEN="127.0.0.1:$port" LOCALSTACK_HOST="127.0.0.1:$port" \
  SERVICES=s3,sqs,sns STRICT_SERVICE_LOADING=1 EAGER_SERVICE_LOADING=1 \
  DNS_ADDRESS=0 DISABLE_EVENTS=1 SKIP_SSL_CERT_DOWNLOAD=1 S3_SKIP_SIGNATURE_VALIDATION=0 OVERRIDE_IN_DOCKER=0 \
  AWS_ACCESS_KEY_ID=$access AWS_SECRET_ACCESS_KEY=$secret \
  "$venv/bin/python" "$run/main.py"
print_env
