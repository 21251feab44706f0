#!/usr/bin/env bash
# The program's files: releases/VERSION is one whole tree, current leads to the one in use.
# shellcheck disable=SC2034,SC2153,SC2154  # variables of the other parts (server.sh)

# The tree that this run installs, and its version.
TREE="" VERSION=""

is_installed() { [ -e "$MTPROTO_HOME/data/config.json" ]; }

find_version() {
    if [ -s "$HERE/VERSION" ]; then
        VERSION=$(head -n 1 "$HERE/VERSION" | tr -d '[:space:]')
    else
        VERSION=$(git -c "safe.directory=*" -C "$HERE" describe --tags --always --dirty 2>/dev/null || true)
    fi
    VERSION=${VERSION:-unknown}
    # It becomes a folder's name and an image's tag.
    [[ $VERSION =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] ||
        fail "the version of this tree is '$VERSION' ($HERE/VERSION): letters, digits, '.', '_' and '-' are allowed, 128 at most."
    TREE=$MTPROTO_HOME/releases/$VERSION
}

# refuse_odd_home: what compose, systemd and fstab could not read back.
refuse_odd_home() {
    case $MTPROTO_HOME in
        / | /bin | /boot | /dev | /etc | /home | /lib | /opt | /proc | /root | /run | /sbin | /srv | /sys | /tmp | /usr | /var)
            fail_answer "--home $MTPROTO_HOME: a folder of its own is needed, as a removal removes it." ;;
        /*) ;;
        *) fail_answer "--home $MTPROTO_HOME: the whole path is needed, from / on." ;;
    esac
    case $MTPROTO_HOME in
        *[\'\"\\\$\`:\#%]* | *[[:cntrl:]]* | */)
            fail_answer "--home $MTPROTO_HOME: quotes, \\, \$, :, #, % and a / at the end are not allowed in it." ;;
    esac
}

make_home() {
    (umask 022 && mkdir -p "$MTPROTO_HOME/releases") || fail_writing "$MTPROTO_HOME/releases"
    # What a run that was killed has left.
    rm -rf "$MTPROTO_HOME"/releases/.new.* "$MTPROTO_HOME"/*.new.* "$MTPROTO_HOME"/.*.new.*
}

# The panel's account in its container.
make_data_folder() {
    local folder
    for folder in data data/nginx; do
        if [ -d "$MTPROTO_HOME/$folder" ]; then continue; fi
        mkdir -m 0700 "$MTPROTO_HOME/$folder" || fail_writing "$MTPROTO_HOME/$folder"
        chown "$PANEL_UID:$PANEL_UID" "$MTPROTO_HOME/$folder" || fail_writing "$MTPROTO_HOME/$folder"
    done
    # nginx reads it, in its own container, by another account.
    chmod 0755 "$MTPROTO_HOME/data/nginx"
}

# place_tree: HERE becomes releases/VERSION, whole or not at all.
place_tree() {
    local new=$MTPROTO_HOME/releases/.new.$$ old=$MTPROTO_HOME/releases/.new.old.$$
    if [ "$HERE" -ef "$TREE" ]; then
        note "version $VERSION is in its place"
        return
    fi
    mkdir "$new" || fail_writing "$new"
    list_tree | (cd "$HERE" && tar -c --null --no-recursion -T - -f -) | tar -x -C "$new" --no-same-owner -f - ||
        fail_writing "$new"
    if [ ! -s "$new/VERSION" ]; then printf '%s\n' "$VERSION" >"$new/VERSION" || fail_writing "$new/VERSION"; fi
    chmod -R go+rX,go-w "$new"
    sync
    if [ -d "$TREE" ]; then
        if diff -rq "$TREE" "$new" >/dev/null 2>&1; then
            rm -rf "$new"
            note "version $VERSION is there"
            return
        fi
        # The version of a checkout that is worked in stays the same while its files change.
        mv "$TREE" "$old" || fail_writing "$old"
    fi
    mv -T "$new" "$TREE" || fail_writing "$TREE"
    rm -rf "$old"
    note "version $VERSION, in $TREE"
}

# The names of the tree's files, each ended by a zero byte: of a checkout, what git knows or would add, and the
# front end if it was built; else everything but what running it has made.
list_tree() {
    (
        cd "$HERE" || exit
        if [ -e .git ] && git -c "safe.directory=*" rev-parse >/dev/null 2>&1; then
            git -c "safe.directory=*" ls-files -z --cached --others --exclude-standard |
                while IFS= read -r -d '' name; do if [ -e "$name" ] || [ -L "$name" ]; then printf '%s\0' "$name"; fi; done
            if has_stylesheet .; then
                find app/web/static/build -type f ! -name .stamp -print0
            fi
        else
            find . \( -name node_modules -o -name __pycache__ -o -name '.venv*' -o -name .git -o -path ./data -o \
                -path ./.env \) -prune -o \( -type f -o -type l \) -print0
        fi
    )
}

# switch_to TREE: current leads there, by one rename.
switch_to() {
    local link=$MTPROTO_HOME/.current.new.$$
    ln -sfn "releases/$(basename "$1")" "$link" || fail_writing "$link"
    mv -fT "$link" "$MTPROTO_HOME/current" || fail_writing "$MTPROTO_HOME/current"
}
