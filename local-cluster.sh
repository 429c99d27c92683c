#!/usr/bin/env bash
# A Ringload cluster on this machine: every peer a process of its own on loopback, its data, log
# and pid under .local-cluster/peer-N. Installs and builds by itself when that is needed.
#
# A signal is sent only to a process whose pid and start time are those that were recorded, so a
# pid that the system has given to another program since is never touched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

home=.local-cluster
program=dist/cli/main.js
base_port=${RINGLOAD_LOCAL_BASE_PORT:-19998}
s3_base_port=${RINGLOAD_LOCAL_S3_BASE_PORT:-$((base_port < 55000 ? base_port + 9999 : base_port - 9999))}
ready_deadline_s=${RINGLOAD_LOCAL_READY_DEADLINE_S:-30}
stop_deadline_s=15
# Peers refuse RINGLOAD_ variables that are none of their settings.
unset RINGLOAD_LOCAL_BASE_PORT RINGLOAD_LOCAL_S3_BASE_PORT RINGLOAD_LOCAL_READY_DEADLINE_S
build_log=$home/build.log

usage() {
  cat <<'TEXT'
usage: ./local-cluster.sh COMMAND

  start [N] [--mount URI]...   start peers 1 to N (default 3, or as many as there were); with a
                               running cluster: start those that are missing
  status                       what runs, where it listens, who leads
  kill N [SIGNAL]              end peer N at once (default KILL)
  pause N / resume N           stop peer N in its tracks, and let it go on
  restart N                    end peer N orderly and start it on its data again
  logs N                       the log of peer N, and what it says from now on (^C to leave)
  stop                         end all peers; their data stays, `start` goes on with it
  demo                         see a load survive the death of its leader (about half a minute)

A mount is s3://bucket[/prefix] or file:///directory, with settings appended if need be:
  ./local-cluster.sh start 3 --mount s3://bucket,endpoint=http://127.0.0.1:9000
AWS_* variables (credentials, region, endpoint) reach the peers as they are.
To begin anew: ./local-cluster.sh stop && rm -r .local-cluster
TEXT
}

fail() {
  printf 'local-cluster: %s\n' "$*" >&2
  exit 1
}

usage_error() {
  printf 'local-cluster: %s\n\n' "$*" >&2
  usage >&2
  exit 2
}

port_of() { printf '%d' $((base_port + $1)); }
s3_port_of() { printf '%d' $((s3_base_port + $1)); }
dir_of() { printf '%s/peer-%d' "$home" "$1"; }

# --- Processes --------------------------------------------------------------

# start_time PID: when that process started, in whatever unit the system has; nothing if it is gone.
start_time() {
  local stat fields
  if [ -r "/proc/$1/stat" ]; then
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 0
    # The second field is the name in parentheses and may contain blanks; the 22nd is wanted.
    read -r -a fields <<<"${stat##*) }"
    printf '%s' "${fields[19]}"
  elif [ ! -d /proc/self ]; then
    ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' || true
  fi
}

# pid_of N: the pid of peer N if its process is still the one that was started.
pid_of() {
  local pid started
  { read -r pid && read -r started; } 2>/dev/null <"$(dir_of "$1")/pid" || return 0
  [ -n "$started" ] && [ "$(start_time "$pid")" = "$started" ] && printf '%s' "$pid"
  return 0
}

is_running() { [ -n "$(pid_of "$1")" ]; }

is_paused() {
  local pid stat
  pid=$(pid_of "$1")
  [ -n "$pid" ] && stat=$(ps -o stat= -p "$pid" 2>/dev/null) && [ "${stat#T}" != "$stat" ]
}

# peers: the numbers of all peers that were ever started here, in order.
peers() {
  local path
  for path in "$home"/peer-*; do
    if [ -d "$path" ]; then printf '%s\n' "${path##*/peer-}"; fi
  done | sort -n
}

running_peers() {
  local peer
  for peer in $(peers); do
    if is_running "$peer"; then printf '%s\n' "$peer"; fi
  done
}

# known_peer N: refuses what is not the number of a peer.
known_peer() {
  local known
  [ -n "${1:-}" ] || usage_error 'which peer? give its number'
  case $1 in *[!0-9]* | 0*) usage_error "'$1' is not the number of a peer" ;; esac
  [ -d "$(dir_of "$1")" ] && return
  known=$(peers | tr '\n' ' ')
  [ -n "$known" ] || fail "there is no peer $1: none was started yet (./local-cluster.sh start)"
  fail "there is no peer $1, only: ${known% }"
}

running_pid() {
  local pid
  pid=$(pid_of "$1")
  [ -n "$pid" ] || fail "peer $1 is not running: ./local-cluster.sh restart $1 starts it"
  printf '%s' "$pid"
}

# wait_gone N SECONDS: true when the process has ended in time.
wait_gone() {
  local tries=$(($2 * 10))
  while is_running "$1"; do
    [ $((tries -= 1)) -gt 0 ] || return 1
    sleep 0.1
  done
}

# --- Network ----------------------------------------------------------------

port_is_open() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# http_status PORT PATH: the status code of a GET, or nothing.
http_status() {
  (
    exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 0
    printf 'GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$2" >&3
    IFS=' ' read -r -t 2 _ status _ <&3 && printf '%s' "$status"
  ) 2>/dev/null || true
}

# --- Install and build ------------------------------------------------------

# quietly WHAT COMMAND…: runs the command; its output is shown only when it fails.
quietly() {
  printf '%s…\n' "$1"
  shift
  mkdir -p "$home"
  "$@" >"$build_log" 2>&1 || {
    cat "$build_log" >&2
    fail "$* failed"
  }
}

prepare() {
  command -v node >/dev/null || fail 'node is not installed: Ringload needs Node 20.19 or newer'
  node -e 'const [a, b] = process.versions.node.split(".").map(Number);
    process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' ||
    fail "Node $(node --version) is too old: Ringload needs 20.19 or newer"
  # An install that is linked here is somebody else's: it is used, never replaced.
  if [ ! -L node_modules ] && { [ ! -e node_modules/.package-lock.json ] ||
    [ package-lock.json -nt node_modules/.package-lock.json ]; }; then
    quietly 'installing packages' npm ci
  fi
  if [ ! -e dist/.built ] || [ ! -e "$program" ] ||
    [ -n "$(find src package.json tsconfig*.json -newer dist/.built -print 2>/dev/null | head -n 1)" ]; then
    quietly 'building' npm run build
  fi
}

# --- Commands ---------------------------------------------------------------

# launch N: starts the process of peer N.
launch() {
  local peer=$1 dir port other pid line arguments
  dir=$(dir_of "$peer")
  port=$(port_of "$peer")
  if port_is_open "$port"; then
    fail "port $port, which peer $peer needs, is in use by another program (choose others: RINGLOAD_LOCAL_BASE_PORT=30000 ./local-cluster.sh …)"
  fi
  mkdir -p "$dir/data"
  arguments=(serve --data-dir "$dir/data" --rest-port "$port" --s3-port "$(s3_port_of "$peer")")
  # The first peer founds the cluster; a peer with data of its own knows the others already.
  for other in $(peers); do
    if [ "$other" -lt "$peer" ]; then
      arguments+=(--join "127.0.0.1:$(port_of "$other")")
    fi
  done
  while IFS= read -r line; do
    arguments+=(--mount "$line")
  done <"$home/mounts"
  # A process group of its own: a ^C at the terminal is not meant for the peers.
  set -m
  nohup node "$program" "${arguments[@]}" >>"$dir/log" 2>&1 </dev/null &
  set +m
  pid=$!
  printf '%s\n%s\n' "$pid" "$(start_time "$pid")" >"$dir/pid"
}

await_ready() {
  local peer=$1 port tries=$((ready_deadline_s * 10))
  port=$(port_of "$peer")
  until [ "$(http_status "$port" /readyz)" = 200 ]; do
    if ! is_running "$peer"; then
      tail -n 20 "$(dir_of "$peer")/log" >&2
      fail "peer $peer ended before it was ready; its last lines are above"
    fi
    if [ $((tries -= 1)) -le 0 ]; then
      tail -n 20 "$(dir_of "$peer")/log" >&2
      fail "peer $peer was not ready after $ready_deadline_s s; its last lines are above (it still runs)"
    fi
    sleep 0.1
  done
  printf 'peer %d  http://127.0.0.1:%d  ready (pid %s)  S3 http://127.0.0.1:%d\n' \
    "$peer" "$port" "$(pid_of "$peer")" "$(s3_port_of "$peer")"
}

start() {
  local count='' mounts=() peer
  while [ $# -gt 0 ]; do
    case $1 in
      --mount)
        [ -n "${2:-}" ] || usage_error '--mount needs a URI such as s3://bucket'
        mounts+=("$2")
        shift
        ;;
      --mount=*) mounts+=("${1#--mount=}") ;;
      *[!0-9]* | '' | 0*) usage_error "'$1' is neither a number of peers nor --mount" ;;
      *) count=$1 ;;
    esac
    shift
  done
  if [ -z "$count" ]; then
    count=$(peers | wc -l)
    [ "$count" -gt 0 ] || count=3
  fi
  [ "$count" -le 50 ] || fail "$count peers are too many for one machine (at most 50)"
  prepare
  mkdir -p "$home"
  if [ ${#mounts[@]} -gt 0 ]; then
    if [ -n "$(running_peers)" ] && [ "$(printf '%s\n' "${mounts[@]}")" != "$(cat "$home/mounts" 2>/dev/null)" ]; then
      fail 'the running peers have other mounts: ./local-cluster.sh stop, then start with the new ones'
    fi
    printf '%s\n' "${mounts[@]}" >"$home/mounts"
  fi
  [ -e "$home/mounts" ] || : >"$home/mounts"
  for ((peer = 1; peer <= count; peer++)); do
    if is_running "$peer"; then
      printf 'peer %d  http://127.0.0.1:%d  runs already (pid %s)\n' "$peer" "$(port_of "$peer")" "$(pid_of "$peer")"
      continue
    fi
    launch "$peer"
    # One peer has no majority of a cluster that had more: wait below, when all are started.
    if [ ! -e "$home/formed" ]; then await_ready "$peer"; fi
  done
  if [ -e "$home/formed" ]; then
    for ((peer = 1; peer <= count; peer++)); do await_ready "$peer"; done
  fi
  : >"$home/formed"
  next_steps
}

next_steps() {
  local mount peer_option=''
  mount=$(head -n 1 "$home/mounts")
  mount=${mount%%,*}
  [ "$(port_of 1)" = 19999 ] || peer_option=" --peer 127.0.0.1:$(port_of 1)"
  printf '\nTry:\n  alias ringload="node %s/%s"\n' "$PWD" "$program"
  if [ -n "$mount" ]; then
    printf '  ringload load %s --replicas 2%s\n' "$mount" "$peer_option"
    printf '  ringload ls %s%s\n' "$mount" "$peer_option"
  else
    printf '  ./local-cluster.sh stop && ./local-cluster.sh start --mount s3://your-bucket\n'
  fi
  printf '  ringload cluster status%s\n' "$peer_option"
  printf '  ./local-cluster.sh kill 1     # and see that nothing is lost\n'
}

status() {
  local peer state pid first=''
  [ -n "$(peers)" ] || fail 'no peer was started yet: ./local-cluster.sh start'
  for peer in $(peers); do
    pid=$(pid_of "$peer")
    if [ -z "$pid" ]; then
      state='not running'
    elif is_paused "$peer"; then
      state="paused (pid $pid)"
    elif [ "$(http_status "$(port_of "$peer")" /readyz)" = 200 ]; then
      state="ready (pid $pid)"
      first=${first:-$peer}
    else
      state="not ready (pid $pid): ./local-cluster.sh logs $peer"
    fi
    printf 'peer %d  http://127.0.0.1:%d  %s\n' "$peer" "$(port_of "$peer")" "$state"
  done
  [ -n "$first" ] || return 0
  printf '\n'
  node "$program" cluster status --peer "127.0.0.1:$(port_of "$first")"
}

kill_peer() {
  local pid signal=${2:-KILL}
  known_peer "${1:-}"
  signal=${signal#SIG}
  case $signal in *[!A-Z0-9]*) usage_error "'$signal' is not a signal" ;; esac
  pid=$(running_pid "$1")
  kill "-$signal" "$pid" 2>/dev/null || fail "send $signal to peer $1 (pid $pid): unknown signal, or not permitted"
  if [ "$signal" = KILL ]; then wait_gone "$1" "$stop_deadline_s" || fail "peer $1 (pid $pid) does not end"; fi
  printf 'sent %s to peer %d (pid %s)\n' "$signal" "$1" "$pid"
}

pause_peer() {
  known_peer "${1:-}"
  kill -STOP "$(running_pid "$1")"
  printf 'peer %d is paused: ./local-cluster.sh resume %d\n' "$1" "$1"
}

resume_peer() {
  known_peer "${1:-}"
  kill -CONT "$(running_pid "$1")"
  printf 'peer %d goes on\n' "$1"
}

# end_peer N: SIGTERM, and SIGKILL when that does not help in time.
end_peer() {
  local pid
  pid=$(pid_of "$1")
  [ -n "$pid" ] || return 0
  kill -TERM "$pid" 2>/dev/null || true
  # A paused process takes the signal only after it goes on.
  kill -CONT "$pid" 2>/dev/null || true
}

finish_peer() {
  local pid
  if ! wait_gone "$1" "$stop_deadline_s"; then
    pid=$(pid_of "$1")
    printf 'peer %d (pid %s) did not end within %d s: killing it\n' "$1" "$pid" "$stop_deadline_s" >&2
    [ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true
    wait_gone "$1" 5 || fail "peer $1 (pid $pid) does not end"
  fi
  rm -f "$(dir_of "$1")/pid"
}

restart_peer() {
  known_peer "${1:-}"
  prepare
  end_peer "$1"
  finish_peer "$1"
  launch "$1"
  await_ready "$1"
}

logs_of() {
  known_peer "${1:-}"
  exec tail -n 100 -f "$(dir_of "$1")/log"
}

stop() {
  local peer running
  running=$(running_peers)
  [ -n "$running" ] || {
    printf 'nothing is running\n'
    return
  }
  for peer in $running; do end_peer "$peer"; done
  for peer in $running; do
    finish_peer "$peer"
    printf 'peer %d has ended\n' "$peer"
  done
}

demo() {
  [ -z "$(running_peers)" ] ||
    fail 'a local cluster is running, and the demo would disturb it: ./local-cluster.sh stop first'
  prepare
  exec node scripts/demo.mjs "$base_port"
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
  start) start "$@" ;;
  status) status ;;
  kill) kill_peer "$@" ;;
  pause) pause_peer "$@" ;;
  resume) resume_peer "$@" ;;
  restart) restart_peer "$@" ;;
  logs) logs_of "$@" ;;
  stop) stop ;;
  demo) demo ;;
  help | -h | --help) usage ;;
  '') usage_error 'what shall be done?' ;;
  *) usage_error "unknown command '$command'" ;;
esac
