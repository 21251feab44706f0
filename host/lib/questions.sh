#!/usr/bin/env bash
# What only the operator knows. Each question has an option, a variable and a default; the answer of last time is the
# default of this time. An option comes before the variable, the variable before what is asked.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

# Where answers are read from: "" if nobody can be asked.
TERMINAL=""
DOMAIN="" HTTPS="" PANEL_HTTPS_PORT="" EMAIL="" BASE_PORT="" PORT_443="" ROUTER="" NAMING="" ADDRESS="" FIRST_USER=""
FAIL2BAN=no
PANEL_PORT="" UPSTREAM_SOCKS5=${MTPROTO_UPSTREAM_SOCKS5:-}
SWAP_MB=0

find_terminal() {
    TERMINAL=""
    [ "$ASK" = yes ] || return 0
    # In curl … | bash, standard input is the script itself.
    if [ -t 0 ]; then
        TERMINAL=/dev/stdin
    elif { : </dev/tty; } 2>/dev/null; then
        TERMINAL=/dev/tty
    fi
}

# fail_answer MESSAGE: an option or a variable with a value that is not allowed.
fail_answer() {
    printf 'install.sh: %s\n' "$1" >&2
    log "$1"
    exit 2
}

# ask_yes_no QUESTION DEFAULT: prints yes or no; the default where nobody can be asked.
ask_yes_no() {
    local answer
    if [ -z "$TERMINAL" ]; then
        printf '%s' "$2"
        return
    fi
    while true; do
        printf '%s [%s] ' "$1" "$2" >&2
        IFS= read -r answer <"$TERMINAL" || answer=$2
        answer=${answer:-$2}
        case ${answer,,} in
            y | yes) printf yes && return ;;
            n | no) printf no && return ;;
        esac
        printf '  yes or no is allowed\n' >&2
    done
}

# answer NAME DEFAULT CHECK QUESTION: sets the variable NAME. CHECK is a function that is given the answer, puts the
# answer as it is kept into CHECKED, or what is wrong with it into WRONG. No QUESTION: it is never asked.
CHECKED="" WRONG=""
answer() {
    local name=$1 default=$2 check=$3 question=${4:-} variable=MTPROTO_$1 given
    if [ -n "${GIVEN[$name]+set}" ]; then
        take "$name" "${GIVEN[$name]}" "$check" "--$(option_of "$name")"
    elif [ -n "${!variable+set}" ]; then
        take "$name" "${!variable}" "$check" "$variable"
    elif env_has "$variable"; then
        take "$name" "$(env_get "$variable")" "$check" "$variable in $MTPROTO_HOME/.env"
    elif [ -z "$TERMINAL" ] || [ -z "$question" ]; then
        printf -v "$name" '%s' "$default"
    else
        while true; do
            printf '%s [%s] ' "$question" "${default:-none}" >&2
            IFS= read -r given <"$TERMINAL" || given=""
            case $given in "") given=$default ;; none) given="" ;; esac
            "$check" "$given"
            if [ -z "$WRONG" ]; then break; fi
            printf '  %s\n' "$WRONG" >&2
        done
        printf -v "$name" '%s' "$CHECKED"
        log "asked: $question $CHECKED"
    fi
}

option_of() {
    local name=${1,,}
    printf '%s' "${name//_/-}"
}

# take NAME VALUE CHECK FROM: a value that nobody can be asked about again.
take() {
    "$3" "$2"
    [ -z "$WRONG" ] || fail_answer "$4: $WRONG"
    printf -v "$1" '%s' "$CHECKED"
}

check_domain() {
    CHECKED=${1,,} WRONG=""
    CHECKED=${CHECKED#http://} CHECKED=${CHECKED#https://} CHECKED=${CHECKED%/} CHECKED=${CHECKED%.}
    if [ -z "$CHECKED" ]; then return; fi
    # International names are written as they are; the panel turns them into what the DNS has.
    if [[ $CHECKED =~ ^[0-9.]+$ || $CHECKED == *[[:space:][:cntrl:]/:@\'\"\\\$\`\#\&\;\<\>\|\(\)\*\?,=]* ||
        $CHECKED != *.* || $CHECKED == .* || $CHECKED == *..* || ${#CHECKED} -gt 253 ]]; then
        WRONG="'$1' is not a host name: something like proxy.example.com is allowed, or nothing"
    fi
}

check_yes_no() {
    CHECKED=${1,,} WRONG=""
    case $CHECKED in
        y | yes | true | on | 1) CHECKED=yes ;;
        n | no | false | off | 0 | "") CHECKED=no ;;
        *) WRONG="'$1': yes or no is allowed" ;;
    esac
}

check_email() {
    CHECKED=$1 WRONG=""
    if [ -n "$1" ] && ! [[ $1 =~ ^[^[:space:]@\'\"\\\$\`\#]+@[^[:space:]@\'\"\\\$\`\#]+\.[^[:space:]@\'\"\\\$\`\#]+$ ]]; then
        WRONG="'$1' is not an e-mail address: something like you@example.com is allowed, or nothing"
    fi
}

check_port_number() {
    CHECKED=$1 WRONG=""
    if ! [[ $1 =~ ^[1-9][0-9]{0,4}$ ]] || [ "$1" -gt 65535 ]; then
        WRONG="'$1': a whole number from 1 to 65535 is allowed"
    fi
}

check_base_port() {
    check_port_number "$1"
    if [ -z "$WRONG" ]; then
        case $1 in 80 | 443) WRONG="$1 is nginx's: choose another port, or port-443 mode" ;; esac
    fi
}

# Empty: 9443, or the first one after it that is free.
check_panel_https_port() {
    CHECKED=$1 WRONG=""
    if [ -z "$1" ]; then return; fi
    check_port_number "${1##*:}"
    CHECKED=$1
    if [ -z "$WRONG" ]; then
        case $1 in 80 | 443) WRONG="$1 is nginx's already: choose another port" ;; esac
    fi
}

check_naming() {
    CHECKED=${1,,} WRONG=""
    case $CHECKED in own | pool) ;; *) WRONG="'$1': own or pool is allowed" ;; esac
}

check_router() {
    CHECKED=${1,,} WRONG=""
    case $CHECKED in nginx | traefik) ;; *) WRONG="'$1': nginx or traefik is allowed" ;; esac
}

check_address() {
    CHECKED=$1 WRONG=""
    if [ -n "$1" ] && ! [[ $1 =~ ^[0-9]{1,3}(\.[0-9]{1,3}){3}$ || $1 =~ ^[0-9a-fA-F:]*:[0-9a-fA-F:.]*$ ]]; then
        WRONG="'$1' is not an IP address"
    fi
}

check_user() {
    CHECKED=$1 WRONG=""
    if [[ -z $1 || $1 == -* || $1 == *[[:cntrl:]]* || $1 == *[\$\'\"\\\`\#]* || $1 == *[[:space:]] || $1 == [[:space:]]* ||
        ${#1} -gt 64 ]]; then
        WRONG="'$1' can't be a user's name here: 1 to 64 characters, without quotes, \$, # and \\"
    fi
}

# What the panel takes as upstream_socks5; its value is never printed, as it may hold a password.
check_upstream() {
    local value=$1 place login=""
    value=${value#socks5://} value=${value#socks5h://} value=${value%/}
    CHECKED=$value WRONG=""
    if [ -z "$value" ]; then return; fi
    place=${value##*@}
    if [[ $value == *@* ]]; then login=${value%@*}; fi
    check_port_number "${place##*:}"
    CHECKED=$value
    if [ -n "$WRONG" ] || ! [[ ${place%:*} =~ ^([^][:space:][:cntrl:]/:[]+|\[[0-9A-Fa-f:.]+\])$ ]] || [[ $place != *:* ]] ||
        [[ $value == *@* && $login != ?*:* ]]; then
        WRONG="host:port or user:password@host:port is allowed"
    fi
}

ask_questions() {
    take UPSTREAM_SOCKS5 "$UPSTREAM_SOCKS5" check_upstream MTPROTO_UPSTREAM_SOCKS5
    answer DOMAIN "" check_domain "A domain that leads to this server, such as proxy.example.com, or none?"
    if [ -n "$DOMAIN" ]; then
        answer HTTPS yes check_yes_no "The panel by HTTPS under it, with a certificate of Let's Encrypt?"
    else
        answer HTTPS yes check_yes_no "The panel by HTTPS at this server's address (else only through an SSH tunnel)?"
    fi
    answer PANEL_HTTPS_PORT "" check_panel_https_port
    if [ "$HTTPS" = yes ]; then
        answer EMAIL "" check_email "An e-mail address for the certificate authority, or none?"
    else
        answer EMAIL "" check_email
    fi
    answer PORT_443 no check_yes_no "Everybody on port 443, told apart by a domain (else a port for each user)?"
    answer ROUTER nginx check_router
    if [ -z "$DOMAIN" ]; then
        only_with_a_domain NAMING pool check_naming "--naming own needs --domain: users get names under it."
    elif [ "$PORT_443" = yes ]; then
        answer NAMING pool check_naming "Users' domains: own (names under $DOMAIN; its DNS needs *.$DOMAIN too), or pool \
(those of well-known sites)?"
    else
        answer NAMING pool check_naming
    fi
    if [ "$PORT_443" = yes ]; then
        answer BASE_PORT 2443 check_base_port
    else
        answer BASE_PORT 2443 check_base_port "The port of the first user's proxy; the others get those after it?"
    fi
    answer ADDRESS "" check_address
    answer FIRST_USER first check_user
    ask_fail2ban
}

# only_with_a_domain NAME VALUE CHECK MESSAGE: without a domain it can only be VALUE. What was answered when there was
# one does not count any more; what somebody says now does.
only_with_a_domain() {
    local variable=MTPROTO_$1
    printf -v "$1" '%s' "$2"
    if [ -n "${GIVEN[$1]+set}${!variable+set}" ]; then
        answer "$1" "$2" "$3"
        if [ "${!1}" != "$2" ]; then fail_answer "$4"; fi
    fi
}

# The name under which the panel is: on a domain whose names are users', one beside theirs.
panel_domain() {
    [ "$HTTPS" = yes ] || return 0
    if [ "$NAMING" = own ]; then printf 'panel.%s' "$DOMAIN"; else printf '%s' "$DOMAIN"; fi
}

# The ports that nobody chose give way; those that somebody chose, or that links have by now, do not.
choose_ports() {
    local chosen=yes
    PANEL_PORT=${PORT:-${MTPROTO_PORT:-$(env_get PANEL_PORT)}}
    if [ -z "$PANEL_PORT" ]; then PANEL_PORT=8080 chosen=no; fi
    check_port_number "$PANEL_PORT"
    [ -z "$WRONG" ] || fail_answer "MTPROTO_PORT: $WRONG"
    choose_port "$PANEL_PORT" "the panel" "$chosen"
    PANEL_PORT=$CHOSEN_PORT
    RESERVED+=" $PANEL_PORT $BASE_PORT "
    choose_panel_https_port
    choose_web_ports
    if [ "$PORT_443" = no ] && ! is_installed; then
        chosen=no
        if [ -n "${GIVEN[BASE_PORT]+set}${MTPROTO_BASE_PORT+set}" ]; then chosen=yes; fi
        choose_port "$BASE_PORT" "the first user's proxy" "$chosen"
        BASE_PORT=$CHOSEN_PORT
    fi
}

# The port of the panel at the bare address. An address before it, address:number, is somebody's own wish.
choose_panel_https_port() {
    local port chosen=yes
    if [ "$HTTPS" != yes ]; then
        PANEL_HTTPS_PORT=""
        return
    fi
    PANEL_HTTPS_PORT=${PANEL_HTTPS_PORT:-$(env_get PANEL_HTTPS_PORT)}
    if [ -z "$PANEL_HTTPS_PORT" ]; then PANEL_HTTPS_PORT=9443 chosen=no; fi
    port=${PANEL_HTTPS_PORT##*:}
    if [[ $RESERVED == *" $port "* ]]; then
        [ "$chosen" = no ] || fail_answer "port $port can't be the panel's by HTTPS and another one's, too."
        PANEL_HTTPS_PORT=$(next_free "$port")
    else
        choose_port "$port" "the panel by HTTPS" "$chosen"
        if [ "$CHOSEN_PORT" != "$port" ]; then PANEL_HTTPS_PORT=$CHOSEN_PORT; fi
    fi
    RESERVED+=" ${PANEL_HTTPS_PORT##*:} "
}
