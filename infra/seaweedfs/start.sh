#!/usr/bin/env bash
# start.sh DIR PORT: master, volume server, filer and S3 gateway of SeaweedFS in one process; S3 on 127.0.0.1:PORT.
# Data, configuration and log in DIR. Prints env lines when it answers.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ $# -ne 2 ]; then
  echo "usage: infra/seaweedfs/start.sh DIR PORT" >&2
  exit 2
fi
weed="$here/../../.seaweedfs-venv/bin/weed"
if [ ! -x "$weed" ]; then
  echo "seaweedfs: not installed: run infra/seaweedfs/install.sh" >&2
  exit 1
fi
mkdir -p "$1/data"
dir=$(cd "$1" && pwd)
port=$2
ready_tries_max=300 # of 0.2 s
volume_megabytes=64
volumes_max=10000 # nothing is allocated ahead; each bucket takes volumes of its own, 7 at a time but for master.toml

# All at once, so that the kernel gives each of them another number.
read -r master master_grpc volume volume_grpc filer filer_grpc s3_grpc < <(python3 - <<'PY'
import socket
held = [socket.socket() for _ in range(7)]
for each in held:
    each.bind(("127.0.0.1", 0))
print(*(each.getsockname()[1] for each in held))
PY
)
random_word() { python3 -c 'import secrets; print(secrets.token_hex(16))'; }
access=$(random_word)
secret=$(random_word)
(
  umask 077 # keys
  cat >"$dir/s3.json" <<JSON
{"identities": [{"name": "tapes", "credentials": [{"accessKey": "$access", "secretKey": "$secret"}],
  "actions": ["Admin", "Read", "Write", "List", "Tagging"]}]}
JSON
)

printf '[master.volume_growth]\ncopy_1 = 1\n' >"$dir/master.toml"
# From DIR: weed looks for its *.toml in the working directory first. Port 0 turns a listener off.
cd "$dir"
setsid "$weed" server -ip=127.0.0.1 -ip.bind=127.0.0.1 -dir="$dir/data" -master.telemetry=false \
  -master.port="$master" -master.port.grpc="$master_grpc" -master.volumeSizeLimitMB="$volume_megabytes" \
  -volume.port="$volume" -volume.port.grpc="$volume_grpc" -volume.max="$volumes_max" \
  -filer.port="$filer" -filer.port.grpc="$filer_grpc" \
  -s3 -s3.config="$dir/s3.json" -s3.port="$port" -s3.port.grpc="$s3_grpc" -s3.port.iceberg=0 -s3.port.lance=0 \
  >"$dir/log" 2>&1 </dev/null &
echo $! >"$dir/pid"

# The gateway listens before a volume takes writes: ready is when an object could be put and was deleted again by the filer.
answers() {
  python3 - "$filer" "$port" <<'PY' 2>/dev/null
import socket, sys, urllib.request
at = f"http://127.0.0.1:{sys.argv[1]}/ready/probe"
urllib.request.urlopen(urllib.request.Request(at, data=b"x" * 4096, method="PUT"), timeout=2)
urllib.request.urlopen(urllib.request.Request(at, method="DELETE"), timeout=2)
socket.create_connection(("127.0.0.1", int(sys.argv[2])), 1).close()
PY
}

for _ in $(seq "$ready_tries_max"); do
  if ! kill -0 "$(cat "$dir/pid")" 2>/dev/null; then
    break
  fi
  if answers; then
    printf 'AWS_ENDPOINT_URL=http://127.0.0.1:%s\nAWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\nAWS_DEFAULT_REGION=us-east-1\n' \
      "$port" "$access" "$secret"
    exit 0
  fi
  sleep 0.2
done
echo "seaweedfs: did not come up; the end of $dir/log:" >&2
tail -n 20 "$dir/log" >&2
"$here/stop.sh" "$dir"
exit 1
