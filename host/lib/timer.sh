#!/usr/bin/env bash
# Updates at night, by a timer of systemd. Off until somebody asks for it.

UNITS=${MTPROTO_UNITS:-/etc/systemd/system}

has_systemd() { [ -d "${MTPROTO_ROOT:-}/run/systemd/system" ] && command -v systemctl >/dev/null; }

# unit NAME: the release's own, with this installation's folder in it.
unit() { sed "s|@HOME@|$MTPROTO_HOME|g" "$HERE/host/systemd/$1"; }

automatic() {
    has_systemd || fail "this server does not run systemd, whose timers --auto needs. A line in root's crontab does the same:
17 4 * * * bash '$MTPROTO_HOME/current/update.sh' --home '$MTPROTO_HOME' --unattended" "crontab -e"
    case $1 in
        on)
            release_url >/dev/null
            unit mtproto-update.service | write_file "$UNITS/mtproto-update.service" 0644
            unit mtproto-update.timer | write_file "$UNITS/mtproto-update.timer" 0644
            # What a removal of this installation takes away.
            record "$MTPROTO_HOME/.files" "$UNITS/mtproto-update.service"
            record "$MTPROTO_HOME/.files" "$UNITS/mtproto-update.timer"
            run systemctl daemon-reload || fail_run "systemd does not take the units mtproto-update."
            run systemctl enable --now mtproto-update.timer || fail_run "the timer mtproto-update could not be started."
            say "Updates are looked for between four and five in the morning, and made."
            note "next:  $(systemctl list-timers --no-legend mtproto-update.timer 2>/dev/null | cut -c 1-40)"
            note "log:   $MTPROTO_HOME/update.log"
            ;;
        off)
            if [ ! -e "$UNITS/mtproto-update.timer" ]; then
                say "Updates by themselves are off."
                return
            fi
            run systemctl disable --now mtproto-update.timer || true
            rm -f "$UNITS/mtproto-update.timer" "$UNITS/mtproto-update.service"
            forget "$MTPROTO_HOME/.files" "$UNITS/mtproto-update.service"
            forget "$MTPROTO_HOME/.files" "$UNITS/mtproto-update.timer"
            run systemctl daemon-reload || true
            say "Updates by themselves are off now."
            ;;
    esac
}
