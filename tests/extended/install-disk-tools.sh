#!/usr/bin/env bash
# Installs what the disk suites here need from Debian: strace, which makes system calls fail, and
# the tools for file systems in image files. Prints SKIPPED with the reason, and still exits 0, where
# that is impossible: the tests that need it are then declared skipped.
set -euo pipefail

programs=(strace mkfs.ext4 e2fsck mount umount)
packages=(strace e2fsprogs mount)

skip() {
  printf 'SKIPPED disk-tools: %s\n' "$1"
  exit 0
}

installed() {
  local program
  for program in "${programs[@]}"; do command -v "$program" >/dev/null || return 1; done
}

if installed; then
  printf 'disk-tools are installed: %s\n' "$(strace -V | head -n 1)"
  exit 0
fi

[ "$(id -u)" -eq 0 ] || skip 'apt-get needs root'
command -v apt-get >/dev/null || skip 'this is not Debian: there is no apt-get'
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get install -y --no-install-recommends "${packages[@]}"; } >/dev/null 2>&1 ||
  skip "apt-get install ${packages[*]} failed"
installed || skip 'the packages do not bring all programs'
printf 'installed %s\n' "$(strace -V | head -n 1)"
