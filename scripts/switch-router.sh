#!/usr/bin/env bash
# scripts/switch-router.sh traefik|nginx: have Traefik, or nginx alone, take port 443 of a stack that was started by
# hand with docker-compose.traefik.yml or docker-compose.yml. Links stay the same; connections through the router are
# made again. If the new one does not serve within two minutes, the other one is put back, and the exit code is 1.
set -euo pipefail
cd "$(dirname "$0")/.."

declare -A FILES=([nginx]=docker-compose.yml [traefik]=docker-compose.traefik.yml)
to=${1:-}
if [ "$#" -ne 1 ] || [ -z "${FILES[$to]:-}" ]; then sed -n '2,4s/^# //p' "$0" >&2; exit 2; fi
[ "$to" = nginx ] && from=traefik || from=nginx

if docker compose version >/dev/null 2>&1; then COMPOSE=(docker compose); else COMPOSE=(docker-compose); fi

stack() { # stack ROUTER ARGUMENTS…
    local file=${FILES[$1]}
    shift
    "${COMPOSE[@]}" -f "$file" "$@"
}

start() { # start ROUTER: what the other one has of port 443 is given up first
    if [ "$1" = nginx ]; then
        stack traefik rm --stop --force traefik || return 1
    fi
    # certbot stays as it is, up or not.
    stack "$1" up -d --no-build
}

# Whether the panel says that port 443 is served as it should be, by this router.
# shellcheck disable=SC2016  # the shell over there expands it
LOOK='python3 -m app.cli reconcile >/dev/null 2>&1
python3 -m app.cli status --json | python3 -c "
import json, sys
edge = json.load(sys.stdin)[\"edge\"]
sys.exit(edge[\"router\"] != sys.argv[1] or bool(edge[\"trouble\"]))" "$0"'

serves() {
    stack "$1" exec -T app sh -c "$LOOK" "$1" >/dev/null 2>&1
}

wait_for() {
    local end=$((SECONDS + ${SWITCH_SECONDS:-120}))
    until serves "$1"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 2
    done
}

if start "$to" && wait_for "$to"; then
    echo "Port 443 is served by $to now."
    exit
fi
echo "$to does not serve port 443; what it said:" >&2
stack "$to" logs --tail=20 "$to" >&2 || true
echo "Back to $from." >&2
start "$from" && wait_for "$from" && echo "Port 443 is served by $from again." >&2
exit 1
