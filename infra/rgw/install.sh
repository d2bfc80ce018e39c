#!/usr/bin/env bash
# Ceph's S3 gateway from Debian's own packages, for the tests on a production S3. Left out, in words, where that cannot be.
set -euo pipefail
packages=(radosgw ceph-mon ceph-mgr ceph-osd ceph-common uuid-runtime)
if command -v radosgw >/dev/null && command -v ceph-mon >/dev/null && command -v ceph-mgr >/dev/null &&
  command -v ceph-osd >/dev/null && command -v ceph >/dev/null && command -v uuidgen >/dev/null; then
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "rgw: left out: no apt-get here (Debian's packages are needed: ${packages[*]})" >&2
  exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
  echo "rgw: left out: not root; as root: apt-get install --no-install-recommends ${packages[*]}" >&2
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# policy-rc.d is not needed: without a ceph.conf the packages' units start nothing.
if ! { apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null; }; then
  echo "rgw: left out: apt-get could not install: ${packages[*]}" >&2
  exit 0
fi
echo "rgw: installed"
