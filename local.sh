#!/usr/bin/env bash
# The whole system without Docker, in the background: Prefect's server and UI, the work pool
# process-pool with a worker, every deployment of prefect.yaml.
#
#   ./local.sh up      start what is not running (idempotent)
#   ./local.sh down    stop the worker, then the server
#
# PREFECT_SERVER_API_PORT (4200) and NYC_TAXI_LOCAL (data/local: logs and process ids) may be set.
set -euo pipefail
cd "$(dirname "$0")"
bin=$PWD/.venv/bin
run=${NYC_TAXI_LOCAL:-$PWD/data/local}
port=${PREFECT_SERVER_API_PORT:-4200}
export PREFECT_API_URL=http://127.0.0.1:$port/api PREFECT_SERVER_ANALYTICS_ENABLED=false
export DO_NOT_TRACK=1

runs() { [ -f "$run/$1.pid" ] && kill -0 "$(cat "$run/$1.pid")" 2>/dev/null; }

# A session of its own, so that closing the terminal ends nothing; and heeding SIGINT, which a shell's
# background jobs ignore and Prefect's worker sends itself to stop.
detached='import os, signal, sys; os.setsid(); signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])'

background() { # background NAME COMMAND...
  local name=$1
  shift
  runs "$name" && return
  "$bin/python" -c "$detached" "$@" >"$run/$name.log" 2>&1 </dev/null &
  echo $! >"$run/$name.pid"
}

until_ready() { # until_ready NAME COMMAND...
  local name=$1
  shift
  for _ in $(seq 300); do
    "$@" 2>/dev/null && return
    runs "$name" || break
    sleep 0.2
  done
  tail -n 5 "$run/$name.log"
  echo "error: the $name did not start, see $run/$name.log; is port $port taken? set PREFECT_SERVER_API_PORT" >&2
  exit 1
}

answers() { "$bin/python" -c "import urllib.request as u; u.urlopen('$PREFECT_API_URL/health', timeout=5)"; }

stop() {
  runs "$1" || { rm -f "$run/$1.pid"; return 0; }
  kill -TERM "$(cat "$run/$1.pid")"
  for _ in $(seq 150); do runs "$1" || break; sleep 0.2; done
  runs "$1" && kill -KILL "$(cat "$run/$1.pid")"
  rm -f "$run/$1.pid"
}

case ${1:-} in
  up)
    mkdir -p "$run"
    background server "$bin/prefect" server start --host 127.0.0.1 --port "$port"
    until_ready server answers
    "$bin/python" blocks/make_process_pool.py
    "$bin/prefect" --no-prompt deploy --all >"$run/deploy.log" 2>&1 || { cat "$run/deploy.log"; exit 1; }
    background worker "$bin/prefect" worker start --pool process-pool --name local
    until_ready worker grep -q started "$run/worker.log"
    echo "the UI: http://127.0.0.1:$port; for prefect's own commands: export PREFECT_API_URL=$PREFECT_API_URL"
    ;;
  down)
    stop worker
    stop server
    echo "stopped"
    ;;
  *) sed -n 's/^# \{0,1\}//p' "$0" | sed 1d; exit 2 ;;
esac
