#!/usr/bin/env bash
# Installs the Ceph RADOS Gateway from Debian: the S3 server that the suites here take for the truth.
set -euo pipefail
# shellcheck source=support/from-debian.sh
source "$(dirname "${BASH_SOURCE[0]}")/support/from-debian.sh"

is_installed() { all_there radosgw radosgw-admin ceph-mon ceph-osd ceph monmaptool uuidgen; }
version() { radosgw --version 2>/dev/null | head -n 1; }

from_debian ceph-rgw radosgw ceph-mon ceph-osd ceph-common uuid-runtime
