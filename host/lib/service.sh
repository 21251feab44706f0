#!/usr/bin/env bash
# install.sh --local --service: the panel as a service of systemd, which starts it with the machine, and the panel its
# proxies. As root one of the system, else one of the account's own. Sourced by local.sh.
# shellcheck disable=SC2153,SC2154  # variables of install.sh

SERVICE=mtproto-panel.service

# choose_manager: SYSTEMCTL, and UNIT, the file. 1 if no systemd runs for this account.
choose_manager() {
    if [ "$(id -u)" -eq 0 ]; then
        SYSTEMCTL=(systemctl)
        UNIT=${MTPROTO_UNITS:-/etc/systemd/system}/$SERVICE
        TARGET=multi-user.target
        [ -d "${MTPROTO_ROOT:-}/run/systemd/system" ]
    else
        export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/run/user/$(id -u)}
        SYSTEMCTL=(systemctl --user)
        UNIT=${MTPROTO_UNITS:-${XDG_CONFIG_HOME:-${HOME:-}/.config}/systemd/user}/$SERVICE
        TARGET=default.target
        [ -d "${MTPROTO_ROOT:-}/run/systemd/system" ] && "${SYSTEMCTL[@]}" list-units >/dev/null 2>&1
    fi
}

# is_service: does a unit run the panel of this folder?
is_service() { choose_manager && [ -e "$UNIT" ] && grep -qxF "WorkingDirectory=$(of_systemd "$HERE")" "$UNIT"; }

# of_systemd TEXT: as systemd reads it.
of_systemd() { printf '%s\n' "${1//%/%%}"; }

# word TEXT: one word of a command or an assignment there.
word() { printf '"%s"' "$(of_systemd "$1" | sed 's/[\\"]/\\&/g')"; }

# What the panel was told by variables, as it would not know it the next time.
environment() {
    local name
    for name in MTPROTO_RUNTIME MTPROTO_TRUSTED_PROXIES MTPROTO_TIME_SITES MTG_BIN TELEMT_BIN TZ; do
        if [ -n "${!name:-}" ]; then printf 'Environment=%s\n' "$(word "$name=${!name}")"; fi
    done
}

write_unit() {
    local command part line
    for part in "$VENV/bin/python" -m app.cli serve --no-password --bind "$BIND" --port "$PORT" --data "$DATA"; do
        command=${command:+$command }$(word "$part" | sed 's/\$/$$/g')
    done
    mkdir -p "$(dirname "$UNIT")"
    while IFS= read -r line; do
        case $line in
            WorkingDirectory=*) printf 'WorkingDirectory=%s\n' "$(of_systemd "$HERE")" ;;
            ExecStart=*) printf 'ExecStart=%s\n' "$command" ;;
            @ENVIRONMENT@) environment ;;
            WantedBy=*) printf 'WantedBy=%s\n' "$TARGET" ;;
            *) printf '%s\n' "$line" ;;
        esac
    done <"$HERE/host/systemd/$SERVICE" >"$UNIT.new" || fail "the unit $UNIT could not be written; the line above says why."
    mv -f "$UNIT.new" "$UNIT"
}

no_systemd() {
    fail "no systemd answers here, so there is nothing that would start the panel with the machine. In root's or your own
crontab, this line does:   @reboot bash '$HERE/install.sh' --local$(service_options)" "crontab -e"
}

# As this was called, for a command that is kept.
service_options() {
    if [ "$PORT" != 8080 ]; then printf ' --port %s' "$PORT"; fi
    if [ "$BIND" != 127.0.0.1 ]; then printf ' --bind %s' "$BIND"; fi
    if [ "$DATA" != "$HERE/data" ]; then printf " --data '%s'" "$DATA"; fi
    if [ "$VENV" != "$HERE/.venv" ]; then printf " --venv '%s'" "$VENV"; fi
}

start_service() {
    choose_manager || no_systemd
    if [ -e "$UNIT" ] && ! is_service; then
        fail "$UNIT runs the panel of another folder ($(sed -n 's/^WorkingDirectory=//p' "$UNIT")). It was left as it is:
one panel of an account can be a service." "bash '$HERE/install.sh' --local"
    fi
    # A panel in the background would be in its way; proxies run on.
    if [ -e "$DATA/config.json" ] && ! "${SYSTEMCTL[@]}" is-active --quiet "$SERVICE"; then
        manager panel stop --keep-proxies --data "$DATA" || exit 1
    fi
    say "Starting the panel as a service"
    write_unit
    "${SYSTEMCTL[@]}" daemon-reload
    if ! "${SYSTEMCTL[@]}" enable --quiet "$SERVICE" || ! "${SYSTEMCTL[@]}" restart "$SERVICE"; then
        fail "systemd did not start it; the lines above say why." "${SYSTEMCTL[*]} status $SERVICE"
    fi
    wait_for_service
    linger
    service_words
}

wait_for_service() {
    "$VENV/bin/python" - "$BIND" "$PORT" <<'END' || fail "the panel does not answer." "${SYSTEMCTL[*]} status $SERVICE"
import sys, time, urllib.request
bind, port = sys.argv[1:]
host = {"::": "[::1]", "0.0.0.0": "127.0.0.1"}.get(bind, f"[{bind}]" if ":" in bind else bind)
for _ in range(240):
    try:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(urllib.request.Request(f"http://{host}:{port}/healthz", headers={"Host": "127.0.0.1"}), timeout=5)
        sys.exit()
    except OSError:
        time.sleep(0.25)
sys.exit(1)
END
}

# Without it, a service of an account ends with its last login.
linger() {
    if [ "$(id -u)" -eq 0 ]; then return; fi
    loginctl enable-linger >/dev/null 2>&1 && return
    printf 'install.sh: the service runs only while %s is logged in. This lets it run always:\n\n    sudo loginctl enable-linger %s\n\n' \
        "$(id -un)" "$(id -un)" >&2
}

service_words() {
    local printed journal=(journalctl -u "$SERVICE") host=$BIND
    case $BIND in *:*) host="[$BIND]" ;; esac
    if [ "$(id -u)" -ne 0 ]; then journal=(journalctl --user -u "$SERVICE"); fi
    printf '\nPanel:     http://%s:%s\n' "$host" "$PORT"
    if printed=$(manager first-password --data "$DATA" 2>/dev/null); then printf '%s\n' "$printed"; fi
    printf '\nIt starts with this machine. Log:   %s\n' "${journal[*]}"
    printf "Stop it, and its proxies:           bash '%s/install.sh' --local --stop%s\n" "$HERE" \
        "$(if [ "$DATA" != "$HERE/data" ]; then printf " --data '%s'" "$DATA"; fi)"
}

# stop_service: also after the next start of the machine.
stop_service() {
    if ! is_service; then return; fi
    "${SYSTEMCTL[@]}" disable --now --quiet "$SERVICE" || true
    say "The service is off. To turn it on again: bash '$HERE/install.sh' --local --service$(service_options)"
}

remove_service() {
    if ! is_service; then return; fi
    "${SYSTEMCTL[@]}" disable --now --quiet "$SERVICE" || true
    rm -f "$UNIT"
    "${SYSTEMCTL[@]}" daemon-reload || true
    say "The panel is no service any more."
}
