#!/usr/bin/env bash
# What people see of an installation, and the log of everything: one line a thought on the screen; what the programs
# said goes into the log only. Secrets are printed by show(), which no log keeps.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

LOG=/dev/null
STEPS=7
STEP=0
STEP_BEGAN=0
# Where in the log the last command of run() began.
RUN_FROM=0

# Until something may be changed, the log is a temporary file.
begin_log() {
    LOG=$(mktemp "${TMPDIR:-/tmp}/mtproto-install-log.XXXXXX") || fail "no temporary file could be made in \
${TMPDIR:-/tmp}; the line above says why. Free some space there and run the same command again."
    log "install.sh $(date -u +%Y-%m-%dT%H:%M:%SZ), tree $HERE"
}

# bound_log FILE: one that has grown past a megabyte, which is years of it, becomes FILE.1, in place of the one before.
# Whoever has it open goes on in that one. For where logrotate does not do it (rotation.sh).
bound_log() {
    if [ -e "$1" ] && [ "$(wc -c <"$1")" -gt 1000000 ]; then mv -f "$1" "$1.1" || true; fi
}

# keep_log FILE: from here on in this file, with what was logged so far.
keep_log() {
    local before=$LOG
    bound_log "$1"
    (umask 077 && cat "$before" >>"$1") || fail_writing "$1"
    LOG=$1
    rm -f "$before"
}

log() { printf '%s\n' "$*" >>"$LOG" 2>/dev/null || true; }

# show TEXT: on the screen only.
show() { printf '%s\n' "$*"; }

say() {
    show "$*"
    log "$*"
}

note() { say "      $*"; }

warn() { say "    ! $*"; }

# step TITLE: ends the step before, and says how long it took.
step() {
    end_step
    STEP=$((STEP + 1))
    STEP_BEGAN=$SECONDS
    say "[$STEP/$STEPS] $1"
    log "    $(date -u +%H:%M:%SZ)"
}

end_step() {
    if [ "$STEP" -gt 0 ]; then note "took $((SECONDS - STEP_BEGAN)) s"; fi
}

# run COMMAND…: with its output in the log, and nothing to read.
run() {
    RUN_FROM=$(wc -c <"$LOG" 2>/dev/null || printf 0)
    log "+ $*"
    "$@" >>"$LOG" 2>&1 </dev/null
}

# The end of what the last command of run() said.
last_words() { tail -c "+$((RUN_FROM + 1))" "$LOG" 2>/dev/null | tail -n "${1:-12}" || true; }

# fail_run MESSAGE [COMMAND]: after a run() that failed: its last lines, what they mean where that is known, the message.
fail_run() {
    local meaning
    meaning=$(known_meaning "$(last_words 60)")
    last_words | sed 's/^/    | /' >&2
    fail "$1${meaning:+
$meaning}" "${@:2}"
}

# known_meaning TEXT: what an operator would make of it.
known_meaning() {
    case $1 in
        *"o space left on device"*) printf 'The disk is full. Free some space; df -h shows where.' ;;
        *"ead-only file system"*) printf 'The disk can only be read; dmesg may say what happened to it.' ;;
        *"toomanyrequests"* | *"rate limit"*)
            printf 'Docker Hub lets nobody pull more for now. Wait an hour, or set MTPROTO_DOCKER_MIRROR.' ;;
        *"is not valid yet"* | *"not yet valid"* | *"certificate has expired"*)
            printf 'That looks like a wrong clock: date shows it, timedatectl set-ntp true sets it.' ;;
        *"ould not get lock"* | *"nable to acquire the dpkg"*)
            printf 'Another program installs packages just now (often the nightly updates). Wait until it is done.' ;;
        *"emporary failure resolving"* | *"ould not resolve"* | *"no such host"* | *"ame or service not known"*)
            printf 'Names are not resolved: is there a way to the internet, and a DNS server in /etc/resolv.conf?' ;;
        *"etwork is unreachable"* | *"ould not connect"* | *"i/o timeout"* | *"onnection timed out"* | *"onnection refused"*)
            printf 'There was no answer: is there a way to the internet? A proxy is named by https_proxy.' ;;
        *"annot allocate memory"* | *"ut of memory"* | *"signal: killed"* | *" Killed"*)
            printf 'The memory was not enough. A swap file helps: --swap 1024' ;;
        *apparmor_parser* | *"AppArmor enabled on system"*) printf 'AppArmor stands in the way; the package apparmor may be missing.' ;;
    esac
}

# fail_writing FILE: something could not be written.
fail_writing() {
    fail "$1 could not be written; the line above says why. If the disk is full, free some space (df -h shows where); \
if it can only be read, dmesg may say what happened to it." "$AGAIN"
}

# fail MESSAGE [COMMAND]: what is wrong, and the command that mends it.
fail() {
    {
        printf '\ninstall.sh: %s\n' "$1"
        if [ $# -gt 1 ]; then printf '\nThis mends it:\n\n    %s\n' "$2"; fi
        printf '\n'
    } | tee -a "$LOG" >&2 || true
    if [ "$LOG" = "${MTPROTO_HOME:-}/install.log" ]; then
        printf 'What was done so far stays, and the same command goes on from there. Everything is in %s\n' "$LOG" >&2
    else
        printf 'Nothing was changed on this server.\n' >&2
    fi
    exit 1
}
