#!/usr/bin/env bash
# How many new connections a minute one address may open to a port. In a table of our own before all that other programs
# do with a packet, Docker's change of its address first: what Docker publishes never comes to the rules that a firewall
# has for this machine. Needs nftables in the kernel and the program nft, whatever firewall is in force, or none.
# shellcheck disable=SC2013,SC2034,SC2153,SC2154  # SC2013: words; variables of the other parts (server.sh)

# So many addresses are remembered, each for two minutes; those beyond that are not limited.
LIMITS_SIZE=65535

# wanted_limits: "LIMIT RANGES", the ranges comma-separated; one limit a line. Never a port of SSH: who sets this file may
# not lock out who mends it.
wanted_limits() {
    local ssh
    ssh=" 22 $({ ss -Hltnp 2>/dev/null || true; } | sed -n 's/^[^ ]* *[^ ]* *[^ ]* *[^ ]*:\([0-9]*\) .*"sshd".*/\1/p' | paste -sd ' ' -) "
    wanted_openings | awk -v ssh="$ssh" '$2 > 0 && !index(ssh, " " $1 " ") { print $2, $1 }' | grouped
}

# grouped: "LIMIT PORT-OR-RANGE" lines to "LIMIT RANGES".
grouped() {
    local limits limit
    limits=$(cat)
    for limit in $(cut -d ' ' -f 1 <<<"$limits" | sort -nu); do
        printf '%s %s\n' "$limit" "$(sed -n "s/^$limit //p" <<<"$limits" | ranges | paste -sd , -)"
    done
}

limits_table() { own_name; }

# limits_there: as wanted_limits, what is in force.
limits_there() {
    local table=$1
    command -v nft >/dev/null || return 0
    LC_ALL=C nft list table inet "$table" 2>/dev/null </dev/null | awk '
        $1 == "set" { set = $2; inside = 0 }
        $1 == "chain" { set = "" }
        set ~ /^ports_/ && sub(/.*elements = \{/, "") { inside = 1 }
        inside { line = $0; last = /\}/; gsub(/[ \t}]/, "", line); count = split(line, each, ",")
            for (i = 1; i <= count; i++) if (each[i] != "") held[set] = held[set] " " each[i]
            if (last) inside = 0 }
        # Both rules of a set, or it limits nothing.
        match($0, /@ports_[0-9]+ .*limit rate over [0-9]+\/minute/) { name = substr($0, RSTART + 1); sub(/ .*/, "", name)
            rate = $0; sub(/.*rate over /, "", rate); sub(/\/minute.*/, "", rate)
            if (name == "ports_" rate) rules[name]++ }
        END { for (name in held) if (rules[name] == 2) { limit = name; sub("ports_", "", limit)
            count = split(held[name], each, " "); for (i = 1; i <= count; i++) print limit, each[i] } }' | grouped || true
}

# limits_text LIMITS: the table, as nft reads it.
limits_text() {
    local table limit ports
    table=$(limits_table)
    printf 'table inet %s {\n' "$table"
    while read -r limit ports; do
        printf '  set ports_%s { type inet_service; flags interval; }\n' "$limit"
        printf '  set v4_%s { type ipv4_addr . inet_service; size %s; flags dynamic,timeout; timeout 2m; }\n' "$limit" "$LIMITS_SIZE"
        printf '  set v6_%s { type ipv6_addr; size %s; flags dynamic,timeout; timeout 2m; }\n' "$limit" "$LIMITS_SIZE"
    done <<<"$1"
    printf '  set refused { type inet_service; size %s; flags dynamic; }\n' "$LIMITS_SIZE"
    printf '  chain limits { type filter hook prerouting priority -300; policy accept; }\n  chain refuse { }\n}\n'
    printf 'flush chain inet %s limits\nflush chain inet %s refuse\n' "$table" "$table"
    # Those that nobody wants any more, which no rule uses now.
    for limit in $(nft list table inet "$table" 2>/dev/null </dev/null | sed -n 's/.*set ports_\([0-9]*\) {.*/\1/p'); do
        if ! grep "^$limit " <<<"$1" >/dev/null; then
            for ports in ports v4 v6; do printf 'delete set inet %s %s_%s\n' "$table" "$ports" "$limit"; done
        fi
    done
    # What this machine and its containers say to each other, and to others, is no newcomer's.
    limits_rule limits 'iifname { "lo", "docker0" } return'
    limits_rule limits 'iifname "br-*" return'
    limits_rule limits 'tcp flags & (fin | syn | rst | ack) != syn return'
    limits_rule limits 'fib daddr type != local return'
    while read -r limit ports; do
        printf 'flush set inet %s ports_%s\nadd element inet %s ports_%s { %s }\n' "$table" "$limit" "$table" "$limit" "$ports"
        limits_rule limits "tcp dport @ports_$limit update @v4_$limit { ip saddr . tcp dport limit rate over $limit/minute burst $limit packets } goto refuse comment \"$MARK\""
        # Of IPv6, everybody has a whole network.
        limits_rule limits "tcp dport @ports_$limit update @v6_$limit { ip6 saddr & ffff:ffff:ffff:ffff:: limit rate over $limit/minute burst $limit packets } goto refuse comment \"$MARK\""
    done <<<"$1"
    limits_rule refuse 'update @refused { tcp dport counter }'
    limits_rule refuse "counter drop comment \"$MARK\""
}

limits_rule() { printf 'add rule inet %s %s %s\n' "$(limits_table)" "$1" "$2"; }

# limits_sync LIMITS: exactly these are in force. What was counted, and whom it remembers, stays.
limits_sync() {
    local table text
    table=$(limits_table)
    # Of a home that had another name.
    for text in $(sed -n 's/^limits //p' "$MTPROTO_HOME/firewall.rules" 2>/dev/null | grep -vxF -- "$table"); do
        if has_limits "$text"; then run nft delete table inet "$text" || true; fi
        forget "$MTPROTO_HOME/firewall.rules" "limits $text"
    done
    if [ "$(limits_there "$table")" = "$1" ] && { [ -n "$1" ] || ! has_limits "$table"; }; then return; fi
    if [ -z "$1" ]; then
        run nft delete table inet "$table" || limits_failed "the limit on new connections could not be taken away"
        forget "$MTPROTO_HOME/firewall.rules" "limits $table"
        return
    fi
    if ! command -v nft >/dev/null; then
        limits_failed "new connections are not limited, as the program nft is missing: install the package nftables"
        return
    fi
    record "$MTPROTO_HOME/firewall.rules" "limits $table"
    text=$(limits_text "$1")
    RUN_FROM=$(wc -c <"$LOG" 2>/dev/null || printf 0)
    # With what another release has made in it, it can't be changed: then it is made anew.
    if nft_does <<<"$text" || { has_limits "$table" && nft_does <<<"delete table inet $table
$(grep -v '^delete set ' <<<"$text")"; }; then
        note "new connections from one address are limited: $(limits_listed "$1")"
    else
        limits_failed "new connections are not limited: nft says: $(first_words)"
    fi
}

has_limits() { command -v nft >/dev/null && nft list table inet "$1" >/dev/null 2>&1 </dev/null; }

limits_failed() {
    FIREWALL_FAILED=yes
    warn "$1"
}

# limits_listed LIMITS: for people.
limits_listed() {
    local limit ports text=""
    while read -r limit ports; do text+="${text:+; }$limit a minute to $(listed "${ports//,/$'\n'}")"; done <<<"$1"
    printf '%s' "$text"
}

# refused: "PORT COUNT", one port a line.
refused() {
    command -v nft >/dev/null || return 0
    LC_ALL=C nft list set inet "$(limits_table)" refused 2>/dev/null </dev/null | tr ',{}' '\n' |
        sed -n 's/^[^0-9]*\([0-9]*\) counter packets \([0-9]*\) .*/\1 \2/p'
}
