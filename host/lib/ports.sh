#!/usr/bin/env bash
# Who holds which TCP port.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

# holders PORT: the names of the programs that listen on it, one a line; "another program" where no name is known.
holders() {
    local line
    { ss -Hltnp "sport = :$1" 2>/dev/null || true; } | while read -r line; do
        # A filter that this ss doesn't know is no filter.
        case $line in *":$1 "*) ;; *) continue ;; esac
        case $line in
            *'users:(("'*) printf '%s\n' "${line#*users:((\"}" | sed 's/".*pid=\([0-9]*\).*/ (pid \1)/' ;;
            *) printf 'another program\n' ;;
        esac
    done | sort -u
}

# is_published PORT: by a container of this installation?
is_published() {
    command -v docker >/dev/null || return 1
    [ -n "$(docker ps -q --filter "publish=$1" --filter "label=com.docker.compose.project=mtproto" 2>/dev/null
        docker ps -q --filter "publish=$1" --filter label=mtproto.managed=1 2>/dev/null)" ]
}

# proxied: what Docker's own program holds, as "PORT ADDRESS", the address of a container; one a line. That can be seen while
# the engine does not answer yet, too. Not what it holds in a container with an engine of its own (LXC).
proxied() {
    local file word before program port address
    for file in "${MTPROTO_PROC:-/proc}"/[0-9]*/cmdline; do
        before="" program="" port="" address=""
        {
            while IFS= read -r -d '' word; do
                program=${program:-$word}
                case $program in *docker-proxy*) ;; *) break ;; esac
                case $before in -host-port) port=$word ;; -container-ip) address=$word ;; esac
                before=$word
            done <"$file"
        } 2>/dev/null || continue
        if [[ $port =~ ^[0-9]+$ && $address =~ ^[0-9]+(\.[0-9]+){3}$ ]] &&
            [ "${file%/cmdline}/ns/net" -ef /proc/self/ns/net ]; then
            printf '%s %s\n' "$port" "$address"
        fi
    done
}

# proxied_to_us: of these ports, those that lead into this installation's networks; one a line.
proxied_to_us() {
    local port address network networks
    networks=$(env_get PANEL_SUBNET; env_get PROXY_SUBNET)
    [ -n "$networks" ] || return 0
    while read -r port address; do
        for network in $networks; do
            if overlaps "$address/32" "$network"; then printf '%s\n' "$port"; fi
        done
    done < <(proxied) | sort -nu
}

leads_to_us() { proxied_to_us | grep -xF -- "$1" >/dev/null; }

# is_ours PORT: does this installation have it?
is_ours() { is_published "$1" || leads_to_us "$1"; }

# holder PORT: who holds it, on one line; nothing if it is free or ours.
holder() {
    local found
    found=$(holders "$1" | paste -sd , -)
    if [ -z "$found" ] || is_ours "$1" || { [ -n "${OLDER:-}" ] && is_of_older "$1"; }; then return; fi
    printf '%s' "$found"
}

# Ports that this run has given to something already.
RESERVED=""

# next_free PORT: the first free port from there on.
next_free() {
    local port=$1
    while [[ $RESERVED == *" $port "* ]] || [ -n "$(holder "$port")" ]; do port=$((port + 1)); done
    printf '%s' "$port"
}

# choose_port PORT WHAT CHOSEN: sets CHOSEN_PORT to it, or to another one where it is taken and nobody chose it (CHOSEN:
# yes or no).
choose_port() {
    local taken
    taken=$(holder "$1")
    if [ -z "$taken" ]; then
        CHOSEN_PORT=$1
        return
    fi
    CHOSEN_PORT=$(next_free "$1")
    if [ "$3" = yes ]; then
        fail "port $1, for $2, is taken by $taken. $CHOSEN_PORT is free." "ss -ltnp 'sport = :$1'    # who that is"
    fi
    warn "port $1 is taken by $taken: $2 gets $CHOSEN_PORT"
}

# Where nginx is published: 80 and 443 for everybody; where somebody else has them and nobody needs them of us, on this
# machine only. Without a domain, a certificate for the bare address needs 80, and the panel does without it.
choose_web_ports() {
    local port taken needed=no
    if [ "$PORT_443" = yes ] || { [ "$HTTPS" = yes ] && [ -n "$DOMAIN" ]; }; then needed=yes; fi
    HTTP_PORT=$(env_get HTTP_PORT) HTTPS_PORT=$(env_get HTTPS_PORT)
    HTTP_PORT=${MTPROTO_HTTP_PORT:-${HTTP_PORT:-80}} HTTPS_PORT=${MTPROTO_HTTPS_PORT:-${HTTPS_PORT:-443}}
    # A place that was only a way out is given back.
    if [ "$needed$HTTPS" != nono ]; then case $HTTP_PORT in 127.0.0.1:*) HTTP_PORT=80 ;; esac; fi
    if [ "$needed" = yes ]; then
        case $HTTPS_PORT in 127.0.0.1:*) HTTPS_PORT=443 ;; esac
    fi
    for port in HTTP_PORT HTTPS_PORT; do
        taken=$(holder "${!port##*:}")
        [ -n "$taken" ] || continue
        if [ "$needed" = yes ]; then
            fail "port ${!port##*:} is taken by $taken; HTTPS under a domain, and port-443 mode, need it. Stop that program,
or move it to another port. Without both of them nothing of it is needed." "$AGAIN --domain '' --port-443 no"
        fi
        if [ "$port$HTTPS" = HTTP_PORTyes ]; then
            warn "port ${!port##*:} is taken by $taken, and stays so. Without it no authority issues a certificate for this
      server's address: the panel makes one itself, which browsers warn of"
        else
            warn "port ${!port##*:} is taken by $taken, and stays so: without a domain nothing needs it of us"
        fi
        taken=$(next_free $((${!port##*:} + 8000)))
        RESERVED+=" $taken "
        printf -v "$port" '127.0.0.1:%s' "$taken"
    done
}
