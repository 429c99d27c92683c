#!/usr/bin/env bash
# Installs what mounts buckets as folders from Debian: FUSE and s3fs. rclone comes with the clients
# of install-s3-clients.sh.
set -euo pipefail
# shellcheck source=support/from-debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/support/from-debian.sh"

is_installed() { all_there fusermount3 s3fs; }
version() { s3fs --version | head -n 1; }

from_debian fuse fuse3 s3fs
