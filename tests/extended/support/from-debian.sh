# Sourced by the installers: packages of Debian, or SKIPPED with the reason and a good exit, where
# that is impossible. The tests that need them are then declared skipped.

# skip NAME REASON
skip() {
  printf 'SKIPPED %s: %s\n' "$1" "$2"
  exit 0
}

# from_debian NAME PACKAGE…: installs unless `is_installed` says that everything is there, and then
# says so with what `version` prints. The installer defines both functions.
from_debian() {
  local name=$1
  shift
  if is_installed; then
    printf '%s is installed: %s\n' "$name" "$(version)"
    return
  fi
  [ "$(id -u)" -eq 0 ] || skip "$name" 'apt-get needs root'
  command -v apt-get >/dev/null || skip "$name" 'this is not Debian: there is no apt-get'
  export DEBIAN_FRONTEND=noninteractive
  { apt-get update && apt-get install -y --no-install-recommends "$@"; } >/dev/null 2>&1 ||
    skip "$name" "apt-get install $* failed"
  is_installed || skip "$name" 'the packages do not bring what is needed'
  printf 'installed %s: %s\n' "$name" "$(version)"
}

# all_there PROGRAM…
all_there() {
  local program
  for program in "$@"; do command -v "$program" >/dev/null || return 1; done
}
