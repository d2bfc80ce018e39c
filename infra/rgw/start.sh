#!/usr/bin/env bash
# start.sh DIR PORT: a whole Ceph of one mon, one mgr, one in-memory OSD, and its S3 gateway on 127.0.0.1:PORT.
# For tests: data lives in memory and is gone at stop. Files, keyrings and logs in DIR. Prints env lines when it answers.
set -euo pipefail
if [ $# -ne 2 ]; then
  echo "usage: infra/rgw/start.sh DIR PORT" >&2
  exit 2
fi
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
port=$2
ready_tries_max=300 # of 0.2 s
step_seconds_max=60 # one ceph command

export CEPH_CONF="$dir/ceph.conf"
export PATH="$PATH:/usr/sbin:/sbin"
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
ceph_() { timeout "$step_seconds_max" ceph --connect-timeout 30 "$@" >>"$dir/steps.log" 2>&1; }
fail() {
  echo "rgw: $1; the end of the logs in $dir:" >&2
  tail -n 5 "$dir"/*.log >&2
  "$here/stop.sh" "$dir"
  exit 1
}
begin() { # NAME COMMAND…: in its own session, by its process id
  local name=$1
  shift
  setsid "$@" >"$dir/$name.out.log" 2>&1 </dev/null &
  echo $! >"$dir/$name.pid"
}

# Keyrings: radosgw does not start without cephx.
write_conf() {
  local fsid mon_port
  fsid=$(uuidgen)
  mon_port=$(free_port)
  cat >"$CEPH_CONF" <<CONF
[global]
fsid = $fsid
mon host = [v2:127.0.0.1:$mon_port/0]
public addr = 127.0.0.1
ms bind ipv6 = false
keyring = $dir/keyring
log file = $dir/\$name.log
mon cluster log file = $dir/cluster.log
# A socket's path is limited to 107 bytes, and DIR may be deep.
admin socket =
run dir = $dir
crash dir = $dir
pid file =
mon data = $dir/mon
mgr data = $dir/mgr
osd data = $dir/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
mon warn on pool no redundancy = false
mon allow pool size one = true
mon max pg per osd = 1000
auth allow insecure global id reclaim = false
mgr initial modules =
[client.rgw]
# Without tcp_nodelay a small GET waits 40 ms for the kernel's delayed ACK.
rgw frontends = beast endpoint=127.0.0.1:$port tcp_nodelay=1
rgw dynamic resharding = false
CONF
}

make_keys() {
  ceph-authtool --create-keyring "$dir/keyring" --gen-key -n mon. --cap mon 'allow *'
  ceph-authtool "$dir/keyring" --gen-key -n client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *' --cap mds 'allow *'
  ceph-authtool "$dir/keyring" --gen-key -n mgr.x --cap mon 'allow profile mgr' --cap osd 'allow *'
  ceph-authtool "$dir/keyring" --gen-key -n osd.0 --cap mon 'allow profile osd' --cap mgr 'allow profile osd' --cap osd 'allow *'
  ceph-authtool "$dir/keyring" --gen-key -n client.rgw --cap mon 'allow rw' --cap osd 'allow rwx' --cap mgr 'allow rw'
}

start_mon() {
  local fsid mon_addr
  fsid=$(sed -n 's/^fsid = //p' "$CEPH_CONF")
  mon_addr=$(sed -n 's/^mon host = //p' "$CEPH_CONF")
  monmaptool --create --fsid "$fsid" --addv a "$mon_addr" "$dir/monmap"
  mkdir -p "$dir/mon" "$dir/mgr" "$dir/osd"
  ceph-mon --mkfs -i a --monmap "$dir/monmap" --keyring "$dir/keyring"
  begin mon ceph-mon -f -i a
}

start_osd() {
  local fsid
  fsid=$(uuidgen)
  ceph_ osd new "$fsid" || return 1
  ceph-osd -i 0 --mkfs --osd-uuid "$fsid"
  begin osd ceph-osd -f -i 0
}

answers() { python3 -c 'import socket, sys; socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1).close()' "$port" 2>/dev/null; }
wait_for_gateway() {
  for _ in $(seq "$ready_tries_max"); do
    kill -0 "$(cat "$dir/rgw.pid")" 2>/dev/null || return 1
    if answers; then return 0; fi
    sleep 0.2
  done
  return 1
}

write_conf
{ make_keys && start_mon; } >"$dir/steps.log" 2>&1 || fail "the monitor did not start"
ceph_ auth import -i "$dir/keyring" || fail "the monitor does not answer"
begin mgr ceph-mgr -f -i x
start_osd >>"$dir/steps.log" 2>&1 || fail "the OSD did not start"
begin rgw radosgw -f -n client.rgw
wait_for_gateway || fail "the gateway did not start"
access=$(uuidgen | tr -d -)
secret=$(uuidgen | tr -d -)$(uuidgen | tr -d -)
timeout "$step_seconds_max" radosgw-admin -n client.rgw user create --uid=tapes --display-name=tapes \
  --access-key="$access" --secret-key="$secret" >>"$dir/steps.log" 2>&1 || fail "no user could be made"
printf 'AWS_ENDPOINT_URL=http://127.0.0.1:%s\nAWS_ACCESS_KEY_ID=%s\nAWS_SECRET_ACCESS_KEY=%s\nAWS_DEFAULT_REGION=us-east-1\n' \
  "$port" "$access" "$secret"
