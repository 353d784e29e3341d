#!/bin/sh
# The whole system without Docker: ./local.sh up, ./local.sh down (local_services/local_system.py).
cd "$(dirname "$0")" || exit
[ -x .venv/bin/python ] || { echo "error: there is no .venv; run: make install" >&2; exit 1; }
exec .venv/bin/python -m local_services.local_system "$@"
