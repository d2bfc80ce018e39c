#!/usr/bin/env bash
# stop.sh DIR: ends the SeaweedFS that start.sh began with this DIR, by its process id. Not running: fine.
set -euo pipefail
if [ $# -ne 1 ]; then
  echo "usage: infra/seaweedfs/stop.sh DIR" >&2
  exit 2
fi
pid_file="$1/pid"
grace_tries_max=50 # of 0.1 s
if [ ! -f "$pid_file" ]; then
  exit 0
fi
pid=$(cat "$pid_file")

# A pid file outlives its process: never signal a stranger that got the number.
is_ours() { { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qE '(^|/)weed server '; }

if is_ours; then
  kill "$pid"
  for _ in $(seq "$grace_tries_max"); do
    is_ours || break
    sleep 0.1
  done
  # It waits long for connections that stay open; what tests stored is not kept.
  if is_ours; then
    kill -KILL "$pid"
  fi
fi
rm -f "$pid_file"
