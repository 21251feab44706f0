#!/usr/bin/env bash
# The firewall: the ports that are needed are open, no others of ours, and new connections are limited where that is
# wanted. What was made is noted in firewall.rules, so that exactly that is taken away again. A firewall that is off
# stays off, and what others have opened or closed is left alone.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

# In everything that people read of ours, and that takes a comment.
MARK=mtproto

# own_name: what our profile, chain, set and table are called. Of another home, another one: two installations on a
# server do not touch each other's.
own_name() {
    if [ "$MTPROTO_HOME" = /opt/mtproto ]; then
        printf '%s' "$MARK"
    else
        printf '%s-%04x' "$MARK" $(($(printf '%s' "$MTPROTO_HOME" | cksum | cut -d ' ' -f 1) % 65536))
    fi
}

# Which firewall is in force: ufw, firewalld, iptables, nftables, or none. The front ends come before what they drive.
firewall_kind() {
    if command -v ufw >/dev/null && LC_ALL=C ufw status 2>/dev/null </dev/null | grep '^Status: active' >/dev/null; then
        printf ufw
    elif command -v firewall-cmd >/dev/null && [ "$(firewall-cmd --state 2>/dev/null </dev/null)" = running ]; then
        printf firewalld
    elif [ -n "$(closing_tables)" ]; then
        printf iptables
    elif [ -n "$(closed_chains)" ]; then
        printf nftables
    else
        printf none
    fi
}

# What the panel wants, as it wrote it (app/host/firewall.py), one a line: "port 2443", "port 8543 limit 10", "web",
# "panel". Nothing else is taken from there: the panel's account may write that file, and root reads it. Of a release that
# does not write it, config.json says at least the ports.
wanted_words() {
    local wanted=$MTPROTO_HOME/data/firewall.wanted config=$MTPROTO_HOME/data/config.json
    if [ -f "$wanted" ] && [ ! -L "$wanted" ]; then
        head -c 2000000 "$wanted" | grep -xE '(port [0-9]{1,5}|web|panel)( limit [0-9]{1,6})?' || true
        return
    fi
    [ -e "$config" ] || return 0
    if grep -q '"port_443_mode": true' "$config"; then
        printf 'web\n'
    else
        sed -n 's/^ *"port": \([0-9]\{1,5\}\),\{0,1\}$/port \1/p' "$config"
    fi
    if grep -qE '"(panel_domain|share_hostname)": "..*"' "$config"; then printf 'web\n'; fi
    if grep -q '"panel_by_address": true' "$config"; then printf 'panel\n'; fi
}

# wanted_openings: "PORT LIMIT" of each TCP port that the internet has to reach, one a line; LIMIT 0 is none.
wanted_openings() {
    local word port limit
    while read -r word port limit; do
        case $word in
            port) printf '%s %s\n' "$port" "${limit#limit }" ;;
            web)
                published HTTP_PORT 0
                published HTTPS_PORT "${limit:-0}"
                ;;
            panel)
                published HTTP_PORT 0
                published PANEL_HTTPS_PORT 0
                ;;
        esac
    done < <(wanted_words) | awk '$1 >= 1 && $1 <= 65535 { if (!($1 in most) || $2 > most[$1]) most[$1] = $2 + 0 }
        END { for (port in most) print port + 0, most[port] }' | sort -n
}

# published NAME LIMIT: the port that .env says, if it is for more than this machine.
published() {
    local at
    at=$(env_get "$1")
    case $at in 127.0.0.1:* | "") ;; *) printf '%s %s\n' "${at##*:}" "$2" ;; esac
}

# The TCP ports that the internet has to reach, one a line.
wanted_ports() { wanted_openings | cut -d ' ' -f 1; }

# ranges: of the ports and ranges that it reads, one a line, the fewest ranges: 2443-2445 for three of them.
ranges() {
    awk -F - '$1 ~ /^[0-9]+$/ { last = NF > 1 ? $2 + 0 : $1 + 0; for (port = $1 + 0; port <= last; port++) open[port] }
        END { for (port = 1; port <= 65535; port++) if (port in open) {
            first = port; while ((port + 1) in open) port++
            print first == port ? port : first "-" port } }'
}

# minus RANGES RANGES: what is in the first and not in the second.
minus() {
    awk -F - '$1 ~ /^[0-9]+$/ { last = NF > 1 ? $2 + 0 : $1 + 0
            for (port = $1 + 0; port <= last; port++) if (NR == FNR) not[port]; else if (!(port in not)) print port }' \
        <(printf -- '-\n%s\n' "$2") <(printf '%s\n' "$1") | ranges
}

# listed RANGES: on one line, for people, who read no thousand.
listed() {
    awk 'NR <= 20 { printf "%s%s", (NR > 1 ? ", " : ""), $0 } END { if (NR > 20) printf " and %d more", NR - 20; print "" }' <<<"$1"
}

# firewall_sync PORT…: exactly these are open by us, where people come in.
firewall_sync() {
    local wanted place places=""
    FIREWALL_RULES=$MTPROTO_HOME/firewall.rules FIREWALL_FAILED=no
    FIREWALL_KIND=$(firewall_kind)
    wanted=$(printf '%s\n' "$@" | ranges)
    if [ -n "$wanted" ]; then places=$(places_of "$FIREWALL_KIND"); fi
    while IFS= read -r place; do
        if [ -n "$place" ]; then sync_place "$place" "$wanted"; fi
    done <<<"$places"
    # After what is wanted is open: a port that another rule opens now was never closed. Where that failed, nothing is
    # closed; and one that is off just now finds its rules again.
    if [ "$FIREWALL_FAILED" = yes ] || [ "$FIREWALL_KIND${wanted:+ wanted}" = "none wanted" ]; then return; fi
    while IFS= read -r place; do
        case $place in
            "" | "firewalld "* | "limits "*) continue ;;
            "at "*) if grep -qxF -- "${place#at }" <<<"$places"; then continue; fi ;;
        esac
        close_noted "$place"
    done < <(cat "$FIREWALL_RULES" 2>/dev/null || true)
    sync_firewalld_notes "$places"
}
FIREWALL_KIND=none FIREWALL_FAILED=no FIREWALL_RULES=""

# first_words: of what the last command said, the line that says why; what follows is how to go on.
first_words() { last_words 60 | grep -vE '^ *$|^\+ ' | head -n 1 | cut -c 1-300 || true; }

# sync_place PLACE RANGES
sync_place() {
    local need=$2 have
    # shellcheck disable=SC2086 # its words
    have=$(opened $1)
    case $1 in firewalld*) need=$(minus "$2" "$(opened_by_others "${1#* }")") ;; esac
    if [ "$have" = "$need" ]; then return; fi
    if [ -z "$need" ] && [ -z "$have" ]; then return; fi
    # Noted first: what was made and not noted would stay for ever. (Of firewalld, its ports are noted.)
    case $1 in firewalld*) ;; *) record "$FIREWALL_RULES" "at $1" ;; esac
    # Here, as what reads a pipe is a shell of its own.
    RUN_FROM=$(wc -c <"$LOG" 2>/dev/null || printf 0)
    # shellcheck disable=SC2086
    if open_place $1 <<<"$need"; then
        note "the firewall ($FIREWALL_KIND) lets through: $(listed "$2") (TCP)"
    else
        FIREWALL_FAILED=yes
        warn "the firewall ($FIREWALL_KIND) could not be told to let $(listed "$2") through: $(first_words)"
    fi
}

# close_noted LINE of firewall.rules: what it stands for goes.
close_noted() {
    local done=yes
    # shellcheck disable=SC2086
    case $1 in
        "at "*) close_place ${1#at } || done=no ;;
        *) close_old $1 || done=no ;;
    esac
    if [ "$done" = no ]; then
        FIREWALL_FAILED=yes
        warn "the firewall's rule \"$1\" could not be removed: $(first_words)"
        return
    fi
    forget "$FIREWALL_RULES" "$1"
}

# with_firewall_lock COMMAND…: one at a time: the unit, a person and install.sh may come at once. Not the installer's lock:
# that one may be waiting for this.
with_firewall_lock() {
    exec 8>"$MTPROTO_HOME/.firewall.lock" || fail_writing "$MTPROTO_HOME/.firewall.lock"
    flock -w 120 8 || fail "another program has changed the firewall for two minutes and is not done yet."
    "$@"
    exec 8>&-
}

# firewall_apply: what is wanted now is made so.
firewall_apply() {
    local ports=()
    # shellcheck disable=SC2046
    read -r -d '' -a ports <<<"$(wanted_ports)" || true
    firewall_sync "${ports[@]+"${ports[@]}"}"
    limits_sync "$(wanted_limits)"
    tidy_notes
}

# firewall_remove: as it was before us.
firewall_remove() {
    firewall_sync
    limits_sync ""
    tidy_notes
}

# A list of nothing is none.
tidy_notes() { if [ -e "$FIREWALL_RULES" ] && [ ! -s "$FIREWALL_RULES" ]; then rm -f "$FIREWALL_RULES"; fi; }

open_firewall() {
    with_firewall_lock firewall_apply
    if [ "$FIREWALL_KIND" = none ]; then
        note "no firewall is in force here; needed from outside: $(listed "$(wanted_ports | ranges)") (TCP)"
        note "a firewall of the provider, in its control panel, has to let them through"
    fi
    install_firewall_units
}

# From then on by itself: when the panel wants something else, after a reboot, and where something has emptied the tables.
install_firewall_units() {
    local folder=$ETC/systemd/system unit
    [ -d "${MTPROTO_ROOT:-}/run/systemd/system" ] || return 0
    try_file "$folder/mtproto-firewall.service" 0644 <<END
[Unit]
Description=MTProto Proxy Manager: the ports of its users in the firewall
After=docker.service ufw.service firewalld.service nftables.service iptables.service netfilter-persistent.service
# A hundred new users are a hundred changes within seconds.
StartLimitIntervalSec=0

[Service]
Type=oneshot
ExecStart=/bin/bash "$MTPROTO_HOME/current/host/firewall.sh" "$MTPROTO_HOME"
# Each look would be three lines of the journal.
LogLevelMax=notice

[Install]
WantedBy=multi-user.target docker.service ufw.service firewalld.service nftables.service
END
    try_file "$folder/mtproto-firewall.path" 0644 <<END
[Unit]
Description=MTProto Proxy Manager: look whether its users' ports have changed

[Path]
PathChanged=$MTPROTO_HOME/data/firewall.wanted

[Install]
WantedBy=multi-user.target
END
    try_file "$folder/mtproto-firewall.timer" 0644 <<END
[Unit]
Description=MTProto Proxy Manager: look whether its rules are still in the firewall

[Timer]
OnBootSec=1min
OnUnitInactiveSec=5min
AccuracySec=30s

[Install]
WantedBy=timers.target
END
    run systemctl daemon-reload || true
    run systemctl enable mtproto-firewall.service || warn "the unit mtproto-firewall.service could not be enabled"
    for unit in mtproto-firewall.path mtproto-firewall.timer; do
        run systemctl enable --now "$unit" || warn "the unit $unit could not be enabled"
    done
}

# try_file FILE MODE: as install_file, but where it can't be written, as /etc is read-only, that is said and not the end.
try_file() {
    if ! (install_file "$1" "$2") >>"$LOG" 2>&1; then
        forget "$MTPROTO_HOME/.files" "$1"
        warn "$1 could not be written: $(grep -v '^$' "$LOG" | tail -n 4 | head -n 1)"
    fi
}

# install_file FILE MODE: standard input becomes a file outside the home, which a removal removes.
install_file() {
    record "$MTPROTO_HOME/.files" "$1"
    mkdir -p "$(dirname "$1")" || fail_writing "$1"
    write_file "$1" "$2"
}
