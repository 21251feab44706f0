#!/usr/bin/env bash
# fail2ban on this server, if it is there: told of the proxies where that was asked for. See host/fail2ban/mtproto-bans.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

BANS=${MTPROTO_ROOT:-}/usr/local/sbin/mtproto-bans

has_fail2ban() { [ -d "$ETC/fail2ban" ]; }

# bans_data: the data folder that the server's fail2ban goes by; nothing if it was told of none.
bans_data() { sed -n 's/^DATA=//p' "$BANS" 2>/dev/null | head -n 1 || true; }

# has_our_bans: is it this installation's, and not another one's of this server? One that was moved is.
has_our_bans() { [ -e "$BANS" ] && { [ "$(bans_data)" = "$MTPROTO_HOME/data" ] || [ ! -d "$(bans_data)" ]; }; }

# The question is asked where fail2ban is there; the option counts anyway.
ask_fail2ban() {
    if has_fail2ban; then
        answer FAIL2BAN no check_yes_no "fail2ban is on this server. Shall it ban addresses that keep trying wrong keys?"
    else
        answer FAIL2BAN no check_yes_no
    fi
}

# fail2ban_down: as DOWN, why it bans nobody at all, and as HELP, the command that helps; both empty if it runs.
DOWN="" HELP=""
fail2ban_down() {
    local said
    DOWN="" HELP=""
    if ! command -v fail2ban-client >/dev/null; then
        DOWN="fail2ban is not installed here"
        HELP="sudo sh -c 'apt-get install -y fail2ban || dnf install -y fail2ban' && sudo mtproto fail2ban install"
    elif ! fail2ban-client ping >/dev/null 2>&1 </dev/null; then
        said=$(fail2ban-client -t 2>&1 </dev/null | sed -n 's/.*ERROR *\(Failed during configuration: \)\{0,1\}//p' | head -n 1 || true)
        DOWN="fail2ban does not run${said:+: $said}"
        HELP="sudo systemctl enable --now fail2ban"
        # Debian 12 writes no log of sshd, and its fail2ban does not start for that.
        if [[ $said == *"log file for sshd"* ]]; then
            HELP="sudo sh -c 'apt-get install -y python3-systemd; printf \"[sshd]\\nbackend = systemd\\n\" >$ETC/fail2ban/jail.d/sshd.local' && $HELP"
        fi
    fi
}

set_up_fail2ban() {
    if [ "$FAIL2BAN" = no ]; then
        # Said now, and not only left open.
        if [ "${GIVEN[FAIL2BAN]:-}" = no ] && has_our_bans; then run "$BANS" remove || true; fi
        return 0
    fi
    if ! run bash "$TREE/host/fail2ban/mtproto-bans" install "$TREE/host/fail2ban" "$MTPROTO_HOME/data"; then
        warn "fail2ban could not be told of the proxies: $(last_words 1)"
        note "later: sudo mtproto fail2ban install"
        return 0
    fi
    fail2ban_down
    if [ -n "$DOWN" ]; then
        warn "nobody is banned yet: $DOWN"
        note "this helps: $HELP"
    else
        note "fail2ban bans addresses that keep trying wrong keys (mtproto bans list)"
    fi
}

# renew_fail2ban TREE: after an update, where it is set up.
renew_fail2ban() {
    if has_our_bans && [ -e "$1/host/fail2ban/mtproto-bans" ]; then
        run bash "$1/host/fail2ban/mtproto-bans" install "$1/host/fail2ban" "$MTPROTO_HOME/data" ||
            warn "fail2ban goes by what the release before told it: $(last_words 1)"
    fi
}

remove_fail2ban() {
    if has_our_bans; then try "fail2ban's jail" "$BANS" remove; fi
}
