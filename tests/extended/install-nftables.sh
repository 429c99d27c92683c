#!/usr/bin/env bash
# Installs nftables from Debian: what drops packets between network namespaces in the partition
# suites. Prints SKIPPED with the reason, and still exits 0, where that is impossible: the tests
# that need it are then declared skipped.
set -euo pipefail

skip() {
  printf 'SKIPPED nftables: %s\n' "$1"
  exit 0
}

installed() {
  command -v nft >/dev/null && command -v ip >/dev/null && command -v tc >/dev/null
}

if installed; then
  printf 'nftables is installed: %s\n' "$(nft -v)"
  exit 0
fi

[ "$(id -u)" -eq 0 ] || skip 'apt-get needs root'
command -v apt-get >/dev/null || skip 'this is not Debian: there is no apt-get'
export DEBIAN_FRONTEND=noninteractive
{ apt-get update && apt-get install -y --no-install-recommends nftables iproute2; } >/dev/null 2>&1 ||
  skip 'apt-get install nftables iproute2 failed'
installed || skip 'the packages do not bring all programs'
printf 'installed %s\n' "$(nft -v)"
