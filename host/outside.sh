#!/usr/bin/env bash
# What a release keeps outside of the home: rules in the firewall with the units that see to them, the rotation of
# logs, and the jail of fail2ban. Called after an update and after a way back:
#   outside.sh HOME              it is as this release has it
#   outside.sh HOME leave TREE   the release in TREE, an older one, serves now: what it knows nothing of goes
# shellcheck disable=SC2034  # variables of host/lib
set -euo pipefail

load_parts() {
    local part
    for part in "$@"; do
        # shellcheck source=/dev/null
        . "$part"
    done
}

# leave TREE: what TREE could not take away later. What stands in .files, its removal takes along.
leave() {
    local unit
    if [ ! -e "$1/host/fail2ban/mtproto-bans" ] && has_our_bans; then run "$BANS" remove || true; fi
    [ ! -e "$1/host/outside.sh" ] || return 0
    # Its notes of rules are other ones, and so are its units.
    with_firewall_lock firewall_remove
    for unit in timer path service; do
        run systemctl disable --now "mtproto-firewall.$unit" || true
        rm -f "$ETC/systemd/system/mtproto-firewall.$unit"
        forget "$MTPROTO_HOME/.files" "$ETC/systemd/system/mtproto-firewall.$unit"
    done
    (
        load_parts "$1"/host/lib/{log,files,firewall}.sh
        open_firewall
    )
    run systemctl daemon-reload || true
}

main() {
    local lib
    MTPROTO_HOME=$1
    lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lib
    ETC=${MTPROTO_ETC:-/etc} AGAIN=""
    load_parts "$lib"/{log,files,firewall,firewall_places,firewall_limits,rotation,fail2ban}.sh
    if [ "${2:-}" = leave ]; then
        leave "$3"
    else
        install_log_rotation
        open_firewall
    fi
    [ "$FIREWALL_FAILED" = no ]
}

main "$@"
