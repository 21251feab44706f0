# shellcheck shell=bash
# What the host's scripts say: steps with their time, errors with what helps, and a log file of all of it. Sourced.
#
#   PROGRAM    name of the script, in its errors
#   LOG_FILE   where all of it goes as well; empty: nowhere

PROGRAM=${PROGRAM:-mtproto}
LOG_FILE=${LOG_FILE:-}

# open_log FILE: from now on everything is kept there, too, readable by its owner only. One that can't be written
# costs the log and nothing else.
open_log() {
    if (umask 077 && printf '\n--- %s  %s\n' "$(date '+%Y-%m-%d %H:%M:%S %Z')" "$PROGRAM" >>"$1") 2>/dev/null; then
        chmod 600 "$1"
        LOG_FILE=$1
    fi
}

log() {
    [ -n "$LOG_FILE" ] || return 0
    printf '%s  %s\n' "$(date +%H:%M:%S)" "$*" >>"$LOG_FILE" 2>/dev/null || true
}

say() {
    printf '==> %s\n' "$*"
    log "$*"
}

# note MESSAGE: more about the step under way.
note() {
    printf '    %s\n' "$*"
    log "    $*"
}

warn() {
    printf '%s: %s\n' "$PROGRAM" "$*" >&2
    log "warning: $*"
}

# fail MESSAGE [COMMAND]: what is wrong and what was kept, and the command that mends it.
fail() {
    printf '\n%s: %s\n' "$PROGRAM" "$1" >&2
    log "failed: $1"
    if [ $# -gt 1 ]; then
        printf '\nThis mends it:\n\n    %s\n\n' "$2" >&2
        log "this mends it: $2"
    fi
    exit 1
}

# step NAME FUNCTION ARG…: says what is done, does it, and says how long it took.
step() {
    local name=$1 begun=$SECONDS
    shift
    say "$name"
    "$@"
    if [ $((SECONDS - begun)) -ge 2 ]; then note "$((SECONDS - begun)) s"; fi
}

# quietly COMMAND ARG…: what it says goes into the log, and its last lines are shown if it fails.
quietly() {
    local said code=0
    said=$(mktemp)
    "$@" >"$said" 2>&1 </dev/null || code=$?
    [ -z "$LOG_FILE" ] || cat "$said" >>"$LOG_FILE" 2>/dev/null || true
    if [ "$code" -ne 0 ]; then tail -n 15 "$said" | sed 's/^/    /' >&2; fi
    rm -f "$said"
    return "$code"
}
