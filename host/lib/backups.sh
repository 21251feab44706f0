#!/usr/bin/env bash
# Data and configuration as they were before an update: MTPROTO_HOME/backups/DATE-VERSION/ with config.json, panel.db
# and env. Readable by root only.

BACKUPS=$MTPROTO_HOME/backups
KEPT_BACKUPS=5

# back_up VERSION: as BACKUP. Data that can't be copied ends the update before anything was changed.
back_up() {
    local name new
    name=$(date +%Y%m%d-%H%M%S)-$1
    while [ -e "$BACKUPS/$name" ]; do # one that was made in this very second, by a run that was broken off
        sleep 0.2
        name=$(date +%Y%m%d-%H%M%S)-$1
    done
    new=$BACKUPS/.new.$name
    rm -rf "$BACKUPS"/.new.*
    (umask 077 && mkdir -p "$new") || fail_writing "$new"
    chmod 700 "$BACKUPS" "$new"
    cp -p "$MTPROTO_HOME/data/config.json" "$new/config.json" || fail_writing "$new/config.json"
    cp -p "$MTPROTO_HOME/.env" "$new/env" || fail_writing "$new/env"
    if [ -e "$MTPROTO_HOME/data/panel.db" ]; then copy_ledger "$new/panel.db"; fi
    sync
    BACKUP=$BACKUPS/$name
    mv -T "$new" "$BACKUP" || fail_writing "$BACKUP"
    note "in $BACKUP"
}

# copy_ledger FILE: by SQLite's own backup, beside a panel that writes meanwhile. Of one that can't even do that,
# nobody's access depends: it is stopped, and nobody writes any more.
copy_ledger() {
    local there=$MTPROTO_HOME/data/.panel.db.backup
    rm -f "$there"
    if run stack exec -T app python3 -c "$SQLITE_BACKUP" ||
        run stack run --rm --no-deps -T app python3 -c "$SQLITE_BACKUP"; then
        mv -f "$there" "$1" || fail_writing "$1"
        return
    fi
    rm -f "$there"
    note "the panel's container can't copy panel.db; it is stopped for a copy of the file"
    run stack stop app || fail_run "the panel's container can't be stopped, so panel.db can't be copied."
    cp -p "$MTPROTO_HOME/data/panel.db" "$1" || fail_writing "$1"
    if [ -e "$MTPROTO_HOME/data/panel.db-wal" ]; then
        cp -p "$MTPROTO_HOME/data/panel.db-wal" "$1-wal" || fail_writing "$1-wal"
    fi
}

SQLITE_BACKUP='
import os, sqlite3
folder = os.environ["MTPROTO_DATA_DIR"]
there = os.path.join(folder, ".panel.db.backup")
source, copy = sqlite3.connect(os.path.join(folder, "panel.db")), sqlite3.connect(there)
source.backup(copy)
copy.execute("PRAGMA journal_mode = DELETE")
copy.close()
'

# The newest ones stay, and the one that the release before may need.
tidy_backups() {
    local name number=0
    for name in $(cd "$BACKUPS" && printf '%s\n' [0-9]*-* | sort -r); do
        number=$((number + 1))
        if [ "$number" -gt "$KEPT_BACKUPS" ] && [ "$BACKUPS/$name" != "${1:-}" ]; then rm -rf "${BACKUPS:?}/$name"; fi
    done
}

# give_back NAME BACKUP: that file of the data folder is as in the backup again; today's goes beside the backup.
give_back() {
    local file=$MTPROTO_HOME/data/$1 extra
    [ -e "$2/$1" ] || return 1
    if [ -e "$file" ]; then cp -p "$file" "$2/$1.newer" || fail_writing "$2/$1.newer"; fi
    cp -p "$2/$1" "$file.back" || fail_writing "$file.back"
    for extra in -wal -shm; do
        if [ -e "$file$extra" ]; then mv -f "$file$extra" "$2/$1.newer$extra" || fail_writing "$2"; fi
    done
    if [ -e "$2/$1-wal" ]; then cp -p "$2/$1-wal" "$file-wal" || fail_writing "$file-wal"; fi
    mv -f "$file.back" "$file" || fail_writing "$file"
}
