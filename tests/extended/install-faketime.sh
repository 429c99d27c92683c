#!/usr/bin/env bash
# Installs libfaketime, which gives a process another wall clock.
# Prints SKIPPED with the reason, and still exits 0, where that is impossible: the tests that need
# it are then declared skipped.
set -euo pipefail

skip() {
  printf 'SKIPPED faketime: %s\n' "$1"
  exit 0
}

is_installed() { compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null; }

if is_installed; then
  printf 'faketime is installed\n'
  exit 0
fi
[ "$(id -u)" -eq 0 ] || skip 'apt-get needs root'
command -v apt-get >/dev/null || skip 'this is not Debian: there is no apt-get'
{ apt-get update && apt-get install -y --no-install-recommends faketime; } >/dev/null 2>&1 ||
  skip 'apt-get install faketime failed'
is_installed || skip 'the package brought no libfaketimeMT.so.1'
printf 'installed faketime\n'
