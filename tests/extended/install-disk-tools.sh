#!/usr/bin/env bash
# Installs what the disk suites here need from Debian: strace, which makes system calls fail, and
# the tools for file systems in image files.
set -euo pipefail
# shellcheck source=support/from-debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/support/from-debian.sh"

is_installed() { all_there strace mkfs.ext4 e2fsck mount umount; }
version() { strace -V | head -n 1; }

from_debian disk-tools strace e2fsprogs mount
