#!/usr/bin/env bash
# Opens the ports of today's users in the firewall, and closes those of yesterday's: called by the unit
# mtproto-firewall after each change of the declaration. firewall.sh HOME
set -euo pipefail

main() {
    local lib
    MTPROTO_HOME=$1
    lib=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/lib
    ETC=${MTPROTO_ETC:-/etc}
    AGAIN=""
    # shellcheck source=host/lib/log.sh
    . "$lib/log.sh"
    # shellcheck source=host/lib/files.sh
    . "$lib/files.sh"
    # shellcheck source=host/lib/firewall.sh
    . "$lib/firewall.sh"
    # Not the installer's lock: that one may be waiting for this.
    exec 8>"$MTPROTO_HOME/.firewall.lock"
    flock 8
    local ports=()
    read -r -d '' -a ports <<<"$(wanted_ports)" || true
    firewall_sync "${ports[@]+"${ports[@]}"}"
    forget_first_login
}

main "$@"
