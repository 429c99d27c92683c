#!/usr/bin/env bash
# Installs the Ceph RADOS Gateway from Debian: the S3 server that the suites here take for the truth.
# Prints SKIPPED with the reason, and still exits 0, where that is impossible: the tests that need
# it are then declared skipped.
set -euo pipefail

programs=(radosgw radosgw-admin ceph-mon ceph-osd ceph monmaptool uuidgen)
packages=(radosgw ceph-mon ceph-osd ceph-common uuid-runtime)

skip() {
  printf 'SKIPPED ceph-rgw: %s\n' "$1"
  exit 0
}

installed() {
  local program
  for program in "${programs[@]}"; do command -v "$program" >/dev/null || return 1; done
}

if installed; then
  printf 'ceph-rgw is installed: %s\n' "$(radosgw --version 2>/dev/null | head -n 1)"
  exit 0
fi

[ "$(id -u)" -eq 0 ] || skip 'apt-get needs root'
command -v apt-get >/dev/null || skip 'this is not Debian: there is no apt-get'
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get install -y --no-install-recommends "${packages[@]}"; } >/dev/null 2>&1 ||
  skip "apt-get install ${packages[*]} failed"
installed || skip 'the packages do not bring all programs'
printf 'installed %s\n' "$(radosgw --version 2>/dev/null | head -n 1)"
