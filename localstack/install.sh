#!/usr/bin/env bash
# Makes .localstack-venv at the repository's root from localstack/requirements.txt. Done already: returns at once.
# LocalStack 4.12 runs on Python 3.11 here; LOCALSTACK_PYTHON names another interpreter.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
venv="$here/../.localstack-venv"
stamp="$venv/.installed"
wanted=$(sha256sum <"$here/requirements.txt")

find_python() {
  local candidate
  for candidate in "${LOCALSTACK_PYTHON:-}" python3.11 python3; do
    if [ -n "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  return 1
}

# Two test workers may call this at the same moment; the requirements file itself is the lock, nothing is left behind.
exec 9<"$here/requirements.txt"
flock 9
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
  exit 0
fi
if ! python=$(find_python); then
  echo "localstack: left out: no Python 3.11 found (set LOCALSTACK_PYTHON)" >&2
  exit 0
fi
rm -rf "$venv"
"$python" -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$here/requirements.txt"
echo "$wanted" >"$stamp"
echo "localstack: installed in .localstack-venv"
