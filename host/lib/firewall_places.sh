#!/usr/bin/env bash
# Where each kind of firewall has what we open. A place is "KIND" and where, as words:
#   ufw PROFILE             a profile of ours in ufw's applications.d, and one rule that allows it
#   firewalld ZONE          ports of the zone that the internet comes in by
#   iptables CHAIN          a chain of ours that INPUT leads to; also ip6tables, iptables-legacy, ip6tables-legacy
#   nftables FAMILY TABLE CHAIN SET    a set of ours in somebody's table, and one rule in their chain that accepts it
# A thousand users are a few rules: they have ranges, and sets.
# shellcheck disable=SC2013,SC2034,SC2153,SC2154  # SC2013: words; variables of the other parts (server.sh)

# places_of KIND: one a line.
places_of() {
    local name zone chain
    name=$(own_name)
    case $1 in
        ufw) printf 'ufw %s\n' "$name" ;;
        firewalld)
            zone=$(firewall-cmd --get-zone-of-interface="$(way_in)" 2>/dev/null </dev/null || true)
            printf 'firewalld %s\n' "${zone:-$(firewall-cmd --get-default-zone 2>/dev/null </dev/null)}"
            ;;
        iptables)
            # Where the rules of IPv6 alone close the server, those of IPv4 need none.
            closing_tables | sed "s/\$/ ${name^^}/"
            ;;
        nftables) closed_chains | while read -r chain; do printf 'nftables %s %s\n' "$chain" "$name"; done ;;
    esac
}

# way_in: the interface of the default route.
way_in() { ip -o route show default 2>/dev/null | sed -n 's/.* dev \([^ ]*\).*/\1/p' | head -n 1; }

# closes_input RULES: does a chain of iptables -S let in only what it names?
closes_input() { grep -E '^-P INPUT DROP|^-A INPUT( .*)? -j (DROP|REJECT)' <<<"$1" >/dev/null; }

# tables_programs: those of iptables that have rules here, one a line. The kernel keeps two sets, and a packet has to pass
# both: what iptables shows, and, where iptables is that of nftables, what iptables-legacy shows. That one is named only
# where it has rules, as a question to it makes its tables.
tables_programs() {
    local program
    for program in iptables ip6tables; do
        command -v $program >/dev/null || continue
        printf '%s\n' $program
        if command -v $program-legacy >/dev/null && grep -qx filter "/proc/net/${program%tables}_tables_names" 2>/dev/null; then
            case $($program --version 2>/dev/null </dev/null) in *legacy*) ;; *) printf '%s-legacy\n' $program ;; esac
        fi
    done
}

# closing_tables: those of them whose INPUT lets in only what it names.
closing_tables() {
    local program
    for program in $(tables_programs); do
        if closes_input "$($program -w -S INPUT 2>/dev/null </dev/null || true)"; then printf '%s\n' "$program"; fi
    done
}

# The chains of nftables that let in, or pass on to containers, only what they name, as "family table chain"; those that
# iptables, firewalld and Docker write are theirs.
closed_chains() {
    command -v nft >/dev/null || return 0
    LC_ALL=C nft list ruleset 2>/dev/null </dev/null | awk '
        $1 == "table" { family = $2; table = $3 }
        $1 == "chain" { chain = $2; hooked = 0 }
        /hook (input|forward)/ { hooked = 1; if (/policy drop/) print family, table, chain; }
        hooked && /^[[:space:]]*(counter .*)?(drop|reject)([[:space:]]|$)/ { print family, table, chain }
    ' | grep -E '^(inet|ip|ip6) ' | grep -vE '^(ip|ip6) filter (INPUT|FORWARD)$|^[a-z0-9]+ (firewalld|docker-bridges) ' | sort -u || true
}

# is_forward FAMILY TABLE CHAIN: does it see what goes on to containers? There, the port that was asked for is not that
# of the packet any more.
is_forward() { nft list chain "$1" "$2" "$3" 2>/dev/null </dev/null | grep 'hook forward' >/dev/null; }

# joined MOST [DASH]: the ranges that it reads, comma-separated, so many ports a line at most; a range counts as two.
joined() {
    awk -F - -v most="$1" -v dash="${2:--}" 'NF { size = NF > 1 ? 2 : 1; sub("-", dash)
            if (line != "" && used + size > most) { print line; line = ""; used = 0 }
            line = line (line == "" ? "" : ",") $0; used += size }
        END { if (line != "") print line }'
}

# opened KIND WHERE…: the ranges that are open there by us, one a line.
opened() {
    case $1 in
        ufw)
            LC_ALL=C ufw status verbose 2>/dev/null </dev/null |
                sed -n "s/^\([0-9,:]*\)\/tcp ($2\(-[0-9]*\)\{0,1\}) *ALLOW IN *Anywhere.*/\1/p"
            ;;
        firewalld) LC_ALL=C comm -12 <(listed_ports "$2") <(noted_ports "$2") ;;
        iptables | ip6tables | *tables-legacy)
            "$1" -w -C INPUT -m comment --comment "$MARK" -j "$2" 2>/dev/null </dev/null || return 0
            "$1" -w -S "$2" 2>/dev/null </dev/null | sed -n 's/.* --dports \{0,1\}\([0-9,:]*\) .*-j ACCEPT$/\1/p; s/.* --dport \([0-9:]*\) .*-j ACCEPT$/\1/p'
            ;;
        nftables)
            nft list chain "$2" "$3" "$4" 2>/dev/null </dev/null | grep "@$5 .*accept" >/dev/null || return 0
            set_elements "$2" "$3" "$5"
            ;;
    esac 2>/dev/null | tr ':,' '-\n' | ranges || true
}

# set_elements FAMILY TABLE SET: the ports and ranges in it, one a line.
set_elements() {
    nft list set "$1" "$2" "$3" 2>/dev/null </dev/null | tr -d '\n\t ' |
        sed -n 's/.*elements={\([0-9,-]*\)}.*/\1/p' | tr ',' '\n'
}

# open_place KIND WHERE…: exactly the ranges that it reads, of which there is one at least.
open_place() {
    case $1 in
        ufw) open_ufw "$2" ;;
        firewalld) open_firewalld "$2" ;;
        iptables | ip6tables | *tables-legacy) open_iptables "$1" "$2" ;;
        nftables) open_nftables "$2" "$3" "$4" "$5" ;;
    esac
}

close_place() {
    case $1 in
        ufw) close_ufw "$2" ;;
        iptables | ip6tables | *tables-legacy) close_iptables "$1" "$2" ;;
        nftables) close_nftables "$2" "$3" "$4" "$5" ;;
    esac
}

ufw_profiles() { printf '%s' "$ETC/ufw/applications.d/$1"; }

# allowed_profiles NAME: of the profiles NAME, NAME-2, … those that ufw allows, one a line.
allowed_profiles() {
    LC_ALL=C ufw show added 2>/dev/null </dev/null | sed -n "s/^ufw allow \(in \)\{0,1\}\($1\(-[0-9]*\)\{0,1\}\)\( .*\)\{0,1\}$/\2/p"
}

# Fifteen ports are one rule of iptables, and ufw takes a thousand letters a profile. One call each, 0.2 s.
open_ufw() {
    local file profile allowed
    file=$(ufw_profiles "$1")
    record "$MTPROTO_HOME/.files" "$file"
    allowed=$(allowed_profiles "$1" || true)
    # write_file in a shell of its own: where /etc can't be written, this fails, and not who asked for it.
    joined 15 : | sed 's/$/\/tcp/' | awk -v name="$1" '
        function begin() { printf "%s[%s]\ntitle=MTProto Proxy Manager\ndescription=The ports of its users\nports=%s",
            (number++ ? "\n\n" : ""), name (number > 1 ? "-" number : ""), $0; used = length($0) }
        number && used + length($0) < 1000 { printf "|%s", $0; used += length($0) + 1; next }
        { begin() }
        END { print "" }' | (mkdir -p "$(dirname "$file")" && piped write_file "$file" 0644) || return 1
    for profile in $(sed -n 's/^\[\(.*\)\]$/\1/p' "$file"); do
        if grep -qxF -- "$profile" <<<"$allowed"; then
            run ufw app update "$profile" || return 1
        else
            run ufw allow "$profile" comment "$MARK" || return 1
        fi
    done
    for profile in $allowed; do
        if ! grep -qxF -- "[$profile]" "$file"; then run ufw delete allow "$profile" || return 1; fi
    done
}

close_ufw() {
    local profile
    command -v ufw >/dev/null || return 0
    for profile in $(allowed_profiles "$1"); do run ufw delete allow "$profile" || return 1; done
    rm -f "$(ufw_profiles "$1")" && forget "$MTPROTO_HOME/.files" "$(ufw_profiles "$1")"
}

# one_each: of the ranges that it reads, every port, sorted as comm wants it.
one_each() { awk -F - 'NF { last = NF > 1 ? $2 : $1; for (port = $1 + 0; port <= last; port++) print port }' | LC_ALL=C sort -u; }

# Of firewalld, which has no names for ports, the notes say which are ours: "firewalld ZONE RANGE".
listed_ports() { firewall-cmd --zone="$1" --list-ports 2>/dev/null </dev/null | tr ' ' '\n' | sed -n 's/\/tcp$//p' | one_each; }
noted_ports() { sed -n "s/^firewalld $1 //p" "$FIREWALL_RULES" 2>/dev/null | one_each; }
opened_by_others() { LC_ALL=C comm -23 <(listed_ports "$1") <(noted_ports "$1") | ranges; }

# note_firewalld ZONE RANGES: exactly these are noted of it.
note_firewalld() {
    { grep -v "^firewalld $1 " "$FIREWALL_RULES" 2>/dev/null || true; sed -n "s/^[0-9].*/firewalld $1 &/p" <<<"$2"; } |
        write_file "$FIREWALL_RULES" 0600
}

open_firewalld() {
    local need have
    need=$(cat)
    have=$(opened firewalld "$1")
    note_firewalld "$1" "$(printf '%s\n%s\n' "$need" "$(noted_ports "$1")" | ranges)"
    if ! change_firewalld "$1" add "$(minus "$need" "$have")" || ! change_firewalld "$1" remove "$(minus "$have" "$need")"; then
        return 1
    fi
    note_firewalld "$1" "$need"
}

# change_firewalld ZONE add|remove RANGES: for ever, and now.
change_firewalld() {
    local words=()
    [ -n "$3" ] || return 0
    mapfile -t words < <(sed "s/.*/--$2-port=&\/tcp/" <<<"$3")
    if [ "$(firewall-cmd --state 2>/dev/null </dev/null)" = running ]; then
        run firewall-cmd -q --permanent --zone="$1" "${words[@]}" && run firewall-cmd -q --zone="$1" "${words[@]}"
    elif command -v firewall-offline-cmd >/dev/null; then
        run firewall-offline-cmd -q --zone="$1" "${words[@]}"
    fi
}

zone_text() { tr -d ' \t\n' 2>/dev/null <"$1/zones/$2.xml"; }

# sync_firewalld_notes PLACES: what is noted of other zones goes, and its notes.
sync_firewalld_notes() {
    local zone
    for zone in $(sed -n 's/^firewalld \([^ ]*\) .*/\1/p' "$FIREWALL_RULES" 2>/dev/null | sort -u); do
        if grep -qxF -- "firewalld $zone" <<<"$1"; then continue; fi
        if change_firewalld "$zone" remove "$(noted_ports "$zone" | ranges)"; then
            note_firewalld "$zone" ""
            # firewalld has written down the whole zone; where that is as it comes again, it need not.
            if cmp -s <(zone_text "$ETC/firewalld" "$zone") <(zone_text /usr/lib/firewalld "$zone"); then
                run firewall-cmd -q --permanent --load-zone-defaults="$zone" || true
            fi
        else
            FIREWALL_FAILED=yes
            warn "ports of firewalld's zone $zone could not be removed: $(first_words)"
        fi
    done
}

# The chain is filled in one step, so nobody is kept out meanwhile.
open_iptables() {
    joined 15 : | awk -v chain="$2" -v mark="$MARK" '
        BEGIN { print "*filter"; print ":" chain " - [0:0]" }
        { print "-A " chain " -p tcp -m multiport --dports " $0 " -m comment --comment " mark " -j ACCEPT" }
        END { print "COMMIT" }' | piped "$1-restore" -w --noflush || return 1
    if "$1" -w -C INPUT -m comment --comment "$MARK" -j "$2" >/dev/null 2>&1 </dev/null; then return; fi
    run "$1" -w -I INPUT -m comment --comment "$MARK" -j "$2"
}

close_iptables() {
    command -v "$1" >/dev/null || return 0
    while "$1" -w -C INPUT -m comment --comment "$MARK" -j "$2" >/dev/null 2>&1 </dev/null; do
        run "$1" -w -D INPUT -m comment --comment "$MARK" -j "$2" || return 1
    done
    if "$1" -w -S "$2" >/dev/null 2>&1 </dev/null; then run "$1" -w -F "$2" && run "$1" -w -X "$2"; fi
}

# open_nftables FAMILY TABLE CHAIN SET: one step, too.
open_nftables() {
    local ports match="tcp dport @$4" there
    ports=$(joined 100000 | tail -n 1)
    if is_forward "$1" "$2" "$3"; then match="meta l4proto tcp ct status dnat ct original proto-dst @$4"; fi
    there=$(nft list chain "$1" "$2" "$3" 2>/dev/null </dev/null | grep -c "@$4 " || true)
    {
        printf 'add set %s %s %s { type inet_service; flags interval; }\n' "$1" "$2" "$4"
        printf 'flush set %s %s %s\n' "$1" "$2" "$4"
        printf 'add element %s %s %s { %s }\n' "$1" "$2" "$4" "$ports"
        if [ "$there" -eq 0 ]; then printf 'insert rule %s %s %s %s counter accept comment "%s"\n' "$1" "$2" "$3" "$match" "$MARK"; fi
    } | nft_does
}

close_nftables() {
    local handle
    nft list chain "$1" "$2" "$3" >/dev/null 2>&1 </dev/null || return 0
    {
        for handle in $(nft -a list chain "$1" "$2" "$3" </dev/null | sed -n "s/.*@$4 .*comment \"$MARK\".*# handle \([0-9]*\)$/\1/p"); do
            printf 'delete rule %s %s %s handle %s\n' "$1" "$2" "$3" "$handle"
        done
    } | nft_does || return 1
    # The last chain that goes by it takes it along.
    if nft list set "$1" "$2" "$4" >/dev/null 2>&1 </dev/null && ! nft list table "$1" "$2" </dev/null | grep "@$4 " >/dev/null; then
        run nft delete set "$1" "$2" "$4"
    fi
}

# nft_does: the commands that it reads, all or none.
nft_does() { piped nft -f -; }

# piped COMMAND…: as run, but it reads what comes.
piped() {
    log "+ $*"
    "$@" >>"$LOG" 2>&1
}

# close_old KIND …: a rule for one port, as releases before made them: "ufw PORT", "iptables PORT", "ip6tables PORT",
# "nftables FAMILY TABLE CHAIN PORT".
close_old() {
    local handle
    command -v "${1/nftables/nft}" >/dev/null || return 0
    case $1 in
        ufw)
            if LC_ALL=C ufw show added </dev/null | grep -E "^ufw allow $2/tcp( |$)" >/dev/null; then run ufw delete allow "$2/tcp"; fi
            ;;
        iptables | ip6tables | *tables-legacy)
            set -- "$1" INPUT -p tcp --dport "$2" -m comment --comment "$MARK" -j ACCEPT
            if "$1" -w -C "${@:2}" >/dev/null 2>&1 </dev/null; then run "$1" -w -D "${@:2}"; fi
            ;;
        nftables)
            for handle in $(nft -a list chain "$2" "$3" "$4" 2>/dev/null </dev/null |
                sed -n "s/.*tcp dport $5 .*comment \"$MARK\".*# handle \([0-9]*\).*/\1/p"); do
                run nft delete rule "$2" "$3" "$4" handle "$handle" || return 1
            done
            ;;
    esac
}
