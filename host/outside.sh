#!/usr/bin/env bash
# What a release keeps outside of the home: rules in the firewall with the units that see to them, and the rotation of
# logs. Called after an update: outside.sh HOME
# shellcheck disable=SC2034  # variables of host/lib
set -euo pipefail

main() {
    local part lib
    MTPROTO_HOME=$1
    lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lib
    ETC=${MTPROTO_ETC:-/etc} AGAIN=""
    for part in log files firewall firewall_places firewall_limits rotation; do
        # shellcheck source=/dev/null
        . "$lib/$part.sh"
    done
    install_log_rotation
    open_firewall
    [ "$FIREWALL_FAILED" = no ]
}

main "$@"
