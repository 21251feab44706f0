#!/usr/bin/env bash
# Updates an installation on a server (install.sh), or takes the last update back. May be killed and run again at any
# time. Proxies are left alone, unless their own image has changed.
set -euo pipefail

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
MTPROTO_HOME=${MTPROTO_HOME:-/opt/mtproto}
MTPROTO_BIN=${MTPROTO_BIN:-/usr/local/bin}

ACTION=update
SOURCE=""
WANTED=""
UNATTENDED=no
# By the panel's button.
ASKED_FOR=no
KEEP_PROXIES=no
# Shown after each failure: what was kept.
KEPT="Nothing was changed."
AGAIN=""

# The switch under way (host/lib/deploy.sh).
FROM="" TO="" BACKUP="" OLDER="" PHASE="" REASON=""

usage() {
    cat <<'END_OF_USAGE'
Usage: sudo bash update.sh [options]      or: sudo mtproto update [options]

Fetches the newest release, verifies it, builds its images while the present one serves, and switches. The panel is
away for some seconds. If the new one does not work, the one before is back by itself. Data and settings are backed up
first. Users' proxies go on running; if their image has changed, they are replaced one after the other.

  --check           only say which release is here, and which is the newest
  --version V       to this release, instead of the newest
  --from PATH       to the release in this archive, or the checkout in this folder
  --rollback        back to the release before the last update
  --panel on|off    let the panel look for releases, once a day, and have a button that starts this (off)
  --auto on|off     look for updates each night, by a timer of systemd (off)
  --keep-proxies    replace no proxy; "mtproto update-proxies" does it later
  --images FILE     load images from this archive of docker save first
  --unattended      as the timer does it: a release that has failed once is not tried again
  --home DIR        where the installation is (/opt/mtproto)
  --help            this text

MTPROTO_RELEASE_URL, in the environment or in /opt/mtproto/.env, is where releases are looked for.
END_OF_USAGE
}

misuse() {
    printf 'update.sh: %s\n\n' "$1" >&2
    usage >&2
    exit 2
}

parse_options() {
    while [ $# -gt 0 ]; do
        case $1 in
            --check | --rollback) ACTION=${1#--} ;;
            --unattended) UNATTENDED=yes ;;
            --asked) ASKED_FOR=yes ;;
            --keep-proxies) KEEP_PROXIES=yes ;;
            --version | --from | --home | --images | --auto | --panel)
                [ -n "${2:-}" ] || misuse "$1 needs a value."
                case $1 in
                    --version) WANTED=$2 ;;
                    --from) SOURCE=$(realpath -m -- "$2") ;;
                    --home) MTPROTO_HOME=$(realpath -m -- "$2") ;;
                    --images) MTPROTO_IMAGES=$(realpath -m -- "$2") && export MTPROTO_IMAGES ;;
                    --auto | --panel)
                        ACTION=${1#--} SWITCH=$2
                        case $2 in on | off) ;; *) misuse "$1 $2: on or off is allowed." ;; esac
                        ;;
                esac
                shift
                ;;
            -h | --help)
                usage
                exit 0
                ;;
            *) misuse "unknown option: $1" ;;
        esac
        shift
    done
    [ -z "$WANTED" ] || [ -z "$SOURCE" ] || misuse "--version and --from don't go together."
    [ -z "$WANTED" ] || [[ $WANTED =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] ||
        misuse "--version $WANTED: letters, digits, '.', '_' and '-' are allowed, 128 at most."
}

load_parts() {
    local part
    for part in log files room engine addresses ports kept_ports stack tree releases backups deploy timer news fail2ban; do
        # shellcheck source=/dev/null
        . "$HERE/host/lib/$part.sh"
    done
    AGAIN="bash '$HERE/update.sh' --home '$MTPROTO_HOME'"
    # Instead of the one in log.sh, whose words are those of an installation.
    fail() {
        {
            printf '\nupdate.sh: %s\n' "$1"
            if [ -n "$KEPT" ]; then printf '%s\n' "$KEPT"; fi
            if [ $# -gt 1 ]; then printf '\nThis helps:\n\n    %s\n' "$2"; fi
            printf '\n'
        } | tee -a "$LOG" >&2 || true
        if [ "$ASKED_FOR" = yes ] && [ -z "$PHASE" ]; then tell_panel "${TO:-$(current_version)}" "$1 $KEPT"; fi
        exit 1
    }
}

require_installation() {
    [ "$(id -u)" -eq 0 ] || [ -n "${MTPROTO_ROOT:-}" ] || fail "root is needed: for Docker and $MTPROTO_HOME." "sudo $AGAIN"
    if [ -L "$MTPROTO_HOME/current" ] && [ -e "$MTPROTO_HOME/.env" ]; then return; fi
    fail "there is no installation in $MTPROTO_HOME. Where it is elsewhere, name it: --home DIR. One made with
install.sh --local is updated by running that again, after git pull." "sudo bash install.sh"
}

current_version() { basename "$(readlink "$MTPROTO_HOME/current")"; }

begin_update_log() {
    LOG=$MTPROTO_HOME/update.log
    bound_log "$LOG"
    (umask 077 && printf '\n=== %s  %s\n' "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$*" >>"$LOG") 2>/dev/null ||
        fail "$LOG can't be written: is the disk full (df -h), or can it be read only (dmesg)?"
    chmod 600 "$LOG"
}

check() {
    local url newest
    printf 'Installed: %s\n' "$(current_version)"
    url=$(release_url)
    newest=$(newest_version "$url") || fail_run "$url can't be asked which release is the newest."
    [ -n "$newest" ] || fail "the SHA256SUMS at $url names no release."
    printf 'Newest:    %s\n' "$newest"
    tell_panel "$newest" ""
    if [ "$newest" = "$(current_version)" ]; then
        printf 'This is the newest release.\n'
    else
        printf 'To update: %s\n' "$(update_command)"
    fi
}

update_command() {
    if [ -x "$MTPROTO_BIN/mtproto" ]; then printf 'sudo mtproto update'; else printf 'sudo %s' "$AGAIN"; fi
}

# place_release: TO, and its tree in releases/TO. From SOURCE, or from the place of releases.
place_release() {
    local url unpacked=$MTPROTO_HOME/releases/.new.update
    if [ -n "$SOURCE" ] && [ -d "$SOURCE" ]; then
        adopt_tree "$SOURCE"
        return
    elif [ -n "$SOURCE" ]; then
        [ -r "$SOURCE" ] || fail "$SOURCE is not there, or can't be read."
        verify_beside "$SOURCE"
        ARCHIVE=$SOURCE
    else
        url=$(release_url) || exit
        TO=$WANTED
        if [ -z "$TO" ]; then
            TO=$(newest_version "$url") || fail_run "$url can't be asked which release is the newest."
            [ -n "$TO" ] || fail "the SHA256SUMS at $url names no release."
        fi
        if [ "$TO" = "$FROM" ]; then return; fi
        if [ "$UNATTENDED" = yes ] && grep -qxF -- "$TO" "$MTPROTO_HOME/.failed" 2>/dev/null; then
            say "$TO is the newest release, and did not work here before: it is not tried again by itself."
            say "To try it all the same: $(update_command)"
            exit 0
        fi
        note "$TO, from $url"
        fetch_release "$url" "$TO"
    fi
    unpack "$ARCHIVE" "$unpacked"
    adopt_tree "$unpacked"
    rm -rf "$unpacked"
}

# adopt_tree FOLDER
adopt_tree() {
    local own=$HERE
    HERE=$1
    find_version
    # A release that is here does not change: a checkout that was worked in has a version of its own.
    if [ -d "$TREE" ] && [ ! "$HERE" -ef "$TREE" ] && ! same_tree; then
        VERSION=$VERSION.$(list_tree | LC_ALL=C sort -z | (cd "$HERE" && xargs -0 sha256sum) | sha256sum | cut -c 1-8)
        TREE=$MTPROTO_HOME/releases/$VERSION
    fi
    TO=$VERSION
    if [ "$TO" != "$FROM" ]; then place_tree; fi
    HERE=$own
    if [ "$TO" != "$FROM" ] && [ "$(head -n 1 "$TREE/VERSION")" != "$TO" ]; then
        printf '%s\n' "$TO" | write_file "$TREE/VERSION" 0644
    fi
}

# same_tree: is what is in HERE what is in TREE?
same_tree() {
    local name
    while IFS= read -r -d '' name; do
        cmp -s "$HERE/$name" "$TREE/$name" || return 1
    done < <(list_tree)
}

# Where this installation is, and where Docker keeps its images.
check_disk() {
    local free folder least=${MTPROTO_LEAST_DISK:-$LEAST_DISK_AGAIN}
    for folder in "$MTPROTO_HOME" "$(docker info --format '{{.DockerRootDir}}' 2>/dev/null </dev/null || true)"; do
        if [ ! -d "$folder" ]; then continue; fi
        free=$(disk_free_mb "$folder")
        [ "${free:-$least}" -ge "$least" ] ||
            fail "$free MB are free on the disk of $folder; an update needs $least. Old images and logs are a good start." \
                "docker system df; df -h"
    done
}

update() {
    FROM=$(current_version)
    say "Looking for the release"
    place_release
    if [ "$TO" = "$FROM" ]; then
        say "$FROM is here already."
        return
    fi
    check_disk
    say "Getting $TO ready; $FROM serves meanwhile"
    if docker image inspect mtg-custom >/dev/null 2>&1 </dev/null; then
        run docker tag mtg-custom "mtg-custom:$FROM" || fail_run "the image mtg-custom could not be given a second name."
        # A removal takes that name away, too.
        record "$MTPROTO_HOME/.images" "mtg-custom:$FROM"
    fi
    prepare "$TO"
    if ! accepts_config "$TO"; then
        record "$MTPROTO_HOME/.failed" "$TO"
        KEPT="Nothing was switched: $FROM goes on serving."
        fail "the update to $TO was taken back before it served: it does not take data/config.json as it is, or does not
run at all. It says:
$REFUSAL"
    fi
    say "Looking whether everything works before"
    probe_before
    say "Backing up data and settings"
    back_up "$FROM"
    deploy
}

# Back to the release before, with everything that it needs.
rollback() {
    FROM=$(current_version)
    read_previous
    say "Getting $TO ready; $FROM serves meanwhile"
    prepare "$TO"
    say "Looking whether everything works before"
    probe_before
    say "Backing up data and settings"
    back_up "$FROM"
    deploy
}

# read_previous: TO, and OLDER, its last backup.
read_previous() {
    local line
    [ -e "$MTPROTO_HOME/previous" ] ||
        fail "no release was here before $FROM, so there is none to go back to." "$AGAIN --version V"
    while IFS= read -r line; do
        case $line in VERSION=*) TO=${line#*=} ;; BACKUP=*) OLDER=${line#*=} ;; esac
    done <"$MTPROTO_HOME/previous"
    [ -d "$(tree_of "$TO")" ] || fail "the release $TO is not in $MTPROTO_HOME/releases any more." "$AGAIN --version $TO"
}

deploy() {
    say "Switching from $FROM to $TO"
    state_write switch
    finish_deploy
}

# In a shell of its own, as whatever ends it must be followed by the way back.
finish_deploy() {
    local code=0
    KEPT=""
    (
        switch_over || {
            printf '%s\n' "$REASON" >"$STATE.reason"
            exit 1
        }
    ) || code=$?
    if [ "$code" -eq 0 ]; then
        conclude
        return
    fi
    REASON=$(cat "$STATE.reason" 2>/dev/null || printf 'the lines above say why')
    rm -f "$STATE.reason"
    warn "$TO does not work here: $REASON"
    state_write back
    finish_going_back
}

conclude() {
    say "$TO serves."
    tell_panel "$TO" "updated from $FROM to $TO"
    printf 'VERSION=%s\nBACKUP=%s\n' "$FROM" "$BACKUP" | write_file "$MTPROTO_HOME/previous" 0600
    if [ -e "$MTPROTO_HOME/.failed" ]; then forget "$MTPROTO_HOME/.failed" "$TO"; fi
    # Who goes back by hand does not want it again tonight.
    if [ -n "$OLDER" ]; then record "$MTPROTO_HOME/.failed" "$FROM"; fi
    state_write finish
    finish
}

finish() {
    leave_what_is_newer
    renew_command
    renew_fail2ban "$MTPROTO_HOME/current"
    renew_host
    replace_proxies
    tidy
    rm -f "$STATE"
    note "back to $FROM: $(update_command) --rollback"
}

finish_going_back() {
    local code=0
    (go_back) || code=$?
    record "$MTPROTO_HOME/.failed" "$TO"
    if [ "$code" -ne 0 ]; then
        fail "$TO did not work, and going back to $FROM did not succeed either. Users' proxies run on; nothing of the data
was lost: it is in $MTPROTO_HOME/data and $BACKUP. Everything that was said is in $LOG." "$AGAIN"
    fi
    rm -f "$STATE"
    tell_panel "$TO" "the update to $TO was taken back: ${REASON:-it did not work}"
    KEPT="$FROM serves again; users' proxies ran on all the time, and the backup is $BACKUP."
    fail "the update to $TO was taken back, as it did not work: ${REASON:-see the log}. The log is $LOG"
}

# The command mtproto, where install.sh has put it, is that of the release that serves.
renew_command() {
    local file=$MTPROTO_BIN/mtproto new
    new=$(tree_of "$TO")/host/mtproto
    if ! grep -qxF -- "$file" "$MTPROTO_HOME/.files" 2>/dev/null || [ ! -e "$new" ]; then return; fi
    sed "s|^DEFAULT_HOME=.*|DEFAULT_HOME='$MTPROTO_HOME'|" "$new" | write_file "$file" 0755
}

# An older release that serves could not take away what it knows nothing of: rules, units, a jail.
leave_what_is_newer() {
    local script
    script=$(tree_of "$FROM")/host/outside.sh
    if [ ! -e "$script" ]; then return; fi
    if [ -e "$(tree_of "$TO")/host/outside.sh" ] && [ -e "$(tree_of "$TO")/host/fail2ban/mtproto-bans" ]; then return; fi
    bash "$script" "$MTPROTO_HOME" leave "$(tree_of "$TO")" >>"$LOG" 2>&1 </dev/null ||
        warn "not all that $FROM made on this server could be taken back; $LOG says what"
}

# What the release that serves keeps outside of this folder: rules in the firewall, units, the rotation of logs.
renew_host() {
    local script
    script=$(tree_of "$TO")/host/outside.sh
    if [ ! -e "$script" ]; then return; fi
    bash "$script" "$MTPROTO_HOME" >>"$LOG" 2>&1 </dev/null || warn "the firewall is not as it should be: mtproto doctor"
}

# Proxies run on the image that they were made from; only if there is another one now, they are replaced.
replace_proxies() {
    local said count
    said=$(panel update-proxies --check --json 2>>"$LOG" </dev/null) || return 0
    count=$(number_of count "$said")
    if [ "${count:-0}" -eq 0 ]; then return; fi
    if [ "$KEEP_PROXIES" = yes ]; then
        say "$count proxies still run the old image. To replace them one by one: mtproto update-proxies"
        return
    fi
    say "Replacing $count proxies that run the old image, one after the other: each user's connections are made anew once"
    panel update-proxies 2>&1 </dev/null | tee -a "$LOG" | sed 's/^/      /' ||
        warn "not all proxies could be replaced; the others run on as they were. Again: mtproto update-proxies"
}

# What only releases need that are neither here nor the one before.
tidy() {
    local name image
    for name in $(cd "$MTPROTO_HOME/releases" && printf '%s\n' *); do
        case $name in "$FROM" | "$TO") continue ;; esac
        rm -rf "${MTPROTO_HOME:?}/releases/$name" "$(settings_of "$name")"
        for image in "mtproto-panel:$name" "mtg-custom:$name"; do
            docker image rm "$image" >>"$LOG" 2>&1 </dev/null || true
        done
    done
    rm -rf "$MTPROTO_HOME/.download"
    tidy_backups "$BACKUP"
}

# What a run that was killed has left half done.
resume() {
    state_read
    case $PHASE in
        switch)
            if [ "$ACTION" = rollback ] && [ -z "$OLDER" ]; then
                say "An update to $TO was interrupted; it is taken back."
                REASON="asked for by --rollback"
                state_write back
                (go_back) || fail "going back to $FROM did not succeed; the backup is $BACKUP, and everything that was said is in $LOG." "$AGAIN"
                rm -f "$STATE"
                say "$FROM serves again."
                exit 0
            fi
            say "The switch from $FROM to $TO was interrupted; it is finished now."
            finish_deploy
            exit 0
            ;;
        finish)
            say "The update from $FROM to $TO was interrupted at its end; it is finished now."
            finish
            exit 0
            ;;
        back)
            say "The way back from $TO to $FROM was interrupted; it is finished now."
            finish_going_back
            ;;
    esac
}

main() {
    parse_options "$@"
    load_parts
    require_installation
    if [ "$ACTION" = check ]; then
        LOG=$(mktemp)
        trap 'rm -f "$LOG"' EXIT
        check
        return
    fi
    take_lock
    if [ "$ASKED_FOR" = yes ]; then rm -f "$ASKED"; fi
    # What a run that was killed has left of files that it wrote.
    rm -rf "$MTPROTO_HOME"/*.new.* "$MTPROTO_HOME"/.*.new.* "$MTPROTO_HOME"/releases/.new.*
    begin_update_log "update.sh $*"
    if [ "$ACTION" = auto ]; then
        automatic "$SWITCH"
        return
    elif [ "$ACTION" = panel ]; then
        panel_updates "$SWITCH"
        return
    fi
    require_docker
    free_kept_ports
    resume
    case $ACTION in
        update) update ;;
        rollback) rollback ;;
    esac
}

# In braces, so that bash runs nothing before it has read this to the end: `current` is another release afterwards.
{
    main "$@"
    exit
}
