#!/usr/bin/env bash
# Installs nftables from Debian: what drops packets between network namespaces in the partition
# suites.
set -euo pipefail
# shellcheck source=support/from-debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/support/from-debian.sh"

is_installed() { all_there nft ip tc; }
version() { nft -v; }

from_debian nftables nftables iproute2
