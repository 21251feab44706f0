#!/usr/bin/env bash
# What the panel knows of updates, and how it asks for one: two files in the data folder.
#   data/update.json     written here: what is installed, what is the newest, how the last update ended
#   data/update.wanted   written by the panel; a unit of systemd watches for it

NEWS=$MTPROTO_HOME/data/update.json
ASKED=$MTPROTO_HOME/data/update.wanted

# json_text TEXT: as a text of JSON.
json_text() {
    local text
    text=$(tr '\n\t' '  ' <<<"$1" | tr -d '\000-\037' | sed 's/ *$//; s/[\\"]/\\&/g')
    printf '"%s"' "$text"
}

# tell_panel NEWEST RESULT: where it looks (--panel on). RESULT: how the update ended, empty if none was made.
tell_panel() {
    if [ ! -e "$UNITS/mtproto-asked.path" ]; then return; fi
    printf '{"installed": %s, "newest": %s, "at": %s, "result": %s}\n' "$(json_text "$(current_version)")" \
        "$(json_text "$1")" "$(date +%s)" "$(json_text "$2")" | write_file "$NEWS" 0644
}

PANEL_UNITS="mtproto-asked.service mtproto-asked.path mtproto-news.service mtproto-news.timer"

# panel_updates on|off: does the panel look for new releases, and have a button?
panel_updates() {
    local name
    has_systemd || fail "this server does not run systemd, whose units --panel needs."
    case $1 in
        on)
            release_url >/dev/null
            for name in $PANEL_UNITS; do
                unit "$name" | write_file "$UNITS/$name" 0644
                record "$MTPROTO_HOME/.files" "$UNITS/$name"
            done
            run systemctl daemon-reload || fail_run "systemd does not take the units mtproto-asked and mtproto-news."
            run systemctl enable --now mtproto-asked.path mtproto-news.timer ||
                fail_run "the units mtproto-asked.path and mtproto-news.timer could not be started."
            tell_panel "$(newest_version "$(release_url)" || true)" ""
            say "The panel shows new releases on its settings page, with a button."
            ;;
        off)
            run systemctl disable --now mtproto-asked.path mtproto-news.timer || true
            for name in $PANEL_UNITS; do
                rm -f "$UNITS/$name"
                forget "$MTPROTO_HOME/.files" "$UNITS/$name"
            done
            run systemctl daemon-reload || true
            rm -f "$NEWS" "$ASKED"
            say "The panel does not look for new releases."
            ;;
    esac
}
