#!/usr/bin/env bash
# From a stack that was started to a panel that answers, is set up, and has a first proxy that lets Telegram through.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

PANEL_UID=10001
FIRST_LINK="" FIRST_PASSWORD="" ADMIN_NAME=""

write_settings_of_stack() {
    local profiles=""
    if [ "$CERTBOT" = yes ]; then profiles=ssl; fi
    env_set VERSION "$VERSION" PANEL_IMAGE "$PANEL_IMAGE" NGINX_IMAGE "$NGINX_IMAGE" CERTBOT_IMAGE "$CERTBOT_IMAGE" \
        PYTHON_IMAGE "$PYTHON_IMAGE" NODE_IMAGE "$NODE_IMAGE" MTG_IMAGE "$MTG_IMAGE" BASE_IMAGE "$BASE_IMAGE" \
        DATA_DIR "$MTPROTO_HOME/data" EDGE_DIR "$MTPROTO_HOME/data/nginx" \
        DOCKER_GID "$(stat -c %g "${DOCKER_SOCKET:-/var/run/docker.sock}" 2>/dev/null || printf 999)" \
        HTTP_PORT "$HTTP_PORT" HTTPS_PORT "$HTTPS_PORT" PANEL_PORT "$PANEL_PORT" COMPOSE_PROFILES "$profiles" \
        PROXY_SUBNET "$PROXY_SUBNET" EDGE_IP "$EDGE_IP" PANEL_SUBNET "$PANEL_SUBNET" PANEL_IP "$PANEL_IP" \
        NGINX_IP "$NGINX_IP" MTPROTO_COMMAND "$(if [ -x "$MTPROTO_BIN/mtproto" ]; then printf mtproto; fi)" \
        TZ "${MTPROTO_TZ:-$(time_zone)}"
    local name
    if [ "$BY_ADDRESS" = yes ]; then
        env_set PANEL_HTTPS_PORT "$PANEL_HTTPS_PORT"
    else
        env_unset PANEL_HTTPS_PORT
    fi
    for name in PIP_INDEX_URL NPM_REGISTRY TIME_SITES MTPROTO_REGISTRY MTPROTO_RELEASE_URL; do
        if [ -n "${!name:-}" ]; then env_set "$name" "${!name}"; fi
    done
}

# Of the answers, those that a later run must not ask again.
write_answers() {
    env_set MTPROTO_HOME "$MTPROTO_HOME" MTPROTO_DOMAIN "$DOMAIN" MTPROTO_HTTPS "$HTTPS" MTPROTO_EMAIL "$EMAIL" \
        MTPROTO_BASE_PORT "$BASE_PORT" MTPROTO_PORT_443 "$PORT_443" MTPROTO_NAMING "$NAMING" \
        MTPROTO_ROUTER "$ROUTER" MTPROTO_ADDRESS "$ADDRESS" MTPROTO_FIRST_USER "$FIRST_USER" \
        MTPROTO_FAIL2BAN "$FAIL2BAN"
    # Nobody was asked: a domain that comes later brings the question with it.
    if [ -z "$DOMAIN" ]; then env_unset MTPROTO_NAMING; fi
    # The same of a fail2ban that comes later.
    if [ -z "${GIVEN[FAIL2BAN]-}${MTPROTO_FAIL2BAN-}" ] && ! has_fail2ban && [ "$FAIL2BAN" = no ]; then env_unset MTPROTO_FAIL2BAN; fi
}

# The zone that this server is in, as the panel's midnight is when traffic is reset.
time_zone() {
    local zone
    zone=$(env_get TZ)
    if [ -z "$zone" ]; then
        zone=$(readlink -f "$ETC/localtime" 2>/dev/null || true)
        case $zone in */zoneinfo/*) zone=${zone#*/zoneinfo/} ;; *) zone=UTC ;; esac
    fi
    printf '%s' "$zone"
}

start_stack() {
    note "starting the containers"
    run stack up -d --remove-orphans || fail_run "the containers could not be started." "docker ps -a; cat $LOG"
    wait_for_panel
}

wait_for_panel() {
    local try
    for try in $(seq "${MTPROTO_WAIT:-180}"); do
        if curl -fsS -o /dev/null --max-time 5 "http://127.0.0.1:$PANEL_PORT/healthz" 2>>"$LOG" </dev/null; then
            note "the panel answers"
            log "after $try looks"
            return
        fi
        sleep "${MTPROTO_POLL_SECONDS:-1}"
    done
    run stack ps || true
    run stack logs --tail 15 || true
    fail_run "the panel was started and does not answer on http://127.0.0.1:$PANEL_PORT." "$AGAIN"
}

# What the answers mean in the panel's settings: what is set together is on one line. A line is set where it is new:
# what was changed in the panel since is not turned back by another run.
wanted_settings() {
    local panel
    printf 'server_domain=%s server_ip=%s proxy_port=%s acme_email=%s\n' "$DOMAIN" "$ADDRESS" "$BASE_PORT" "$EMAIL"
    panel=$(panel_domain)
    if [ "$BY_ADDRESS" = yes ]; then printf 'panel_by_address=true\n'; else printf 'panel_by_address=false\n'; fi
    if [ "$NAMING" = own ]; then printf 'sni_base_domain=%s sni_mode=own\n' "$DOMAIN"; fi
    printf 'panel_domain=%s\n' "$panel"
    if [ "$PORT_443" = yes ]; then printf 'port_443_mode=true\n'; else printf 'port_443_mode=false\n'; fi
    if [ "$FAIL2BAN" = yes ]; then printf 'bans=true\n'; elif [ -n "${GIVEN[FAIL2BAN]-}" ]; then printf 'bans=false\n'; fi
}

apply_settings() {
    local applied=$MTPROTO_HOME/.applied line said refused=""
    if [ -n "$UPSTREAM_SOCKS5" ]; then
        # By standard input: it may hold a password.
        printf '%s\n' "$UPSTREAM_SOCKS5" | panel settings set upstream_socks5=- >>"$LOG" 2>&1 ||
            fail_run "the panel refuses MTPROTO_UPSTREAM_SOCKS5."
    fi
    while IFS= read -r line; do
        if [ -e "$applied" ] && grep -qxF -- "$line" "$applied"; then continue; fi
        # What a new installation has anyway.
        case $line in panel_domain= | port_443_mode=false | panel_by_address=false | bans=false) if [ ! -e "$applied" ]; then continue; fi ;; esac
        # shellcheck disable=SC2086
        if said=$(panel settings set $line 2>&1 </dev/null); then
            log "settings set $line: $said"
        else
            log "settings set $line: $said"
            warn "the panel did not take $line:"
            say "      ${said#Error: }"
            refused+=$line$'\n'
            case $line in panel_domain=*) HTTPS_WAITS=yes ;; esac
        fi
    done < <(wanted_settings)
    # What was refused is tried again the next time.
    wanted_settings | { grep -vxF -f <(printf '%s' "${refused%$'\n'}") || true; } | write_file "$applied" 0600
}

# Whether the panel's name was refused, as it does not lead here yet.
HTTPS_WAITS=no

# A first user, where there is none at all.
add_first_user() {
    local users said
    users=$(panel user list --json 2>>"$LOG" </dev/null) || fail "the panel's command line does not answer; the log says why." "$AGAIN"
    case $users in
        *'"name"'*)
            note "there are users already"
            return
            ;;
    esac
    note "adding the user $FIRST_USER"
    said=$(panel user add "$FIRST_USER" --json 2>>"$LOG" </dev/null) ||
        fail "the first user could not be added; the log says why." "$AGAIN"
    FIRST_LINK=$(json_field tg_link "$said")
    log "user add $FIRST_USER"
}

# json_field NAME DOCUMENT: the text value of a field in one of our own documents, one field a line.
json_field() { sed -n 's/^ *"'"$1"'": "\(.*\)",\{0,1\}$/\1/p' <<<"$2" | head -n 1; }

# Does somebody get through to Telegram? If not, everything is installed all the same, and what is wrong is outside.
probe_first_user() {
    local try said name
    name=$FIRST_USER
    # On a later run that user may have been renamed or deleted: then the first of those that there are.
    said=$(panel user list --json 2>>"$LOG" </dev/null || true)
    if [ -z "$(grep -F "\"name\": \"$name\"" <<<"$said" || true)" ]; then name=$(json_field name "$said"); fi
    [ -n "$name" ] || return 0
    for try in $(seq "${MTPROTO_PROBES:-5}"); do
        if said=$(panel probe "$name" 2>&1 </dev/null); then
            note "$name's proxy leads to Telegram: ${said##*: }"
            return
        fi
        log "probe $try: $said"
        sleep "${MTPROTO_POLL_SECONDS:-2}"
    done
    warn "$name's proxy does not lead to Telegram yet:"
    say "$(sed 's/^Error: //; s/^/      /' <<<"$said")"
    say "      Everything is installed. Try again later: $(cli_command "probe '$name'")"
}

# cli_command WORDS: the panel's command line, as it is typed on this server.
cli_command() {
    if [ -x "$MTPROTO_BIN/mtproto" ]; then
        printf 'mtproto %s' "$1"
    else
        printf "docker exec \$(docker ps -qf label=com.docker.compose.project=mtproto -f label=com.docker.compose.service=app) \
python3 -m app.cli %s" "$1"
    fi
}

# The first password, until the first login: then the panel has none any more, and the file goes, too.
read_first_password() {
    local said
    FIRST_PASSWORD=""
    find_door
    if said=$(panel first-password --json 2>/dev/null </dev/null); then
        FIRST_PASSWORD=$(json_field password "$said") ADMIN_NAME=$(json_field username "$said")
    fi
    if [ -n "$FIRST_PASSWORD" ]; then
        printf 'Panel:     %s\nName:      %s\nPassword:  %s\n' "$(panel_address)" "$ADMIN_NAME" "$FIRST_PASSWORD" |
            write_file "$MTPROTO_HOME/first-login" 0600
    else
        rm -f "$MTPROTO_HOME/first-login"
    fi
}

# --- The way to the panel: under its domain, or at the bare address, by HTTPS; the tunnel is the last one. ---

# What the panel says of itself at the bare address: "" if it is not there. The fingerprint is that of a certificate
# which it made itself, "" for one of an authority.
DOOR_URL="" DOOR_FINGERPRINT=""
find_door() {
    local said
    DOOR_URL="" DOOR_FINGERPRINT=""
    [ "$BY_ADDRESS" = yes ] || return 0
    said=$(panel status --json 2>>"$LOG" </dev/null) || return 0
    DOOR_URL=$(json_field url "$said")
    if grep -q '"self_signed": true' <<<"$said"; then DOOR_FINGERPRINT=$(json_field fingerprint "$said"); fi
}

# Prints how it went. Where the panel is asking at this moment, that is waited for.
renew_certificates() {
    local said try
    for try in $(seq 30); do
        if said=$(panel certificates renew 2>&1 </dev/null); then
            printf '%s' "$said"
            return
        fi
        case $said in *"being asked for already"*) ;; *) break ;; esac
        log "certificates renew, look $try: $said"
        sleep "${MTPROTO_POLL_SECONDS:-2}"
    done
    printf '%s' "$said"
    return 1
}

# The panel asks by itself, too; asked here, the closing words say how it went.
ask_for_certificate() {
    local said
    [ -n "$DOOR_URL" ] || return 0
    if is_private "$ADDRESS"; then
        warn "no authority issues a certificate for $ADDRESS, which only this network knows: the panel has made one itself"
        return
    fi
    # Why there is none was said already.
    if [ "$CERTBOT" = no ]; then return; fi
    note "asking for a certificate for $ADDRESS"
    if said=$(renew_certificates); then
        log "certificates renew: $said"
    else
        log "certificates renew: $said"
        warn "there is no certificate of an authority for $ADDRESS yet:"
        say "$(sed 's/^Error: //; s/^/      /' <<<"$said")"
        say "      The panel has made one itself, and goes on asking. At once: $(cli_command "certificates renew")"
    fi
    find_door
}

panel_address() {
    if [ -n "$DOMAIN" ] && [ "$HTTPS$HTTPS_WAITS" = yesno ]; then
        printf 'https://%s' "$(panel_domain)"
    elif [ -n "$DOOR_URL" ]; then
        printf '%s' "$DOOR_URL"
    else
        printf 'http://127.0.0.1:%s' "$PANEL_PORT"
    fi
}

way_to_the_panel() {
    local until_then="It answers on this server only. From your own computer, run this first, and leave it open:"
    if [ -n "$DOMAIN" ] && [ "$HTTPS$HTTPS_WAITS" = yesyes ]; then
        show "           When $(panel_domain) leads to this server, run the repair below: then it is there by HTTPS, too."
    fi
    if [ -n "$DOMAIN" ] && [ "$HTTPS$HTTPS_WAITS" = yesno ]; then
        show "           It is there as soon as its certificate is, most often within a minute. If it does not come:"
        show "           $(cli_command "certificates list")"
        if [ -n "$DOOR_URL" ]; then
            show "It is also at $DOOR_URL, until you say otherwise:"
            show "           $(cli_command "settings set panel_by_address=false")"
        fi
        until_then="Until then, from your own computer, and then http://127.0.0.1:$PANEL_PORT:"
    fi
    if [ -n "$DOOR_URL" ]; then
        if [ -n "$DOOR_FINGERPRINT" ]; then
            show "           Browsers warn of its certificate, which is its own. Go on only if they show this fingerprint (SHA-256):"
            show "           $DOOR_FINGERPRINT"
        fi
        show "           A firewall of the provider has to let port ${PANEL_HTTPS_PORT##*:} through, and 80 for the certificate."
        return
    fi
    show "$until_then"
    show "           ssh -L $PANEL_PORT:127.0.0.1:$PANEL_PORT root@${DOMAIN:-${ADDRESS:-THIS-SERVER}}"
}

print_closing_words() {
    show ""
    show "Panel:     $(panel_address)"
    if [ -n "$FIRST_PASSWORD" ]; then
        show "Name:      $ADMIN_NAME"
        if [ "$PASSWORD_WAS_SHOWN" = no ]; then
            show "Password:  $FIRST_PASSWORD"
            show "           (also in $MTPROTO_HOME/first-login, until the first login)"
        else
            show "Password:  in $MTPROTO_HOME/first-login, until the first login"
        fi
    fi
    way_to_the_panel
    if [ -n "$FIRST_LINK" ]; then
        show ""
        show "Link of the user $FIRST_USER, for Telegram:"
        show "           $FIRST_LINK"
    fi
    show ""
    show "Installed in $MTPROTO_HOME; the log is $MTPROTO_HOME/install.log"
    show "Repair: $AGAIN    Remove: $AGAIN --uninstall"
}
