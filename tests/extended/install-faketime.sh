#!/usr/bin/env bash
# Installs libfaketime, which gives a process another wall clock.
set -euo pipefail
# shellcheck source=support/from-debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/support/from-debian.sh"

is_installed() { compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null; }
version() { compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1'; }

from_debian faketime faketime
