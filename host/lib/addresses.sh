#!/usr/bin/env bash
# The addresses of this server, the one the internet sees, and where a domain leads.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

# Pages that say nothing but the address they were asked from.
ADDRESS_URLS=${MTPROTO_ADDRESS_URLS-"https://api.ipify.org https://checkip.amazonaws.com https://ifconfig.me/ip"}

own_addresses() { ip -o addr show scope global 2>/dev/null | awk '{ sub("/.*", "", $4); print $4 }' || true; }

# The address that packets to the internet leave from.
source_address() {
    { ip -4 route get 192.0.2.1 2>/dev/null || ip -6 route get 2001:db8::1 2>/dev/null || true; } |
        sed -n 's/.* src \([^ ]*\).*/\1/p' | head -n 1
}

is_private() {
    case $1 in
        10.* | 127.* | 169.254.* | 192.168.* | 172.1[6-9].* | 172.2[0-9].* | 172.3[01].* | 100.6[4-9].* | 100.[7-9][0-9].* | \
            100.1[01][0-9].* | 100.12[0-7].* | f[cd]* | fe80:* | ::1 | "") true ;;
        *) false ;;
    esac
}

# Sets ADDRESS, unless it was given: behind NAT, as at most clouds, only somebody outside knows it.
find_address() {
    local url seen
    if [ -n "$ADDRESS" ]; then return; fi
    ADDRESS=$(source_address)
    is_private "$ADDRESS" || return 0
    for url in $ADDRESS_URLS; do
        seen=$(curl -fsS --connect-timeout 5 --max-time 10 "$url" 2>/dev/null </dev/null | tr -d '[:space:]' || true)
        check_address "$seen"
        if [ -n "$seen" ] && [ -z "$WRONG" ]; then
            ADDRESS=$seen
            note "from outside, this server is $ADDRESS"
            return
        fi
    done
    warn "the address of this server as the internet sees it is not known; links get ${ADDRESS:-none}. --address sets it"
}

# A domain that leads elsewhere, or nowhere yet, is told, and no reason to stop: DNS changes take their time. Until then,
# as without a domain, the panel is by HTTPS at the bare address, and stays there until panel_by_address says no.
BY_ADDRESS=no
check_where_domain_leads() {
    local name
    if [ "$HTTPS" = yes ] && { [ -z "$DOMAIN" ] || env_has PANEL_HTTPS_PORT; }; then BY_ADDRESS=yes; fi
    if [ -n "$DOMAIN" ]; then
        for name in $(printf '%s\n' "$DOMAIN" "$(panel_domain)" | awk 'NF' | sort -u); do
            leads_here "$name" "links with it do not work" || BY_ADDRESS=$HTTPS
        done
    fi
    name=$(declared_share_hostname)
    if [ -n "$name" ]; then leads_here "$name" "nobody finds their own page there" || true; fi
}

# leads_here NAME UNTIL_THEN: does the DNS have this server's address for it? If not, what to do is told.
leads_here() {
    local found
    found=$(getent ahosts "$1" 2>/dev/null </dev/null | awk '{ print $1 }' | sort -u || true)
    if [ -z "$found" ]; then
        warn "$1 is not in the DNS yet. It needs an A record with $ADDRESS"
        return 1
    fi
    if [ -n "$({ own_addresses; printf '%s\n' "$ADDRESS"; } | grep -xF -- "$found" || true)" ]; then return 0; fi
    warn "$1 leads to $(paste -sd ' ' - <<<"$found"), and this server is $ADDRESS. Until the DNS is changed, $2,
      and there is no certificate for it"
    return 1
}

# The name of users' own pages, if there is one: the panel's setting, which no question here asks for.
declared_share_hostname() {
    { sed -n 's/^ *"share_hostname": "\([A-Za-z0-9.-]*\)",\{0,1\}$/\1/p' "$MTPROTO_HOME/data/config.json" 2>/dev/null || true; } |
        head -n 1
}

# overlaps A B: do two IPv4 networks (address/bits) have addresses in common?
overlaps() {
    local a b bits shift
    bits=${1#*/}
    if [ "${2#*/}" -lt "$bits" ]; then bits=${2#*/}; fi
    shift=$((32 - bits))
    a=$(as_number "${1%/*}") b=$(as_number "${2%/*}")
    [ $((a >> shift)) -eq $((b >> shift)) ]
}

as_number() {
    local a b c d
    IFS=. read -r a b c d <<<"$1"
    printf '%s' $(((a << 24) + (b << 16) + (c << 8) + d))
}

# is_network_free NETWORK: does no route of this server lead into it? (The default route leads everywhere.)
is_network_free() {
    local there
    for there in $(ip -4 route show 2>/dev/null | awk '$1 ~ /^[0-9.]+(\/[0-9]+)?$/ { print $1 }'); do
        case $there in */*) ;; *) there+=/32 ;; esac
        if [ "${there#*/}" -gt 0 ] && overlaps "$1" "$there"; then return 1; fi
    done
}

# The two networks of docker-compose.yml, elsewhere if somebody has those addresses. Once chosen they stay.
choose_networks() {
    local second
    PROXY_SUBNET=$(env_get PROXY_SUBNET) EDGE_IP=$(env_get EDGE_IP)
    PANEL_SUBNET=$(env_get PANEL_SUBNET) PANEL_IP=$(env_get PANEL_IP) NGINX_IP=$(env_get NGINX_IP)
    if [ -n "$PROXY_SUBNET" ]; then return; fi
    PROXY_SUBNET=172.28.0.0/16 EDGE_IP=172.28.255.254
    PANEL_SUBNET=172.30.255.0/28 PANEL_IP=172.30.255.13 NGINX_IP=172.30.255.14
    # Networks that an earlier start of ours has made are no obstacle.
    if docker network inspect mtproto-net >/dev/null 2>&1 </dev/null; then return; fi
    for second in "" 213 214 215 216 217; do
        if [ -n "$second" ]; then PROXY_SUBNET=10.$second.0.0/16 EDGE_IP=10.$second.255.254; fi
        if is_network_free "$PROXY_SUBNET"; then break; fi
    done
    for second in "" 223 224 225 226 227; do
        if [ -n "$second" ]; then
            PANEL_SUBNET=10.$second.255.0/28 PANEL_IP=10.$second.255.13 NGINX_IP=10.$second.255.14
        fi
        if is_network_free "$PANEL_SUBNET"; then break; fi
    done
}
