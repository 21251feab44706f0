#!/usr/bin/env bash
# Files that are written whole or not at all, the file of answers, and the lock.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

# write_file FILE MODE: standard input becomes the file. A reader, and a run after a power cut, see the old or the new.
write_file() {
    local temporary=$1.new.$$
    if ! (umask 077 && cat >"$temporary") || ! chmod "$2" "$temporary"; then
        rm -f "$temporary"
        fail_writing "$1"
    fi
    # coreutils before 8.24 sync everything instead.
    sync "$temporary" 2>/dev/null || sync
    mv -f "$temporary" "$1" || fail_writing "$1"
}

# env_get KEY: the value in .env, nothing if there is none.
env_get() {
    if [ -e "$MTPROTO_HOME/.env" ]; then sed -n "s/^$1=//p" "$MTPROTO_HOME/.env" | tail -n 1; fi
}

env_has() { [ -e "$MTPROTO_HOME/.env" ] && grep -q "^$1=" "$MTPROTO_HOME/.env"; }

# env_set KEY VALUE [KEY VALUE…]: all of them in one write; other lines stay as they are.
env_set() {
    local text="" line key
    if [ -e "$MTPROTO_HOME/.env" ]; then text=$(cat "$MTPROTO_HOME/.env"); fi
    while [ $# -gt 0 ]; do
        key=$1
        line=$(printf '%s=%s' "$key" "$2")
        text=$(printf '%s\n' "$text" | sed "/^$key=/d" && printf '%s\n' "$line")
        shift 2
    done
    printf '%s\n' "$text" | sed '/^$/d' | write_file "$MTPROTO_HOME/.env" 0600
}

# env_unset KEY…: their lines go.
env_unset() {
    local key expression=()
    [ -e "$MTPROTO_HOME/.env" ] || return 0
    for key in "$@"; do expression+=(-e "/^$key=/d"); done
    sed "${expression[@]}" "$MTPROTO_HOME/.env" | write_file "$MTPROTO_HOME/.env" 0600
}

# record FILE LINE: once, in a list of what is ours (firewall rules, images, files outside the home).
record() {
    if [ -e "$1" ] && grep -qxF -- "$2" "$1"; then return; fi
    { if [ -e "$1" ]; then cat "$1"; fi && printf '%s\n' "$2"; } | write_file "$1" 0600
}

# forget FILE LINE: takes it out of such a list.
forget() {
    if [ -e "$1" ]; then { grep -vxF -- "$2" "$1" || true; } | write_file "$1" 0600; fi
}

# The first password leaves the declaration with the first login; then it goes here, too.
forget_first_login() {
    local config=$MTPROTO_HOME/data/config.json
    if [ -e "$MTPROTO_HOME/first-login" ] && [ -r "$config" ] && ! grep -q '"_initial_password": "..*"' "$config"; then
        rm -f "$MTPROTO_HOME/first-login"
    fi
}

# One at a time in this home: file descriptor 9 holds the lock as long as this program or one that it started lives.
take_lock() {
    exec 9>"$MTPROTO_HOME/.lock" || fail_writing "$MTPROTO_HOME/.lock"
    flock -n 9 || fail "another installation, update or removal works on $MTPROTO_HOME just now. Wait until it is done."
}
