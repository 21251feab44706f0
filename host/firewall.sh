#!/usr/bin/env bash
# The firewall of this server, as far as it is ours. Without a command: apply, as the unit mtproto-firewall calls it.
# firewall.sh HOME [apply|status|remove] [--json]
# shellcheck disable=SC2034  # variables of host/lib
set -euo pipefail

usage() {
    cat <<'END_OF_USAGE'
Usage: sudo mtproto firewall [status|apply|remove] [--json]

  status   what is open by us, what is wanted, which limits are in force, and what they refused
  apply    makes it so, and lets systemd see to it from then on
  remove   takes away everything that we made in the firewall, and nothing else; until the next apply

Without a word: status. It ends with 1 if the rules are not as wanted. docs/firewall.md says what is done with which firewall.
END_OF_USAGE
}

misuse() {
    printf 'firewall.sh: %s\n\n' "$1" >&2
    usage >&2
    exit 2
}

load_parts() {
    local part lib
    lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lib
    ETC=${MTPROTO_ETC:-/etc} AGAIN=""
    for part in log files firewall firewall_places firewall_limits firewall_status; do
        # shellcheck source=/dev/null
        . "$lib/$part.sh"
    done
    LOG=$(mktemp "${TMPDIR:-/tmp}/mtproto-firewall.XXXXXX" 2>/dev/null) || LOG=/dev/null
    trap 'case $LOG in /dev/null) ;; *) rm -f "$LOG" ;; esac' EXIT
}

# switch_off: nobody makes it anew.
switch_off() {
    local unit
    [ -d "${MTPROTO_ROOT:-}/run/systemd/system" ] || return 0
    for unit in timer path service; do run systemctl disable --now "mtproto-firewall.$unit" || true; done
}

main() {
    local command="" json=no word
    MTPROTO_HOME=$1
    shift
    for word in "$@"; do
        case $word in
            -h | --help) usage && exit 0 ;;
            --json) json=yes ;;
            status | apply | remove)
                [ "${command:-status}" = status ] || misuse "one of status, apply and remove is allowed, and not both $command and $word."
                command=$word
                ;;
            *) misuse "there is no $word; status, apply and remove are allowed." ;;
        esac
    done
    load_parts
    if [ "$(id -u)" -ne 0 ] && [ -z "${MTPROTO_ROOT:-}" ]; then
        printf 'mtproto: root is needed for the firewall.\n\n    sudo mtproto firewall %s\n\n' "$command" >&2
        exit 1
    fi
    case $command in
        "")
            with_firewall_lock firewall_apply
            forget_first_login
            [ "$FIREWALL_FAILED" = no ] || exit 1
            return
            ;;
        apply)
            with_firewall_lock firewall_apply >&2
            install_firewall_units >&2
            ;;
        remove)
            switch_off
            with_firewall_lock firewall_remove >&2
            ;;
    esac
    firewall_status
    if [ "$json" = yes ]; then status_json; else status_text; fi
    if [ "$FIREWALL_FAILED" = yes ] || { [ "$command" != remove ] && [ "$STATUS_RIGHT" = no ]; }; then exit 1; fi
}

main "$@"
