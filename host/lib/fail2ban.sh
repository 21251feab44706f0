#!/usr/bin/env bash
# fail2ban on this server, if it is there: told of the proxies where that was asked for. See host/fail2ban/mtproto-bans.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

has_fail2ban() { [ -d "$ETC/fail2ban" ]; }

# The question is asked where fail2ban is there; the option counts anyway.
ask_fail2ban() {
    if has_fail2ban; then
        answer FAIL2BAN no check_yes_no "fail2ban is on this server. Shall it ban addresses that keep trying wrong keys?"
    else
        answer FAIL2BAN no check_yes_no
    fi
}

set_up_fail2ban() {
    local bans=${MTPROTO_ROOT:-}/usr/local/sbin/mtproto-bans
    if [ "$FAIL2BAN" = no ]; then
        # Said now, and not only left open.
        if [ "${GIVEN[FAIL2BAN]:-}" = no ] && [ -e "$bans" ]; then run "$bans" remove || true; fi
        return 0
    fi
    if run bash "$TREE/host/fail2ban/mtproto-bans" install "$TREE/host/fail2ban" "$MTPROTO_HOME/data"; then
        note "fail2ban bans addresses that keep trying wrong keys (mtproto bans list)"
    else
        warn "fail2ban could not be told of the proxies: $(last_words 1)"
        note "later: sudo mtproto fail2ban install"
    fi
}

# renew_fail2ban TREE: after an update, where it is set up.
renew_fail2ban() {
    if [ -e "${MTPROTO_ROOT:-}/usr/local/sbin/mtproto-bans" ] && [ -e "$1/host/fail2ban/mtproto-bans" ]; then
        run bash "$1/host/fail2ban/mtproto-bans" install "$1/host/fail2ban" "$MTPROTO_HOME/data" || true
    fi
}

remove_fail2ban() {
    local bans=${MTPROTO_ROOT:-}/usr/local/sbin/mtproto-bans
    if [ -e "$bans" ] && grep -qxF "DATA=$MTPROTO_HOME/data" "$bans"; then try "fail2ban's jail" "$bans" remove; fi
}
