#!/usr/bin/env bash
# Of bans, what only the server can see: does its fail2ban do what the panel wants, and does the panel know of it?
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (doctor.sh)

look_at_bans() {
    local set_up="sudo mtproto fail2ban install" apply="sudo mtproto-bans apply"
    local data wanted=no before=$WRONG
    if grep -q '"bans": true' "$MTPROTO_HOME/data/config.json" 2>/dev/null; then wanted=yes; fi
    data=$(bans_data)
    if [ -z "$data" ]; then
        [ "$wanted" = yes ] || return 0
        fail2ban_down
        if [ -n "$DOWN" ]; then
            finding bans problem "bans are on, and nobody is banned: $DOWN" "$HELP"
        else
            finding bans problem "bans are on, and the server's fail2ban was told nothing of the proxies" "$set_up"
        fi
        return
    fi
    if [ "$data" != "$MTPROTO_HOME/data" ]; then
        if [ ! -d "$data" ]; then
            finding bans problem "fail2ban reads $data/logs, which is not there any more: this installation is in $MTPROTO_HOME" "$set_up"
        elif [ "$wanted" = yes ]; then
            finding bans problem "bans are on, and fail2ban goes by another installation of this server, $data" \
                "mtproto settings set bans=false    # or there: sudo mtproto fail2ban remove"
        fi
        return
    fi
    look_at_units_of_bans "$set_up"
    [ "$wanted" = yes ] || return 0
    fail2ban_down
    if [ -n "$DOWN" ]; then
        finding bans problem "bans are on, and nobody is banned: $DOWN" "$HELP"
    elif [ "$("$BANS" state)" != running ]; then
        finding bans problem "fail2ban runs, but not its jail mtproto, so nobody is banned" "$apply && sudo fail2ban-client status mtproto"
    else
        look_at_jail "$apply"
        if [ "$WRONG" = "$before" ]; then
            finding bans ok "fail2ban reads what the panel writes down, and the panel shows whom it bans ($(bans_of_panel | grep -c . || true) now)"
        fi
    fi
}

# look_at_units_of_bans COMMAND: where there is systemd, it carries out what the panel asks for.
look_at_units_of_bans() {
    [ -d "${MTPROTO_ROOT:-}/run/systemd/system" ] || return 0
    if [ ! -e "$UNITS/mtproto-bans.path" ] || [ ! -e "$UNITS/mtproto-bans.service" ] ||
        ! systemctl is-active mtproto-bans.path >/dev/null 2>&1 </dev/null; then
        finding bans problem "nobody watches for what the panel asks of fail2ban: the unit mtproto-bans.path does not run" "$1"
    elif [ "$(systemctl is-failed mtproto-bans.service 2>/dev/null </dev/null || true)" = failed ]; then
        finding bans problem "what the panel asked of fail2ban last was not carried out: mtproto-bans.service has failed" \
            "journalctl -u mtproto-bans.service -n 20; sudo mtproto-bans apply"
    elif [ ! -e "$UNITS/mtproto-refused.timer" ] || ! systemctl is-active mtproto-refused.timer >/dev/null 2>&1 </dev/null; then
        finding bans problem "whom the firewall's limits refuse is not written down: the unit mtproto-refused.timer does not run" "$1"
    fi
}

# look_at_jail COMMAND: of one that runs.
look_at_jail() {
    local read banned unknown
    read=$(fail2ban-client get mtproto logpath 2>/dev/null </dev/null || true)
    if [ ! -e "$MTPROTO_HOME/data/logs/offenders.log" ]; then
        finding bans problem "the panel writes nobody down: there is no $MTPROTO_HOME/data/logs/offenders.log" "sudo mtproto compose up -d"
    elif ! grep -F -- "$MTPROTO_HOME/data/logs/offenders.log" <<<"$read" >/dev/null; then
        finding bans problem "the jail mtproto does not read $MTPROTO_HOME/data/logs/offenders.log" \
            "cat $ETC/fail2ban/jail.d/mtproto.local; $1"
    fi
    if ! "$BANS" check; then
        finding bans problem "the rules that lock out who is banned are gone, as after nft flush ruleset" "$1"
    fi
    banned=$(fail2ban-client get mtproto banip 2>/dev/null </dev/null | tr ' ' '\n' | sed '/^$/d' | LC_ALL=C sort -u || true)
    unknown=$(LC_ALL=C comm -23 <(printf '%s\n' "$banned") <(bans_of_panel) | sed '/^$/d')
    if [ -n "$unknown" ]; then
        finding bans problem "fail2ban bans addresses that the panel does not show: $(listed "$unknown")" "$1"
    fi
}

# bans_of_panel: the addresses that it shows, one a line.
bans_of_panel() { sed -n '2,$s/^\([0-9a-f.:]*\) .*/\1/p' "$MTPROTO_HOME/data/bans/active" 2>/dev/null | LC_ALL=C sort -u; }
