#!/usr/bin/env bash
# start.sh DIR PORT: one LocalStack (S3 only) on 127.0.0.1:PORT, its files and log in DIR. Prints env lines when it answers.
# Nothing leaves DIR: without OVERRIDE_IN_DOCKER=0 a root user gets folders under /var/lib and /usr/lib.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ $# -ne 2 ]; then
  echo "usage: localstack/start.sh DIR PORT" >&2
  exit 2
fi
python="$here/../.localstack-venv/bin/python"
if [ ! -x "$python" ]; then
  echo "localstack: not installed: run localstack/install.sh" >&2
  exit 1
fi
mkdir -p "$1"
dir=$(cd "$1" && pwd)
port=$2
ready_tries_max=150 # of 0.2 s

python=$(cd "$(dirname "$python")" && pwd)/python
# Another working directory and -P: this repository's own localstack/ folder would shadow the package.
cd "$dir"
env SERVICES=s3 SKIP_SSL_CERT_DOWNLOAD=1 DISABLE_EVENTS=1 GATEWAY_LISTEN="127.0.0.1:$port" \
  DNS_ADDRESS=0 OVERRIDE_IN_DOCKER=0 FILESYSTEM_ROOT="$dir/fs" TMPDIR="$dir" \
  setsid "$python" -P -m localstack.runtime.main >"$dir/log" 2>&1 </dev/null &
echo $! >"$dir/pid"

answers() {
  "$python" -P - "$port" <<'PY' 2>/dev/null
import json, sys, urllib.request
health = json.load(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/_localstack/health", timeout=2))
sys.exit(health["services"]["s3"] not in ("available", "running"))
PY
}

for _ in $(seq "$ready_tries_max"); do
  if ! kill -0 "$(cat "$dir/pid")" 2>/dev/null; then
    break
  fi
  if answers; then
    printf 'AWS_ENDPOINT_URL=http://127.0.0.1:%s\nAWS_ACCESS_KEY_ID=test\nAWS_SECRET_ACCESS_KEY=test\nAWS_DEFAULT_REGION=us-east-1\n' "$port"
    exit 0
  fi
  sleep 0.2
done
echo "localstack: did not come up; the end of $dir/log:" >&2
tail -n 20 "$dir/log" >&2
"$here/stop.sh" "$dir"
exit 1
