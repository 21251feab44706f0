#!/usr/bin/env bash
# Takes this installation to another server over SSH: the same release is installed there, a backup goes through the
# pipe, every link is tried there. Both servers work all the time; ended at any step, the same command goes on.
# shellcheck disable=SC2034,SC2153,SC2154,SC2317  # variables of host/lib; functions that traps call
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
MTPROTO_HOME=${MTPROTO_HOME:-/opt/mtproto}

TARGET=""
SSH_OPTIONS=()
THEIR_HOME=""
STOP_HERE=no
REPLACE=no
AGAIN_FROM_HERE=no
ASK=yes
TERMINAL=""
KEPT="Nothing was changed, here or there."
AGAIN=""
CONTROL=""

# What was found out about the new server.
SUDO="" NEW_ADDRESS="" NEW_LOCAL_ADDRESS="" THERE=""
# Of an earlier run.
ID="" PHASE=""

usage() {
    cat <<'END_OF_USAGE'
Usage: sudo mtproto move [options] USER@SERVER

Takes this installation to another server, over SSH: it looks whether that one is fit, installs this very release
there, brings users, settings, traffic and certificates through the pipe, and tries every link there. It says which DNS
records to change. Nothing stops here, unless --stop-here says so; ended at any step, the same command goes on.

  --stop-here       at the end, when all links work there and the DNS leads there: stop the proxies here. Nothing is
                    removed, and "mtproto start" brings them back
  --replace         there is an installation already: its users and settings go (a backup of them is kept there)
  --again           what was brought before is brought anew, with what has changed here since
  --their-home DIR  where it goes there (as here)
  --yes             ask nothing
  -p, --port P      of SSH there
  -i, --identity F  SSH's key
  -J, --jump HOST   a server in between
  -o OPTION, -F F   passed on to ssh
  --home DIR        where the installation is here (/opt/mtproto)

The account there is root, or may use sudo without a password.
END_OF_USAGE
}

misuse() {
    printf 'mtproto move: %s\n\n' "$1" >&2
    usage >&2
    exit 2
}

parse_options() {
    AGAIN="mtproto move$(printf ' %q' "$@")"
    while [ $# -gt 0 ]; do
        case $1 in
            --stop-here) STOP_HERE=yes ;;
            --replace) REPLACE=yes ;;
            --again) AGAIN_FROM_HERE=yes ;;
            --yes) ASK=no ;;
            -p | --port | -i | --identity | -J | --jump | -o | -F | --home | --their-home)
                [ -n "${2:-}" ] || misuse "$1 needs a value."
                case $1 in
                    -p | --port) SSH_OPTIONS+=(-p "$2") ;;
                    -i | --identity) SSH_OPTIONS+=(-i "$2") ;;
                    -J | --jump) SSH_OPTIONS+=(-J "$2") ;;
                    -o | -F) SSH_OPTIONS+=("$1" "$2") ;;
                    --home) MTPROTO_HOME=$(realpath -m -- "$2") ;;
                    --their-home) THEIR_HOME=$2 ;;
                esac
                shift
                ;;
            -h | --help)
                usage
                exit 0
                ;;
            -*) misuse "unknown option: $1" ;;
            *)
                [ -z "$TARGET" ] || misuse "one server is enough: $TARGET, and $1?"
                TARGET=$1
                ;;
        esac
        shift
    done
    [ -n "$TARGET" ] || misuse "to which server? USER@SERVER is missing."
    [[ $TARGET != *[[:space:][:cntrl:]]* ]] || misuse "'$TARGET' is no USER@SERVER."
    THEIR_HOME=${THEIR_HOME:-$MTPROTO_HOME}
}

load_parts() {
    local part
    for part in log files room engine stack addresses tree questions move; do
        # shellcheck source=/dev/null
        . "$HERE/host/lib/$part.sh"
    done
    # Instead of the one in log.sh, whose words are those of an installation.
    fail() {
        {
            printf '\nmtproto move: %s\n%s\n' "$1" "$KEPT"
            if [ $# -gt 1 ]; then printf '\nThis helps:\n\n    %s\n' "$2"; fi
            printf '\n'
        } | tee -a "$LOG" >&2 || true
        exit 1
    }
}

require_installation() {
    [ "$(id -u)" -eq 0 ] || [ -n "${MTPROTO_ROOT:-}" ] || fail "root is needed: for Docker and $MTPROTO_HOME." "sudo $AGAIN"
    [ -e "$MTPROTO_HOME/current/" ] || fail "there is no installation in $MTPROTO_HOME."
    [ ! -e "$MTPROTO_HOME/.update" ] || fail "an update was interrupted; it is finished first." "sudo mtproto update"
    command -v ssh >/dev/null || fail "ssh is missing." "apt-get install -y openssh-client    # or: dnf install -y openssh-clients"
}

begin_move_log() {
    LOG=$MTPROTO_HOME/move.log
    bound_log "$LOG"
    (umask 077 && printf '\n=== %s  %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$AGAIN" >>"$LOG") 2>/dev/null ||
        fail "$LOG can't be written: is the disk full (df -h), or can it be read only (dmesg)?"
    chmod 600 "$LOG"
    exec 7>"$MTPROTO_HOME/.move.lock"
    flock -n 7 || fail "another move of this installation is under way. Wait until it is done."
}

clean_up() {
    if [ -n "$CONTROL" ]; then
        ssh -o "ControlPath=$CONTROL/%C" -O exit "${SSH_OPTIONS[@]+"${SSH_OPTIONS[@]}"}" "$TARGET" >/dev/null 2>&1 </dev/null || true
        rm -rf "$CONTROL"
    fi
}

broken_off() {
    trap - INT TERM HUP
    log "broken off by $1"
    printf '\nBroken off. This server works as before. The same command goes on from there.\n' >&2
    exit "$2"
}

main() {
    parse_options "$@"
    load_parts
    require_installation
    begin_move_log
    trap clean_up EXIT
    trap 'broken_off INT 130' INT
    trap 'broken_off TERM 143' TERM
    trap 'broken_off HUP 129' HUP
    find_terminal
    require_docker
    read_progress
    note_progress "$PHASE"
    STEPS=5
    step "Looking at $TARGET"
    connect
    look_there
    look_at_names

    step "The same release there"
    if is_brought; then note "it is there, of the run before"; else install_there; fi

    step "Users, settings, traffic, certificates"
    if is_brought; then note "they are there; --again brings them anew"; else bring_data; fi

    step "Does every link work there?"
    prove_links

    step "The DNS, and this server"
    tell_names
    stop_here
    end_step
}

{
    main "$@"
    exit
}
