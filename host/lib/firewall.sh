#!/usr/bin/env bash
# The firewall: the ports that are needed are opened, each rule bears our mark, and is noted in firewall.rules, so that
# exactly those are taken away again. Nothing is done where no firewall is in force.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

MARK=mtproto

# Which firewall is in force: ufw, firewalld, iptables, nftables, or none. The front ends come before what they drive.
firewall_kind() {
    if command -v ufw >/dev/null && LC_ALL=C ufw status 2>/dev/null </dev/null | grep -q '^Status: active'; then
        printf ufw
    elif command -v firewall-cmd >/dev/null && [ "$(firewall-cmd --state 2>/dev/null </dev/null)" = running ]; then
        printf firewalld
    elif command -v iptables >/dev/null && closes_input "$(iptables -w -S INPUT 2>/dev/null </dev/null || true)"; then
        printf iptables
    elif [ -n "$(closed_chains)" ]; then
        printf nftables
    else
        printf none
    fi
}

# closes_input RULES: does a chain of iptables -S let in only what it names?
closes_input() { grep -qE '^-P INPUT DROP|^-A INPUT( .*)? -j (DROP|REJECT)' <<<"$1"; }

# The input chains of nftables that let in only what they name, as "family table chain"; those that iptables writes
# are iptables' business.
closed_chains() {
    command -v nft >/dev/null || return 0
    LC_ALL=C nft list ruleset 2>/dev/null </dev/null | awk '
        $1 == "table" { family = $2; table = $3 }
        $1 == "chain" { chain = $2; hooked = 0 }
        /hook input/ { hooked = 1; if (/policy drop/) print family, table, chain; }
        hooked && /^[[:space:]]*(counter .*)?(drop|reject)([[:space:]]|$)/ { print family, table, chain }
    ' | grep -vE '^(ip|ip6) filter INPUT$' | sort -u || true
}

# The TCP ports that the internet has to reach, one a line: what is declared decides.
wanted_ports() {
    local config=$MTPROTO_HOME/data/config.json port web=no
    [ -e "$config" ] || return 0
    {
        if grep -q '"port_443_mode": true' "$config"; then
            web=yes
        else
            sed -n 's/^ *"port": \([0-9]\{1,5\}\),\{0,1\}$/\1/p' "$config"
        fi
        if grep -q '"panel_domain": "..*"' "$config"; then web=yes; fi
        if grep -q '"panel_by_address": true' "$config"; then
            for port in "$(env_get HTTP_PORT)" "$(env_get PANEL_HTTPS_PORT)"; do
                case $port in 127.0.0.1:* | "") ;; *) printf '%s\n' "${port##*:}" ;; esac
            done
        fi
        if [ "$web" = yes ]; then
            for port in "$(env_get HTTP_PORT)" "$(env_get HTTPS_PORT)"; do
                case $port in 127.0.0.1:* | "") ;; *) printf '%s\n' "${port##*:}" ;; esac
            done
        fi
    } | sort -un
}

# One rule is "KIND [ZONE or FAMILY TABLE CHAIN] PORT". rule_is_there, add_rule and remove_rule take its words.
rule_is_there() {
    local kind=$1
    shift
    case $kind in
        ufw) LC_ALL=C ufw show added </dev/null | grep -qE "^ufw allow $1/tcp( |$)" ;;
        firewalld) firewall-cmd -q --zone="$1" --query-port="$2/tcp" </dev/null ;;
        iptables | ip6tables) "$kind" -w -C INPUT -p tcp --dport "$1" -m comment --comment "$MARK" -j ACCEPT 2>/dev/null </dev/null ;;
        nftables) nft list chain "$1" "$2" "$3" 2>/dev/null </dev/null | grep -qE "tcp dport $4 .*comment \"$MARK\"" ;;
    esac
}

add_rule() {
    local kind=$1
    shift
    case $kind in
        ufw) run ufw allow "$1/tcp" comment "$MARK" ;;
        firewalld) run firewall-cmd -q --permanent --zone="$1" --add-port="$2/tcp" && run firewall-cmd -q --zone="$1" --add-port="$2/tcp" ;;
        iptables | ip6tables) run "$kind" -w -I INPUT -p tcp --dport "$1" -m comment --comment "$MARK" -j ACCEPT ;;
        nftables) run nft insert rule "$1" "$2" "$3" tcp dport "$4" accept comment "\"$MARK\"" ;;
    esac
}

remove_rule() {
    local kind=$1 handle
    shift
    case $kind in
        ufw) run ufw delete allow "$1/tcp" ;;
        firewalld) run firewall-cmd -q --permanent --zone="$1" --remove-port="$2/tcp" && run firewall-cmd -q --zone="$1" --remove-port="$2/tcp" ;;
        iptables | ip6tables) run "$kind" -w -D INPUT -p tcp --dport "$1" -m comment --comment "$MARK" -j ACCEPT ;;
        nftables)
            for handle in $(nft -a list chain "$1" "$2" "$3" 2>/dev/null </dev/null |
                sed -n "s/.*tcp dport $4 .*comment \"$MARK\".*# handle \([0-9]*\).*/\1/p"); do
                run nft delete rule "$1" "$2" "$3" handle "$handle" || return 1
            done
            ;;
    esac
}

# rules_of KIND PORT: the rules that open this port.
rules_of() {
    local zone
    case $1 in
        ufw) printf 'ufw %s\n' "$2" ;;
        firewalld)
            zone=$(firewall-cmd --get-default-zone 2>/dev/null </dev/null)
            printf 'firewalld %s %s\n' "$zone" "$2"
            ;;
        iptables)
            printf 'iptables %s\n' "$2"
            if command -v ip6tables >/dev/null && closes_input "$(ip6tables -w -S INPUT 2>/dev/null </dev/null || true)"; then
                printf 'ip6tables %s\n' "$2"
            fi
            ;;
        nftables) closed_chains | sed "s/^/nftables /; s/\$/ $2/" ;;
    esac
}

# firewall_sync PORT…: exactly these are opened by us. What others have opened is left alone.
firewall_sync() {
    local rules=$MTPROTO_HOME/firewall.rules kind port rule wanted=""
    kind=$(firewall_kind)
    for port in "$@"; do wanted+=$(rules_of "$kind" "$port")$'\n'; done
    while IFS= read -r rule; do
        if [ -z "$rule" ] || grep -qxF -- "$rule" <<<"$wanted"; then continue; fi
        # shellcheck disable=SC2086
        if rule_is_there $rule && ! remove_rule $rule; then warn "the firewall rule \"$rule\" could not be removed"; fi
        forget "$rules" "$rule"
    done < <(cat "$rules" 2>/dev/null || true)
    while IFS= read -r rule; do
        [ -n "$rule" ] || continue
        # shellcheck disable=SC2086
        if rule_is_there $rule; then continue; fi
        # Noted first: a rule that was made and not noted would stay for ever.
        record "$rules" "$rule"
        # shellcheck disable=SC2086
        if add_rule $rule; then
            note "the firewall ($kind) lets port ${rule##* } through"
        else
            forget "$rules" "$rule"
            warn "the firewall ($kind) could not be told to let port ${rule##* } through; the log says why"
        fi
    done <<<"$wanted"
    FIREWALL_KIND=$kind
}
FIREWALL_KIND=none

open_firewall() {
    local ports=()
    # shellcheck disable=SC2046
    read -r -d '' -a ports <<<"$(wanted_ports)" || true
    firewall_sync "${ports[@]+"${ports[@]}"}"
    if [ "$FIREWALL_KIND" = none ]; then
        note "no firewall is in force here; needed from outside: ${ports[*]+"${ports[*]}"} (TCP)"
        note "a firewall of the provider, in its control panel, has to let them through"
    else
        install_firewall_units
    fi
}

# From then on by itself: for each new user, and after a reboot where the firewall forgets.
install_firewall_units() {
    local folder=$ETC/systemd/system
    [ -d "${MTPROTO_ROOT:-}/run/systemd/system" ] || return 0
    install_file "$folder/mtproto-firewall.service" 0644 <<END
[Unit]
Description=MTProto Proxy Manager: the ports of its users in the firewall
After=docker.service ufw.service firewalld.service nftables.service iptables.service netfilter-persistent.service

[Service]
Type=oneshot
ExecStart=/bin/bash "$MTPROTO_HOME/current/host/firewall.sh" "$MTPROTO_HOME"

[Install]
WantedBy=multi-user.target
END
    install_file "$folder/mtproto-firewall.path" 0644 <<END
[Unit]
Description=MTProto Proxy Manager: look whether its users' ports have changed

[Path]
PathChanged=$MTPROTO_HOME/data/config.json

[Install]
WantedBy=multi-user.target
END
    run systemctl daemon-reload || true
    run systemctl enable mtproto-firewall.service || warn "the unit mtproto-firewall.service could not be enabled"
    run systemctl enable --now mtproto-firewall.path || warn "the unit mtproto-firewall.path could not be enabled"
}

# install_file FILE MODE: standard input becomes a file outside the home, which a removal removes.
install_file() {
    record "$MTPROTO_HOME/.files" "$1"
    mkdir -p "$(dirname "$1")" || fail_writing "$1"
    write_file "$1" "$2"
}
