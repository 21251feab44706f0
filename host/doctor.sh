#!/usr/bin/env bash
# Looks at what only the server can see, and then asks the panel for what it sees: doctor.sh [--json] [--domains].
# shellcheck disable=SC2034,SC2153,SC2154  # variables of host/lib
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
MTPROTO_HOME=${MTPROTO_HOME:-/opt/mtproto}

load_parts() {
    local part
    ETC=${MTPROTO_ETC:-/etc} PROC=${MTPROTO_PROC:-/proc} AGAIN="" UNITS=${MTPROTO_UNITS:-${MTPROTO_ETC:-/etc}/systemd/system}
    for part in log files room engine stack os checks addresses ports kept_ports firewall firewall_places firewall_limits firewall_status fail2ban news doctor doctor_bans; do
        # shellcheck source=/dev/null
        . "$HERE/host/lib/$part.sh"
    done
}

# tell_panel_of_host: its page "Check the installation" shows what only the server can see. By the panel's own account:
# root opens nothing in that folder.
tell_panel_of_host() {
    local container
    container=$(docker ps -q --filter label=com.docker.compose.project=mtproto \
        --filter label=com.docker.compose.service=app 2>/dev/null </dev/null | head -n 1 || true)
    [ -n "$container" ] || return 0
    printf '{"at": %s, "findings": [%s\n]}\n' "$(date +%s)" "$FOUND" | docker exec -i "$container" sh -c \
        'umask 077; cat >/data/.host.json.new && mv -f /data/.host.json.new /data/host.json' >/dev/null 2>&1 || true
}

main() {
    local json=no word panel end=0 bad='^! '
    for word in "$@"; do case $word in --json) json=yes bad='"state": "problem"' ;; esac; done
    load_parts
    if [ "$(id -u)" -eq 0 ] || [ -n "${MTPROTO_ROOT:-}" ]; then
        look_at_host
        tell_panel_of_host
    else
        finding host note "only root sees the ports and the firewall of this server" "sudo mtproto doctor"
    fi
    panel=$(mktemp -d) || exit 1
    # shellcheck disable=SC2064 # its value of now
    trap "rm -rf '$panel'" EXIT
    bash "$HERE/host/mtproto" --home "$MTPROTO_HOME" panel-doctor "$@" >"$panel/said" 2>"$panel/errors" </dev/null || end=$?
    if [ ! -s "$panel/said" ]; then
        finding panel problem "the panel can't be asked: $(grep -v '^ *$' "$panel/errors" | head -n 1)" "sudo mtproto compose up -d"
    elif [ "$end" -ne 0 ]; then
        WRONG=$((WRONG + $(grep -c -- "$bad" "$panel/said" || true)))
    fi
    if [ "$json" = no ]; then
        printf '%s' "$TOLD"
        cat "$panel/said"
    elif [ -s "$panel/said" ]; then
        # Two lists become one.
        printf '[%s,\n' "$FOUND"
        sed '1s/^\[//' "$panel/said"
    else
        printf '[%s\n]\n' "$FOUND"
    fi
    case $WRONG in
        0) return ;;
        1) printf 'Error: 1 thing is wrong.\n' >&2 ;;
        *) printf 'Error: %s things are wrong.\n' "$WRONG" >&2 ;;
    esac
    exit 1
}

{
    main "$@"
    exit
}
