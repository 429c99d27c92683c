#!/usr/bin/env bash
# Installs the Python clients of Alluxio, alluxio and alluxiofs, into .cache/alluxio-clients.
# Prints SKIPPED with the reason, and still exits 0, where that is impossible: the tests that need
# them are then declared skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# 1.1.17 is also the newest release of alluxiofs.
versions='alluxiofs==1.1.17 alluxio==1.0.0'
home=.cache/alluxio-clients

skip() {
  printf 'SKIPPED alluxio clients: %s\n' "$1"
  exit 0
}

if [ "$(cat "$home/.versions" 2>/dev/null)" = "$versions" ]; then
  printf '%s are installed\n' "$versions"
  exit 0
fi

command -v python3 >/dev/null || skip 'python3 is not installed'
rm -rf "$home"
python3 -m venv "$home" >/dev/null 2>&1 || skip 'python3 -m venv failed (is python3-venv installed?)'
# shellcheck disable=SC2086
log=$("$home/bin/pip" install --quiet --disable-pip-version-check --no-input $versions 2>&1) ||
  skip "pip install failed: $(tail -n 1 <<<"$log")"
"$home/bin/python" -c 'import alluxio, alluxiofs' >/dev/null 2>&1 ||
  skip 'the packages cannot be imported on this machine'
printf '%s\n' "$versions" >"$home/.versions"
printf 'installed %s\n' "$versions"
