#!/usr/bin/env bash
# From one release to another and back: images' names, .env, current, containers, and whether it works.
# What is under way stands in MTPROTO_HOME/.update, so that a run that was killed is finished by the next one.

PROBED=""
# Of works(): why not.
export REASON=""

STATE=$MTPROTO_HOME/.update

# state_write PHASE: switch (to TO), back (to FROM), or finish (TO serves). Before that, nothing that serves was changed.
#   BACKUP   data and settings as FROM left them    OLDER   of a rollback: as TO left them, when it was left
state_write() {
    PHASE=$1
    printf 'PHASE=%s\nFROM=%s\nTO=%s\nBACKUP=%s\nOLDER=%s\nPROBED=%s\n' \
        "$PHASE" "$FROM" "$TO" "$BACKUP" "$OLDER" "$PROBED" | write_file "$STATE" 0600
}

# state_read: PHASE and all the others; an empty PHASE where nothing is under way.
state_read() {
    local line
    PHASE=""
    [ -e "$STATE" ] || return 0
    while IFS= read -r line; do
        case $line in
            PHASE=* | FROM=* | TO=* | BACKUP=* | OLDER=* | PROBED=*) printf -v "${line%%=*}" '%s' "${line#*=}" ;;
        esac
    done <"$STATE"
}

tree_of() { printf '%s' "$MTPROTO_HOME/releases/$1"; }

settings_of() { printf '%s' "$MTPROTO_HOME/.settings.$1"; }

# prepare VERSION: its images and lines for .env, by its own script.
prepare() {
    local tree
    tree=$(tree_of "$1")
    [ -e "$tree/host/prepare-release.sh" ] ||
        fail "the release $1 knows nothing of update.sh (no host/prepare-release.sh in it)."
    MTPROTO_LOG=$LOG bash "$tree/host/prepare-release.sh" "$MTPROTO_HOME" "$(tree_of "$FROM")" \
        "$(settings_of "$1")" </dev/null || fail "the images of $1 could not be made ready; the lines above say why."
}

# in_image VERSION WORDS…: the panel's command line of that release on the data that is here, in a container of its own.
in_image() {
    local image=mtproto-panel:$1
    shift
    docker run --rm --network none --user "$(stat -c %u:%g "$MTPROTO_HOME/data")" \
        --volume "$MTPROTO_HOME/data:/data" "$image" python3 -m app.cli "$@" </dev/null
}

# accepts_config VERSION: does that release take config.json? What it says is in REFUSAL.
accepts_config() {
    REFUSAL=$(in_image "$1" config check 2>&1) && return
    REFUSAL=$(tail -n 5 <<<"$REFUSAL")
    log "config check of $1: $REFUSAL"
    return 1
}

# reads_ledger READER WRITER: can that release work with a panel.db that the other one has migrated?
reads_ledger() {
    local reader writer
    [ -e "$MTPROTO_HOME/data/panel.db" ] || return 0
    reader=$(in_image "$1" version --json 2>>"$LOG") || return 1
    writer=$(in_image "$2" version --json 2>>"$LOG") || return 1
    reader=$(number_of ledger "$reader") writer=$(number_of ledger_readable_by "$writer")
    log "ledger: $1 knows $reader steps, what $2 wrote needs ${writer:-?}"
    [ -n "$reader" ] && [ -n "$writer" ] && [ "$reader" -ge "$writer" ]
}

number_of() { sed -n 's/.*"'"$1"'": \([0-9][0-9]*\).*/\1/p' <<<"$2" | head -n 1; }

# fit_data VERSION WRITER BACKUP: before an older release serves again, data that it can't read is as it left it.
fit_data() {
    if ! accepts_config "$1"; then
        if give_back config.json "$3"; then
            warn "$1 does not take today's config.json, so the one of $(basename "$3") is back: what was changed since
is in $3/config.json.newer. It said: $REFUSAL"
        else
            warn "$1 does not take config.json, and no older one is at hand: $REFUSAL"
        fi
    fi
    if ! reads_ledger "$1" "$2"; then
        if give_back panel.db "$3"; then
            warn "$1 can't read today's panel.db, so the one of $(basename "$3") is back: traffic, events and logins
measured since are not in it. They are in $3/panel.db.newer, and nobody's link depends on them."
        else
            warn "$1 may not be able to read panel.db, and no older one is at hand"
        fi
    fi
}

# name_images VERSION: the proxies' image of that release is the one that new containers get.
name_images() {
    if ! docker image inspect "mtg-custom:$1" >/dev/null 2>&1 </dev/null; then return; fi
    run docker tag "mtg-custom:$1" mtg-custom || fail_run "the image mtg-custom:$1 could not be given the name mtg-custom."
}

# apply_settings_of VERSION: the lines that it wants in .env.
apply_settings_of() {
    local line pairs=()
    while IFS= read -r line; do pairs+=("${line%%=*}" "${line#*=}"); done <"$(settings_of "$1")"
    env_set "${pairs[@]}"
}

# start_release VERSION BEFORE: its containers instead of those of the other one. Proxies are not compose's.
start_release() {
    switch_to "$(tree_of "$1")"
    run stack up -d --no-build --remove-orphans || return 1
    # nginx has these files from its start on; a container whose description is the same is left alone by compose.
    if ! diff -q "$(tree_of "$1")/nginx/nginx.conf" "$(tree_of "$2")/nginx/nginx.conf" >/dev/null 2>&1 ||
        ! diff -q "$(tree_of "$1")/nginx/panel.conf" "$(tree_of "$2")/nginx/panel.conf" >/dev/null 2>&1; then
        note "nginx has a new configuration and is started anew: connections through it are made again"
        run stack up -d --no-build --no-deps --force-recreate nginx || return 1
    fi
}

# keeps_ending: has Docker started the panel's container anew four times since the first look?
RESTARTS=""
keeps_ending() {
    local count
    count=$(docker inspect --format '{{.RestartCount}}' "$(stack ps -q app 2>/dev/null </dev/null)" 2>/dev/null </dev/null) ||
        return 1
    RESTARTS=${RESTARTS:-$count}
    [ $((count - RESTARTS)) -ge 4 ]
}

# serves VERSION: its panel answers, in a container of its image. One that ends again and again is not waited for, as
# the panel is away meanwhile.
serves() {
    local try address port image="" ends=""
    RESTARTS=""
    port=$(env_get PANEL_PORT) address=$(env_get PANEL_BIND)
    case $address in "" | 0.0.0.0 | ::) address=127.0.0.1 ;; *:*) address="[$address]" ;; esac
    for try in $(seq "${MTPROTO_WAIT:-180}"); do
        if curl -fsS -o /dev/null --max-time 5 "http://$address:${port:-8080}/healthz" 2>>"$LOG" </dev/null; then
            image=$(docker inspect --format '{{.Config.Image}}' "$(stack ps -q app 2>/dev/null </dev/null)" 2>/dev/null </dev/null) || true
            if [ "$image" = "mtproto-panel:$1" ]; then
                log "the panel of $1 answers after $try looks"
                return 0
            fi
        elif [ $((try % 5)) -eq 1 ] && keeps_ending; then
            ends=", and ended again and again"
            break
        fi
        sleep "${MTPROTO_POLL_SECONDS:-1}"
    done
    REASON="the panel of $1 did not answer${image:+ (its container is of $image)}$ends"
    run stack ps || true
    run stack logs --tail 30 app || true
    return 1
}

# first_enabled_user: the id of one; nothing if there is none.
first_enabled_user() {
    panel user list --json 2>>"$LOG" </dev/null |
        sed -n 's/^    "id": "\([0-9A-Za-z_-]*\)".*/id \1/p; s/^    "enabled": \(true\|false\).*/\1/p' |
        awk '$1 == "id" { id = $2 } $1 == "true" { print id; exit }'
}

# probe_somebody TRIES: does the first enabled user's link lead to Telegram? 0 yes, 1 no, 2 there is nobody to ask for.
probe_somebody() {
    local try user
    user=$(first_enabled_user) || return 1
    [ -n "$user" ] || return 2
    for try in $(seq "$1"); do
        if run panel probe "$user"; then return 0; fi
        log "probe $try failed"
        sleep "${MTPROTO_POLL_SECONDS:-2}"
    done
    return 1
}

# probe_before: as PROBED, what the probe after the switch is compared with.
probe_before() {
    local code=0
    probe_somebody 2 || code=$?
    case $code in
        0) PROBED=yes && note "a user's proxy leads to Telegram" ;;
        1) PROBED=no && note "no user's proxy leads to Telegram now, so this update is not judged by that" ;;
        *) PROBED=none && note "there is no enabled user" ;;
    esac
}

works() {
    serves "$1" || return 1
    if [ "$PROBED" != yes ]; then return; fi
    probe_somebody "${MTPROTO_PROBES:-10}" && return
    REASON="the panel of $1 answers, but a user's proxy that led to Telegram before does not any more"
    return 1
}

# switch_over: to TO, images and all; 1 if it does not work there, with REASON.
switch_over() {
    REASON="the containers of $TO could not be started; the end of $LOG says why"
    if [ -n "$OLDER" ]; then
        run stack stop app || true
        fit_data "$TO" "$FROM" "$OLDER"
    fi
    name_images "$TO"
    apply_settings_of "$TO"
    start_release "$TO" "$FROM" || return 1
    works "$TO"
}

# go_back: to FROM, as it was, settings and all.
go_back() {
    say "Going back to $FROM"
    run stack stop app || true
    fit_data "$FROM" "$TO" "$BACKUP"
    if [ -e "$BACKUP/env" ]; then write_file "$MTPROTO_HOME/.env" 0600 <"$BACKUP/env"; fi
    name_images "$FROM"
    start_release "$FROM" "$TO" && serves "$FROM"
}
