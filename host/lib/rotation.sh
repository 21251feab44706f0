#!/usr/bin/env bash
# The rotation of the logs that root writes on a server, by logrotate where that is. What the panel and the containers
# write has a bound of its own (panellog, Docker's max-size), and is in folders of accounts that logrotate is not told of.
# shellcheck disable=SC2153,SC2154  # variables of the other parts (server.sh)

# Renamed, not copied and emptied: who has one open goes on in the renamed one, so no line is lost, and it is packed only
# the next time.
install_log_rotation() {
    local file
    [ -d "$ETC/logrotate.d" ] || return 0
    file=$ETC/logrotate.d/$(own_name)
    try_file "$file" 0644 <<END
# Written by install.sh of MTProto Proxy Manager, and again by each update.
"$MTPROTO_HOME/install.log" "$MTPROTO_HOME/update.log" "$MTPROTO_HOME/move.log" {
    weekly
    maxsize 1M
    minsize 100k
    rotate 4
    missingok
    notifempty
    create 0600
    compress
    delaycompress
}
END
}
