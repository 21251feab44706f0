#!/usr/bin/env bash
# The steps of a move to another server. Each may be done again. Nothing is removed, here or there.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (move.sh)

# Answers of this installation that hold there, too. The address is that server's own.
CARRIED="MTPROTO_DOMAIN MTPROTO_HTTPS MTPROTO_EMAIL MTPROTO_BASE_PORT MTPROTO_PORT_443 MTPROTO_ROUTER MTPROTO_NAMING
MTPROTO_FIRST_USER MTPROTO_REGISTRY MTPROTO_RELEASE_URL PIP_INDEX_URL NPM_REGISTRY TIME_SITES"

# --- How far an earlier run got: MTPROTO_HOME/.move. The id is in the new server's home, too: that is how it is known
# that what is there was brought from here. ---
read_progress() {
    local file=$MTPROTO_HOME/.move
    ID="" PHASE=""
    if [ -e "$file" ] && [ "$(sed -n 's/^TARGET=//p' "$file")" = "$TARGET $THEIR_HOME" ]; then
        ID=$(sed -n 's/^ID=//p' "$file") PHASE=$(sed -n 's/^PHASE=//p' "$file")
    fi
    [[ $ID =~ ^[0-9a-f]{32}$ ]] || ID=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
    if [ "$AGAIN_FROM_HERE" = yes ]; then PHASE=""; fi
}

note_progress() {
    PHASE=$1
    printf 'TARGET=%s\nID=%s\nPHASE=%s\n' "$TARGET $THEIR_HOME" "$ID" "$PHASE" | write_file "$MTPROTO_HOME/.move" 0600
}

is_brought() { [ "$PHASE" = brought ] && [ "$THERE" = ours ]; }

# --- SSH ---

connect() {
    # A socket's path has room for 100 characters only.
    CONTROL=$(mktemp -d /tmp/mtproto-move.XXXXXX) || fail "no temporary folder could be made in /tmp."
    # One connection for everything: a password is asked for once, and a host key.
    SSH=(ssh -o ControlMaster=auto -o "ControlPath=$CONTROL/%C" -o ControlPersist=60 -o ServerAliveInterval=15
        -o ServerAliveCountMax=4 -o ConnectTimeout=20)
    if [ -z "$TERMINAL" ]; then SSH+=(-o BatchMode=yes); fi
    SSH+=("${SSH_OPTIONS[@]+"${SSH_OPTIONS[@]}"}" -- "$TARGET")
    "${SSH[@]}" true </dev/null 2> >(tee -a "$LOG" >&2) || fail "$TARGET can't be reached by SSH; the lines above say why." \
        "ssh $(printf '%q ' "${SSH_OPTIONS[@]+"${SSH_OPTIONS[@]}"}")$TARGET    # then the same command again"
    if [ "$(there 'id -u' </dev/null 2>>"$LOG" || true)" = 0 ]; then return; fi
    SUDO="sudo -n "
    [ "$(there 'id -u' </dev/null 2>>"$LOG" || true)" = 0 ] || fail "$TARGET is not root, and may not use sudo without a password." \
        "ssh $TARGET, and there, as root: echo \"\$USER ALL=(ALL) NOPASSWD: ALL\" >/etc/sudoers.d/mtproto-move"
}

# quoted WORD: as any shell reads it.
quoted() {
    local word=$1
    printf "'%s'" "${word//\'/\'\\\'\'}"
}

# there SCRIPT [WORD…]: bash there, as root, with these words as $1…; its input is ours.
there() {
    local words="" word
    for word in "$1" move "${@:2}"; do words+=" $(quoted "$word")"; done
    "${SSH[@]}" "${SUDO}bash -c$words"
}

# there_says SCRIPT [WORD…]: its output; what went wrong is in the log.
there_says() { there "$@" 2>>"$LOG" </dev/null; }

# quote_there TEXT: what that server said.
quote_there() { printf '%s\n' "    | ${1//$'\n'/$'\n'    | }"; }

# --- Is it fit? ---

# shellcheck disable=SC2016 # that server's
LOOK='
home=$1
printf "system=%s %s\n" "$(uname -s)" "$(uname -m)"
printf "name=%s\n" "$(. "${MTPROTO_OS_RELEASE:-/etc/os-release}" 2>/dev/null && printf %s "${PRETTY_NAME:-}")"
for program in tar gzip df awk sed; do command -v "$program" >/dev/null || printf "missing=%s\n" "$program"; done
folder=$home
while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
printf "free=%s\n" "$(df -Pm "$folder" | awk "NR == 2 { print \$4 }")"
printf "local=%s\n" "$({ ip -4 route get 192.0.2.1 || ip -6 route get 2001:db8::1; } 2>/dev/null | sed -n "s/.* src \([^ ]*\).*/\1/p" | head -n 1)"
printf "address=%s\n" "$(sed -n "s/^MTPROTO_ADDRESS=//p" "$home/.env" 2>/dev/null | tail -n 1)"
printf "moved=%s\n" "$(cat "$home/.moved-from" 2>/dev/null)"
if [ -e "$home/data/config.json" ]; then printf "users=%s\n" "$(grep -c "\"port\": [0-9]" "$home/data/config.json")"; fi
printf "moves=%s\n" "$(sed -n "s/^ID=//p" "$home/.move" 2>/dev/null)"
'

fact() { sed -n "s/^$1=//p" <<<"$FACTS" | head -n 1; }

look_there() {
    local free missing
    FACTS=$(there_says "$LOOK" "$THEIR_HOME") || fail "$TARGET does not run bash; the log says what it said: $LOG"
    case $(fact system) in
        "Linux x86_64" | "Linux aarch64" | "Linux arm64") ;;
        *) fail "$TARGET runs $(fact system): a Linux on amd64 or arm64 is needed." ;;
    esac
    note "$TARGET: $(fact name), $(fact system)"
    # What was noted here a moment ago stands there, too.
    [ "$(fact moves)" != "$ID" ] || fail "$TARGET is this very server."
    missing=$(sed -n 's/^missing=//p' <<<"$FACTS" | paste -sd ' ' -)
    [ -z "$missing" ] || fail "$TARGET lacks $missing." "apt-get install -y $missing    # there; or: dnf install -y $missing"
    NEW_LOCAL_ADDRESS=$(fact local)
    if [ "$(fact moved)" = "$ID" ]; then THERE=ours; elif [ -n "$(fact users)" ]; then THERE=others; else THERE=empty; fi
    free=$(fact free)
    if [ "$THERE" = empty ] && [[ $free =~ ^[0-9]+$ ]] && [ "$free" -lt "$LEAST_DISK" ]; then
        fail "$free MB are free for $THEIR_HOME on $TARGET, and $LEAST_DISK MB are needed."
    fi
    note "$free MB free there for $THEIR_HOME"
    case $THERE in
        ours) note "an earlier run of this has been there: it goes on" ;;
        others)
            warn "there is an installation in $THEIR_HOME already, with $(fact users) users, and not from here"
            if [ "$REPLACE" = no ] && [ "$(ask_yes_no "Let this one take its place? (A backup of it is kept there.)" no)" != yes ]; then
                fail "$TARGET has an installation of its own." "$AGAIN --replace"
            fi
            ;;
    esac
}

# --- The names in links ---

config_value() { sed -n "s/^ *\"$1\": \"\(.*\)\",\{0,1\}\$/\1/p" "$MTPROTO_HOME/data/config.json" | head -n 1; }

# The names that have to lead to the new server, one a line: of the links, of the panel, of users' pages and domains.
names_of_links() {
    local base
    config_value server_domain
    config_value panel_domain
    config_value share_hostname
    base=$(config_value sni_base_domain)
    if [ -n "$base" ]; then
        printf '%s\n' "$base"
        # A name that only the record *.base answers.
        printf 'mtproto-move.%s\n' "$base"
    fi
}

shown_name() { case $1 in mtproto-move.*) printf '*.%s' "${1#mtproto-move.}" ;; *) printf '%s' "$1" ;; esac; }

leads_to() { getent ahosts "$1" 2>/dev/null </dev/null | awk '{ print $1 }' | sort -u || true; }

# leads_there NAME: to the new server?
leads_there() {
    local found=$1
    found=$(leads_to "$1")
    [ -n "$found" ] && [ -n "$(grep -xF -- "$NEW_ADDRESS"$'\n'"${NEW_LOCAL_ADDRESS:-$NEW_ADDRESS}" <<<"$found" || true)" ]
}

look_at_names() {
    local name found here
    here=$(own_addresses; env_get MTPROTO_ADDRESS; config_value server_ip)
    if [ -z "$(config_value server_domain)" ]; then
        warn "links have this server's address in them ($(config_value server_ip)), as the setting server_domain is empty:
      they do not move. After the move everybody needs their link anew"
        if [ "$PHASE" != brought ] && [ "$(ask_yes_no "Go on?" yes)" != yes ]; then fail "nobody wanted to go on."; fi
    fi
    for name in $(names_of_links | sort -u); do
        found=$(leads_to "$name" | paste -sd ' ' -)
        if [ -z "$found" ]; then
            warn "$(shown_name "$name") is not in the DNS"
        elif [ -n "$(leads_to "$name" | grep -xF -- "$here" || true)" ]; then
            note "$(shown_name "$name") leads to this server ($found); later, to the new one"
        else
            note "$(shown_name "$name") leads to $found"
        fi
    done
}

# --- There ---

install_there() {
    local name value words=() end=0
    KEPT="This server works as before. What was done on $TARGET stays there; the same command goes on."
    note_progress install
    # shellcheck disable=SC2016 # that server's
    there_says 'umask 022; mkdir -p "$1" && printf "%s\n" "$2" >"$1/.moved-from"' "$THEIR_HOME" "$ID" ||
        fail_run "nothing can be written into $THEIR_HOME on $TARGET."
    THERE=ours
    note "copying the release $(basename "$(readlink "$MTPROTO_HOME/current")")"
    # The tree is whole, or not there.
    # shellcheck disable=SC2016 # that server's
    tar -C "$MTPROTO_HOME/current/" -cz . 2>>"$LOG" |
        there 'umask 022; rm -rf "$1"/.tree.new "$1/.tree.old" && mkdir "$1/.tree.new" && tar -xz -C "$1/.tree.new" --no-same-owner &&
            { [ ! -e "$1/.tree" ] || mv "$1/.tree" "$1/.tree.old"; } && mv "$1/.tree.new" "$1/.tree" && rm -rf "$1/.tree.old"' \
            "$THEIR_HOME" 2>>"$LOG" || fail_run "the release could not be copied to $TARGET."
    for name in $CARRIED; do
        value=$(env_get "$name")
        # What stands there is the answer of a run before, or that server's own.
        if env_has "$name"; then words+=("$name=$value"); fi
    done
    if [ -n "$(env_get TZ)" ]; then words+=("MTPROTO_TZ=$(env_get TZ)"); fi
    note "installing there; this takes minutes"
    # Its last words are those of a new installation, with a password and a link that nobody needs.
    # shellcheck disable=SC2016 # that server's
    there 'home=$1; shift; exec env "$@" bash "$home/.tree/install.sh" --yes --home "$home"' "$THEIR_HOME" \
        "${words[@]+"${words[@]}"}" </dev/null > >(sed -u '/^Panel: /,$d; s/^/    | /' | tee -a "$LOG") 2> >(sed -u 's/^/    | /' | tee -a "$LOG" >&2) || end=$?
    [ "$end" -eq 0 ] || fail "the installation on $TARGET has not come to its end; the lines above say why."
    # shellcheck disable=SC2016 # that server's
    there_says 'rm -rf "$1/.tree"' "$THEIR_HOME" || true
    FACTS=$(there_says "$LOOK" "$THEIR_HOME") || fail "$TARGET does not answer any more."
}

# command_there WORDS…: the command mtproto of what was installed there.
command_there() {
    # shellcheck disable=SC2016 # that server's
    there 'home=$1; shift; exec bash "$home/current/host/mtproto" --home "$home" "$@"' "$THEIR_HOME" "$@"
}

# From panel to panel: in the clear it is nowhere but in the two data folders. A pipe that breaks is no whole backup,
# which the other end sees.
bring_data() {
    local said end=0
    KEPT="This server works as before. What was done on $TARGET stays there; the same command goes on."
    note "a backup of this server, through the pipe"
    said=$(set -o pipefail; bash "$HERE/host/mtproto" --home "$MTPROTO_HOME" backup - 2>>"$LOG" </dev/null |
        command_there restore - --yes 2>&1) || end=$?
    log "$said"
    if [ "$end" -ne 0 ]; then
        quote_there "$said" >&2
        fail "the data could not be brought to $TARGET."
    fi
    quote_there "$said"
    # The ports of those who came, which happens by itself where systemd runs; and the first password of that
    # installation is nobody's any more.
    # shellcheck disable=SC2016 # that server's
    there_says 'rm -f "$1/first-login"; bash "$1/current/host/firewall.sh" "$1"' "$THEIR_HOME" >>"$LOG" || warn "the firewall there could not be asked to open the ports"
    note_progress brought
}

prove_links() {
    local try said="" end=0 at=$NEW_LOCAL_ADDRESS
    NEW_ADDRESS=$(fact address)
    NEW_ADDRESS=${NEW_ADDRESS:-$NEW_LOCAL_ADDRESS}
    KEPT="This server works as before, and the new one has the data. The same command tries again."
    for try in $(seq "${MTPROTO_PROBES:-10}"); do
        end=0
        # At the address of that server itself: the name in the links leads here yet.
        said=$(command_there probe --everybody ${at:+--at "$at"} 2>&1 </dev/null) || end=$?
        log "probe $try: $said"
        if [ "$end" -eq 0 ]; then
            quote_there "$(tail -n 3 <<<"$said")"
            return
        fi
        sleep "${MTPROTO_POLL_SECONDS:-3}"
    done
    quote_there "$said" >&2
    fail "not every link works on $TARGET yet." "ssh $TARGET mtproto doctor"
}

# --- The DNS, and the end here ---

NAMES_ELSEWHERE=""

tell_names() {
    local name kind=A
    case $NEW_ADDRESS in *:*) kind=AAAA ;; esac
    NAMES_ELSEWHERE=""
    for name in $(names_of_links | sort -u); do
        if leads_there "$name"; then
            note "$(shown_name "$name") leads to the new server"
        else
            NAMES_ELSEWHERE+=" $(shown_name "$name")"
            say "      to change in the DNS:  $(shown_name "$name")  $kind  $NEW_ADDRESS"
            if [ "$kind" = A ] && [ -n "$(leads_to "$name" | grep : || true)" ]; then
                say "                             its AAAA record leads elsewhere: change it, or remove it"
            fi
        fi
    done
    if [ -n "$NAMES_ELSEWHERE" ]; then
        say "      Until then people are served here, and nothing of that is lost. Afterwards: $AGAIN --stop-here"
    fi
}

stop_here() {
    if [ "$STOP_HERE" = no ]; then
        note "this server goes on. When nobody needs it: mtproto move … --stop-here, or mtproto stop"
        return
    fi
    KEPT="This server works as before, and so does the new one."
    if [ -n "$NAMES_ELSEWHERE" ]; then
        fail "${NAMES_ELSEWHERE# }: does not lead to the new server yet, so nothing is stopped here. (What was
looked up before is remembered for as long as the old record said.)"
    fi
    if [ -z "$(config_value server_domain)" ] && [ "$ASK" = yes ] &&
        [ "$(ask_yes_no "Whoever has no new link yet is cut off. Stop the proxies here?" no)" != yes ]; then
        fail "nobody has agreed to cut off those who have no new link yet." "$AGAIN --yes"
    fi
    bash "$HERE/host/mtproto" --home "$MTPROTO_HOME" stop >>"$LOG" 2>&1 </dev/null || fail "the proxies here could not be stopped; the log says why: $LOG"
    note "the proxies here are stopped; everything is kept. Back: mtproto start. Away: mtproto uninstall"
}
