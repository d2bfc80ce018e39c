#!/usr/bin/env bash
# stop.sh DIR: ends the daemons that start.sh began with this DIR, by their process ids. Not running: fine.
set -euo pipefail
if [ $# -ne 1 ]; then
  echo "usage: infra/rgw/stop.sh DIR" >&2
  exit 2
fi
dir=$1
grace_tries_max=50 # of 0.1 s

# A pid file outlives its process: never signal a stranger that got the number.
is_ours() { { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null | grep -qE '(^|/)(radosgw|ceph-(mon|mgr|osd)) '; }

stop_one() {
  local pid
  [ -f "$dir/$1.pid" ] || return 0
  pid=$(cat "$dir/$1.pid")
  if is_ours "$pid"; then
    kill "$pid"
    for _ in $(seq "$grace_tries_max"); do
      is_ours "$pid" || break
      sleep 0.1
    done
    if is_ours "$pid"; then kill -KILL "$pid"; fi
  fi
  rm -f "$dir/$1.pid"
}

# Downwards, so that none waits for one that is gone.
for daemon in rgw osd mgr mon; do stop_one "$daemon"; done
