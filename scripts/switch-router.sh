#!/usr/bin/env bash
# scripts/switch-router.sh traefik|nginx: have Traefik, or nginx alone, take port 443. Of the installation whose release
# this script is in (mtproto router), or of a stack that was started by hand from this folder. Links stay the same;
# connections through the router are made again. If the new one does not serve within two minutes, the other one is put
# back, and the exit code is 1.
# shellcheck disable=SC2034  # variables of host/lib
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

declare -A FILES=([nginx]=docker-compose.yml [traefik]=docker-compose.traefik.yml)
to=${1:-}
if [ "$#" -ne 1 ] || [ -z "${FILES[$to]:-}" ]; then sed -n '2,5s/^# //p' "$0" >&2; exit 2; fi
[ "$to" = nginx ] && from=traefik || from=nginx

# The folder of an installation by install.sh has this tree as releases/VERSION, and current leads to it.
HOME_OF_IT=$(dirname "$(dirname "$PWD")")
INSTALLED=no
if [ "$HOME_OF_IT/current" -ef "$PWD" ] && [ -e "$HOME_OF_IT/.env" ]; then INSTALLED=yes; fi

# with ROUTER COMPOSE-ARGUMENT…; declare_router ROUTER.
if [ "$INSTALLED" = yes ]; then
    MTPROTO_HOME=$HOME_OF_IT
    HERE=$PWD AGAIN="mtproto router $to"
    for part in log files stack images router; do
        # shellcheck source=/dev/null
        . "host/lib/$part.sh"
    done
    with() { ROUTER=$1 stack "${@:2}"; }
    declare_router() { env_set MTPROTO_ROUTER "$1"; }
else
    if docker compose version >/dev/null 2>&1; then COMPOSE=(docker compose); else COMPOSE=(docker-compose); fi
    with() { "${COMPOSE[@]}" -f "${FILES[$1]}" "${@:2}"; }
    declare_router() { :; }
fi
# shellcheck source=host/lib/engine.sh
. host/lib/engine.sh

# Instead of the one in log.sh, whose words are those of an installation.
fail() {
    printf 'switch-router.sh: %s\n' "$1" >&2
    if [ $# -gt 1 ]; then printf '\n    %s\n\n' "$2" >&2; fi
    exit 1
}

prepare() {
    require_docker
    [ "$INSTALLED" = yes ] || return 0
    take_lock
    if [ -e "$MTPROTO_HOME/.update" ]; then fail "an update was interrupted. First: sudo mtproto update"; fi
    if [ "$to" = nginx ]; then return; fi
    LOG=$MTPROTO_HOME/install.log
    bound_log "$LOG"
    DOCKER_MIRROR=${DOCKER_MIRROR:-$(env_get MTPROTO_DOCKER_MIRROR)}
    choose_bases
    provide_traefik
}

start() { # start ROUTER: what the other one has of port 443 is given up first
    # Noted first: whatever is started by compose from now on, after a power cut too, is of this one.
    declare_router "$1"
    if [ "$1" = nginx ]; then
        with traefik rm --stop --force traefik || return 1
    fi
    # certbot stays as it is, up or not.
    with "$1" up -d --no-build
}

# Whether the panel says that port 443 is served as it should be, by this router.
# shellcheck disable=SC2016  # the shell over there expands it
LOOK='python3 -m app.cli reconcile >/dev/null 2>&1
python3 -m app.cli status --json | python3 -c "
import json, sys
edge = json.load(sys.stdin)[\"edge\"]
sys.exit(edge[\"router\"] != sys.argv[1] or bool(edge[\"trouble\"]))" "$0"'

serves() {
    with "$1" exec -T app sh -c "$LOOK" "$1" >/dev/null 2>&1 </dev/null
}

wait_for() {
    local end=$((SECONDS + ${SWITCH_SECONDS:-120}))
    until serves "$1"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 2
    done
}

prepare
if start "$to" && wait_for "$to"; then
    echo "Port 443 is served by $to now."
    exit
fi
echo "$to does not serve port 443; what it said:" >&2
with "$to" logs --tail=20 "$to" >&2 || true
echo "Back to $from." >&2
start "$from" && wait_for "$from" && echo "Port 443 is served by $from again." >&2
exit 1
