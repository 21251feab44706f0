#!/usr/bin/env bash
# How many new connections a minute one address may open to a port. In a table of our own before all that other programs
# do with a packet, Docker's change of its address first: what Docker publishes never comes to the rules that a firewall
# has for this machine. Needs nftables in the kernel and the program nft, whatever firewall is in force, or none.
# While the panel wants offences, whom it refuses is remembered in the sets over4 and over6, which mtproto-bans empties once a
# minute. A packet that opens a connection may bear anybody's address, so that only counts for who has used up the limit
# by connections of their own: those whose third packet answered ours (the chain handshakes).
# shellcheck disable=SC2013,SC2034,SC2153,SC2154  # SC2013: words; variables of the other parts (server.sh)

# So many addresses are remembered, each for two minutes; those beyond that are not limited.
LIMITS_SIZE=65535
# So many that were refused are remembered until somebody has read who they are.
LIMITS_OVER=4096
# A connection that was counted has this label (docs/firewall.md).
LIMITS_LABEL=117

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
        $1 == "chain" { set = ""; chain = $2 }
        set ~ /^ports_/ && sub(/.*elements = \{/, "") { inside = 1 }
        inside { line = $0; last = /\}/; gsub(/[ \t}]/, "", line); count = split(line, each, ",")
            for (i = 1; i <= count; i++) if (each[i] != "") held[set] = held[set] " " each[i]
            if (last) inside = 0 }
        # Both rules of a set, or it limits nothing.
        chain == "limits" && match($0, /@ports_[0-9]+ .*limit rate over [0-9]+\/minute/) { name = substr($0, RSTART + 1); sub(/ .*/, "", name)
            rate = $0; sub(/.*rate over /, "", rate); sub(/\/minute.*/, "", rate)
            if (name == "ports_" rate) rules[name]++ }
        END { for (name in held) if (rules[name] == 2) { limit = name; sub("ports_", "", limit)
            count = split(held[name], each, " "); for (i = 1; i <= count; i++) print limit, each[i] } }' | grouped || true
}

# Whether the panel wants to know whom the limits refuse.
wants_offences() {
    local wanted=$MTPROTO_HOME/data/firewall.wanted
    [ -f "$wanted" ] && [ ! -L "$wanted" ] && head -c 2000000 "$wanted" | grep -x offences >/dev/null
}

# offences_there TABLE: yes or no. (Where the kernel can't, the chain is there, and empty.)
offences_there() { if nft list chain inet "$1" handshakes >/dev/null 2>&1 </dev/null; then printf yes; else printf no; fi; }

# limits_text LIMITS OFFENCES: the table, as nft reads it. OFFENCES: yes, no, or "unable" for a kernel that can't tell.
limits_text() {
    local table limit ports name source
    table=$(limits_table)
    printf 'table inet %s {\n' "$table"
    while read -r limit ports; do
        printf '  set ports_%s { type inet_service; flags interval; }\n' "$limit"
        printf '  set v4_%s { type ipv4_addr . inet_service; size %s; flags dynamic,timeout; timeout 2m; }\n' "$limit" "$LIMITS_SIZE"
        printf '  set v6_%s { type ipv6_addr; size %s; flags dynamic,timeout; timeout 2m; }\n' "$limit" "$LIMITS_SIZE"
        if [ "$2" = yes ]; then
            printf '  set made4_%s { type ipv4_addr . inet_service; size %s; flags dynamic,timeout; timeout 2m; }\n' "$limit" "$LIMITS_SIZE"
            printf '  set made6_%s { type ipv6_addr; size %s; flags dynamic,timeout; timeout 2m; }\n' "$limit" "$LIMITS_SIZE"
        fi
    done <<<"$1"
    case $2 in
        yes)
            printf '  set full4 { type ipv4_addr . inet_service; size %s; flags dynamic,timeout; timeout 2m; }\n' "$LIMITS_SIZE"
            printf '  set full6 { type ipv6_addr; size %s; flags dynamic,timeout; timeout 2m; }\n' "$LIMITS_SIZE"
            printf '  set over%s { type ipv%s_addr . inet_service; size %s; flags dynamic,timeout; timeout 5m; }\n' 4 4 $LIMITS_OVER 6 6 $LIMITS_OVER
            printf '  chain handshakes { type filter hook prerouting priority -150; policy accept; }\n'
            ;;
        unable) printf '  chain handshakes { }\n' ;;
    esac
    printf '  set refused { type inet_service; size %s; flags dynamic; }\n' "$LIMITS_SIZE"
    printf '  chain limits { type filter hook prerouting priority -300; policy accept; }\n  chain refuse { }\n}\n'
    printf 'flush chain inet %s limits\nflush chain inet %s refuse\n' "$table" "$table"
    if [ "$2" = yes ]; then printf 'flush chain inet %s handshakes\n' "$table"; fi
    # Those that nobody wants any more, which no rule uses now.
    for name in $(nft list table inet "$table" 2>/dev/null </dev/null | sed -n 's/^[[:space:]]*set \([a-z0-9]*_[0-9]*\) {.*/\1/p'); do
        if ! grep "^${name##*_} " <<<"$1" >/dev/null; then printf 'delete set inet %s %s\n' "$table" "$name"; fi
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
    if [ "$2" = yes ]; then
        source='ip6 saddr & ffff:ffff:ffff:ffff::'
        limits_rule handshakes 'iifname { "lo", "docker0" } return'
        limits_rule handshakes 'iifname "br-*" return'
        limits_rule handshakes 'tcp flags & (fin | syn | rst | ack) != ack return'
        limits_rule handshakes 'ct state != established return'
        limits_rule handshakes 'ct direction != original return'
        limits_rule handshakes 'fib daddr type != local return'
        while read -r limit ports; do
            # Each connection once. One that began before this was there takes no label, and is not counted.
            name="ct label != $LIMITS_LABEL ct label set $LIMITS_LABEL ct label $LIMITS_LABEL"
            ports="limit rate over $limit/minute burst $((limit - 1)) packets"
            if [ "$limit" -eq 1 ]; then ports="counter"; fi
            limits_rule handshakes "meta nfproto ipv4 tcp dport @ports_$limit $name update @made4_$limit { ip saddr . tcp dport $ports } update @full4 { ip saddr . tcp dport }"
            limits_rule handshakes "meta nfproto ipv6 tcp dport @ports_$limit $name update @made6_$limit { $source $ports } update @full6 { $source }"
        done <<<"$1"
        limits_rule refuse 'ip saddr . tcp dport @full4 update @over4 { ip saddr . tcp dport }'
        limits_rule refuse "$source @full6 update @over6 { ip6 saddr . tcp dport }"
    fi
    limits_rule refuse 'update @refused { tcp dport counter }'
    limits_rule refuse "counter drop comment \"$MARK\""
}

limits_rule() { printf 'add rule inet %s %s %s\n' "$(limits_table)" "$1" "$2"; }

# limits_sync LIMITS: exactly these are in force. What was counted, and whom it remembers, stays.
limits_sync() {
    local table text offences=no
    table=$(limits_table)
    if [ -n "$1" ] && wants_offences; then offences=yes; fi
    # Of a home that had another name.
    for text in $(sed -n 's/^limits //p' "$MTPROTO_HOME/firewall.rules" 2>/dev/null | grep -vxF -- "$table"); do
        if has_limits "$text"; then run nft delete table inet "$text" || true; fi
        forget "$MTPROTO_HOME/firewall.rules" "limits $text"
    done
    if [ "$(limits_there "$table")" = "$1" ] && [ "$(offences_there "$table")" = $offences ] &&
        { [ -n "$1" ] || ! has_limits "$table"; }; then return; fi
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
    RUN_FROM=$(wc -c <"$LOG" 2>/dev/null || printf 0)
    if limits_made "$1" $offences; then
        note "new connections from one address are limited: $(limits_listed "$1")"
    elif [ $offences = yes ] && text=$(first_words) && limits_made "$1" unable; then
        warn "new connections are limited, and whom that refuses is not written down: nft says: $text"
    else
        limits_failed "new connections are not limited: nft says: $(first_words)"
    fi
}

# limits_made LIMITS OFFENCES. What another release has made, or a table with more in it, is made anew.
limits_made() {
    local table text
    table=$(limits_table)
    text=$(limits_text "$1" "$2")
    if [ "$2" = yes ] || [ "$(offences_there "$table")" = no ]; then
        if nft_does <<<"$text"; then return; fi
    fi
    has_limits "$table" || return 1
    nft_does <<<"delete table inet $table
$(grep -v '^delete set ' <<<"$text")"
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
